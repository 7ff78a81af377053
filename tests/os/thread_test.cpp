// The bare kernel thread. What runs in it may use nothing of libc, so it speaks by atomics alone.
#include "os/thread.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "../preload/child.h"
#include "os/lock.h"
#include "os/syscall.h"

using namespace quarry;

namespace {

std::atomic<int> thread_id{0};
std::atomic<int> runs{0};
std::atomic<bool> may_end{false};

void wait_for_the_end() {
  thread_id = static_cast<int>(os::syscall(SYS_gettid));
  while (!may_end)
    os::sleep_ms(1);
}

void count_run() {
  runs++;
}

std::string task_directory() {
  return "/proc/self/task/" + std::to_string(thread_id);
}

bool exists() {
  return access(task_directory().c_str(), F_OK) == 0;
}

std::string status_field(const std::string& field) {
  std::ifstream status(task_directory() + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field)) return line.substr(line.find_last_of(" \t") + 1);
  }
  return "";
}

// A thread that waits, from start to the end of the test.
class BareThread : public testing::Test {
 protected:
  void start_and_wait() {
    thread_id = 0;
    may_end = false;
    ASSERT_TRUE(thread.start(wait_for_the_end));
    while (!thread_id)
      os::sleep_ms(1);
  }
  void end() {
    may_end = true;
    while (exists())
      os::sleep_ms(1);
  }
  // As soon as the last one is really gone; the kernel says so a moment after it left /proc.
  void start_again(void (*run)()) {
    while (!thread.start(run))
      os::sleep_ms(1);
  }

  static os::bare_thread thread;
};
os::bare_thread BareThread::thread;

TEST_F(BareThread, IsAThreadOfThisProcessUntilItsFunctionReturns) {
  start_and_wait();
  EXPECT_NE(thread_id, getpid());
  EXPECT_EQ(status_field("Tgid:"), std::to_string(getpid()));
  end();
  EXPECT_FALSE(exists());
}

TEST_F(BareThread, HasEverySignalBlockedThatCanBe) {
  start_and_wait();
  const u64 blocked = std::stoull(status_field("SigBlk:"), nullptr, 16);
  EXPECT_EQ(~blocked, u64{1} << (SIGKILL - 1) | u64{1} << (SIGSTOP - 1));
  end();
}

TEST_F(BareThread, LeavesTheSignalMaskOfItsStarterAsItWas) {
  sigset_t before, after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  start_and_wait();
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int s = 1; s <= SIGRTMAX; s++)
    EXPECT_EQ(sigismember(&before, s), sigismember(&after, s));
  end();
}

TEST_F(BareThread, IsNotStartedTwiceAtATime) {
  start_and_wait();
  const int first = runs;
  EXPECT_FALSE(thread.start(count_run));
  end();
  EXPECT_EQ(runs, first);
}

TEST_F(BareThread, CanBeStartedAgainAfterItsEndManyTimes) {
  const int before = runs;
  for (int i = 0; i < 200; i++)
    start_again(count_run);
  while (runs < before + 200)
    os::sleep_ms(1);
  EXPECT_EQ(runs, before + 200);
}

TEST_F(BareThread, CanBeStartedAfterTheSystemHadNoneToGive) {
  const auto ended = preload_test::run_in_child([] {
    thread.forget();
    runs = 0;
    rlimit any;
    getrlimit(RLIMIT_NPROC, &any);
    const rlimit none = {0, any.rlim_max};
    if (setuid(65534) != 0 || setrlimit(RLIMIT_NPROC, &none) != 0) _exit(77);
    if (thread.start(count_run)) _exit(1);
    setrlimit(RLIMIT_NPROC, &any);
    // It is not asked at every call.
    if (thread.start(count_run)) _exit(2);
    int calls = 1;
    while (!thread.start(count_run))
      if (++calls > 2000) _exit(3);
    while (runs == 0)
      os::sleep_ms(1);
  });
  if (WEXITSTATUS(ended.status) == 77) GTEST_SKIP() << "needs another user";
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status << ended.errors;
}

TEST_F(BareThread, TakesTurnsWithOthersAtALock) {
  static os::lock l;
  static u64 count = 0;
  constexpr int rounds = 50'000;
  count = 0;
  std::atomic<int> before = runs.load();
  start_again([] {
    for (int i = 0; i < rounds; i++) {
      os::lock_guard guard(l);
      count++;
    }
    runs++;
  });
  for (int i = 0; i < rounds; i++) {
    os::lock_guard guard(l);
    count++;
  }
  while (runs == before)
    os::sleep_ms(1);
  EXPECT_EQ(count, 2u * rounds);
}

TEST_F(BareThread, IsGoneInAForkChildAndCanBeStartedThere) {
  start_and_wait();
  const auto ended = preload_test::run_in_child([] {
    thread.forget();
    runs = 0;
    if (!thread.start(count_run)) _exit(1);
    while (runs == 0)
      os::sleep_ms(1);
  });
  end();
  EXPECT_TRUE(ended.succeeded());
}

}  // namespace
