#include "latency.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <mutex>

namespace quarry::bench {

namespace {

// One for each thread that runs at a time: a new thread goes on with that of one that has ended.
struct recorder {
  std::array<histogram, call_names.size()> calls;
  recorder* next;
  recorder* next_free;
};

std::mutex recorders_lock;
recorder* all_recorders;
recorder* free_recorders;

recorder* acquire() {
  const std::lock_guard guard(recorders_lock);
  if (recorder* reused = free_recorders) {
    free_recorders = reused->next_free;
    return reused;
  }
  void* zeroes =
      mmap(nullptr, sizeof(recorder), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (zeroes == MAP_FAILED) {
    std::perror("mmap");
    std::exit(1);
  }
  auto* made = static_cast<recorder*>(zeroes);
  made->next = all_recorders;
  all_recorders = made;
  return made;
}

struct lease {
  recorder* held = acquire();

  ~lease() {
    const std::lock_guard guard(recorders_lock);
    held->next_free = free_recorders;
    free_recorders = held;
  }
};

std::uint64_t monotonic_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

// Eight points to each further nine, as 90, 99, 99.9 %: a straight axis for a long tail.
void write_curve(std::FILE* file, const histogram& durations, double ns) {
  constexpr double points = 8;
  double beyond = 1;  // The fraction of calls that took longer.
  for (int step = 0; beyond * static_cast<double>(durations.count()) >= 1; ++step) {
    beyond = std::pow(10, -step / points);
    const auto value = static_cast<double>(durations.quantile(1 - beyond));
    std::fprintf(file, "[%.8g, %.1f], ", 100 * (1 - beyond), value * ns);
  }
  std::fprintf(file, "[100, %.1f]", static_cast<double>(durations.greatest()) * ns);
}

void write_call(std::FILE* file, const char* name, const histogram& durations, double ns) {
  std::fprintf(file, "\"%s\": {\"count\": %llu, \"mean_ns\": %.1f", name,
               static_cast<unsigned long long>(durations.count()), durations.mean() * ns);
  for (const double percent : {50.0, 99.0, 99.9, 99.99}) {
    const auto value = static_cast<double>(durations.quantile(percent / 100));
    std::fprintf(file, ", \"p%g_ns\": %.1f", percent, value * ns);
  }
  std::fprintf(file, ", \"max_ns\": %.1f,\n  \"curve\": [",
               static_cast<double>(durations.greatest()) * ns);
  write_curve(file, durations, ns);
  std::fprintf(file, "]}");
}

}  // namespace

void histogram::add(const histogram& other) {
  for (std::size_t i = 0; i < buckets; ++i)
    counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  greatest_ = std::max(greatest_, other.greatest_);
}

std::uint64_t histogram::last_of(std::size_t bucket) {
  const std::size_t block = bucket >> precision;
  const std::size_t shift = block > 1 ? block - 1 : 0;
  return ((bucket - (shift << precision) + 1) << shift) - 1;
}

std::uint64_t histogram::quantile(double fraction) const {
  const auto wanted = static_cast<std::uint64_t>(std::ceil(fraction * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets; ++i) {
    seen += counts_[i];
    if (counts_[i] != 0 && seen >= wanted) return std::min(last_of(i), greatest_);
  }
  return greatest_;
}

histogram& durations_of(call which) {
  thread_local const lease own;
  return own.held->calls[static_cast<std::size_t>(which)];
}

latency_clock::latency_clock() : begin_ticks_(ticks()), begin_ns_(monotonic_ns()) {}

double latency_clock::ns_per_tick() const {
  return static_cast<double>(monotonic_ns() - begin_ns_) /
         static_cast<double>(ticks() - begin_ticks_);
}

double latency_clock::overhead_ns() const {
  static histogram durations;
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t begin = ticks();
    durations.add(ticks() - begin);
  }
  return static_cast<double>(durations.quantile(0.5)) * ns_per_tick();
}

void write_latency(const std::string& name, const latency_clock& clock) {
  std::FILE* file = std::fopen(name.c_str(), "w");
  if (file == nullptr) {
    std::perror(name.c_str());
    std::exit(1);
  }
  const double ns = clock.ns_per_tick();
  const char* separator = "{";
  const std::lock_guard guard(recorders_lock);
  for (std::size_t i = 0; i < call_names.size(); ++i) {
    static histogram sums[call_names.size()];
    for (const recorder* from = all_recorders; from != nullptr; from = from->next)
      sums[i].add(from->calls[i]);
    if (sums[i].count() == 0) continue;
    std::fputs(separator, file);
    write_call(file, call_names[i], sums[i], ns);
    separator = ",\n ";
  }
  std::fputs("}\n", file);
  if (std::fclose(file) != 0) {
    std::perror(name.c_str());
    std::exit(1);
  }
}

}  // namespace quarry::bench
