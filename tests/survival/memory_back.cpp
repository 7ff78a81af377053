// Memory comes back: after a burst is freed in random order, resident memory is under 1.25 times
// the live bytes plus 8 MB within a second; but a block freed and taken again at once does not
// fault again.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "program.h"

namespace survival {
namespace {

void expect_back(const char* kind, const char* freed, const char* manner) {
  const outcome result = run_program("memory_program", {kind, "512", freed, manner});
  EXPECT_EQ(result.ending, "exit 0") << kind << ": " << result.output;
}

class MemoryBack : public testing::TestWithParam<const char*> {};

TEST_P(MemoryBack, WhileTheProgramSleeps) {
  expect_back(GetParam(), "all", "idle");
}
TEST_P(MemoryBack, WhileTheProgramAllocatesALittle) {
  expect_back(GetParam(), "all", "busy");
}

INSTANTIATE_TEST_SUITE_P(Sizes, MemoryBack,
                         testing::Values("64", "700", "5000", "mixed", "200000", "8000000"),
                         [](const auto& info) { return std::string(info.param); });

TEST(MemoryBackOfSome, HalfOfTheSmallBlocksWhileTheProgramSleeps) {
  expect_back("mixed", "half", "idle");
}

TEST(MemoryBackOfSome, HalfOfTheSmallBlocksWhileTheProgramAllocates) {
  expect_back("700", "half", "busy");
}

TEST(MemoryBackOfSome, HalfOfTheLargeBlocks) {
  expect_back("200000", "half", "idle");
}

// Nearly every slab has one of the blocks that stay, but not every page of it.
TEST(MemoryBackOfSome, AllButAFewSmallBlocksWhileTheProgramSleeps) {
  expect_back("700", "most", "idle");
}

TEST(MemoryBackOfSome, AllButAFewSmallBlocksWhileTheProgramAllocates) {
  expect_back("700", "most", "busy");
}

TEST(MemoryBackOfSome, AllButAFewBlocksAtATrim) {
  expect_back("700", "most", "trim");
  expect_back("5000", "most", "trim");
}

// Without the helper thread the program asks for it.
TEST(MemoryBackAtTrim, WithTheHelperTurnedOff) {
  const char* set = getenv("QUARRY_CONF");
  const std::string before = set == nullptr ? "" : set;
  setenv("QUARRY_CONF", (before + (before.empty() ? "" : ",") + "background:off").c_str(), 1);
  for (const char* kind : {"64", "mixed", "200000"}) {
    expect_back(kind, "all", "trim");
  }
  setenv("QUARRY_CONF", before.c_str(), 1);
}

long minor_faults() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_minflt;
}

// 10,000 times 256 pages are touched; far fewer than one fault a time is asked of them all.
TEST(MemoryKept, ALargeBlockTakenAgainAtOnceDoesNotFaultAgain) {
  constexpr int cycles = 10000;
  constexpr std::size_t size = 1 << 20;
  const auto cycle = [] {
    auto* bytes = static_cast<volatile unsigned char*>(malloc(size));
    for (std::size_t i = 0; i < size; i += 4096) {
      bytes[i] = 1;
    }
    free(const_cast<unsigned char*>(bytes));
  };
  for (int i = 0; i < 10; ++i) {
    cycle();
  }
  const long before = minor_faults();
  for (int i = 0; i < cycles; ++i) {
    cycle();
  }
  EXPECT_LT(minor_faults() - before, cycles / 2);
}

}  // namespace
}  // namespace survival
