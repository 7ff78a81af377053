// Aligned blocks: one at a time, and a hundred at once.
#include <array>

#include "row.h"

namespace {

void aligned_pair(benchmark::State& state) {
  const std::size_t alignment = row::argument(state);
  const std::size_t size = row::argument(state, 1);
  for (auto _ : state)
    std::free(row::written(std::aligned_alloc(alignment, size)));
}

void aligned_batch(benchmark::State& state) {
  const std::size_t alignment = row::argument(state);
  const std::size_t size = row::argument(state, 1);
  std::array<void*, 100> blocks;
  while (state.KeepRunningBatch(blocks.size())) {
    for (void*& block : blocks)
      block = row::written(std::aligned_alloc(alignment, size));
    for (void* block : blocks)
      std::free(block);
  }
}

// The size is a multiple of the alignment, as C11 asks of aligned_alloc.
void alignments(benchmark::internal::Benchmark* aligned) {
  aligned->ArgNames({"align", "size"});
  aligned->Args({64, 64})->Args({64, 1024})->Args({4096, 4096})->Args({4096, 16384});
}

BENCHMARK(aligned_pair)->Apply(alignments)->MeasureProcessCPUTime();
BENCHMARK(aligned_batch)->Apply(alignments)->MeasureProcessCPUTime();

}  // namespace
