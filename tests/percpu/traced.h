// A child that runs under ptrace(2), and a watchpoint of it: a debug register that has it stop
// after each write to a word.
#pragma once

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>

#include "base/types.h"

namespace percpu_test {

// False after longer than it can take.
inline bool comes_true(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    usleep(100);
  }
  return true;
}

// In the child, once its tracer may stop it.
inline void be_traced() {
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(1);
}

// The process ends with this object at the latest.
class traced_child {
 public:
  static constexpr int system_call_stop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD

  explicit traced_child(const std::function<void()>& body) {
    id_ = fork();
    if (id_ < 0) abort();
    if (id_ > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    body();
    _exit(0);
  }
  ~traced_child() {
    if (has_ended_) return;
    kill(id_, SIGKILL);
    while (waitpid(id_, &status_, 0) == id_ && WIFSTOPPED(status_)) {
    }
  }
  traced_child(const traced_child&) = delete;
  traced_child& operator=(const traced_child&) = delete;

  pid_t id() const { return id_; }
  bool has_ended() const { return has_ended_; }
  int status() const { return status_; }

  // False where it ended instead, or does neither.
  bool wait_for_stop() {
    if (!comes_true([this] { return waitpid(id_, &status_, WNOHANG) == id_; })) return false;
    has_ended_ = !WIFSTOPPED(status_);
    return !has_ended_;
  }
  bool go_on(__ptrace_request how) {
    return ptrace(how, id_, nullptr, nullptr) == 0 && wait_for_stop();
  }
  int stop_signal() const { return WSTOPSIG(status_); }

  u64 peek(const void* address) const { return ptrace(PTRACE_PEEKDATA, id_, address, nullptr); }
  u64 peek_user(std::size_t offset) const { return ptrace(PTRACE_PEEKUSER, id_, offset, nullptr); }

  // Intel SDM, volume 3, "Debug Control Register (DR7)": bit 0 enables the first watchpoint for the
  // thread, bits 16 and 17 have it stop at writes, bits 18 and 19 make it 8 bytes long.
  bool watch(const void* word) const {
    return ptrace(PTRACE_SETOPTIONS, id_, nullptr, PTRACE_O_TRACESYSGOOD) == 0 &&
           set_debug_register(0, reinterpret_cast<u64>(word)) &&
           set_debug_register(7, 1 | 1 << 16 | 2 << 18);
  }
  bool unwatch() const { return set_debug_register(7, 0); }

 private:
  bool set_debug_register(std::size_t number, u64 value) const {
    const std::size_t offset = offsetof(user, u_debugreg) + number * sizeof value;
    return ptrace(PTRACE_POKEUSER, id_, offset, value) == 0;
  }

  pid_t id_;
  int status_ = 0;
  bool has_ended_ = false;
};

// Whether ptrace(2) and debug registers that work are to be had: under some hypervisors they can be
// set but stop nothing.
inline bool has_watchpoints() {
  static u64 watched;
  traced_child child([] {
    be_traced();
    raise(SIGSTOP);
    std::atomic_ref(watched).store(1);
    raise(SIGSTOP);
  });
  return child.wait_for_stop() && child.stop_signal() == SIGSTOP && child.watch(&watched) &&
         child.go_on(PTRACE_CONT) && child.stop_signal() == SIGTRAP && child.go_on(PTRACE_CONT) &&
         child.stop_signal() == SIGSTOP;
}

}  // namespace percpu_test
