// System calls that a program takes from itself by a seccomp filter after it has started, answered
// with an error: what depends on them gets slower, stays or cannot be had, but nothing is lost.
#include <gtest/gtest.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "../seccomp.h"
#include "content.h"
#include "proc.h"
#include "process.h"

namespace survival {
namespace {

struct refused_call {
  const char* name;
  int number;
  int also = number;
};

void PrintTo(const refused_call& call, std::ostream* out) {
  *out << call.name;
}

class RefusedBase : public testing::TestWithParam<refused_call> {
 protected:
  static bool refuse() {
    return seccomp_test::refuse(GetParam().number) && seccomp_test::refuse(GetParam().also);
  }
};

// Calls without which everything can still be had.
class Refused : public RefusedBase {};

struct job {
  bool may_exit;
  bool good;
};
std::atomic<int> working;

void* work(void* argument) {
  job* mine = static_cast<job*>(argument);
  const bool may_exit = mine->may_exit;
  for (int round = 0; round < 200; ++round)
    mine->good &= round % 20 ? small_sizes_work(round) : all_sizes_work(round);
  --working;
  while (!may_exit)
    pause();
  return nullptr;
}

// Without futex(2) libc ends a process that waits for a thread: there they stay.
bool threads_work(bool can_be_joined) {
  static job jobs[4];
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) {
    jobs[i] = {can_be_joined, true};
    ++working;
    if (pthread_create(&threads[i], nullptr, work, &jobs[i]) != 0) return false;
  }
  while (working)
    sleep_milliseconds(1);
  bool all = true;
  for (int i = 0; i < 4; ++i) {
    if (can_be_joined) pthread_join(threads[i], nullptr);
    all &= jobs[i].good;
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

TEST_P(Refused, AllSizesThreadsGrowthAndTrimWork) {
  const pid_t child = start_child([] {
    bool good = small_sizes_work(1) && refuse();
    for (int round = 0; round < 3; ++round) {
      good &=
          all_sizes_work(round) && threads_work(GetParam().number != SYS_futex) && growing_works();
      malloc_trim(0);
    }
    return good;
  });
  EXPECT_EQ(ending(child), "exit 0");
}

INSTANTIATE_TEST_SUITE_P(
    Calls, Refused,
    testing::Values(refused_call{"membarrier", SYS_membarrier}, refused_call{"mremap", SYS_mremap},
                    refused_call{"madvise", SYS_madvise}, refused_call{"munmap", SYS_munmap},
                    refused_call{"munlock", SYS_munlock}, refused_call{"futex", SYS_futex},
                    refused_call{"clone", SYS_clone}),
    [](const auto& info) { return info.param.name; });

// Calls without which memory may end. One of the others matters only beside such a call.
class MemoryRefused : public RefusedBase {};

// Blocks of every kind of size up to more than 1 GiB, of the larger ones the beginning written to.
class mixed_blocks {
 public:
  // False where one is missing for another reason than ENOMEM, or not zero where it is to be.
  bool take(std::uint64_t seed) {
    bool good = true;
    for (int i = 0; i < count; ++i) {
      errno = 0;
      const std::size_t size = (std::size_t{5} << i) / 4 + 1;
      void* bytes = i % 2 ? calloc(1, size) : malloc(size);
      if (!bytes) good &= errno == ENOMEM;
      blocks_[i] = {static_cast<unsigned char*>(bytes), std::min(size, most_written), seed + i};
      if (i % 2 && bytes) good &= is_zero(blocks_[i]);
      if (bytes) fill(blocks_[i]);
    }
    return good;
  }

  // Twice as large, or as they were.
  bool grow() {
    bool good = true;
    for (block& b : blocks_) {
      if (!b.bytes) continue;
      errno = 0;
      void* grown = realloc(b.bytes, 2 * b.size);
      if (grown)
        b.bytes = static_cast<unsigned char*>(grown);
      else
        good &= errno == ENOMEM;
      good &= whole(b);
    }
    return good;
  }

  bool give_back() {
    bool good = true;
    for (block& b : blocks_)
      good &= !b.bytes || survival::give_back(b);
    return good;
  }

 private:
  static constexpr int count = 32;
  static constexpr std::size_t most_written = 1 << 20;

  static bool is_zero(const block& b) {
    std::size_t at = 0;
    while (at < b.size && b.bytes[at] == 0)
      ++at;
    return at == b.size;
  }

  block blocks_[count];
};

TEST_P(MemoryRefused, BlocksAreNullWithENOMEMAtWorstAndEarlierOnesStayWhole) {
  const pid_t child = start_child([] {
    mixed_blocks earlier, to_grow, later;
    bool good = earlier.take(100) && to_grow.take(200) && refuse();
    for (int round = 0; round < 3; ++round) {
      good &= later.take(round) && later.grow() && later.give_back();
      malloc_trim(0);
    }
    good &= to_grow.grow() && to_grow.give_back() && earlier.give_back();
    malloc_trim(0);
    return good && later.take(300) && later.give_back();
  });
  EXPECT_EQ(ending(child), "exit 0");
}

INSTANTIATE_TEST_SUITE_P(Calls, MemoryRefused,
                         testing::Values(refused_call{"mprotect", SYS_mprotect},
                                         refused_call{"mmap", SYS_mmap},
                                         refused_call{"mmap_and_munlock", SYS_mmap, SYS_munlock},
                                         refused_call{"mmap_and_mprotect", SYS_mmap, SYS_mprotect}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace survival
