#include "os/thread.h"

#include <linux/sched.h>
#include <signal.h>
#include <time.h>

#include "os/syscall.h"

extern "C" char __libc_single_threaded __attribute__((weak));  // sys/single_threaded.h

namespace quarry::os {

namespace {

constexpr std::size_t stack_size = 64 * kib;
alignas(64) QUARRY_SPARSE constinit char stack[stack_size]{};

// A thread control block with as much in it as compiled code expects without being asked: its own
// address (TLS variant II, psABI 3.4.6) and the words behind it, where the stack protector looks.
constexpr std::size_t control_block_words = 128;
alignas(64) QUARRY_SPARSE constinit uptr control_block[control_block_words]{};

// Where there may be no more threads (RLIMIT_NPROC, a cgroup, a seccomp filter).
constexpr unsigned calls_between_attempts = 1000;

constexpr unsigned long clone_flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
                                      CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
                                      CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;

// clone(2): the child returns on its own stack, so it is taken to `run` and out of the process
// without returning into the caller's frame.
long clone_thread(void* stack_top, std::atomic<int>* id, void* tls, void (*run)()) {
#if defined(__x86_64__)
  long result;
  register std::atomic<int>* child_id asm("r10") = id;
  register void* thread_pointer asm("r8") = tls;
  register void (*entry)() asm("r9") = run;
  asm volatile(
      "syscall\n"
      "testq %%rax, %%rax\n"
      "jnz 1f\n"
      "xorl %%ebp, %%ebp\n"
      "callq *%%r9\n"
      "movl %[exit], %%eax\n"
      "xorl %%edi, %%edi\n"
      "syscall\n"
      "1:\n"
      : "=a"(result)
      : "a"(SYS_clone), "D"(clone_flags), "S"(stack_top), "d"(id), "r"(child_id),
        "r"(thread_pointer), "r"(entry), [exit] "i"(SYS_exit)
      : "rcx", "r11", "memory");
  return result;
#else
  (void)stack_top, (void)id, (void)tls, (void)run;
  return -1;
#endif
}

}  // namespace

bool bare_thread::start(void (*run)()) {
  int none = 0;
  if (!alive_.compare_exchange_strong(none, -1, std::memory_order_acq_rel)) return false;
  if (patience_ > 0) {
    patience_--;
    alive_.store(0, std::memory_order_release);
    return false;
  }
  control_block[control_block_words / 2] =
      reinterpret_cast<uptr>(&control_block[control_block_words / 2]);
  u64 all = ~u64{0}, before = 0;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof(all));
  const long id =
      clone_thread(stack + stack_size, &alive_, &control_block[control_block_words / 2], run);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, nullptr, sizeof(before));
  if (id >= 0) return true;
  patience_ = calls_between_attempts;
  alive_.store(0, std::memory_order_release);
  return false;
}

bool is_single_threaded() {
  return &__libc_single_threaded && __libc_single_threaded;
}

void sleep_ms(unsigned milliseconds) {
  const struct timespec time = {milliseconds / 1000, (milliseconds % 1000) * 1'000'000L};
  syscall(SYS_nanosleep, &time, nullptr);
}

}  // namespace quarry::os
