// A memory cgroup. Its limit ends in a kill, not in NULL (cgroups(7)), so what must hold is that a
// program whose live memory fits stays alive: what the allocator keeps of freed memory counts too.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "program.h"

namespace survival {
namespace {

bool write_to(const std::string& path, const std::string& text) {
  const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  const bool done =
      file >= 0 && write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (file >= 0) {
    close(file);
  }
  return done;
}

// A group of our own with a limit, of version 1 or 2 as the machine has it; removed at the end.
class memory_group {
 public:
  explicit memory_group(std::size_t limit) {
    const std::string name = "/quarry-test-" + std::to_string(getpid());
    const std::string bytes = std::to_string(limit);
    const std::string version_1 = "/sys/fs/cgroup/memory";
    const std::string version_2 = "/sys/fs/cgroup";
    if (access((version_1 + "/memory.limit_in_bytes").c_str(), F_OK) == 0) {
      make(version_1 + name);
      ready_ = write_to(path_ + "/memory.limit_in_bytes", bytes);
      write_to(path_ + "/memory.memsw.limit_in_bytes", bytes);  // where swap is accounted
    } else if (access((version_2 + "/cgroup.controllers").c_str(), F_OK) == 0) {
      write_to(version_2 + "/cgroup.subtree_control", "+memory");
      make(version_2 + name);
      ready_ = write_to(path_ + "/memory.max", bytes);
      write_to(path_ + "/memory.swap.max", "0");
    }
  }
  ~memory_group() {
    // The kernel may take a moment to see that the last process is gone.
    for (int i = 0; !path_.empty() && rmdir(path_.c_str()) != 0 && i < 100; ++i) {
      usleep(10000);
    }
  }
  memory_group(const memory_group&) = delete;
  memory_group& operator=(const memory_group&) = delete;

  bool ready() const { return ready_; }
  // For a child between fork and exec: moves it into the group.
  bool join() const { return write_to(processes_, "0"); }

 private:
  void make(const std::string& path) {
    if (mkdir(path.c_str(), 0755) == 0) {
      path_ = path;
      processes_ = path + "/cgroup.procs";
    }
  }

  std::string path_;
  std::string processes_;
  bool ready_ = false;
};

#define SKIP_UNLESS_READY(group)                                              \
  if (!(group).ready()) {                                                     \
    GTEST_SKIP() << "needs a memory cgroup and the right to make one (root)"; \
  }

TEST(Cgroup, FortyMegabytesAliveOfEverOtherSizesFitIn64) {
  const memory_group group(64 << 20);
  SKIP_UNLESS_READY(group);
  for (int round = 0; round < 3; ++round) {
    const outcome result =
        run_program("limit_program", {"churn", "40"}, [&] { return group.join(); });
    EXPECT_EQ(result.ending, "exit 0");
    EXPECT_EQ(result.output, "");
  }
}

TEST(Cgroup, StartsInEightMegabytes) {
  const memory_group group(8 << 20);
  SKIP_UNLESS_READY(group);
  const outcome result = run_program("limit_program", {"start"}, [&] { return group.join(); });
  EXPECT_EQ(result.ending, "exit 0");
  EXPECT_EQ(result.output, "");
}

// So that the tests above can fail: the limit holds.
TEST(Cgroup, AHundredMegabytesDoNotFitIn64) {
  const memory_group group(64 << 20);
  SKIP_UNLESS_READY(group);
  const outcome result =
      run_program("limit_program", {"churn", "100"}, [&] { return group.join(); });
  EXPECT_EQ(result.ending, "signal 9");
}

}  // namespace
}  // namespace survival
