// Large blocks: runs of pages that grow and shrink where they are, and pass into vmalloc when they
// can not.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <array>

#include "../os/sanitizer.h"
#include "../page/started.h"
#include "../preload/child.h"
#include "heap/heap.h"
#include "observe/figures.h"
#include "page/zone.h"

using namespace page_test;

namespace {

bool is_run(const void* block) {
  return in_frames(block);
}
bool is_vm(const void* block) {
  return region.vm_units.contains(block);
}

class Large : public testing::Test {
 protected:
  void SetUp() override {
    start_heap();
    trim(0);
    used_before = normal_zone.used_pages();
  }
  void TearDown() override {
    trim(0);
    EXPECT_EQ(normal_zone.used_pages(), used_before);
  }

  static char* allocate_marked(std::size_t size) {
    char* block = static_cast<char*>(allocate(size));
    EXPECT_NE(block, nullptr);
    mark(block, size >> page_shift, 1);
    return block;
  }
  static char* resize(char* block, std::size_t size) {
    return static_cast<char*>(reallocate(block, size));
  }

  std::size_t used_before = 0;
};

TEST_F(Large, ABlockTakesNoMorePagesThanItNeeds) {
  for (std::size_t size : {max_small_size + 1, 2 * max_small_size + 1, 33 * mib}) {
    void* block = allocate(size);
    EXPECT_TRUE(is_run(block));
    EXPECT_EQ(normal_zone.used_pages() - used_before, bytes_to_pages(size));
    release(block, "free");
    EXPECT_EQ(normal_zone.used_pages(), used_before);
  }
}

TEST_F(Large, GrowsInPlaceWhileThePagesBehindAreFree) {
  char* block = allocate_marked(16 * mib);
  char* shrunk = resize(block, 4 * mib);
  EXPECT_EQ(shrunk, block);
  EXPECT_EQ(normal_zone.used_pages() - used_before, 4 * mib >> page_shift);
  char* grown = resize(block, 12 * mib);
  EXPECT_EQ(grown, block);
  EXPECT_EQ(usable_size(grown, "test"), 12 * mib);
  EXPECT_TRUE(is_marked(grown, 4 * mib >> page_shift, 1));
  release(grown, "free");
}

TEST_F(Large, GrownBeyondWhatIsFreeBehindItMovesWithoutBeingCopied) {
  char* block = allocate_marked(8 * mib);
  // Whatever lies behind it is in use.
  std::vector<void*> others;
  while (others.empty() || static_cast<char*>(others.back()) < block + 8 * mib) {
    others.push_back(allocate(8 * mib));
  }
  for (int i = 0; i < 8; i++)
    others.push_back(allocate(1 * mib));
  const heap_figures before = take_figures();
  char* grown = resize(block, 1 * gib);
  ASSERT_NE(grown, nullptr);
  ASSERT_NE(grown, block);
  EXPECT_TRUE(is_vm(grown));
  EXPECT_TRUE(is_marked(grown, 8 * mib >> page_shift, 1));
  EXPECT_EQ(resident_pages(grown, 1 * gib), 8 * mib >> page_shift);
  EXPECT_EQ(take_figures().vm_blocks, before.vm_blocks + 1);
  release(grown, "free");
  EXPECT_EQ(take_figures().vm_blocks, before.vm_blocks);
  for (void* other : others)
    release(other, "free");
}

// The pages that it left would have to come into memory again.
TEST_F(Large, OfFewMegabytesIsCopied) {
  char* block = allocate_marked(2 * mib);
  void* behind = allocate(8 * mib);
  const heap_figures before = take_figures();
  char* grown = resize(block, 3 * mib);
  ASSERT_NE(grown, block);
  EXPECT_TRUE(is_run(grown));
  EXPECT_TRUE(is_marked(grown, 2 * mib >> page_shift, 1));
  EXPECT_EQ(take_figures().dirty_pages - before.dirty_pages, 2 * mib);
  release(grown, "free");
  release(behind, "free");
}

TEST_F(Large, ThePagesAGrownBlockLeftBehindAreCleanForTheNext) {
  char* block = allocate_marked(8 * mib);
  void* behind = allocate(8 * mib);
  char* grown = resize(block, 1 * gib);
  ASSERT_NE(grown, nullptr);
  void* next = allocate_zeroed(8 * mib);
  EXPECT_TRUE(is_zero(next, 8 * mib));
  release(next, "free");
  release(grown, "free");
  release(behind, "free");
}

TEST_F(Large, GrowsFromAFewBytesToManyAndBackWithItsContents) {
  std::size_t size = 24;
  char* block = static_cast<char*>(allocate(size));
  for (std::size_t i = 0; i < size; i++)
    block[i] = static_cast<char>(i);
  const auto intact = [&] {
    for (std::size_t i = 0; i < 24; i++) {
      if (block[i] != static_cast<char>(i)) return false;
    }
    return true;
  };
  for (; size < 3 * gib; size += size / 2) {
    ASSERT_NE(block = resize(block, size), nullptr) << size;
    ASSERT_GE(usable_size(block, "test"), size);
    if (size > 24) block[size - 1] = 0x55;
    ASSERT_TRUE(intact()) << size;
  }
  for (; size > 48; size /= 3) {
    ASSERT_NE(block = resize(block, size), nullptr) << size;
    ASSERT_TRUE(intact()) << size;
    ASSERT_LT(usable_size(block, "test"), 4 * size + page_size);
  }
  release(block, "free");
}

TEST_F(Large, GrowsAtTheEndOfTheHeapWhereItIs) {
  // There is no such gap: it lies behind all others.
  char* block = static_cast<char*>(allocate(512 * mib));
  ASSERT_TRUE(is_run(block));
  ASSERT_EQ(resize(block, 2 * mib), block);
  mark(block, 2 * mib >> page_shift, 1);
  const std::size_t committed = normal_zone.committed_pages();
  EXPECT_EQ(resize(block, 900 * mib), block);
  EXPECT_GT(normal_zone.committed_pages(), committed);
  EXPECT_TRUE(is_marked(block, 2 * mib >> page_shift, 1));
  release(block, "free");
}

TEST_F(Large, OneThatIsCopiedAsItGrowsGoesWhereItCanGoOn) {
  char* block = allocate_marked(512 * kib);
  void* behind = allocate(2 * mib);
  char* grown = resize(block, 400 * mib);
  ASSERT_TRUE(is_run(grown));
  EXPECT_EQ(resize(grown, 800 * mib), grown);
  EXPECT_TRUE(is_marked(grown, 512 * kib >> page_shift, 1));
  release(grown, "free");
  release(behind, "free");
}

// Runs with a gap of ten pages behind each, and one of 3 MiB behind all of them.
class gaps {
 public:
  gaps() {
    for (void*& run : runs_)
      run = allocate_aligned(2 * page_size, 10 * page_size);
    void* last = allocate(3 * mib);
    fence_ = allocate_aligned(2 * page_size, page_size);
    for (std::size_t i = 1; i < runs_.size(); i += 2)
      release(runs_[i], "free");
    release(last, "free");
  }
  ~gaps() {
    for (void* filler : below_)
      release(filler, "free");
    for (std::size_t i = 0; i < runs_.size(); i += 2)
      release(runs_[i], "free");
    release(fence_, "free");
  }

 private:
  // What other tests have left free.
  static std::vector<void*> fill_heap() {
    std::vector<void*> fillers;
    for (std::size_t size = 1 * gib; size >= 40 * kib; size /= 2) {
      const std::size_t before = normal_zone.committed_pages();
      while (normal_zone.committed_pages() == before)
        fillers.push_back(allocate(size));
    }
    return fillers;
  }

  std::vector<void*> below_ = fill_heap();
  std::array<void*, 200> runs_;
  void* fence_;
};

// Grows a block by half each time. Returns how often it moved once it was a run.
unsigned grow_by_half(std::size_t last) {
  unsigned moves = 0;
  void* block = reallocate(allocate(5 * kib), 8 * kib);
  for (std::size_t size = 8 * kib; size < last; size += size / 2) {
    void* grown = reallocate(block, size + size / 2);
    moves += grown != block;
    block = grown;
  }
  release(block, "free");
  return moves;
}

TEST_F(Large, WhereSomeHaveGrownTheNextHasAsMuchRoom) {
  const gaps between;
  for (int i = 0; i < 50; i++)
    grow_by_half(400 * kib);
  EXPECT_EQ(grow_by_half(400 * kib), 0u);
  // Where few pages are usual again, the gaps are used again.
  for (int i = 0; i < 50; i++)
    grow_by_half(12 * kib);
  EXPECT_GT(grow_by_half(400 * kib), 0u);
}

TEST_F(Large, AboveTheLargestRunABlockIsZeroAndCountedAsVmalloc) {
  const heap_figures before = take_figures();
  char* block = static_cast<char*>(allocate_zeroed(5 * gib));
  ASSERT_NE(block, nullptr);
  EXPECT_TRUE(is_vm(block));
  EXPECT_GE(take_figures().vm_bytes - before.vm_bytes, 5 * gib);
  EXPECT_TRUE(is_zero(block, 1 * mib));
  block[5 * gib - 1] = 1;
  release(block, "free");
  EXPECT_EQ(take_figures().vm_bytes, before.vm_bytes);
}

// A process has one heap, so a test of a heap of a few hundred megabytes runs itself again under
// the limit: false in the one that has had it run.
bool is_in_a_small_region() {
  constexpr const char* inside = "QUARRY_TEST_SMALL_REGION";
  if (getenv(inside)) return true;
  const auto ended = preload_test::run_in_child([] {
    setenv(inside, "1", 1);
    const rlimit limit = {1000 * mib, 1000 * mib};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(1);
    const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
    const std::string filter =
        std::string("--gtest_filter=") + test->test_suite_name() + "." + test->name();
    execl("/proc/self/exe", "large_test", filter.c_str(), nullptr);
    _exit(127);
  });
  EXPECT_TRUE(ended.succeeded()) << ended.errors;
  return false;
}

class LargeInASmallRegion : public testing::Test {
 protected:
  void SetUp() override {
    if (with_address_sanitizer) {
      GTEST_SKIP() << "needs a build without AddressSanitizer, whose shadow is above the limit";
    }
  }
};

// The frames begin at no multiple of 1 GiB there.
TEST_F(LargeInASmallRegion, AlignmentIsKeptOrRefused) {
  if (!is_in_a_small_region()) return;
  start_heap();
  for (std::size_t alignment = 1 * mib; alignment <= 1 * gib; alignment *= 2) {
    void* block = allocate_aligned(alignment, 100);
    if (alignment <= 8 * mib) {
      EXPECT_NE(block, nullptr);
    }
    EXPECT_EQ(reinterpret_cast<uptr>(block) % alignment, 0u) << alignment;
    release(block, "free");
  }
}

TEST_F(LargeInASmallRegion, ABlockThatGrowsTakesAGapWhereTheEndHasNoRoom) {
  if (!is_in_a_small_region()) return;
  start_heap();
  void* growing = allocate(512 * kib);
  mark(static_cast<char*>(growing), 512 * kib >> page_shift, 1);
  std::vector<void*> others;
  for (std::size_t size : {8 * mib, 2 * mib}) {
    while (void* block = allocate(size))
      others.push_back(block);
  }
  EXPECT_EQ(reallocate(growing, 6 * mib), nullptr);
  release(others[3], "free");
  void* grown = reallocate(growing, 6 * mib);
  ASSERT_TRUE(is_run(grown));
  EXPECT_TRUE(is_marked(static_cast<char*>(grown), 512 * kib >> page_shift, 1));
}

}  // namespace
