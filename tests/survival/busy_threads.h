// Threads that allocate, fill, check and free until told to stop: the background before which the
// tests fork, spawn and send signals.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <vector>

#include "content.h"

namespace survival {

// What one thread holds: a table of blocks in which a random one changes at each step.
class churn {
 public:
  explicit churn(std::uint64_t seed, std::size_t largest) : random_(seed), largest_(largest) {}

  // One step; false if a block was found broken.
  bool step() {
    block& chosen = blocks_[random_.below(slots)];
    if (chosen.bytes != nullptr) {
      return give_back(chosen);
    }
    chosen = take(random_.size_up_to(largest_), random_.next());
    return chosen.bytes != nullptr;
  }

  bool all_whole() const {
    for (const block& b : blocks_) {
      if (b.bytes != nullptr && !whole(b)) {
        return false;
      }
    }
    return true;
  }

  // Checks and frees all that is held.
  bool finish() {
    bool good = true;
    for (block& b : blocks_) {
      good &= b.bytes == nullptr || give_back(b);
    }
    return good;
  }

 private:
  static constexpr std::size_t slots = 256;
  generator random_;
  std::size_t largest_;
  block blocks_[slots];
};

class busy_threads {
 public:
  explicit busy_threads(int count, std::size_t largest = 256 << 10) : largest_(largest) {
    threads_.resize(count);
    for (pthread_t& thread : threads_) {
      pthread_create(&thread, nullptr, run, this);
    }
  }
  ~busy_threads() { stop(); }
  busy_threads(const busy_threads&) = delete;
  busy_threads& operator=(const busy_threads&) = delete;

  // Ends the threads; the number of blocks that were found broken.
  std::uint64_t stop() {
    stopping_.store(true, std::memory_order_relaxed);
    for (pthread_t thread : threads_) {
      pthread_join(thread, nullptr);
    }
    threads_.clear();
    return broken_.load(std::memory_order_relaxed);
  }

  const std::vector<pthread_t>& threads() const { return threads_; }
  std::uint64_t steps() const { return steps_.load(std::memory_order_relaxed); }

 private:
  static void* run(void* argument) {
    auto* self = static_cast<busy_threads*>(argument);
    churn mine(self->next_seed_.fetch_add(1, std::memory_order_relaxed), self->largest_);
    while (!self->stopping_.load(std::memory_order_relaxed)) {
      self->broken_.fetch_add(!mine.step(), std::memory_order_relaxed);
      self->steps_.fetch_add(1, std::memory_order_relaxed);
    }
    self->broken_.fetch_add(!mine.finish(), std::memory_order_relaxed);
    return nullptr;
  }

  std::size_t largest_;
  std::vector<pthread_t> threads_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> broken_{0};
  std::atomic<std::uint64_t> steps_{0};
  std::atomic<std::uint64_t> next_seed_{1};
};

}  // namespace survival
