// The thread that gives memory back: there only when there is much to give, and in nobody's way.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdint>

#include "program.h"

namespace survival {
namespace {

outcome run_with_background_off(const std::string& what) {
  const char* set = getenv("QUARRY_CONF");
  const std::string before = set == nullptr ? "" : set;
  setenv("QUARRY_CONF", (before + (before.empty() ? "" : ",") + "background:off").c_str(), 1);
  const outcome result = run_program("background_program", {what});
  setenv("QUARRY_CONF", before.c_str(), 1);
  return result;
}

TEST(Background, ASmallProgramHasNoThreadItDidNotStart) {
  EXPECT_EQ(run_program("background_program", {"small"}).ending, "exit 0");
}

TEST(Background, FewFreeObjectsOfALargeHeapDoNotBringItBackOverAndOver) {
  EXPECT_EQ(run_program("background_program", {"steady"}).ending, "exit 0");
}

TEST(Background, TheThreadBlocksEverySignal) {
  const outcome result = run_program("background_program", {"burst"});
  ASSERT_EQ(result.ending, "exit 0");
  const std::uint64_t blocked = std::stoull(result.output, nullptr, 16);
  for (int signal = 1; signal <= SIGRTMAX; ++signal) {
    // Two cannot be blocked, and two between 31 and SIGRTMIN are the C library's (nptl(7)).
    const bool free_of_us = signal == SIGKILL || signal == SIGSTOP || signal == 32 || signal == 33;
    EXPECT_TRUE(free_of_us || (blocked >> (signal - 1) & 1)) << "signal " << signal;
  }
}

TEST(Background, AForkChildHasNoneUntilItFreesMuchItself) {
  EXPECT_EQ(run_program("background_program", {"fork"}).ending, "exit 0");
}

TEST(Background, SetuidWhichSignalsEveryThreadReturns) {
  EXPECT_EQ(run_program("background_program", {"setuid"}).ending, "exit 0");
}

TEST(Background, AnOptionTurnsItOff) {
  const outcome result = run_with_background_off("burst");
  EXPECT_EQ(result.ending, "exit 1");  // no thread came
  EXPECT_EQ(result.output, "");
}

}  // namespace
}  // namespace survival
