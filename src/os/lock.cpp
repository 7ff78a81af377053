#include "os/lock.h"

#include <linux/futex.h>

#include "os/syscall.h"

namespace quarry::os {

constinit std::atomic<uptr> lock::fork_owner_{0};

namespace {

// Long enough for a batch to be moved under the lock (a few hundred ns), short enough that a
// preempted owner costs its waiters less than a context switch.
constexpr unsigned spin_limit = 100;

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
  while (state_.exchange(contended, std::memory_order_acquire) != unlocked) {
    syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, contended, nullptr);
  }
}

void lock::wake() {
  syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1);
}

}  // namespace quarry::os
