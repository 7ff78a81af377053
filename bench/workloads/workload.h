// What the workload programs share: their flags, their threads, what they print.
//
// A workload does fixed, seeded work, so that it is the same under every allocator, whatever the
// threads do in which order. Its source has the work as a function template over the heap
// (heap.h), which `run` starts with the calls timed or, as a rule, not.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <latch>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "heap.h"
#include "random.h"

namespace quarry::bench {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

// The flags of every workload; a program gives the defaults.
struct settings {
  std::uint64_t threads = 1;
  std::uint64_t operations = 0;
  std::uint64_t seed = 1;
  std::string latency = {};  // The file to write; none if the calls are not timed.
};

// A flag of one workload's own.
struct flag {
  const char* name;
  std::uint64_t& value;  // Holds the default.
  std::uint64_t least;
  std::uint64_t most;
};

// Ends the program with one line and status 2 if the arguments are no good.
settings parse(int count, char** arguments, settings defaults, std::initializer_list<flag> own);
[[noreturn]] void refuse(const std::string& reason);

struct figure {
  const char* name;
  double value;
};

struct result {
  std::uint64_t operations = 0;
  double seconds = 0;          // Of the timed part alone.
  std::uint64_t checksum = 0;  // Of the contents read back.
  std::vector<figure> figures = {};
};

std::uint64_t resident_bytes();
void print(const result& printed);

class stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// The part of `total` that falls to one of `parts`.
inline std::uint64_t share(std::uint64_t total, std::uint64_t parts, std::uint64_t index) {
  return total / parts + (index < total % parts ? 1 : 0);
}

struct outcome {
  double seconds = 0;
  std::uint64_t checksum = 0;
};

// Calls work(index) in as many threads, which begin together; adds up the checksums it returns.
// A single one is the program's first thread, since allocators treat a program differently once
// it has had a second.
template <typename Work>
outcome run_threads(std::uint64_t count, Work work) {
  if (count == 1) {
    const stopwatch watch;
    const std::uint64_t checksum = work(std::uint64_t{0});
    return {watch.seconds(), checksum};
  }
  std::vector<std::thread> threads;
  std::vector<std::uint64_t> checksums(count);
  std::latch ready(static_cast<std::ptrdiff_t>(count) + 1);
  for (std::uint64_t index = 0; index < count; ++index) {
    threads.emplace_back([&, index] {
      ready.arrive_and_wait();
      checksums[index] = work(index);
    });
  }
  ready.arrive_and_wait();
  const stopwatch watch;
  for (std::thread& thread : threads)
    thread.join();
  outcome all{watch.seconds(), 0};
  for (const std::uint64_t checksum : checksums)
    all.checksum += checksum;
  return all;
}

inline std::counting_semaphore<> relays_finished{0};  // Outlives the threads, which nobody joins.

template <typename Work>
void run_leg(Work& work, std::uint64_t index, std::uint64_t leg, std::uint64_t legs) {
  work(index, leg);
  if (leg + 1 < legs) {
    std::thread(run_leg<Work>, std::ref(work), index, leg + 1, legs).detach();
  } else {
    relays_finished.release();
  }
}

// Calls work(index, leg) for each leg of as many relays, which run side by side. Each leg is run by
// a thread of its own, which starts the next one's thread and ends. Returns the seconds.
template <typename Work>
double run_relays(std::uint64_t count, std::uint64_t legs, Work work) {
  const stopwatch watch;
  for (std::uint64_t index = 0; index < count; ++index)
    std::thread(run_leg<Work>, std::ref(work), index, 0, legs).detach();
  for (std::uint64_t index = 0; index < count; ++index)
    relays_finished.acquire();
  return watch.seconds();
}

// Runs the one or the other form of the same work, and prints the result.
template <typename Plain, typename Timed>
int run(const settings& given, Plain plain, Timed timed) {
  if (given.latency.empty()) {
    print(plain(given));
    return 0;
  }
  const latency_clock clock;
  result printed = timed(given);
  printed.figures.push_back({"clock_ns", clock.overhead_ns()});
  write_latency(given.latency, clock);
  print(printed);
  return 0;
}

}  // namespace quarry::bench
