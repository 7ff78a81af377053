// Large blocks, a byte in each page written: what is given back to the system at each free has
// to be faulted in again.
#include "row.h"

namespace {

void large_pair(benchmark::State& state) {
  const std::size_t size = row::argument(state);
  for (auto _ : state) {
    void* block = std::malloc(size);
    row::write_pages(block, 0, size);
    std::free(block);
  }
}

BENCHMARK(large_pair)
    ->Arg(300 * row::kib)
    ->Arg(4 * row::mib)
    ->Arg(32 * row::mib)
    ->MeasureProcessCPUTime();

}  // namespace
