// realloc keeps what both sizes have in common (C17 7.22.3.5), over every border between the ways
// in which blocks are allocated.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>

#include "block.h"

using namespace preload_test;

namespace {

TEST(Realloc, OfNullAllocates) {
  for (size_t size : border_sizes()) {
    void* block = realloc(opaque<void*>(nullptr), size);
    ASSERT_NE(block, nullptr) << size;
    EXPECT_GE(malloc_usable_size(block), size);
    fill(block, size, 1);
    EXPECT_TRUE(holds(block, size, 1)) << size;
    free(block);
  }
}

TEST(Realloc, KeepsTheContentsFromEverySizeToEveryOther) {
  for (size_t from : border_sizes()) {
    for (size_t to : border_sizes()) {
      void* block = malloc(from);
      ASSERT_NE(block, nullptr);
      fill(block, from, 2);
      void* moved = realloc(block, to);
      ASSERT_NE(moved, nullptr);
      ASSERT_GE(malloc_usable_size(moved), to) << from << " to " << to;
      ASSERT_TRUE(is_aligned(moved, to <= 8 ? 8 : 16)) << from << " to " << to;
      ASSERT_TRUE(holds(moved, std::min(from, to), from, 2)) << from << " to " << to;
      fill(moved, to, 3);
      ASSERT_TRUE(holds(moved, to, 3)) << from << " to " << to;
      free(moved);
    }
  }
}

TEST(Realloc, KeepsTheContentsOfAlignedBlocks) {
  for (size_t alignment : {size_t{64}, size_t{4096}, size_t{64} << 10, size_t{4} << 20}) {
    for (size_t from : {size_t{100}, size_t{5000}, size_t{400'000}, size_t{80} << 20}) {
      for (size_t to : {size_t{10}, size_t{200}, size_t{9000}, size_t{1} << 20, size_t{90} << 20}) {
        void* block = memalign(alignment, from);
        fill(block, from, 4);
        void* moved = realloc(block, to);
        ASSERT_NE(moved, nullptr);
        ASSERT_TRUE(holds(moved, std::min(from, to), from, 4))
            << from << " to " << to << " at " << alignment;
        free(moved);
      }
    }
  }
}

TEST(Realloc, ToTheSameSizeStaysInPlace) {
  for (size_t size : border_sizes()) {
    void* block = malloc(size);
    const uintptr_t before = address_of(block);
    block = realloc(block, size);
    EXPECT_EQ(address_of(block), before) << size;
    free(block);
  }
}

// A promise of Quarry: glibc moves large blocks here, which need more for their header.
TEST(Realloc, WithinTheUsableSizeStaysInPlace) {
  for (size_t size : border_sizes()) {
    void* block = malloc(size);
    const uintptr_t before = address_of(block);
    block = realloc(block, malloc_usable_size(block));
    EXPECT_EQ(address_of(block), before) << size;
    free(block);
  }
}

// What a shrunk block no longer needs is to be of use to others.
TEST(Realloc, ShrinkingALargeBlockGivesMemoryBack) {
  for (size_t from : {size_t{1} << 20, size_t{16} << 20, size_t{100} << 20}) {
    const size_t before = bytes_in_use();
    void* block = malloc(from);
    fill(block, from, 5);
    block = realloc(block, from / 16);
    EXPECT_LT(bytes_in_use() - before, from / 4) << from;
    EXPECT_TRUE(holds(block, from / 16, from, 5));
    free(block);
  }
}

TEST(Realloc, KeepsALargeVectorThatGrowsInSteps) {
  constexpr size_t step = (size_t{1} << 20) / sizeof(uint64_t);
  constexpr size_t steps = 100;
  uint64_t* vector = nullptr;
  for (size_t grown = 1; grown <= steps; ++grown) {
    vector = static_cast<uint64_t*>(realloc(vector, grown * step * sizeof(uint64_t)));
    ASSERT_NE(vector, nullptr);
    for (size_t i = (grown - 1) * step; i < grown * step; ++i)
      vector[i] = i * 0x9e3779b97f4a7c15;
  }
  for (size_t i = 0; i < steps * step; ++i)
    ASSERT_EQ(vector[i], i * 0x9e3779b97f4a7c15) << i;
  free(vector);
}

TEST(Realloc, KeepsVectorsThatGrowByTurns) {
  constexpr int count = 8;
  void* vectors[count] = {};
  size_t sizes[count] = {};
  for (int turn = 0; turn < 60; ++turn) {
    for (int i = 0; i < count; ++i) {
      const size_t size = sizes[i] + sizes[i] / 4 + 16 + i;
      void* grown = realloc(vectors[i], size);
      ASSERT_NE(grown, nullptr);
      ASSERT_TRUE(holds(grown, sizes[i], i)) << size;
      fill(grown, size, i);
      vectors[i] = grown;
      sizes[i] = size;
    }
  }
  for (void* vector : vectors)
    free(vector);
}

TEST(Reallocarray, GrowsByMembersAndKeepsThem) {
  auto* numbers = static_cast<int*>(reallocarray(nullptr, 10, sizeof(int)));
  for (int i = 0; i < 10; ++i)
    numbers[i] = i * i;
  numbers = static_cast<int*>(reallocarray(numbers, 100'000, sizeof(int)));
  ASSERT_NE(numbers, nullptr);
  EXPECT_GE(malloc_usable_size(numbers), 100'000 * sizeof(int));
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(numbers[i], i * i);
  free(numbers);
}

}  // namespace
