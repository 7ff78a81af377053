// malloc_trim gives free memory back and says so (malloc_trim(3)); mallopt takes its known
// parameters.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "block.h"

using namespace preload_test;

namespace {

size_t resident_bytes() {
  FILE* statm = fopen("/proc/self/statm", "r");
  size_t total = 0, resident = 0;
  EXPECT_EQ(fscanf(statm, "%zu %zu", &total, &resident), 2);
  fclose(statm);
  return resident * sysconf(_SC_PAGESIZE);
}

struct trimmed {
  int returned;
  size_t before, peak, after;
};

// Frees `count` blocks below one that stays, then trims.
trimmed free_and_trim(size_t count, size_t size) {
  std::vector<void*> blocks(count);
  trimmed seen = {};
  seen.before = resident_bytes();
  for (void*& block : blocks) {
    block = malloc(size);
    fill(block, size, 1);
  }
  void* last = malloc(64);
  seen.peak = resident_bytes();
  for (void* block : blocks)
    free(block);
  seen.returned = malloc_trim(0);
  seen.after = resident_bytes();
  free(last);
  return seen;
}

class Trim : public testing::TestWithParam<size_t> {};

// The bound is that of memory that comes back: 1.25 times the live bytes (here next to none) and 8
// MB.
TEST_P(Trim, GivesFreedMemoryBack) {
  constexpr size_t total = size_t{128} << 20;
  const trimmed seen = free_and_trim(total / GetParam(), GetParam());
  ASSERT_GE(seen.peak, seen.before + total / 2) << "the blocks were not resident";
  EXPECT_LE(seen.after, seen.before + (8 << 20));
}

INSTANTIATE_TEST_SUITE_P(Sizes, Trim, testing::Values(16, 100, 1000, 5000, 20'000, 60'000));

// Several times, since what was freed may have gone back before the call comes to it.
TEST(Trim, ReturnsOneWhenItGaveMemoryBack) {
  int returned = 0;
  for (int attempt = 0; attempt < 10 && returned == 0; ++attempt) {
    returned = free_and_trim(40'000, 1000).returned;
  }
  EXPECT_EQ(returned, 1);
}

TEST(Trim, TakesNothingFromLiveBlocks) {
  std::vector<void*> blocks(20'000);
  for (size_t i = 0; i < blocks.size(); ++i) {
    blocks[i] = malloc(1000);
    fill(blocks[i], 1000, i);
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (i % 16 == 0) continue;
    free(blocks[i]);
    blocks[i] = nullptr;
  }
  malloc_trim(0);
  for (size_t i = 0; i < blocks.size(); i += 16)
    ASSERT_TRUE(holds(blocks[i], 1000, i)) << i;
  for (void* block : blocks)
    free(block);
}

// mallopt(3): 1 on success. The parameters tune glibc's way of allocating; programs set them
// anyway.
TEST(Mallopt, AcceptsTheKnownParameters) {
  EXPECT_EQ(mallopt(M_TRIM_THRESHOLD, 256 << 10), 1);
  EXPECT_EQ(mallopt(M_TOP_PAD, 64 << 10), 1);
  EXPECT_EQ(mallopt(M_MMAP_THRESHOLD, 1 << 20), 1);
  EXPECT_EQ(mallopt(M_MMAP_MAX, 1000), 1);
  EXPECT_EQ(mallopt(M_ARENA_MAX, 2), 1);
}

}  // namespace
