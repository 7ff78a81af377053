// Programs of this folder, executed by the tests: how they ended and what they printed. A program
// runs under the allocator of the test, since it inherits the environment.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "process.h"

namespace survival {

struct outcome {
  std::string ending;
  std::string output;  // standard output and error together
};

inline std::string read_to_end(int from) {
  std::string text;
  char buffer[4096];
  ssize_t length;
  while ((length = read(from, buffer, sizeof buffer)) > 0) {
    text.append(buffer, length);
  }
  return text;
}

// Executes a program of this folder; `prepare` runs in the child before exec, to set a limit say.
template <typename prepare_type>
outcome run_program(const std::string& name, std::vector<std::string> arguments,
                    prepare_type prepare) {
  const std::string path = SURVIVAL_PROGRAMS "/survival_" + name;
  std::vector<char*> argv{const_cast<char*>(path.c_str())};
  for (std::string& argument : arguments) {
    argv.push_back(argument.data());
  }
  argv.push_back(nullptr);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return {"not started", "no pipe"};
  }
  const pid_t child = fork();
  if (child == 0) {
    be_killed_if_hung();
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    if (prepare()) {
      execv(argv[0], argv.data());
    }
    _exit(127);
  }
  close(ends[1]);
  outcome result;
  result.output = read_to_end(ends[0]);
  close(ends[0]);
  result.ending = ending(child);
  return result;
}

inline outcome run_program(const std::string& name, std::vector<std::string> arguments = {}) {
  return run_program(name, std::move(arguments), [] { return true; });
}

}  // namespace survival
