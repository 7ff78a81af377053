#include "os/fatal.h"

#include <signal.h>

#include "base/format.h"
#include "os/file.h"
#include "os/syscall.h"

namespace quarry::os {

namespace {

// abort(3) for any thread, the reclaim thread included, which has no libc state: SIGABRT is
// unblocked and raised, and raised again with its default action should a handler return.
[[noreturn]] void raise_abort() {
  const u64 abort_signal = u64{1} << (SIGABRT - 1);
  syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &abort_signal, nullptr, sizeof(abort_signal));
  const long process = syscall(SYS_getpid);
  const long thread = syscall(SYS_gettid);
  syscall(SYS_tgkill, process, thread, SIGABRT);
  const u64 default_action[4] = {};  // struct sigaction of the kernel: SIG_DFL, no flags
  syscall(SYS_rt_sigaction, SIGABRT, default_action, nullptr, sizeof(abort_signal));
  syscall(SYS_tgkill, process, thread, SIGABRT);
  __builtin_trap();
}

}  // namespace

void die(const char* call, const void* address, const char* reason, const void* other) {
  text line;
  line << "quarry: " << call << '(';
  line.address(address) << "): " << reason;
  if (other) (line << ' ').address(other);
  die(&line);
}

void die(text* line) {
  *line << '\n';
  write_all(2, line->view());
  raise_abort();
}

}  // namespace quarry::os
