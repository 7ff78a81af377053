// Requests that no machine can serve: NULL and ENOMEM (POSIX malloc, posix_memalign; glibc manual
// 3.2.3.1: nothing above PTRDIFF_MAX), and what was there before stays as it was.

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <limits>

#include "block.h"

using namespace preload_test;

namespace {

constexpr size_t size_max = std::numeric_limits<size_t>::max();

// The largest wrap around when a header, a page or an alignment is added; 64 TiB is an ordinary
// size that is merely too much.
const size_t huge_sizes[] = {
    size_max,
    size_max - 1,
    size_max - 15,
    size_max - 4095,
    size_max - (2 << 20),
    size_max / 2 + 2,
    PTRDIFF_MAX + 1ul,
    PTRDIFF_MAX,
    PTRDIFF_MAX - 15,
    PTRDIFF_MAX - 4095,
    PTRDIFF_MAX - (2 << 20),
    size_t{1} << 62,
    size_t{1} << 48,
    size_t{1} << 46,
};

class HugeSize : public testing::TestWithParam<size_t> {
 protected:
  // Expects NULL and ENOMEM of one call.
  template <typename call>
  static void expect_no_memory(const char* name, call allocate) {
    errno = 0;
    void* block = allocate();
    EXPECT_EQ(block, nullptr) << name;
    EXPECT_EQ(errno, ENOMEM) << name;
    if (block) free(block);
  }
};

TEST_P(HugeSize, IsRefusedByTheCallsOfTheCStandard) {
  const size_t size = opaque(GetParam());
  expect_no_memory("malloc", [=] { return malloc(size); });
  expect_no_memory("calloc(1, n)", [=] { return calloc(1, size); });
  expect_no_memory("calloc(n, 1)", [=] { return calloc(size, 1); });
  expect_no_memory("realloc", [=] { return realloc(opaque<void*>(nullptr), size); });
  expect_no_memory("reallocarray", [=] { return reallocarray(opaque<void*>(nullptr), size, 1); });
  expect_no_memory("aligned_alloc", [=] { return aligned_alloc(64, size); });
}

TEST_P(HugeSize, IsRefusedByTheAlignedCalls) {
  const size_t size = opaque(GetParam());
  for (size_t alignment : {size_t{16}, size_t{4096}, size_t{2} << 20, size_t{1} << 30}) {
    expect_no_memory("memalign", [=] { return memalign(alignment, size); });
  }
  expect_no_memory("valloc", [=] { return valloc(size); });
  expect_no_memory("pvalloc", [=] { return pvalloc(size); });
}

// POSIX: the error is returned.
TEST_P(HugeSize, IsRefusedByPosixMemalign) {
  for (size_t alignment : {size_t{8}, size_t{64}, size_t{4096}, size_t{2} << 20}) {
    void* const mark = &alignment;
    void* block = mark;
    EXPECT_EQ(posix_memalign(&block, alignment, opaque(GetParam())), ENOMEM);
    EXPECT_TRUE(block == mark || block == nullptr);
  }
}

TEST_P(HugeSize, LeavesTheOldBlockAsItWasWhenReallocFails) {
  for (size_t old_size :
       {size_t{1}, size_t{100}, size_t{5000}, size_t{300'000}, size_t{80} << 20}) {
    void* block = malloc(old_size);
    ASSERT_NE(block, nullptr);
    fill(block, old_size, 5);
    expect_no_memory("realloc", [&] { return realloc(opaque(block), opaque(GetParam())); });
    expect_no_memory("reallocarray",
                     [&] { return reallocarray(opaque(block), opaque(GetParam()), 1); });
    EXPECT_GE(malloc_usable_size(block), old_size);
    EXPECT_TRUE(holds(block, old_size, 5)) << old_size;
    free(block);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, HugeSize, testing::ValuesIn(huge_sizes));

struct product {
  size_t count, size;
};

// Products above SIZE_MAX, some of which are small or zero in 64 bits.
const product overflows[] = {
    {size_max, 2},
    {2, size_max},
    {size_max, size_max},
    {size_t{1} << 32, size_t{1} << 32},
    {(size_t{1} << 32) + 1, size_t{1} << 32},
    {size_t{1} << 63, 2},
    {size_max / 3 + 1, 3},
    {size_max / 64 + 2, 64},
};

TEST(ProductThatOverflows, IsRefusedByCalloc) {
  for (const product& p : overflows) {
    errno = 0;
    EXPECT_EQ(calloc(opaque(p.count), opaque(p.size)), nullptr) << p.count << " * " << p.size;
    EXPECT_EQ(errno, ENOMEM);
  }
}

TEST(ProductThatOverflows, IsRefusedByReallocarrayWhichKeepsTheBlock) {
  void* block = malloc(100);
  fill(block, 100, 9);
  for (const product& p : overflows) {
    errno = 0;
    EXPECT_EQ(reallocarray(opaque(block), opaque(p.count), opaque(p.size)), nullptr);
    EXPECT_EQ(errno, ENOMEM) << p.count << " * " << p.size;
    EXPECT_TRUE(holds(block, 100, 9));
  }
  free(block);
}

// An alignment this large cannot be met either, however small the block: ENOMEM or, with glibc,
// EINVAL.
TEST(HugeAlignment, IsRefused) {
  for (int bit : {48, 62, 63}) {
    const size_t alignment = opaque(size_t{1} << bit);
    EXPECT_EQ(memalign(alignment, 1), nullptr) << bit;
    EXPECT_EQ(aligned_alloc(alignment, 1), nullptr) << bit;
    void* block = nullptr;
    EXPECT_NE(posix_memalign(&block, alignment, 1), 0) << bit;
    EXPECT_EQ(memalign(alignment, opaque(size_max - 4096)), nullptr) << bit;
  }
}

}  // namespace
