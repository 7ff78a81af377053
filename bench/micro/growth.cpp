// One block that grows by realloc until it reaches the size the row names: by half each time, as
// a vector does, or by a constant step. What is new is written to, a byte in each page, so that
// there is something to copy.
#include "row.h"

namespace {

template <typename Next>
void grow(benchmark::State& state, Next next) {
  const std::size_t limit = row::argument(state);
  std::int64_t steps = 0;
  for (std::size_t size = 0; size < limit; size = next(size))
    ++steps;

  while (state.KeepRunningBatch(steps)) {
    void* block = nullptr;
    for (std::size_t size = 0; size < limit;) {
      const std::size_t larger = next(size);
      block = std::realloc(block, larger);
      row::write_pages(block, size, larger);
      size = larger;
    }
    std::free(block);
  }
}

void realloc_vector(benchmark::State& state) {
  grow(state, [](std::size_t size) { return size == 0 ? 64 : size + size / 2; });
}

void realloc_steps(benchmark::State& state) {
  grow(state, [](std::size_t size) { return size + 64 * row::kib; });
}

BENCHMARK(realloc_vector)->Arg(row::mib)->Arg(100 * row::mib)->MeasureProcessCPUTime();
BENCHMARK(realloc_steps)->Arg(row::mib)->Arg(100 * row::mib)->MeasureProcessCPUTime();

}  // namespace
