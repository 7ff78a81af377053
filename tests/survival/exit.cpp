// The allocator works after main has returned, to the last destructor.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "program.h"

namespace survival {
namespace {

std::vector<std::string> sorted_lines(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(line);
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

const std::vector<std::string> all_phases{
    "atexit",  "atexit from atexit", "destructor",    "late destructor",
    "on_exit", "registered at exit", "static object", "thread_local object",
};

TEST(Exit, HandlersAndDestructorsAllocateAndFreeBlocksOfMain) {
  const outcome result = run_program("exit_program");
  EXPECT_EQ(result.ending, "exit 0");
  EXPECT_EQ(sorted_lines(result.output), all_phases);
}

TEST(Exit, MainMayReturnWhileOtherThreadsAllocate) {
  for (int round = 0; round < 20; ++round) {
    const outcome result = run_program("exit_program", {"threads"});
    ASSERT_EQ(result.ending, "exit 0");
    ASSERT_EQ(sorted_lines(result.output), all_phases);
  }
}

// Libraries' destructors run after the allocator's own.
TEST(Exit, ALibrarysDestructorMayForkWhileOtherThreadsAllocate) {
  const outcome result = run_program("unload_program", {"fork"});
  EXPECT_EQ(result.ending, "exit 0");
  EXPECT_EQ(result.output, "unloaded\n");
}

TEST(Exit, WhatALibrarysDestructorFreesTwiceIsSeen) {
  const outcome result = run_program("unload_program", {"free twice"});
  EXPECT_EQ(result.ending, "signal 6");
  EXPECT_NE(result.output.find("): already free\n"), std::string::npos) << result.output;
}

TEST(Exit, FromASignalHandlerDoesNotWaitForALockThatItInterrupted) {
  for (int microseconds = 500; microseconds < 20'000; microseconds += 200) {
    const outcome result = run_program("interrupted_program", {std::to_string(microseconds)});
    ASSERT_EQ(result.ending, "exit 0");
  }
}

}  // namespace
}  // namespace survival
