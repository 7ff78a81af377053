// System calls that a program takes from itself by a seccomp filter after it has started, answered
// with an error: what depends on them gets slower or stays, but nothing is lost.
#include <gtest/gtest.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/syscall.h>

#include <cstring>

#include "../seccomp.h"
#include "content.h"
#include "process.h"

namespace survival {
namespace {

void* work(void* good) {
  for (int round = 0; round < 200; ++round)
    *static_cast<bool*>(good) &= small_sizes_work(round);
  return nullptr;
}

bool threads_work() {
  bool good[4] = {true, true, true, true};
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i)
    pthread_create(&threads[i], nullptr, work, &good[i]);
  bool all = true;
  for (int i = 0; i < 4; ++i) {
    pthread_join(threads[i], nullptr);
    all &= good[i];
  }
  return all;
}

// Grows by realloc to 64 MiB, which is done by moving pages where that is allowed.
bool growing_works() {
  char* block = nullptr;
  for (std::size_t size = 1000; size < 64 << 20; size *= 2) {
    block = static_cast<char*>(realloc(block, size));
    if (!block || (size > 1000 && block[size / 2 - 1] != 7)) return false;
    std::memset(block + size / 2, 7, size / 2);
  }
  free(block);
  return true;
}

struct refused_call {
  const char* name;
  int number;
};

class Refused : public testing::TestWithParam<refused_call> {};

TEST_P(Refused, AllSizesThreadsGrowthAndTrimWork) {
  const pid_t child = start_child([] {
    bool good = small_sizes_work(1) && seccomp_test::refuse(GetParam().number);
    for (int round = 0; round < 3; ++round) {
      good &= all_sizes_work(round) && threads_work() && growing_works();
      malloc_trim(0);
    }
    return good;
  });
  EXPECT_EQ(ending(child), "exit 0");
}

INSTANTIATE_TEST_SUITE_P(Calls, Refused,
                         testing::Values(refused_call{"membarrier", SYS_membarrier},
                                         refused_call{"mremap", SYS_mremap},
                                         refused_call{"madvise", SYS_madvise},
                                         refused_call{"clone", SYS_clone}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace survival
