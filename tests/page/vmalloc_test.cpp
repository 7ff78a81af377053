// Blocks with a mapping of their own.
#include "page/vmalloc.h"

#include <sys/resource.h>

#include "../preload/child.h"
#include "os/memory.h"
#include "page/page_alloc.h"
#include "started.h"

using namespace page_test;

namespace {

class Vmalloc : public testing::Test {
 protected:
  void SetUp() override {
    start_heap();
    before = vm_in_use();
  }
  void TearDown() override {
    EXPECT_EQ(vm_in_use().blocks, before.blocks);
    EXPECT_EQ(vm_in_use().bytes, before.bytes);
  }

  static char* allocate(std::size_t bytes) {
    void* block = vm_allocate(bytes);
    EXPECT_NE(block, nullptr);
    return static_cast<char*>(block);
  }
  static char* resize(void* block, std::size_t bytes) {
    return static_cast<char*>(vm_resize(vm_block(block), bytes));
  }

  vm_figures before;
};

TEST_F(Vmalloc, ABlockIsZeroWritableToItsEndAndCounted) {
  for (std::size_t bytes : {std::size_t{1}, page_size, 2 * mib, 5 * mib + 1, 64 * mib}) {
    char* block = allocate(bytes);
    page* entry = vm_block(block);
    ASSERT_NE(entry, nullptr);
    EXPECT_GE(vm_size(entry), bytes);
    EXPECT_LT(vm_size(entry), bytes + bytes / 4 + 2 * page_size);
    EXPECT_TRUE(is_zero(block, vm_size(entry)));
    mark(block, vm_size(entry) >> page_shift, 1);
    EXPECT_EQ(vm_in_use().blocks, before.blocks + 1);
    EXPECT_EQ(vm_in_use().bytes, before.bytes + vm_size(entry));
    vm_free(entry);
  }
}

TEST_F(Vmalloc, ThePageBehindABlockIsGuarded) {
  for (std::size_t bytes : {page_size, 2 * mib - page_size, 2 * mib, 10 * mib}) {
    char* block = allocate(bytes);
    const std::size_t size = vm_size(vm_block(block));
    const auto access = [&](std::size_t offset) {
      return preload_test::run_in_child([&] { *static_cast<volatile char*>(block + offset) = 1; });
    };
    EXPECT_TRUE(access(size - 1).succeeded());
    EXPECT_FALSE(access(size).succeeded());
    vm_free(vm_block(block));
  }
}

TEST_F(Vmalloc, ThePageBehindIsGuardedAtEverySizeOfAGrowingBlock) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  // write(2) answers EFAULT where the program itself would end.
  const auto readable = [&](const char* address) {
    char byte;
    return write(ends[1], address, 1) == 1 && read(ends[0], &byte, 1) == 1;
  };
  char* block = allocate(1 * mib);
  // Neighbours, so that what is behind its place can be read.
  std::vector<char*> others;
  for (std::size_t megabytes : {1, 1, 3, 3, 6, 6})
    others.push_back(allocate(megabytes * mib));
  for (std::size_t bytes = 1 * mib; bytes <= 9 * mib; bytes += page_size) {
    ASSERT_NE(block = resize(block, bytes), nullptr);
    const std::size_t size = vm_size(vm_block(block));
    ASSERT_TRUE(readable(block + size - 1)) << bytes;
    ASSERT_FALSE(readable(block + size)) << bytes;
  }
  for (char* other : others)
    vm_free(vm_block(other));
  vm_free(vm_block(block));
  close(ends[0]);
  close(ends[1]);
}

TEST_F(Vmalloc, AFreedBlockCanNotBeTouchedAndIsNoBlock) {
  char* block = allocate(4 * mib);
  *block = 1;
  vm_free(vm_block(block));
  EXPECT_EQ(vm_block(block), nullptr);
  EXPECT_EQ(vm_block_around(block), nullptr);
  EXPECT_FALSE(
      preload_test::run_in_child([&] { (void)*static_cast<volatile char*>(block); }).succeeded());
}

TEST_F(Vmalloc, ABlockIsKnownByItsBeginAndByAnyAddressInIt) {
  char* block = allocate(20 * mib);
  ASSERT_NE(vm_block(block), nullptr);
  EXPECT_EQ(vm_block(block + 1), nullptr);
  EXPECT_EQ(vm_block(block + page_size), nullptr);
  EXPECT_EQ(vm_block(block + vm_unit), nullptr);
  for (std::size_t offset = 0; offset < 20 * mib; offset += mib + 4095) {
    EXPECT_EQ(vm_block_around(block + offset), block);
  }
  EXPECT_EQ(vm_block(region.vm_units.base + (region.vm_units.total << vm_unit_shift) - 1), nullptr);
  EXPECT_EQ(vm_block_around(region.vm_units.base + (region.vm_units.total << vm_unit_shift) - 1),
            nullptr);
  vm_free(vm_block(block));
}

TEST_F(Vmalloc, ThereIsRoomToGrowInPlace) {
  char* block = allocate(4 * mib);
  mark(block, 4 * mib >> page_shift, 3);
  ASSERT_EQ(resize(block, 4 * mib + 1), block);
  ASSERT_EQ(resize(block, 7 * mib), block);
  EXPECT_GE(vm_size(vm_block(block)), 7 * mib);
  EXPECT_TRUE(is_marked(block, 4 * mib >> page_shift, 3));
  EXPECT_TRUE(is_zero(block + 4 * mib, 3 * mib));
  vm_free(vm_block(block));
}

// Pages move without being copied: what was not resident does not become so.
TEST_F(Vmalloc, GrowingThroughManyPlacesKeepsTheContentsAndCopiesNothing) {
  constexpr std::size_t marked = 3 * mib >> page_shift;
  char* block = allocate(3 * mib);
  mark(block, marked, 3);
  for (std::size_t bytes = 6 * mib; bytes <= 2 * gib; bytes += bytes / 2) {
    char* grown = resize(block, align_down(bytes, page_size) + 1);
    ASSERT_NE(grown, nullptr) << bytes;
    ASSERT_GT(vm_size(vm_block(grown)), bytes);
    ASSERT_TRUE(is_marked(grown, marked, 3));
    ASSERT_EQ(resident_pages(grown, align_down(bytes, page_size)), marked);
    if (grown != block) {
      ASSERT_EQ(vm_block(block), nullptr) << "the old place is still a block";
    }
    block = grown;
  }
  EXPECT_TRUE(is_zero(block + 3 * mib, 16 * mib));
  EXPECT_EQ(vm_in_use().blocks, before.blocks + 1);
  vm_free(vm_block(block));
}

TEST_F(Vmalloc, ShrinkingMuchGivesTheMemoryBackAndKeepsTheRest) {
  char* block = allocate(64 * mib);
  mark(block, 64 * mib >> page_shift, 3);
  ASSERT_EQ(resize(block, 10 * mib), block);
  EXPECT_LT(vm_size(vm_block(block)), 20 * mib);
  EXPECT_TRUE(is_marked(block, 10 * mib >> page_shift, 3));
  EXPECT_EQ(resident_pages(block + 20 * mib, 44 * mib), 0u);
  ASSERT_EQ(resize(block, 40 * mib), block);
  EXPECT_TRUE(is_marked(block, 10 * mib >> page_shift, 3));
  EXPECT_TRUE(is_zero(block + 20 * mib, 20 * mib));
  vm_free(vm_block(block));
}

TEST_F(Vmalloc, TakesOverTheContentsOfARunAndLeavesItZero) {
  constexpr std::size_t pages = 2 * mib >> page_shift;
  bool clean;
  page* run = alloc_run(pages, 1, &clean);
  ASSERT_NE(run, nullptr);
  char* old = region.frames.address_of(run);
  mark(old, pages, 11);
  char* block = static_cast<char*>(vm_adopt(old, 2 * mib, 5 * mib));
  ASSERT_NE(block, nullptr);
  EXPECT_TRUE(is_marked(block, pages, 11));
  EXPECT_TRUE(is_zero(block + 2 * mib, 3 * mib));
  EXPECT_GE(vm_size(vm_block(block)), 5 * mib);
  EXPECT_TRUE(is_zero(old, 2 * mib));
  mark(old, pages, 99);
  EXPECT_TRUE(is_marked(block, pages, 11));
  free_run(run, pages, false);
  vm_free(vm_block(block));
}

TEST_F(Vmalloc, WhatIsImpossibleIsRefusedAndChangesNothing) {
  EXPECT_EQ(vm_allocate(PTRDIFF_MAX), nullptr);
  EXPECT_EQ(vm_allocate(SIZE_MAX - page_size), nullptr);
  char* block = allocate(4 * mib);
  mark(block, 4 * mib >> page_shift, 3);
  EXPECT_EQ(resize(block, PTRDIFF_MAX), nullptr);
  EXPECT_EQ(resize(block, region.vm_units.total << vm_unit_shift), nullptr);
  EXPECT_TRUE(is_marked(block, 4 * mib >> page_shift, 3));
  vm_free(vm_block(block));
}

TEST_F(Vmalloc, PlacesAreUsedAgain) {
  // More than the area has, one after the other.
  const std::size_t rounds = 3 * (region.vm_units.total << vm_unit_shift) / (256 * gib);
  for (std::size_t i = 0; i < rounds; i++) {
    void* block = vm_allocate(100 * gib);
    if (!block) GTEST_SKIP() << "needs an address space that takes 100 GiB";
    vm_free(vm_block(block));
  }
}

}  // namespace
