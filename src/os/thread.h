// A bare kernel thread: no libc in it, all signals blocked, its own small stack.
#pragma once

#include <atomic>

#include "base/types.h"

namespace quarry::os {

// At most one thread of this kind lives at a time. It may use what makes system calls without libc
// and what takes os::lock; nothing that needs errno, thread-local storage or an rseq area.
class bare_thread {
 public:
  // Starts `run` unless the last thread started here still lives. False where there is no new
  // thread. Any thread may call it. Where the system refused one it is not asked in the next
  // thousand calls.
  bool start(void (*run)());

  // In a fork child: the thread is gone.
  void forget() { alive_.store(0, std::memory_order_relaxed); }

 private:
  // 0, or the thread's id (-1 while it is being made). Set by whoever starts it, cleared by the
  // kernel when the thread has left its stack (CLONE_CHILD_CLEARTID).
  std::atomic<int> alive_{0};
  unsigned patience_ = 0;  // calls until the system is asked again; whoever sets alive_ to -1
};

// Whether the process has no other thread, but for bare ones; false where libc does not say
// (glibc < 2.32).
bool is_single_threaded();

// Sleeps for so long, less only if a signal interrupts it.
void sleep_ms(unsigned milliseconds);

}  // namespace quarry::os
