// QUARRY_CONF belongs to whoever starts a program, so a set-uid program ignores it
// (secure_getenv(3)). The loader ignores LD_PRELOAD there as well, hence a program that has Quarry
// inside. The test needs root, to make a set-uid program and start it as somebody else, and a file
// system that honours set-uid.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "child.h"

using namespace preload_test;

namespace {

// Exit statuses of secure.c.
constexpr int is_ordinary = 10;
constexpr int is_secure = 11;

constexpr uid_t nobody = 65534;

// A copy of the program in a folder of its own; started by descriptor, so the path need not be open
// to everyone.
class SetUid : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root, to make a set-uid program";
    std::string folder = std::filesystem::temp_directory_path() / "quarry-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    std::filesystem::copy_file(QUARRY_SECURE_PROGRAM, program());
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  std::filesystem::path program() const { return folder_ / "program"; }

  child_result run_as_nobody(mode_t mode) const {
    EXPECT_EQ(chmod(program().c_str(), mode), 0);
    return run_in_child([this] {
      const int descriptor = open(program().c_str(), O_PATH | O_CLOEXEC);
      char name[] = "program";
      char options[] = "QUARRY_CONF=nonsense:1,stats:exit";
      char* const arguments[] = {name, nullptr};
      char* const environment[] = {options, nullptr};
      if (setgid(nobody) != 0 || setuid(nobody) != 0) _exit(126);
      fexecve(descriptor, arguments, environment);
      _exit(127);
    });
  }

 private:
  std::filesystem::path folder_;
};

TEST_F(SetUid, ProgramsIgnoreTheOptions) {
  const child_result result = run_as_nobody(04755);
  ASSERT_TRUE(WIFEXITED(result.status));
  if (WEXITSTATUS(result.status) == is_ordinary) {
    GTEST_SKIP() << "needs a temporary folder and a process in which set-uid is honoured";
  }
  EXPECT_EQ(WEXITSTATUS(result.status), is_secure);
  EXPECT_EQ(result.errors, "");
}

// The same program without the bit does read them, or the test above would show nothing.
TEST_F(SetUid, OptionsAreReadByTheSameProgramWithoutTheBit) {
  const child_result result = run_as_nobody(0755);
  ASSERT_TRUE(WIFEXITED(result.status));
  EXPECT_EQ(WEXITSTATUS(result.status), is_ordinary);
  EXPECT_TRUE(result.errors.starts_with("quarry: QUARRY_CONF: unknown option \"nonsense\"\n"))
      << result.errors;
  EXPECT_GE(result.lines(), 3) << "no table at exit: " << result.errors;
}

}  // namespace
