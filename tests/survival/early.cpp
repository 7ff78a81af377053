// The allocator works from the first instruction of a program that can call it.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include "program.h"

namespace survival {
namespace {

// Without this, a library that the loader could not preload would let the whole folder pass.
TEST(Early, TheAllocatorUnderTestIsTheOneThatAnswers) {
  void* marker = dlsym(RTLD_DEFAULT, "quarry_slabinfo");
  ASSERT_NE(marker, nullptr) << "libquarry.so is not preloaded";
  Dl_info of_marker;
  Dl_info of_malloc;
  ASSERT_NE(dladdr(marker, &of_marker), 0);
  ASSERT_NE(dladdr(dlsym(RTLD_DEFAULT, "malloc"), &of_malloc), 0);
  EXPECT_STREQ(of_malloc.dli_fname, of_marker.dli_fname);
}

TEST(Early, PreinitArrayAndConstructorsAllocateForkAndStartThreads) {
  const outcome result = run_program("early_program");
  EXPECT_EQ(result.ending, "exit 0");
  EXPECT_EQ(result.output, "library destructor\n");
}

class FirstCall : public testing::TestWithParam<const char*> {};

TEST_P(FirstCall, MayComeAnywhere) {
  const outcome result = run_program("first_call_program", {GetParam()});
  EXPECT_EQ(result.ending, "exit 0");
  EXPECT_EQ(result.output, "");
}

INSTANTIATE_TEST_SUITE_P(Places, FirstCall, testing::Values("fork", "vfork", "thread", "exit"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace survival
