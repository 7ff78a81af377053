// A set of live blocks in which a random one is replaced by one of random size, over and over:
// what a long-running program does to its heap.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "row.h"

namespace row {

inline std::size_t uniform_size(std::mt19937_64& random) {
  return std::uniform_int_distribution<std::size_t>(16, kib)(random);
}

// Mostly small with a long tail, as sizes in programs are: half are under 32 bytes, the mean is
// near 150, one in 4096 is the maximum.
inline std::size_t pareto_size(std::mt19937_64& random) {
  const double u = 1.0 - std::uniform_real_distribution<double>()(random);
  return static_cast<std::size_t>(std::min(16.0 / u, 64.0 * kib));
}

class live_set {
 public:
  static constexpr std::size_t rounds = 1 << 15;

  template <typename Distribution>
  live_set(std::size_t live, Distribution size, unsigned seed) : blocks_(live), plan_(rounds) {
    std::mt19937_64 random(seed);
    std::uniform_int_distribution<std::size_t> slot(0, live - 1);
    for (replacement& next : plan_) {
      next = {static_cast<std::uint32_t>(slot(random)), static_cast<std::uint32_t>(size(random))};
    }
    for (void*& block : blocks_)
      block = written(std::malloc(size(random)));
  }

  live_set(const live_set&) = delete;
  live_set& operator=(const live_set&) = delete;

  ~live_set() {
    for (void* block : blocks_)
      std::free(block);
  }

  // One operation: a block is given back, another taken in its place.
  void replace_one() {
    const replacement& next = plan_[at_++ % rounds];
    std::free(blocks_[next.slot]);
    blocks_[next.slot] = written(std::malloc(next.size));
  }

 private:
  // Drawn beforehand, so that the random numbers cost nothing while the clock runs.
  struct replacement {
    std::uint32_t slot;
    std::uint32_t size;
  };

  std::vector<void*> blocks_;
  std::vector<replacement> plan_;
  std::size_t at_ = 0;
};

}  // namespace row
