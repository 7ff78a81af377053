// What the rows have in common: each runs Quarry's interface and what a program has without it in
// turn, in stretches of some ten microseconds, so that a change of the machine's speed meets both.
//
// The time of a row is that of one operation of the first, in the mean; as counters there are the
// medians over the stretches: `ns` and `other_ns`, an operation of either, and `ratio`, of which
// half the stretches lie between `low` and `high`.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace compare {

inline constexpr int stretches = 1000;

template <class function>
double seconds(function run) {
  const auto begin = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// The value that this part of all lies below.
inline double quantile(std::vector<double>* values, double part) {
  const auto at = values->begin() + static_cast<std::ptrdiff_t>(part * (values->size() - 1));
  std::nth_element(values->begin(), at, values->end());
  return *at;
}

// Both functions do so many operations.
template <class ours_type, class other_type>
void run(benchmark::State& state, std::size_t operations, ours_type ours, other_type other) {
  std::vector<double> times, other_times, ratios;
  for (std::vector<double>* values : {&times, &other_times, &ratios})
    values->reserve(static_cast<std::size_t>(state.max_iterations));
  for (auto _ : state) {
    double time = 0;
    const bool first = times.size() % 2 == 0;
    if (first) time = seconds(ours);
    const double other_time = seconds(other);
    if (!first) time = seconds(ours);
    state.SetIterationTime(time / static_cast<double>(operations));
    times.push_back(time);
    other_times.push_back(other_time);
    ratios.push_back(time / other_time);
  }
  const double to_ns = 1e9 / static_cast<double>(operations);
  state.counters["ns"] = quantile(&times, 0.5) * to_ns;
  state.counters["other_ns"] = quantile(&other_times, 0.5) * to_ns;
  state.counters["ratio"] = quantile(&ratios, 0.5);
  state.counters["low"] = quantile(&ratios, 0.25);
  state.counters["high"] = quantile(&ratios, 0.75);
}

inline void settings(benchmark::internal::Benchmark* row) {
  row->Iterations(stretches)->UseManualTime();
}

// The object after its first byte was written, of which the compiler must believe that it is used.
inline void* written(void* object) {
  *static_cast<volatile char*>(object) = 1;
  benchmark::DoNotOptimize(object);
  return object;
}

}  // namespace compare
