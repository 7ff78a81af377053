// Run one instruction at a time, as debuggers do for watchpoints in software and for recording:
// each stop interrupts whatever sequence is under way, and still every call has to end.
#include <gtest/gtest.h>
#include <sys/ptrace.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "content.h"
#include "process.h"

namespace survival {
namespace {

// Far more than the calls below take, slow paths and all.
constexpr long most_steps = 500'000;

bool use_blocks() {
  constexpr std::size_t sizes[] = {24, 24, 300, 5'000, 60'000, 24};
  for (std::size_t size : sizes) {
    auto* first = static_cast<char*>(malloc(size));
    auto* second = static_cast<char*>(calloc(1, size));
    if (!first || !second || first == second || second[0] != 0) {
      return false;
    }
    first[0] = second[0] = 1;
    free(first);
    second = static_cast<char*>(realloc(second, 2 * size));
    if (!second || second[0] != 1) {
      return false;
    }
    free(second);
  }
  return true;
}

// Continues the child until it raises SIGSTOP again. Returns the steps, or -1 if it never does.
long step_to_next_stop(pid_t child) {
  for (long steps = 1; steps <= most_steps; ++steps) {
    int status;
    if (ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0 ||
        waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) {
      return -1;
    }
    if (WSTOPSIG(status) == SIGSTOP) {
      return steps;
    }
  }
  return -1;
}

TEST(SingleSteps, GetThroughEveryCall) {
  free(malloc(24));
  const pid_t child = start_child([] {
    if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) {
      _exit(errno);
    }
    raise(SIGSTOP);
    const bool used = use_blocks();
    raise(SIGSTOP);
    return used;
  });
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  const int refusal = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  if (refusal == EPERM || refusal == EACCES || refusal == ENOSYS) {
    GTEST_SKIP() << "needs ptrace(2)";
  }
  ASSERT_TRUE(WIFSTOPPED(status)) << "status " << status;
  const long steps = step_to_next_stop(child);
  EXPECT_GT(steps, 0) << "the child gets nowhere";
  if (steps < 0) {
    kill(child, SIGKILL);
  }
  ptrace(PTRACE_CONT, child, nullptr, nullptr);
  EXPECT_EQ(ending(child), "exit 0");
}

}  // namespace
}  // namespace survival
