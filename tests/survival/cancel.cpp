// Cancelled threads: malloc and free are no cancellation points (POSIX, 2.9.5.2), so a thread that
// is cancelled while it allocates ends where it chooses to, holding no lock of the allocator.
#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>

#include "busy_threads.h"

namespace survival {
namespace {

struct victim {
  pthread_t thread;
  std::uint64_t seed;
  std::atomic<bool> started{false};
  volatile bool in_allocator = false;
  bool cancelled_in_allocator = false;
  bool finished_well = false;
  churn held{0, 0};
};

// Runs in the cancelled thread: checks and frees all it held.
void clean_up(void* argument) {
  auto* self = static_cast<victim*>(argument);
  self->cancelled_in_allocator = self->in_allocator;
  self->finished_well = self->held.finish();
}

void step(victim* self) {
  self->in_allocator = true;
  const bool good = self->held.step();
  self->in_allocator = false;
  if (!good) {
    abort();
  }
}

void* allocate_until_cancelled(void* argument) {
  auto* self = static_cast<victim*>(argument);
  pthread_cleanup_push(clean_up, argument);
  self->started = true;
  for (unsigned i = 0;; ++i) {
    step(self);
    if (i % 64 == 0) {
      pthread_testcancel();
    }
  }
  pthread_cleanup_pop(0);
}

// Asynchronous cancellation only while it computes: malloc is not async-cancel-safe
// (POSIX, 2.9.5.4).
void* compute_until_cancelled(void* argument) {
  auto* self = static_cast<victim*>(argument);
  volatile std::uint64_t sum = 0;
  int ignored;
  pthread_cleanup_push(clean_up, argument);
  self->started = true;
  for (;;) {
    step(self);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &ignored);
    for (int i = 0; i < 200; ++i) {
      sum = sum + i;
    }
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &ignored);
  }
  pthread_cleanup_pop(0);
}

void* sleep_until_cancelled(void* argument) {
  auto* self = static_cast<victim*>(argument);
  pthread_cleanup_push(clean_up, argument);
  for (int i = 0; i < 500; ++i) {
    step(self);
  }
  self->started = true;
  for (;;) {
    pause();
  }
  pthread_cleanup_pop(0);
}

void cancel_many(void* (*body)(void*), std::size_t largest) {
  constexpr int rounds = 100;
  constexpr int at_a_time = 4;
  generator random(1);
  for (int round = 0; round < rounds; ++round) {
    victim victims[at_a_time];
    for (victim& v : victims) {
      v.held = churn(random.next(), largest);
      ASSERT_EQ(pthread_create(&v.thread, nullptr, body, &v), 0);
    }
    for (victim& v : victims) {
      while (!v.started) {
        sched_yield();
      }
      usleep(random.below(500));
      ASSERT_EQ(pthread_cancel(v.thread), 0);
    }
    for (victim& v : victims) {
      void* result = nullptr;
      ASSERT_EQ(pthread_join(v.thread, &result), 0);
      ASSERT_EQ(result, PTHREAD_CANCELED);
      ASSERT_FALSE(v.cancelled_in_allocator);
      ASSERT_TRUE(v.finished_well);
    }
  }
  EXPECT_TRUE(all_sizes_work(1));
}

TEST(Cancel, DeferredNeverActsInsideTheAllocator) {
  cancel_many(allocate_until_cancelled, 64 << 10);
}

// Large blocks go to the system, where a cancellation point could hide.
TEST(Cancel, DeferredNeverActsInsideTheAllocatorWithLargeBlocks) {
  cancel_many(
      [](void* argument) -> void* {
        auto* self = static_cast<victim*>(argument);
        pthread_cleanup_push(clean_up, argument);
        self->started = true;
        for (;;) {
          self->in_allocator = true;
          void* large = malloc(24 << 20);
          large = realloc(large, 48 << 20);
          free(large);
          self->in_allocator = false;
          pthread_testcancel();
        }
        pthread_cleanup_pop(0);
      },
      1);
}

TEST(Cancel, AsynchronousBetweenAllocationsLosesNothing) {
  cancel_many(compute_until_cancelled, 64 << 10);
}

TEST(Cancel, SleepingThreadsFreeWhatTheyHeld) {
  cancel_many(sleep_until_cancelled, 64 << 10);
}

}  // namespace
}  // namespace survival
