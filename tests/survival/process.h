// Fork children of the tests: bounded by an alarm of their own, so that one that hangs is seen as
// such, and what became of them in words.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

namespace survival {

constexpr unsigned seconds_until_hung = 60;

// SIGALRM with its default action ends the child; alarm() outlives exec (POSIX).
inline void be_killed_if_hung() {
  signal(SIGALRM, SIG_DFL);
  sigset_t alarm_only;
  sigemptyset(&alarm_only);
  sigaddset(&alarm_only, SIGALRM);
  pthread_sigmask(SIG_UNBLOCK, &alarm_only, nullptr);
  alarm(seconds_until_hung);
}

// Runs `body` in a fork child, which exits with 0 if it returned true.
template <typename body_type>
pid_t start_child(body_type body) {
  const pid_t child = fork();
  if (child == 0) {
    be_killed_if_hung();
    _exit(body() ? 0 : 1);
  }
  return child;
}

// Waits without allocating, for use in children: true if it exited with 0.
inline bool ended_well(pid_t child) {
  int status = -1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

inline std::string ending(pid_t child) {
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) {
    return "not started";
  }
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    return signal == SIGALRM ? "hung" : "signal " + std::to_string(signal);
  }
  return "exit " + std::to_string(WEXITSTATUS(status));
}

}  // namespace survival
