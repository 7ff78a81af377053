// Zeroed blocks, of which a byte in each page is written: an allocator that knows its zero pages
// need not clear them, and one that clears them does so on each round.
#include "row.h"

namespace {

void calloc_pair(benchmark::State& state) {
  const std::size_t size = row::argument(state);
  for (auto _ : state) {
    void* block = std::calloc(1, size);
    row::write_pages(block, 0, size);
    std::free(block);
  }
}

BENCHMARK(calloc_pair)
    ->Arg(64)
    ->Arg(4 * row::kib)
    ->Arg(256 * row::kib)
    ->Arg(4 * row::mib)
    ->MeasureProcessCPUTime();

}  // namespace
