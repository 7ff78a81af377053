// Every size from 1 byte to 1 MiB, and what its class promises.
#include "slab/size_class.h"

#include <gtest/gtest.h>

using namespace quarry;

namespace {

TEST(SizeClass, EverySizeHasTheSmallestClassThatFits) {
  for (std::size_t size = 1; size <= max_small_size; size++) {
    const unsigned c = compute_class(size);
    ASSERT_GE(c, 1u);
    ASSERT_LT(c, class_count);
    ASSERT_GE(bytes_of_class(c), size);
    ASSERT_LT(bytes_of_class(c - 1), size);
  }
}

TEST(SizeClass, GrowsWithTheSizeFromNothingToTheLargest) {
  EXPECT_EQ(bytes_of_class(0), 0u);
  for (unsigned c = 1; c < class_count; c++) {
    EXPECT_GT(bytes_of_class(c), bytes_of_class(c - 1));
    EXPECT_EQ(compute_class(bytes_of_class(c)), c);
  }
  EXPECT_EQ(bytes_of_class(class_count - 1), max_small_size);
}

TEST(SizeClass, WastesLessThanAnEighthAbove128Bytes) {
  for (std::size_t size = 129; size <= max_small_size; size++) {
    const std::size_t bytes = bytes_of_class(compute_class(size));
    ASSERT_LT((bytes - size) * 8, bytes) << size;
  }
}

TEST(SizeClass, IsAMultipleOf16AboveEightBytes) {
  EXPECT_EQ(bytes_of_class(1), 8u);
  for (unsigned c = 2; c < class_count; c++)
    EXPECT_EQ(bytes_of_class(c) % 16, 0u) << c;
}

// What aligned requests rely on: a size rounded up to its alignment has a class of that alignment.
TEST(SizeClass, IsAsAlignedAsTheSizesItIsTheClassOf) {
  for (std::size_t alignment = 16; alignment <= page_size; alignment *= 2) {
    for (std::size_t size = alignment; size <= max_small_size; size += alignment) {
      ASSERT_EQ(bytes_of_class(compute_class(size)) % alignment, 0u)
          << size << " aligned to " << alignment;
    }
  }
}

TEST(SizeClass, TheTableSaysTheSameAsTheArithmetic) {
  for (std::size_t size = 1; size <= max_table_size; size++) {
    ASSERT_EQ(table_class(size), compute_class(size)) << size;
  }
}

// free() takes the class byte of a frame for an index.
TEST(SizeClass, FitsIntoAByte) {
  EXPECT_LE(class_count, 256u);
}

}  // namespace
