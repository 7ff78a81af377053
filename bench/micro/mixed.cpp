// Blocks of mixed sizes, replaced at random in a live set.
#include "live_set.h"

namespace {

void mixed_uniform(benchmark::State& state) {
  row::live_set set(row::argument(state), row::uniform_size, 1);
  for (auto _ : state)
    set.replace_one();
}

void mixed_pareto(benchmark::State& state) {
  row::live_set set(row::argument(state), row::pareto_size, 1);
  for (auto _ : state)
    set.replace_one();
}

BENCHMARK(mixed_uniform)->ArgName("live")->Arg(1000)->Arg(20'000)->MeasureProcessCPUTime();
BENCHMARK(mixed_pareto)->ArgName("live")->Arg(1000)->Arg(20'000)->MeasureProcessCPUTime();

}  // namespace
