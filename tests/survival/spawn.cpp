// Other programs are started, thousands of times, while threads allocate; and a vfork child, which
// runs in its parent's memory, allocates itself.
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstdio>

#include "busy_threads.h"
#include "process.h"

extern char** environ;

namespace survival {
namespace {

char true_path[] = "/bin/true";
char* true_argv[] = {true_path, nullptr};

// In a frame of its own: the child returns through it only by exec or _exit (POSIX.1-2001, vfork).
[[gnu::noinline]] pid_t vfork_and_exec() {
  const pid_t child = vfork();
  if (child == 0) {
    execv(true_path, true_argv);
    _exit(127);
  }
  return child;
}

TEST(Spawn, VforkAndExecWhileThreadsAllocate) {
  busy_threads busy(4);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(ending(vfork_and_exec()), "exit 0") << i;
  }
  EXPECT_EQ(busy.stop(), 0u);
}

TEST(Spawn, PosixSpawnFromTwoThreadsWhileOthersAllocate) {
  busy_threads busy(4);
  const auto spawn_many = [](void* bad) -> void* {
    for (int i = 0; i < 500; ++i) {
      pid_t child = -1;
      const int error = posix_spawn(&child, true_path, nullptr, nullptr, true_argv, environ);
      *static_cast<int*>(bad) += error != 0 || !ended_well(child);
    }
    return nullptr;
  };
  int bad[2] = {0, 0};
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(pthread_create(&threads[i], nullptr, spawn_many, &bad[i]), 0);
  }
  for (int i = 0; i < 2; ++i) {
    pthread_join(threads[i], nullptr);
    EXPECT_EQ(bad[i], 0);
  }
  EXPECT_EQ(busy.stop(), 0u);
}

TEST(Spawn, PopenAndSystemWhileThreadsAllocate) {
  busy_threads busy(4);
  for (int i = 0; i < 200; ++i) {
    FILE* pipe = popen("echo quarry", "re");
    ASSERT_NE(pipe, nullptr);
    char line[64] = "";
    EXPECT_NE(fgets(line, sizeof line, pipe), nullptr);
    EXPECT_STREQ(line, "quarry\n");
    ASSERT_EQ(pclose(pipe), 0) << i;
    ASSERT_EQ(WEXITSTATUS(system("exit 3")), 3) << i;
  }
  EXPECT_EQ(busy.stop(), 0u);
}

// What a vfork child left in its parent's memory: the parent sleeps meanwhile, so plain variables
// do.
struct left_by_child {
  bool good = true;
  block blocks[64];
};

void work_in_vfork_child(left_by_child* left, block* of_parent, std::uint64_t seed) {
  generator random(seed);
  for (block& b : left->blocks) {
    b = take(random.size_up_to(200000), random.next());
  }
  left->good &= give_back(*of_parent) && all_sizes_work(seed);
  for (int i = 0; i < 100; ++i) {
    left->good &= small_sizes_work(seed + i);
  }
}

[[gnu::noinline]] pid_t vfork_and_allocate(left_by_child* left, block* of_parent,
                                           std::uint64_t seed) {
  const pid_t child = vfork();
  if (child == 0) {
    work_in_vfork_child(left, of_parent, seed);
    _exit(0);
  }
  return child;
}

void exchange_with_vfork_children(int rounds) {
  churn of_parent(5, 64 << 10);
  for (int round = 0; round < rounds; ++round) {
    left_by_child left;
    block to_child = take(100 + 37 * round, round);
    ASSERT_EQ(ending(vfork_and_allocate(&left, &to_child, round)), "exit 0");
    ASSERT_TRUE(left.good);
    for (int i = 0; i < 2000; ++i) {
      ASSERT_TRUE(of_parent.step());
    }
    for (block& b : left.blocks) {
      ASSERT_TRUE(give_back(b));
    }
  }
  EXPECT_TRUE(of_parent.finish());
}

// The kernel drops the child's rseq registration while the parent's area in the shared memory still
// looks valid (kernel/rseq.c, CLONE_VM), so a sequence in the child is never restarted.
TEST(Spawn, VforkChildOfOneThreadAllocatesAndTheParentGoesOn) {
  exchange_with_vfork_children(100);
}

// The same after a burst, which may have given the process a thread of the allocator's own.
TEST(Spawn, VforkChildAllocatesAfterABurstWasFreed) {
  constexpr int count = 400000;
  std::vector<void*> burst(count);
  for (void*& p : burst) {
    p = calloc(1, 300);
  }
  for (void* p : burst) {
    free(p);
  }
  exchange_with_vfork_children(100);
}

}  // namespace
}  // namespace survival
