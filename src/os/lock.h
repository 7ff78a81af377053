// A mutual exclusion lock of four bytes: spins a little, then sleeps in the kernel (futex(2);
// unlocked, locked and contended are the states of Drepper, "Futexes Are Tricky", mutex2; a lock
// held briefly is waited for without sleeping). All-zero is unlocked.
//
// Lock order of the whole allocator, outermost first; a thread takes locks only in this order:
//   start-up -> pool list -> pool (nothing is taken under it)
//   start-up -> helper's work -> reclaim -> cache numbers -> opening of per-CPU areas
//   -> per-CPU area (by CPU number)
//   -> cache (by index) -> vmalloc -> making of ZONE_DMA -> making of ZONE_HIGHMEM -> kmap
//   -> zone (DMA, NORMAL, HIGHMEM, NORMAL of the other nodes)
//
// fork: the prepare handler takes every lock in that order, but for start-up's, which is over by
// then, and that of the helper's work, which the child resets. Then it declares itself the owner of
// them all, so that another library's handler that allocates after ours does not deadlock: for that
// one thread taking and releasing do nothing until the fork is over, and trying fails. See
// heap/fork.cpp for a process of a single thread.
#pragma once

#include <atomic>

#include "base/thread_safety.h"
#include "base/types.h"

namespace quarry::os {

// The calling thread, as a number that no other living thread of the process has.
QUARRY_ALWAYS_INLINE uptr this_thread() {
#if defined(__x86_64__)
  uptr self;
  asm("mov %%fs:0, %0"
      : "=r"(self));  // the TCB begins with its own address (psABI, TLS variant II)
  return self;
#else
  return reinterpret_cast<uptr>(__builtin_thread_pointer());
#endif
}

class QUARRY_CAPABILITY("lock") lock {
 public:
  constexpr lock() = default;
  lock(const lock&) = delete;
  lock& operator=(const lock&) = delete;

  void acquire() QUARRY_ACQUIRE() QUARRY_NO_ANALYSIS {
    if (is_fork_owner()) return;
    u32 expected = unlocked;
    // Pairs with the release in release(): what the last owner wrote is seen.
    if (!state_.compare_exchange_strong(expected, locked, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
      acquire_contended();
    }
  }

  bool try_acquire() QUARRY_TRY_ACQUIRE(true) QUARRY_NO_ANALYSIS {
    if (is_fork_owner()) return false;
    u32 expected = unlocked;
    return state_.compare_exchange_strong(expected, locked, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }

  void release() QUARRY_RELEASE() QUARRY_NO_ANALYSIS {
    if (is_fork_owner()) return;
    if (state_.exchange(unlocked, std::memory_order_release) == contended) wake();
  }

  // For callers that must not make a system call: gives up after a little spinning, and while it
  // is held so, others do not sleep on it, so that nobody needs to be woken. To be held for a
  // bounded time only; whoever has it may take no other lock but in this way.
  bool acquire_briefly() QUARRY_TRY_ACQUIRE(true) QUARRY_NO_ANALYSIS;
  void release_briefly() QUARRY_RELEASE() QUARRY_NO_ANALYSIS {
    // Pairs with the acquire of the next owner.
    state_.store(unlocked, std::memory_order_release);
  }

  // Unlocks whoever held it: for a fork child, where the owner does not exist. Another library's
  // handler may have made a thread there that waits.
  void reset() {
    if (state_.exchange(unlocked, std::memory_order_release) == contended) wake();
  }

  // The calling thread holds every lock from here to the end of the fork. Called by the fork
  // handlers alone, with all locks taken.
  static void begin_fork() { fork_owner_.store(this_thread(), std::memory_order_relaxed); }
  static void end_fork() { fork_owner_.store(0, std::memory_order_relaxed); }
  static bool is_fork_owner() {
    return fork_owner_.load(std::memory_order_relaxed) == this_thread();
  }

 private:
  enum : u32 { unlocked, locked, contended, held_briefly };

  void acquire_contended() QUARRY_NO_ANALYSIS;
  void wake();

  std::atomic<u32> state_{unlocked};
  static std::atomic<uptr> fork_owner_;  // 0, or the thread between its fork handlers
};

class QUARRY_SCOPED_CAPABILITY lock_guard {
 public:
  explicit lock_guard(lock& l) QUARRY_ACQUIRE(l) : lock_(l) { lock_.acquire(); }
  ~lock_guard() QUARRY_RELEASE() { lock_.release(); }
  lock_guard(const lock_guard&) = delete;
  lock_guard& operator=(const lock_guard&) = delete;

 private:
  lock& lock_;
};

}  // namespace quarry::os
