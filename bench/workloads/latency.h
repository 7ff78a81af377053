// How long each call to the allocator took: a histogram per kind of call and thread, added up and
// written at the end.
//
// The histogram is HdrHistogram's (Tene): buckets whose width grows with the value, so that each
// holds its values to within 1.6 % from one tick to minutes. Debian 12 has no package of the C
// library, and this one takes its memory from mmap(2), so as not to disturb what it measures.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#if defined(__x86_64__)
#include <x86intrin.h>
#else
#include <time.h>
#endif

namespace quarry::bench {

enum class call { malloc, calloc, realloc, free, operator_new, operator_delete };
inline constexpr std::array call_names{"malloc", "calloc", "realloc", "free", "new", "delete"};

inline std::uint64_t ticks() {
#if defined(__x86_64__)
  _mm_lfence();  // Or it is read while the instructions before it are still under way.
  return __rdtsc();
#else
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
#endif
}

class histogram {
 public:
  static constexpr unsigned precision = 6;  // Of bits below a value's highest.
  static constexpr unsigned widest = 40;    // Of bits in a value; 2^40 ticks are some minutes.
  static constexpr std::size_t buckets = (widest - precision + 1) << precision;

  void add(std::uint64_t value) {
    value = value >> widest == 0 ? value : 0;  // The clocks of two CPUs a tick apart.
    ++counts_[bucket(value)];
    ++count_;
    sum_ += value;
    greatest_ = value > greatest_ ? value : greatest_;
  }

  void add(const histogram& other);

  std::uint64_t count() const { return count_; }
  std::uint64_t greatest() const { return greatest_; }
  double mean() const { return static_cast<double>(sum_) / static_cast<double>(count_); }

  // The least value that this fraction of the values does not exceed, as exact as the buckets.
  std::uint64_t quantile(double fraction) const;

 private:
  static std::size_t bucket(std::uint64_t value) {
    const unsigned width = static_cast<unsigned>(std::bit_width(value));
    const unsigned shift = width > precision + 1 ? width - precision - 1 : 0;
    return (std::size_t{shift} << precision) + (value >> shift);
  }

  static std::uint64_t last_of(std::size_t bucket);

  std::array<std::uint64_t, buckets> counts_;
  std::uint64_t count_;
  std::uint64_t sum_;
  std::uint64_t greatest_;
};

// This thread's own.
histogram& durations_of(call which);

// Started before the work, so that its whole time tells how long a tick is.
class latency_clock {
 public:
  latency_clock();
  double ns_per_tick() const;
  double overhead_ns() const;  // What it takes to read the clock twice, part of every duration.

 private:
  std::uint64_t begin_ticks_;
  std::uint64_t begin_ns_;
};

// The durations of all threads, as JSON.
void write_latency(const std::string& file, const latency_clock& clock);

}  // namespace quarry::bench
