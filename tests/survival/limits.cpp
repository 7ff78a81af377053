// Resource limits of the process (getrlimit(2)): the allocator starts under them; when memory ends
// it says so with NULL and ENOMEM, and blocks handed out earlier stay whole.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "program.h"

namespace survival {
namespace {

constexpr rlim_t mb = 1000 * 1000;

outcome run_limited(__rlimit_resource resource, rlim_t bytes, std::vector<std::string> arguments) {
  return run_program("limit_program", std::move(arguments), [=] {
    const rlimit limit{bytes, bytes};
    return setrlimit(resource, &limit) == 0;
  });
}

void expect_success(const outcome& result) {
  EXPECT_EQ(result.ending, "exit 0");
  EXPECT_EQ(result.output, "");
}

TEST(Limits, StartsUnderOneGigabyteOfAddressSpace) {
  expect_success(run_limited(RLIMIT_AS, 1000 * mb, {"start"}));
}

TEST(Limits, StartsUnder64MegabytesOfAddressSpace) {
  expect_success(run_limited(RLIMIT_AS, 64 * mb, {"start"}));
}

TEST(Limits, StartsUnder64MegabytesOfData) {
  expect_success(run_limited(RLIMIT_DATA, 64 * mb, {"start"}));
}

TEST(Limits, OneSizeAfterTheOtherFitsInTwiceItsAddressSpace) {
  expect_success(run_limited(RLIMIT_AS, 150 * mb, {"churn", "60"}));
}

class MemoryEnds : public testing::TestWithParam<const char*> {};

TEST_P(MemoryEnds, InAddressSpace) {
  expect_success(run_limited(RLIMIT_AS, 400 * mb, {"exhaust", GetParam()}));
}

TEST_P(MemoryEnds, InData) {
  expect_success(run_limited(RLIMIT_DATA, 400 * mb, {"exhaust", GetParam()}));
}

INSTANTIATE_TEST_SUITE_P(Sizes, MemoryEnds,
                         testing::Values("64", "1000", "40000", "3000000", "mixed"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace survival
