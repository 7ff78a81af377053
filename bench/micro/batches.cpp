// Many blocks taken, then all given back: the last first, the first first, or in random order.
#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "row.h"

namespace {

using order = std::vector<std::size_t>;

void batch(benchmark::State& state, const order& free_order) {
  const std::size_t size = row::argument(state);
  std::vector<void*> blocks(free_order.size());
  while (state.KeepRunningBatch(static_cast<std::int64_t>(blocks.size()))) {
    for (void*& block : blocks)
      block = row::written(std::malloc(size));
    for (const std::size_t i : free_order)
      std::free(blocks[i]);
  }
}

order in_turn(const benchmark::State& state) {
  order result(row::argument(state, 1));
  std::iota(result.begin(), result.end(), std::size_t{0});
  return result;
}

void batch_lifo(benchmark::State& state) {
  order last_first = in_turn(state);
  std::reverse(last_first.begin(), last_first.end());
  batch(state, last_first);
}

void batch_fifo(benchmark::State& state) {
  batch(state, in_turn(state));
}

void batch_random(benchmark::State& state) {
  order shuffled = in_turn(state);
  std::shuffle(shuffled.begin(), shuffled.end(), std::mt19937_64(1));
  batch(state, shuffled);
}

void sizes_and_counts(benchmark::internal::Benchmark* batch) {
  batch->ArgNames({"size", "live"});
  batch->ArgsProduct({{64, 1024}, {100, 1000}});
  batch->ArgsProduct({{64, 256}, {100'000}});
  batch->Args({32 * row::kib, 100});
}

BENCHMARK(batch_lifo)->Apply(sizes_and_counts)->MeasureProcessCPUTime();
BENCHMARK(batch_fifo)->Apply(sizes_and_counts)->MeasureProcessCPUTime();
BENCHMARK(batch_random)->Apply(sizes_and_counts)->MeasureProcessCPUTime();

}  // namespace
