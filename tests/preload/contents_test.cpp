// What a block may be used for: all of its usable size, zeros from calloc however dirty the memory
// was, and errno that free leaves alone.

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "block.h"

using namespace preload_test;

namespace {

TEST(UsableSize, IsAtLeastTheRequestAndWritableToTheLastByte) {
  for (size_t size : border_sizes()) {
    std::vector<void*> blocks(size > 1 << 20 ? 2 : 16);
    for (unsigned i = 0; i < blocks.size(); ++i) {
      blocks[i] = malloc(size);
      ASSERT_GE(malloc_usable_size(blocks[i]), size);
      fill(blocks[i], malloc_usable_size(blocks[i]), i);
    }
    for (unsigned i = 0; i < blocks.size(); ++i) {
      ASSERT_TRUE(holds(blocks[i], malloc_usable_size(blocks[i]), i)) << size;
      free(blocks[i]);
    }
  }
}

bool all_zero(const void* block, size_t size) {
  const auto* bytes = static_cast<const char*>(block);
  return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

class Calloc : public testing::TestWithParam<size_t> {};

TEST_P(Calloc, GivesZerosInMemoryThatWasDirtied) {
  const size_t size = GetParam();
  const size_t count = std::clamp<size_t>((size_t{16} << 20) / size, 2, 2000);
  std::vector<void*> blocks(count);
  for (int round = 0; round < 3; ++round) {
    for (void*& block : blocks) {
      block = malloc(size);
      ASSERT_NE(block, nullptr);
      memset(block, 0xff, malloc_usable_size(block));
    }
    for (void* block : blocks)
      free(block);
    for (void*& block : blocks) {
      block = calloc(1, size);
      ASSERT_NE(block, nullptr);
      ASSERT_TRUE(all_zero(block, size));
    }
    for (void* block : blocks)
      free(block);
  }
}

// A block that is freed and taken again at once is the one most likely to be as it was left.
TEST_P(Calloc, GivesZerosInABlockJustFreed) {
  const size_t size = GetParam();
  for (int round = 0; round < 20; ++round) {
    void* block = calloc(size, 1);
    ASSERT_NE(block, nullptr);
    ASSERT_TRUE(all_zero(block, size));
    memset(block, 0xff, size);
    free(block);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Calloc,
                         testing::Values(1, 8, 9, 16, 40, 64, 100, 256, 1000, 1024, 2048, 4096,
                                         5000, 8192, 20'000, 32'768, 65'536, 100'000, 262'144,
                                         262'145, 1'000'000, 2 << 20, 10'000'000, (64 << 20) + 1));

// A block that grew over dirty memory and shrank again must not lend its dirt to calloc.
TEST(Calloc, GivesZerosAfterReallocMovedBordersOverDirtyMemory) {
  for (size_t size : {size_t{400'000}, size_t{4} << 20, size_t{70} << 20}) {
    void* block = malloc(size);
    memset(block, 0xff, size);
    block = realloc(block, size / 4);
    void* zeros = calloc(1, size / 2);
    EXPECT_TRUE(all_zero(zeros, size / 2)) << size;
    memset(zeros, 0xff, size / 2);
    free(zeros);
    free(block);
    zeros = calloc(1, size);
    EXPECT_TRUE(all_zero(zeros, size)) << size;
    free(zeros);
  }
}

// POSIX.1-2024 free(): errno is preserved (glibc since 2.33).
TEST(Free, KeepsErrnoForBlocksOfEverySize) {
  for (size_t size : border_sizes()) {
    std::vector<void*> blocks(size > 100'000 ? 4 : 500);
    for (void*& block : blocks) {
      block = malloc(size);
      ASSERT_NE(block, nullptr);
      fill(block, size, 1);
    }
    for (void* block : blocks) {
      errno = 4711;
      free(block);
      ASSERT_EQ(errno, 4711) << size;
    }
  }
}

}  // namespace
