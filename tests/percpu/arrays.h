// The per-CPU layer brought up by itself, over memory of its own, in the mode that QUARRY_CONF asks
// for; and indices for the tests, declared anew by each.
#pragma once

#include <gtest/gtest.h>
#include <sched.h>

#include <vector>

#include "os/memory.h"
#include "os/options.h"
#include "percpu/array.h"

namespace percpu_test {

using namespace quarry;

inline void start_arrays() {
  [[maybe_unused]] static const bool started = [] {
    os::read_options();
    const unsigned cpus = os::cpu_bound();
    void* memory = os::reserve(percpu::areas_size(cpus));
    if (!memory || !os::make_readable(memory, percpu::areas_size(cpus))) abort();
    percpu::start(memory, cpus, os::is_default(os::option::rseq));
    return true;
  }();
}

// Indices in use by the test; a test that leaves its arrays drained may give them all back.
inline unsigned last_index = 0;

inline unsigned new_index(std::size_t bytes, unsigned limit) {
  if (++last_index == percpu::index_count) abort();
  percpu::declare(last_index, bytes, 4, limit);
  return last_index;
}

// As large as it gets: it misses at both ends in turn.
inline unsigned grow_fully(unsigned index) {
  unsigned capacity = 0;
  for (int misses = 0; misses < 1000; misses++)
    capacity = percpu::grow(index, misses % 2 ? percpu::miss::full : percpu::miss::empty);
  return capacity;
}

inline void discard(unsigned, void**, unsigned) {}

inline std::vector<unsigned> allowed_cpus() {
  cpu_set_t set;
  EXPECT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  std::vector<unsigned> cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

// 0 stands for the calling thread.
inline void put_on_cpu(pid_t thread, unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  EXPECT_EQ(sched_setaffinity(thread, sizeof set, &set), 0);
}

}  // namespace percpu_test
