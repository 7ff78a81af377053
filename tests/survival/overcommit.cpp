// vm.overcommit_memory=2: the kernel promises no memory that it does not have (proc(5)), so that a
// large reservation made writable at once would be refused. The setting is the machine's: it is
// changed by a guardian process that puts it back when the test ends in whatever way, and ctest
// runs this alone.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc.h"
#include "process.h"
#include "program.h"

namespace survival {
namespace {

constexpr char mode_path[] = "/proc/sys/vm/overcommit_memory";
constexpr char ratio_path[] = "/proc/sys/vm/overcommit_ratio";
constexpr char kbytes_path[] = "/proc/sys/vm/overcommit_kbytes";

bool write_text(const char* path, const char* text) {
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  const auto length = static_cast<ssize_t>(strlen(text));
  const bool done = file >= 0 && write(file, text, length) == length;
  if (file >= 0) {
    close(file);
  }
  return done;
}

struct setting {
  char mode[32] = "";
  char ratio[32] = "";

  static setting of_the_machine() {
    setting now;
    read_text(mode_path, now.mode);
    read_text(ratio_path, now.ratio);
    return now;
  }
  // The ratio first: the limit must leave room for what already runs.
  bool apply() const { return write_text(ratio_path, ratio) && write_text(mode_path, mode); }
  bool restore() const { return write_text(mode_path, mode) && write_text(ratio_path, ratio); }

 private:
  static void read_text(const char* path, char (&text)[32]) {
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t length = file < 0 ? 0 : read(file, text, sizeof text - 1);
    text[length < 0 ? 0 : length] = '\0';
    if (file >= 0) {
      close(file);
    }
  }
};

// The child of a child, in a session of its own, so that nobody who ends the test ends it too. Its
// end of the pipe closes when the test is over, however that came about.
[[noreturn]] void guard(const setting& before, int wait_for_end, int ready) {
  setsid();
  signal(SIGTERM, SIG_IGN);
  setting strict = before;
  strcpy(strict.mode, "2\n");
  strcpy(strict.ratio, "95\n");
  const char answer = strict.apply() ? 'y' : 'n';
  if (write(ready, &answer, 1) == 1) {
    char nothing;
    while (read(wait_for_end, &nothing, 1) > 0) {
    }
  }
  before.restore();
  close(ready);  // tells strict_overcommit that it is done
  _exit(0);
}

class strict_overcommit {
 public:
  strict_overcommit() {
    if (is_by_size()) {
      return;
    }
    const setting before = setting::of_the_machine();
    int end[2];
    int ready[2];
    if (pipe2(end, O_CLOEXEC) != 0 || pipe2(ready, O_CLOEXEC) != 0) {
      return;
    }
    const pid_t child = fork();
    if (child == 0) {
      close(end[1]);
      close(ready[0]);
      if (fork() == 0) {
        guard(before, end[0], ready[1]);
      }
      _exit(0);
    }
    waitpid(child, nullptr, 0);
    close(end[0]);
    close(ready[1]);
    end_ = end[1];
    ready_ = ready[0];
    char answer = 'n';
    active_ = read(ready_, &answer, 1) == 1 && answer == 'y';
  }
  ~strict_overcommit() {
    if (end_ < 0) {
      return;
    }
    close(end_);
    char nothing;
    while (read(ready_, &nothing, 1) > 0) {
    }
    close(ready_);
  }
  strict_overcommit(const strict_overcommit&) = delete;
  strict_overcommit& operator=(const strict_overcommit&) = delete;

  bool active() const { return active_; }
  // proc(5), overcommit_kbytes: the limit may stand there in place of the ratio.
  static bool is_by_size() { return status_field(kbytes_path, "", 10) != 0; }

 private:
  int end_ = -1;
  int ready_ = -1;
  bool active_ = false;
};

class Overcommit : public testing::Test {
 protected:
  void SetUp() override {
    if (strict_.is_by_size()) {
      GTEST_SKIP() << "needs " << kbytes_path << " to be 0: what is written to the ratio clears it";
    }
    if (!strict_.active()) {
      GTEST_SKIP() << "needs the right to write " << mode_path << " (root)";
    }
    ASSERT_EQ(status_field(mode_path, "", 10), 2u);
  }

 private:
  strict_overcommit strict_;
};

void expect_success(const outcome& result) {
  EXPECT_EQ(result.ending, "exit 0");
  EXPECT_EQ(result.output, "");
}

TEST_F(Overcommit, StartsAndRefusesWhatTheMachineDoesNotHave) {
  expect_success(run_program("limit_program", {"start"}));
}

TEST_F(Overcommit, BlocksOfEverySizeAreWhole) {
  expect_success(run_program("limit_program", {"churn", "60"}));
}

TEST_F(Overcommit, MemoryComesBack) {
  expect_success(run_program("limit_program", {"churn", "60"}));
  EXPECT_EQ(run_program("memory_program", {"mixed", "256", "all", "idle"}).ending, "exit 0");
}

// A program that starts promises itself no more than it needs: its share of Committed_AS is small.
TEST_F(Overcommit, StartingCommitsLittle) {
  const pid_t child = start_child([] {
    const std::size_t writable = status_field("/proc/self/status", "VmData:", 10);
    return writable < (64 << 10);  // kB
  });
  EXPECT_EQ(ending(child), "exit 0");
}

}  // namespace
}  // namespace survival
