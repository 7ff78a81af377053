// The figures beside what was asked for: exact while nobody else uses the heap.
#include "observe/figures.h"

#include <random>

#include "../page/started.h"
#include "heap/heap.h"
#include "page/page_alloc.h"
#include "page/zone.h"
#include "slab/cache.h"

using namespace page_test;

namespace {

class Figures : public testing::Test {
 protected:
  void SetUp() override {
    start_heap();
    trim(0);
    before = take_figures();
  }
  void TearDown() override {
    for (void* block : blocks)
      release(block, "free");
    const heap_figures after = take_figures();
    EXPECT_EQ(after.small_in_use, before.small_in_use);
    EXPECT_EQ(after.runs_in_use, before.runs_in_use);
  }

  void* hold(void* block) {
    EXPECT_NE(block, nullptr);
    blocks.push_back(block);
    return block;
  }

  heap_figures before{};
  std::vector<void*> blocks;
};

TEST_F(Figures, SmallBlocksInUseAreThoseThatTheProgramHolds) {
  std::minstd_rand random(1);
  std::size_t held = 0;
  for (int i = 0; i < 20'000; i++) {
    held += usable_size(hold(allocate(1 + random() % 4000)), "test");
    if (i % 3 == 0) {
      held -= usable_size(blocks.back(), "test");
      release(blocks.back(), "free");
      blocks.pop_back();
    }
    if (i % 1000 == 0) {
      ASSERT_EQ(take_figures().small_in_use, before.small_in_use + held);
    }
  }
  EXPECT_EQ(take_figures().small_in_use, before.small_in_use + held);
}

TEST_F(Figures, InUseInArraysAndFreeAreTogetherTheObjectsOfAllSlabs) {
  std::minstd_rand random(2);
  for (int i = 0; i < 5000; i++)
    hold(allocate(1 + random() % 100'000));
  for (int i = 0; i < 4000; i++) {
    std::swap(blocks[random() % blocks.size()], blocks.back());
    release(blocks.back(), "free");
    blocks.pop_back();
  }
  const heap_figures f = take_figures();
  std::size_t objects = 0, pages = 0;
  for (unsigned c = 1; c < class_count; c++) {
    const cache_figures cache = general_caches[c].figures();
    const slab_shape& shape = general_caches[c].shape();
    objects += cache.slabs * shape.objects * shape.object_size;
    pages += cache.slabs * shape.pages + cache.shared_pages;
  }
  EXPECT_EQ(f.small_in_use + f.small_cached + f.small_free, objects);
  EXPECT_EQ(f.slab_pages, pages << page_shift);
  EXPECT_GT(f.small_cached, 0u);
  EXPECT_GT(f.small_free, 0u);
}

TEST_F(Figures, EveryCommittedPageIsFreeInASlabOrInARun) {
  std::size_t runs = 0;
  for (std::size_t size : {2 * mib, 5 * mib + 1, 7 * mib - 1}) {
    hold(allocate(size));
    runs += align_up(size, page_size);
  }
  for (int i = 0; i < 1000; i++)
    hold(allocate(500));
  const heap_figures f = take_figures();
  EXPECT_EQ(f.runs_in_use, before.runs_in_use + runs);
  EXPECT_EQ(f.committed, f.runs_in_use + f.slab_pages + f.free_pages);
  EXPECT_EQ(f.committed, region.committed);
  EXPECT_LE(f.dirty_pages, f.free_pages);
}

TEST_F(Figures, FreedMemoryIsDirtyUntilItIsGivenBack) {
  void* block = allocate(16 * mib);
  mark(block, 16 * mib >> page_shift, 1);
  const std::size_t dirty = take_figures().dirty_pages;
  release(block, "free");
  EXPECT_EQ(take_figures().dirty_pages, dirty + 16 * mib);
  trim(0);
  EXPECT_EQ(take_figures().dirty_pages, 0u);
}

TEST_F(Figures, BlocksOfVmallocAreCountedApart) {
  void* block = allocate(2 * gib);
  ASSERT_NE(block, nullptr);
  const heap_figures f = take_figures();
  EXPECT_EQ(f.vm_blocks, before.vm_blocks + 1);
  EXPECT_EQ(f.vm_bytes, before.vm_bytes + usable_size(block, "test"));
  EXPECT_EQ(f.runs_in_use, before.runs_in_use);
  release(block, "free");
  EXPECT_EQ(take_figures().vm_blocks, before.vm_blocks);
}

}  // namespace
