#include "os/lock.h"

#include <linux/futex.h>
#include <time.h>

#include "os/syscall.h"

namespace quarry::os {

QUARRY_EARLY constinit std::atomic<uptr> lock::fork_owner_{0};

namespace {

// Long enough for a batch to be moved under the lock (a few hundred ns), short enough that a
// preempted owner costs its waiters less than a context switch.
constexpr unsigned spin_limit = 100;

// As long for those that may not sleep: a holder that takes longer is in a system call, or was
// interrupted by the very signal handler that asks.
constexpr unsigned brief_spin_limit = 200;

QUARRY_ALWAYS_INLINE void pause() {
#if defined(__x86_64__)
  asm volatile("pause");
#else
  asm volatile("yield");
#endif
}

}  // namespace

void lock::acquire_contended() {
  for (unsigned i = 0; i < spin_limit; i++) {
    if (state_.load(std::memory_order_relaxed) == unlocked && try_acquire()) return;
    pause();
  }
  // Taken as contended: others may sleep, and whoever sleeps last must be woken too.
  for (;;) {
    u32 state = state_.load(std::memory_order_relaxed);
    if (state == unlocked) {
      if (state_.compare_exchange_weak(state, contended, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return;
      }
    } else if (state == held_briefly) {
      // Soon over, unless its holder was preempted; that it can run again matters more than time.
      const struct timespec moment = {0, 10'000};
      syscall(SYS_nanosleep, &moment, nullptr);
    } else if (state == contended ||
               state_.compare_exchange_weak(state, contended, std::memory_order_relaxed)) {
      syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, contended, nullptr);
    }
  }
}

bool lock::acquire_briefly() {
  if (is_fork_owner()) return false;
  for (unsigned i = 0; i < brief_spin_limit; i++) {
    u32 expected = unlocked;
    // Pairs with the releases: what the last owner wrote is seen.
    if (state_.load(std::memory_order_relaxed) == unlocked &&
        state_.compare_exchange_strong(expected, held_briefly, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
      return true;
    }
    pause();
  }
  return false;
}

void lock::wake() {
  syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1);
}

}  // namespace quarry::os
