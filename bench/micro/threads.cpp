// Several threads at once, as many as a small machine has CPUs and many more: the time per
// operation of the whole program, so the ideal halves with a second CPU.
#include <barrier>
#include <thread>
#include <vector>

#include "live_set.h"

namespace {

constexpr std::size_t share = 50'000;

// Runs rounds in which each thread does its share of operations. Google Benchmark's own threads
// would each stop their clock when they are done themselves; here a round ends with its last
// thread. `make_operation` is called in each thread for what that thread repeats.
template <typename Make>
void run_in_threads(benchmark::State& state, Make make_operation) {
  const auto count = row::argument(state, 1);
  std::barrier gate(static_cast<std::ptrdiff_t>(count) + 1);
  bool over = false;  // Written before the gate opens, read after.
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      auto operation = make_operation(i);
      gate.arrive_and_wait();
      for (;;) {
        gate.arrive_and_wait();
        if (over) break;
        for (std::size_t n = 0; n < share; ++n)
          operation();
        gate.arrive_and_wait();
      }
    });
  }
  gate.arrive_and_wait();  // All are ready before the clock starts.
  while (state.KeepRunningBatch(static_cast<std::int64_t>(count * share))) {
    gate.arrive_and_wait();
    gate.arrive_and_wait();
  }
  over = true;
  gate.arrive_and_wait();
  for (std::thread& thread : threads)
    thread.join();
}

void thread_pair(benchmark::State& state) {
  const std::size_t size = row::argument(state);
  run_in_threads(
      state, [size](unsigned) { return [size] { std::free(row::written(std::malloc(size))); }; });
}

void thread_mixed(benchmark::State& state) {
  const std::size_t live = row::argument(state);
  run_in_threads(state, [live](unsigned seed) {
    return [set = row::live_set(live, row::uniform_size, seed)]() mutable { set.replace_one(); };
  });
}

BENCHMARK(thread_pair)
    ->ArgNames({"size", "threads"})
    ->ArgsProduct({{64, 1024}, {2, 16}})
    ->UseRealTime();
BENCHMARK(thread_mixed)
    ->ArgNames({"live", "threads"})
    ->ArgsProduct({{1000}, {2, 16}})
    ->UseRealTime();

}  // namespace
