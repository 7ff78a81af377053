// Where blocks begin: fit for any type with fundamental alignment (C17 7.22.3), at the alignment
// asked for up to and beyond a huge page, and the errors of alignments that are none.

#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdlib>

#include "block.h"

using namespace preload_test;

namespace {

// C17 7.22.3 as read by N2293: a block of 8 bytes cannot hold an object that needs 16, so 8 will
// do.
TEST(Alignment, FitsEveryTypeThatFitsTheBlock) {
  for (size_t size : border_sizes()) {
    const size_t alignment = size <= 8 ? 8 : 16;
    void* blocks[] = {malloc(size), calloc(1, size), realloc(nullptr, size), malloc(size)};
    for (void* block : blocks)
      EXPECT_TRUE(is_aligned(block, alignment)) << size << " " << block;
    for (void* block : blocks)
      free(block);
  }
}

struct aligned_call {
  const char* name;
  void* (*allocate)(size_t alignment, size_t size);
};

void PrintTo(const aligned_call& call, std::ostream* out) {
  *out << call.name;
}

const aligned_call aligned_calls[] = {
    {"aligned_alloc", aligned_alloc},
    {"memalign", memalign},
    {"posix_memalign",
     [](size_t alignment, size_t size) {
       void* block = nullptr;
       EXPECT_EQ(posix_memalign(&block, alignment, size), 0);
       return block;
     }},
};

class AlignedCall : public testing::TestWithParam<aligned_call> {
 protected:
  // Three blocks at a time, so that they can be seen not to overlap.
  static void expect_aligned(size_t alignment, size_t size) {
    SCOPED_TRACE(testing::Message() << "alignment " << alignment << " size " << size);
    void* blocks[3];
    for (unsigned i = 0; i < 3; ++i) {
      blocks[i] = GetParam().allocate(alignment, size);
      ASSERT_NE(blocks[i], nullptr);
      ASSERT_TRUE(is_aligned(blocks[i], alignment)) << blocks[i];
      ASSERT_GE(malloc_usable_size(blocks[i]), size);
      fill(blocks[i], malloc_usable_size(blocks[i]), i);
    }
    for (unsigned i = 0; i < 3; ++i) {
      ASSERT_TRUE(holds(blocks[i], malloc_usable_size(blocks[i]), i));
      free(blocks[i]);
    }
  }
};

TEST_P(AlignedCall, AlignsBlocksOfAllSizesUpToBeyondAHugePage) {
  for (size_t alignment = 8; alignment <= size_t{16} << 20; alignment *= 2) {
    for (size_t size : {0, 1, 8, 24, 100, 1024, 4096, 5000, 40'000, 262'144, 300'000, 3 << 20}) {
      expect_aligned(alignment, size);
    }
  }
}

TEST_P(AlignedCall, AlignsLargeBlocks) {
  for (size_t alignment : {size_t{8}, size_t{4096}, size_t{2} << 20, size_t{64} << 20}) {
    for (size_t size : {size_t{64} << 20, (size_t{64} << 20) + 1, size_t{100'000'000}}) {
      expect_aligned(alignment, size);
    }
  }
}

TEST_P(AlignedCall, AlignsSmallBlocksUpToAGibibyte) {
  for (size_t alignment = size_t{32} << 20; alignment <= size_t{1} << 30; alignment *= 2) {
    for (size_t size : {0, 1, 100, 5000, 300'000})
      expect_aligned(alignment, size);
  }
}

TEST_P(AlignedCall, AlignsBlocksAboveAGibibyte) {
  const size_t size = (size_t{1} << 30) + 8192;
  for (size_t alignment = 64; alignment <= size_t{1} << 30; alignment *= 4) {
    char* block = static_cast<char*>(GetParam().allocate(alignment, size));
    ASSERT_NE(block, nullptr) << alignment;
    EXPECT_TRUE(is_aligned(block, alignment)) << static_cast<void*>(block) << " " << alignment;
    EXPECT_GE(malloc_usable_size(block), size);
    block[0] = block[size - 1] = 1;
    free(block);
  }
}

INSTANTIATE_TEST_SUITE_P(Calls, AlignedCall, testing::ValuesIn(aligned_calls),
                         [](const auto& info) { return std::string(info.param.name); });

// POSIX posix_memalign: EINVAL unless a power of two and a multiple of sizeof(void *).
TEST(NoAlignment, IsRefusedByPosixMemalign) {
  for (size_t alignment : {0, 1, 2, 3, 4, 6, 7, 12, 24, 40, 48, 100, 4095, 4097, 3 << 20}) {
    void* const mark = &alignment;
    void* block = mark;
    errno = 4711;
    EXPECT_EQ(posix_memalign(&block, alignment, 100), EINVAL) << alignment;
    EXPECT_EQ(errno, 4711) << "the error is returned, errno is not set";
    EXPECT_EQ(block, mark) << alignment;
  }
}

// glibc manual 3.2.3.6: EINVAL for what is no power of two (its own rounded up before 2.38).
TEST(NoAlignment, IsRefusedByAlignedAlloc) {
  for (size_t alignment : {0, 3, 6, 7, 12, 24, 40, 48, 100, 4095, 4097, 3 << 20}) {
    errno = 0;
    EXPECT_EQ(aligned_alloc(opaque(alignment), 100), nullptr) << alignment;
    EXPECT_EQ(errno, EINVAL) << alignment;
  }
}

// glibc, malloc.c: rounded up, and EINVAL where there is no power of two above it.
TEST(NoAlignment, IsTheNextPowerOfTwoForMemalign) {
  for (size_t alignment : {0, 3, 6, 7, 12, 24, 40, 48, 100, 4095, 4097, 3 << 20}) {
    void* block = memalign(opaque(alignment), 100);
    ASSERT_NE(block, nullptr) << alignment;
    EXPECT_TRUE(is_aligned(block, std::bit_ceil(alignment))) << alignment;
    free(block);
  }
  for (size_t alignment : {SIZE_MAX / 2 + 2, SIZE_MAX}) {
    errno = 0;
    EXPECT_EQ(memalign(opaque(alignment), 100), nullptr) << alignment;
    EXPECT_EQ(errno, EINVAL) << alignment;
  }
}

// There may be such a thing, but no memory that has it.
TEST(AlignmentAboveAGibibyte, IsNoMemory) {
  for (int power : {31, 32, 40, 47, 48, 62, 63}) {
    const size_t alignment = size_t{1} << power;
    for (size_t size : {size_t{0}, size_t{100}, size_t{1} << 30}) {
      SCOPED_TRACE(testing::Message() << "2^" << power << ", size " << size);
      for (auto* allocate : {memalign, aligned_alloc}) {
        errno = 0;
        EXPECT_EQ(allocate(opaque(alignment), size), nullptr);
        EXPECT_EQ(errno, ENOMEM);
      }
      void* const mark = &errno;
      void* block = mark;
      errno = 4711;
      EXPECT_EQ(posix_memalign(&block, opaque(alignment), size), ENOMEM);
      EXPECT_EQ(errno, 4711) << "the error is returned, errno is not set";
      EXPECT_EQ(block, mark);
    }
  }
}

// C17 7.22.3.1 as corrected by DR 460: the size need not be a multiple of the alignment.
TEST(AlignedAlloc, TakesSizesThatAreNoMultipleOfTheAlignment) {
  void* block = aligned_alloc(256, opaque(257));
  ASSERT_NE(block, nullptr);
  EXPECT_TRUE(is_aligned(block, 256));
  EXPECT_GE(malloc_usable_size(block), 257u);
  free(block);
}

TEST(Valloc, AlignsToPages) {
  const size_t page = sysconf(_SC_PAGESIZE);
  for (size_t size : border_sizes()) {
    void* block = valloc(size);
    EXPECT_TRUE(is_aligned(block, page)) << size;
    EXPECT_GE(malloc_usable_size(block), size);
    free(block);
  }
}

// pvalloc also rounds the size up to pages (glibc manual 3.2.3.6).
TEST(Pvalloc, AlignsToPagesAndRoundsTheSizeUpToPages) {
  const size_t page = sysconf(_SC_PAGESIZE);
  for (size_t size : border_sizes()) {
    void* block = pvalloc(size);
    const size_t rounded = (size + page - 1) / page * page;
    EXPECT_TRUE(is_aligned(block, page)) << size;
    EXPECT_GE(malloc_usable_size(block), rounded) << size;
    free(block);
  }
}

}  // namespace
