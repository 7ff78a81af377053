// A producer on one CPU takes blocks, a consumer on another gives them back: no block is ever
// freed where it was taken.
#include <pthread.h>
#include <sched.h>

#include <array>
#include <atomic>
#include <optional>
#include <thread>
#include <utility>

#include "row.h"

namespace {

// A bounded queue of batches between one producer and one consumer. A filled slot is handed
// over by the release of `pushed_`, an emptied one by that of `popped_`; each side acquires the
// other's.
class batch_queue {
 public:
  static constexpr std::size_t batch_size = 64;
  using batch = std::array<void*, batch_size>;

  batch& next_to_fill() {
    const std::size_t pushed = pushed_.load(std::memory_order_relaxed);
    wait_until([&] { return pushed - popped_.load(std::memory_order_acquire) < slots; });
    return batches_[pushed % slots];
  }
  void push() {
    pushed_.store(pushed_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  const batch& next_to_empty() {
    const std::size_t popped = popped_.load(std::memory_order_relaxed);
    wait_until([&] { return pushed_.load(std::memory_order_acquire) != popped; });
    return batches_[popped % slots];
  }
  void pop() {
    popped_.store(popped_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

 private:
  static constexpr std::size_t slots = 16;
  static constexpr std::size_t cache_line = 64;

  // Spins while the other side is likely to be running, then lets it run.
  template <typename Condition>
  static void wait_until(Condition holds) {
    for (unsigned tries = 0; !holds(); ++tries) {
      if (tries >= 1000) std::this_thread::yield();
    }
  }

  alignas(cache_line) std::atomic<std::size_t> pushed_{0};
  alignas(cache_line) std::atomic<std::size_t> popped_{0};
  alignas(cache_line) std::array<batch, slots> batches_{};
};

bool pin_to(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  return pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0;
}

std::optional<std::pair<int, int>> two_cpus(const cpu_set_t& allowed) {
  std::optional<int> first;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    if (first) return std::pair(*first, cpu);
    first = cpu;
  }
  return std::nullopt;
}

// Frees what it is sent; a null block ends it.
void consume(batch_queue& queue) {
  for (;;) {
    const batch_queue::batch& blocks = queue.next_to_empty();
    if (blocks[0] == nullptr) return;
    for (void* block : blocks)
      std::free(block);
    queue.pop();
  }
}

void cross_cpu_free(benchmark::State& state) {
  cpu_set_t allowed;
  pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed);
  const auto cpus = two_cpus(allowed);
  if (!cpus || !pin_to(cpus->first)) {
    state.SkipWithError("needs two CPUs");
    return;
  }
  const std::size_t size = row::argument(state);
  batch_queue queue;
  std::thread consumer([&, cpu = cpus->second] {
    pin_to(cpu);
    consume(queue);
  });
  // What is still queued when the clock stops is at most 1024 blocks, and is not counted.
  while (state.KeepRunningBatch(batch_queue::batch_size)) {
    for (void*& block : queue.next_to_fill())
      block = row::written(std::malloc(size));
    queue.push();
  }
  queue.next_to_fill()[0] = nullptr;
  queue.push();
  consumer.join();
  pthread_setaffinity_np(pthread_self(), sizeof allowed, &allowed);
}

BENCHMARK(cross_cpu_free)->Arg(64)->Arg(row::kib)->Arg(16 * row::kib)->UseRealTime();

}  // namespace
