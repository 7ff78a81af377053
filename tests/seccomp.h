// System calls that a test takes from its own process, for good (seccomp(2)). Each returns false
// where the kernel has no seccomp filters.
#pragma once

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

namespace seccomp_test {

// `matching` is what the kernel does at the call of that number, `others` at any other.
inline bool filter_calls(int number, unsigned matching, unsigned others) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, matching),
      BPF_STMT(BPF_RET | BPF_K, others),
  };
  const struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Any system call but the one that ends the process kills it.
inline bool enter_silence() {
  return filter_calls(SYS_exit_group, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS);
}

// That call is answered with EPERM.
inline bool refuse(int number) {
  return filter_calls(number, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW);
}

}  // namespace seccomp_test
