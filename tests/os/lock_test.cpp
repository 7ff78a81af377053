// The lock: mutual exclusion, sleeping and waking, and what holds between the fork handlers.
#include "os/lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "../preload/child.h"
#include "os/thread.h"

using namespace quarry;
using preload_test::run_in_child;

namespace {

// As seen by another thread.
bool is_free(os::lock* l) {
  bool free = false;
  std::thread([&] {
    free = l->try_acquire();
    if (free) l->release();
  }).join();
  return free;
}

TEST(Lock, AllZeroMemoryIsAnOpenLock) {
  EXPECT_EQ(sizeof(os::lock), 4u);
  alignas(os::lock) char zero[sizeof(os::lock)] = {};
  EXPECT_TRUE(reinterpret_cast<os::lock*>(zero)->try_acquire());
}

TEST(Lock, IsHeldFromAcquireToRelease) {
  os::lock l;
  l.acquire();
  EXPECT_FALSE(is_free(&l));
  l.release();
  EXPECT_TRUE(is_free(&l));
  {
    os::lock_guard guard(l);
    EXPECT_FALSE(is_free(&l));
  }
  EXPECT_TRUE(is_free(&l));
}

TEST(Lock, IsHeldBrieflyFromAcquireToReleaseAndNotWaitedForWhereItIsTaken) {
  os::lock l;
  ASSERT_TRUE(l.acquire_briefly());
  EXPECT_FALSE(is_free(&l));
  EXPECT_FALSE(l.acquire_briefly());
  l.release_briefly();
  EXPECT_TRUE(is_free(&l));
  l.acquire();
  EXPECT_FALSE(l.acquire_briefly());
  l.release();
  EXPECT_TRUE(is_free(&l));
}

TEST(Lock, WhoSleepsBehindABriefHolderGetsIt) {
  const auto result = run_in_child([] {
    os::lock l;
    if (!l.acquire_briefly()) _exit(1);
    std::thread waiter([&] {
      l.acquire();
      l.release();
    });
    os::sleep_ms(50);
    l.release_briefly();
    waiter.join();
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

// Both ways in, by many threads: nobody sleeps for good behind one that does not wake.
TEST(Lock, HoldersOfBothKindsExcludeOneAnotherAndAllGetThrough) {
  constexpr unsigned threads = 8, rounds = 20'000;
  os::lock l;
  u64 sum = 0;
  std::atomic<u64> done{0};
  std::vector<std::thread> running;
  for (unsigned t = 0; t < threads; t++) {
    running.emplace_back([&, t] {
      for (unsigned i = 0; i < rounds; i++) {
        if (t % 2) {
          if (!l.acquire_briefly()) continue;
          sum++;
          l.release_briefly();
        } else {
          os::lock_guard guard(l);
          sum++;
        }
        done++;
      }
    });
  }
  for (std::thread& t : running)
    t.join();
  EXPECT_EQ(sum, done);
  EXPECT_GE(done, threads / 2 * rounds);
}

// The two counters are plain variables: a lost exclusion or a missing order loses an addition.
TEST(Lock, OneThreadAtATimeIsInsideAndSeesWhatTheLastOneWrote) {
  constexpr unsigned threads = 16, rounds = 20'000;
  struct {
    os::lock l;
    u64 first = 0;
    char apart[4096];
    u64 second = 0;
  } shared;
  bool torn = false;
  std::vector<std::thread> running;
  for (unsigned t = 0; t < threads; t++) {
    running.emplace_back([&, t] {
      for (unsigned i = 0; i < rounds; i++) {
        if (t % 4 == 0) {
          while (!shared.l.try_acquire())
            std::this_thread::yield();
        } else {
          shared.l.acquire();
        }
        torn |= shared.first != shared.second;
        shared.first++;
        if (i % 512 == 0) std::this_thread::yield();
        shared.second++;
        shared.l.release();
      }
    });
  }
  for (std::thread& t : running)
    t.join();
  EXPECT_FALSE(torn);
  EXPECT_EQ(shared.first, u64{threads} * rounds);
  EXPECT_EQ(shared.second, u64{threads} * rounds);
}

// Held so long that every waiter has gone to sleep: each must be woken in turn.
TEST(Lock, EveryWaiterThatSleepsIsWoken) {
  os::lock l;
  std::atomic<unsigned> passed{0};
  l.acquire();
  std::vector<std::thread> waiters;
  for (int i = 0; i < 8; i++) {
    waiters.emplace_back([&] {
      os::lock_guard guard(l);
      passed++;
    });
  }
  os::sleep_ms(50);
  EXPECT_EQ(passed, 0u);
  l.release();
  for (std::thread& t : waiters)
    t.join();
  EXPECT_EQ(passed, 8u);
}

TEST(Lock, ResettingOpensWhatNobodyWillRelease) {
  os::lock l;
  l.acquire();
  l.reset();
  EXPECT_TRUE(is_free(&l));
}

TEST(LockAndFork, TheForkingThreadPassesTheLocksThatItHolds) {
  os::lock l;
  l.acquire();
  os::lock::begin_fork();
  l.acquire();
  l.release();
  EXPECT_FALSE(is_free(&l)) << "another thread got in while the fork was under way";
  os::lock::end_fork();
  EXPECT_FALSE(is_free(&l));
  l.release();
  EXPECT_TRUE(is_free(&l));
}

// An area's lock that acquire_all had no reason to take, say.
TEST(LockAndFork, ALockThatWasOpenBeforeTheForkIsOpenAfterIt) {
  os::lock acquired, tried;
  os::lock::begin_fork();
  acquired.acquire();
  acquired.release();
  if (tried.try_acquire()) tried.release();
  os::lock::end_fork();
  EXPECT_TRUE(is_free(&acquired));
  EXPECT_TRUE(is_free(&tried));
}

TEST(LockAndFork, OtherThreadsWaitUntilTheForkIsOver) {
  os::lock l;
  std::atomic<bool> inside{false};
  l.acquire();
  os::lock::begin_fork();
  std::thread other([&] {
    os::lock_guard guard(l);
    inside = true;
  });
  os::sleep_ms(20);
  EXPECT_FALSE(inside);
  os::lock::end_fork();
  l.release();
  other.join();
  EXPECT_TRUE(inside);
}

TEST(LockAndFork, TheChildGoesOnWithTheLocksOfItsParent) {
  os::lock l;
  l.acquire();
  os::lock::begin_fork();
  const auto ended = run_in_child([&] {
    l.acquire();
    l.release();
    os::lock::end_fork();
    l.release();
    _exit(l.try_acquire() ? 0 : 1);
  });
  os::lock::end_fork();
  l.release();
  EXPECT_TRUE(ended.succeeded());
}

}  // namespace
