// Runs a function or a program in a child process and returns how it ended and what it wrote to
// standard error: wrong use and bad options are to be seen there, and nowhere else.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <regex>
#include <string>
#include <vector>

namespace preload_test {

struct child_result {
  int status;
  std::string errors;

  bool succeeded() const { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }
  bool aborted() const { return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT; }
  auto lines() const { return std::count(errors.begin(), errors.end(), '\n'); }
};

// As messages have addresses.
inline std::string text_of(const void* address) {
  char text[32];
  snprintf(text, sizeof text, "%p", address);
  return text;
}

// The child begins with `body` and ends at its return, at once: no handler of exit() runs in it.
inline child_result run_in_child(const std::function<void()>& body) {
  int ends[2];
  if (pipe(ends) != 0) abort();
  const pid_t child = fork();
  if (child == 0) {
    const rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    alarm(100);  // one that hangs ends by SIGALRM rather than never
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    close(ends[1]);
    body();
    _exit(0);
  }
  close(ends[1]);
  child_result result = {};
  char buffer[4096];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;)
    result.errors.append(buffer, got);
  close(ends[0]);
  waitpid(child, &result.status, 0);
  return result;
}

// A program with the environment of this process, preloaded as it is, but with options of its own.
// What it writes to standard output is of no interest.
inline child_result run_with_options(const std::string& options,
                                     const char* program = "/bin/true") {
  return run_in_child([&] {
    setenv("QUARRY_CONF", options.c_str(), 1);
    dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
    execl(program, program, nullptr);
    _exit(127);
  });
}

// Holds if `body` ends in abort() after exactly one line, which is `pattern` as a whole.
inline testing::AssertionResult dies_with_one_line(const std::function<void()>& body,
                                                   const std::string& pattern) {
  const child_result result = run_in_child(body);
  if (result.aborted() && result.lines() == 1 &&
      std::regex_match(result.errors, std::regex(pattern + "\n"))) {
    return testing::AssertionSuccess();
  }
  return testing::AssertionFailure()
         << "wanted abort() and the line: " << pattern << "\n"
         << "status " << result.status << (result.aborted() ? " (abort)" : "") << ", "
         << result.lines() << " lines: " << result.errors;
}

}  // namespace preload_test
