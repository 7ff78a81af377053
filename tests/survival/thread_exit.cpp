// A thread may allocate and free to its very end: in destructors of thread_local objects and of
// pthread keys, the latter in every round that POSIX allows.
#include <gtest/gtest.h>
#include <limits.h>
#include <pthread.h>

#include <atomic>
#include <thread>

#include "content.h"

namespace survival {
namespace {

constexpr int threads_per_test = 200;

std::atomic<int> good_ends{0};
block left_behind[threads_per_test];

struct allocates_when_destroyed {
  int index = -1;
  block held;
  ~allocates_when_destroyed() {
    left_behind[index] = take(50 + 301 * index, index);
    const bool good = give_back(held) && small_sizes_work(index);
    good_ends.fetch_add(good, std::memory_order_relaxed);
  }
};
thread_local allocates_when_destroyed of_thread;

TEST(ThreadExit, ThreadLocalDestructorsAllocateAndWhatTheyLeaveStaysWhole) {
  good_ends = 0;
  for (int first = 0; first < threads_per_test; first += 20) {
    std::vector<std::thread> threads;
    for (int i = first; i < first + 20; ++i) {
      threads.emplace_back([i] {
        of_thread.index = i;
        of_thread.held = take(1 + 97 * i, 1000 + i);
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }
  EXPECT_EQ(good_ends, threads_per_test);
  for (block& b : left_behind) {
    EXPECT_TRUE(give_back(b));
  }
}

pthread_key_t key;
std::atomic<int> key_rounds{0};

// Sets the key again, so that it is called PTHREAD_DESTRUCTOR_ITERATIONS times (POSIX,
// pthread_key_create), the last time after the thread_local objects are gone.
void key_destructor(void* value) {
  auto* held = static_cast<block*>(value);
  const std::uint64_t seed = held->seed;
  const bool good = give_back(*held) && small_sizes_work(seed);
  free(held);
  key_rounds.fetch_add(good, std::memory_order_relaxed);
  auto* next = static_cast<block*>(malloc(sizeof(block)));
  *next = take(700 + seed, seed + 1);
  pthread_setspecific(key, next);
}

TEST(ThreadExit, KeyDestructorsAllocateInEveryRound) {
  ASSERT_EQ(pthread_key_create(&key, key_destructor), 0);
  key_rounds = 0;
  for (int i = 0; i < threads_per_test; ++i) {
    std::thread([i] {
      auto* held = static_cast<block*>(malloc(sizeof(block)));
      *held = take(300, i);
      pthread_setspecific(key, held);
    }).join();
  }
  EXPECT_EQ(key_rounds, threads_per_test * PTHREAD_DESTRUCTOR_ITERATIONS);
  pthread_key_delete(key);
}

}  // namespace
}  // namespace survival
