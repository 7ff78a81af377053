// The zone: runs of whole pages from the region. No other thread and no cache uses it here.
#include "page/zone.h"

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "../preload/child.h"
#include "../seccomp.h"
#include "reserved.h"
#include "started.h"

using namespace page_test;

namespace {

class Zone : public testing::Test {
 protected:
  void SetUp() override {
    start_heap();
    used_before = normal_zone.used_pages();
  }
  void TearDown() override { EXPECT_EQ(normal_zone.used_pages(), used_before); }

  static char* address_of(page* head) { return region.frames.address_of(head); }

  std::size_t used_before = 0;
};

TEST_F(Zone, ARunTakesExactlyItsPages) {
  for (std::size_t pages : {1, 2, 3, 5, 64, 65, 511, 513}) {
    bool clean;
    page* head = normal_zone.allocate(pages, 1, &clean);
    ASSERT_NE(head, nullptr);
    EXPECT_EQ(normal_zone.used_pages(), used_before + pages);
    mark(address_of(head), pages, 1);
    normal_zone.free(head, pages, false);
    EXPECT_EQ(normal_zone.used_pages(), used_before);
  }
}

TEST_F(Zone, ARunBeginsAtAMultipleOfItsAlignment) {
  for (std::size_t alignment = 1; alignment <= std::size_t{1} << max_order; alignment *= 2) {
    bool clean;
    page* head = normal_zone.allocate(3, alignment, &clean);
    ASSERT_NE(head, nullptr);
    EXPECT_EQ(reinterpret_cast<uptr>(address_of(head)) % (alignment * page_size), 0u);
    EXPECT_EQ(normal_zone.used_pages(), used_before + 3);
    normal_zone.free(head, 3, false);
  }
}

TEST_F(Zone, RefusesWhatIsLargerThanTheLargestBlock) {
  bool clean;
  const std::size_t largest = std::size_t{1} << max_order;
  EXPECT_EQ(normal_zone.allocate(largest + 1, 1, &clean), nullptr);
  EXPECT_EQ(normal_zone.allocate(1, 2 * largest, &clean), nullptr);
  EXPECT_EQ(normal_zone.allocate(SIZE_MAX >> page_shift, 1, &clean), nullptr);
}

TEST_F(Zone, ARunGrowsIntoFreePagesBehindItAndNotIntoOthers) {
  bool clean;
  page* head = normal_zone.allocate(16, 16, &clean);
  ASSERT_NE(head, nullptr);
  mark(address_of(head), 16, 7);
  normal_zone.free(head + 8, 4, false);
  EXPECT_FALSE(normal_zone.extend(head, 8, 13, false));
  EXPECT_EQ(normal_zone.used_pages(), used_before + 12);
  EXPECT_TRUE(normal_zone.extend(head, 8, 11, false));
  EXPECT_EQ(normal_zone.used_pages(), used_before + 15);
  EXPECT_TRUE(is_marked(address_of(head), 8, 7));
  EXPECT_TRUE(is_marked(address_of(head + 12), 4, 7 + 12));
  normal_zone.free(head, 11, false);
  normal_zone.free(head + 12, 4, false);
}

TEST_F(Zone, ARunWithRoomLiesWhereSoMuchIsFreeAndInMemory) {
  bool clean;
  // A free block of 64 pages, which is the only one of its size that is dirty.
  page* head = normal_zone.allocate(128, 128, &clean);
  ASSERT_NE(head, nullptr);
  normal_zone.purge(0, purge_depth::everything);
  EXPECT_EQ(normal_zone.allocate_with_room(3, 64), nullptr);
  normal_zone.free(head + 64, 64, false);
  EXPECT_EQ(normal_zone.allocate_with_room(3, 65), nullptr);
  EXPECT_EQ(normal_zone.used_pages(), used_before + 64);
  page* run = normal_zone.allocate_with_room(3, 33);
  ASSERT_EQ(run, head + 64);
  EXPECT_EQ(normal_zone.used_pages(), used_before + 64 + 3);
  EXPECT_TRUE(normal_zone.extend(run, 3, 64, false));
  normal_zone.free(run, 64, false);
  normal_zone.free(head, 64, false);
}

// In a child, since a zone that once keeps a reserve does so for good.
TEST_F(Zone, ARunWithRoomLeavesTheReserveAlone) {
  const auto ended = preload_test::run_in_child([] {
    bool clean;
    page* head = normal_zone.allocate(16, 16, &clean);
    normal_zone.keep_reserve();
    while (normal_zone.allocate_briefly(0, &clean, reserve::use)) {
    }
    normal_zone.free(head, 16, false);
    if (normal_zone.allocate_with_room(3, 16)) _exit(1);
    // The zone grows, and has a reserve again.
    if (!normal_zone.allocate(1024, 1, &clean)) _exit(2);
    if (normal_zone.allocate_with_room(3, 16) != head) _exit(3);
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status << "\n" << ended.errors;
}

TEST_F(Zone, TheLastRunHasTheZoneGrowWithIt) {
  bool clean;
  page* head = normal_zone.allocate_last(100, &clean);
  ASSERT_NE(head, nullptr);
  const std::size_t first = region.frames.number_of(head);
  mark(address_of(head), 100, 7);
  const std::size_t begin = normal_zone.committed_pages();
  const std::size_t most = begin - first;
  EXPECT_FALSE(normal_zone.extend(head, 100, most + 1, false));
  EXPECT_EQ(normal_zone.committed_pages(), begin);
  EXPECT_TRUE(normal_zone.extend(head, 100, most + 1, true));
  EXPECT_GT(normal_zone.committed_pages(), begin);
  EXPECT_TRUE(normal_zone.extend(head, most + 1, 3 * most, true));
  EXPECT_EQ(normal_zone.used_pages(), used_before + 3 * most);
  EXPECT_TRUE(is_marked(address_of(head), 100, 7));

  page* behind = normal_zone.allocate_last(1, &clean);
  ASSERT_NE(behind, nullptr);
  EXPECT_EQ(region.frames.number_of(behind), first + 3 * most);
  const std::size_t end = normal_zone.committed_pages();
  EXPECT_FALSE(normal_zone.extend(head, 3 * most, 4 * (end - first), true));
  EXPECT_EQ(normal_zone.committed_pages(), end);
  normal_zone.free(behind, 1, false);
  normal_zone.free(head, 3 * most, false);
}

TEST_F(Zone, BlocksComeAndGoInBatches) {
  page* heads[32];
  ASSERT_EQ(normal_zone.allocate_blocks(2, heads, 32), 32u);
  EXPECT_EQ(normal_zone.used_pages(), used_before + 32 * 4);
  for (u64 i = 0; i < 32; i++)
    mark(address_of(heads[i]), 4, i << 32);
  for (u64 i = 0; i < 32; i++) {
    EXPECT_EQ(region.frames.number_of(heads[i]) % 4, 0u);
    EXPECT_TRUE(is_marked(address_of(heads[i]), 4, i << 32));
    heads[i]->count = 1;  // no longer clean
  }
  normal_zone.free_blocks(2, heads, 32);
}

TEST_F(Zone, PurgedMemoryIsGoneAndComesBackCleanAndZero) {
  constexpr std::size_t pages = 32 * mib >> page_shift;
  bool clean;
  normal_zone.purge(0, purge_depth::everything);
  EXPECT_EQ(normal_zone.dirty_pages(), 0u);
  page* head = normal_zone.allocate(pages, pages, &clean);
  ASSERT_NE(head, nullptr);
  char* memory = address_of(head);
  mark(memory, pages, 1);
  normal_zone.free(head, pages, false);
  EXPECT_EQ(normal_zone.dirty_pages(), pages);
  EXPECT_EQ(resident_pages(memory, pages << page_shift), pages);
  EXPECT_GE(normal_zone.purge(0, purge_depth::everything), pages);
  EXPECT_EQ(normal_zone.dirty_pages(), 0u);
  EXPECT_EQ(resident_pages(memory, pages << page_shift), 0u);
  head = normal_zone.allocate(pages, pages, &clean);
  EXPECT_TRUE(clean);
  EXPECT_TRUE(is_zero(address_of(head), pages << page_shift));
  normal_zone.free(head, pages, false);
}

TEST_F(Zone, PurgingLeavesWhatIsToBeKeptAndWhatIsYoung) {
  constexpr std::size_t pages = 4 * mib >> page_shift;
  normal_zone.purge(0, purge_depth::everything);
  bool clean;
  page* head = normal_zone.allocate(pages, pages, &clean);
  ASSERT_NE(head, nullptr);
  mark(address_of(head), pages, 1);
  normal_zone.free(head, pages, false);
  EXPECT_EQ(normal_zone.purge(pages, purge_depth::everything), 0u);
  EXPECT_EQ(normal_zone.purge(0, purge_depth::unused), 0u);
  EXPECT_EQ(normal_zone.dirty_pages(), pages);
  normal_zone.start_period();
  EXPECT_GE(normal_zone.purge(0, purge_depth::unused), pages);
  EXPECT_EQ(normal_zone.dirty_pages(), 0u);
}

// Of four blocks that are old, three quarters each are taken and freed: what is old of them is in
// every block, and still no more goes than was not needed, which is one block.
TEST_F(Zone, PurgingLeavesAsMuchAsWasNeededInThePeriod) {
  constexpr std::size_t pages = 64, needed = 3 * pages / 4, blocks = 4;
  normal_zone.purge(0, purge_depth::everything);
  bool clean;
  page* all = normal_zone.allocate(2 * blocks * pages, 2 * blocks * pages, &clean);
  ASSERT_NE(all, nullptr);
  for (std::size_t i = 0; i < blocks; i++)
    normal_zone.free(all + 2 * i * pages, pages, false);
  normal_zone.start_period();
  page* heads[blocks];
  for (page*& head : heads)
    ASSERT_NE(head = normal_zone.allocate(needed, pages, &clean), nullptr);
  for (page* head : heads)
    normal_zone.free(head, needed, false);
  EXPECT_EQ(normal_zone.dirty_pages(), blocks * pages);
  EXPECT_EQ(normal_zone.purge(0, purge_depth::unused), pages);
  for (std::size_t i = 0; i < blocks; i++)
    normal_zone.free(all + (2 * i + 1) * pages, pages, true);
}

TEST_F(Zone, LockedMemoryStaysDirty) {
  bool clean;
  normal_zone.purge(0, purge_depth::everything);
  page* head = normal_zone.allocate(16, 16, &clean);
  ASSERT_NE(head, nullptr);
  char* memory = address_of(head);
  mark(memory, 16, 1);
  const bool locked = lock_memory(memory, 16 * page_size);
  normal_zone.free(head, 16, false);
  if (!locked) GTEST_SKIP() << "needs RLIMIT_MEMLOCK of 64 KiB";
  EXPECT_EQ(normal_zone.purge(0, purge_depth::everything), 0u);
  head = normal_zone.allocate(16, 16, &clean);
  EXPECT_FALSE(clean);
  syscall(SYS_munlock, memory, 16 * page_size);
  normal_zone.free(head, 16, false);
}

// Many blocks between others that stay: what goes back is as much whether they go in few system
// calls or, under a filter, one by one.
int purge_small_blocks(bool filtered) {
  using namespace seccomp_test;
  if (filtered && !filter_calls(SYS_process_madvise, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW))
    return 2;
  constexpr unsigned count = 1000, pages = 2;
  bool clean;
  normal_zone.purge(0, purge_depth::everything);
  page* all = normal_zone.allocate(2 * count * pages, 1, &clean);
  char* memory = region.frames.address_of(all);
  mark(memory, 2 * count * pages, 1);
  char* locked = memory + 2 * pages * 500 * page_size;
  if (!lock_memory(locked, page_size)) return 3;
  for (unsigned i = 0; i < count; i++)
    normal_zone.free(all + 2 * i * pages, pages, false);
  if (normal_zone.purge(0, purge_depth::everything) != (count - 1) * pages) return 4;
  if (normal_zone.dirty_pages() != pages || !is_marked(locked, pages, 1 + 2 * pages * 500))
    return 5;
  for (unsigned i = 0; i < count; i++) {
    char* block = memory + 2 * i * pages * page_size;
    if (block != locked && resident_pages(block, pages * page_size) != 0) return 6;
    if (!is_marked(block + pages * page_size, pages, 1 + (2 * i + 1) * pages)) return 7;
  }
  return 0;
}

TEST_F(Zone, ManyBlocksGoBackAtOnceOrOneByOne) {
  for (const bool filtered : {false, true}) {
    const auto result = preload_test::run_in_child([=] { _exit(purge_small_blocks(filtered)); });
    ASSERT_TRUE(WIFEXITED(result.status)) << result.status;
    if (WEXITSTATUS(result.status) == 2) GTEST_SKIP() << "needs seccomp filters";
    if (WEXITSTATUS(result.status) == 3) GTEST_SKIP() << "needs RLIMIT_MEMLOCK";
    EXPECT_EQ(WEXITSTATUS(result.status), 0) << (filtered ? "under a filter" : "");
  }
}

TEST_F(Zone, WhatIsLockedDoesNotKeepTheRestFromGoingBack) {
  constexpr std::size_t pages = 1024;
  bool clean;
  normal_zone.purge(0, purge_depth::everything);
  page* blocks[8];
  for (page*& head : blocks)
    head = normal_zone.allocate(pages, pages, &clean);
  // Every other one is freed, so that they do not merge; the first that a purge comes to is locked.
  bool locked = true;
  for (int i = 6; i >= 0; i -= 2) {
    if (i % 4 == 0) locked = locked && lock_memory(address_of(blocks[i]), page_size);
    mark(address_of(blocks[i]), pages, 1);
    normal_zone.free(blocks[i], pages, false);
  }
  const std::size_t purged = normal_zone.purge(0, purge_depth::everything);
  for (int i = 0; i < 8; i += 4)
    syscall(SYS_munlock, address_of(blocks[i]), page_size);
  for (int i = 1; i < 8; i += 2)
    normal_zone.free(blocks[i], pages, false);
  if (!locked) GTEST_SKIP() << "needs RLIMIT_MEMLOCK of 64 KiB";
  EXPECT_EQ(purged, 4 * pages - 2 * 16) << "all but the 16 pages around each locked one";
}

TEST_F(Zone, OnlyWhatIsLockedOfABlockStaysDirty) {
  constexpr std::size_t pages = 4096;
  bool clean;
  normal_zone.purge(0, purge_depth::everything);
  page* head = normal_zone.allocate(pages, pages, &clean);
  char* memory = address_of(head);
  mark(memory, pages, 1);
  const bool locked = lock_memory(memory + 1000 * page_size, page_size);
  normal_zone.free(head, pages, false);
  normal_zone.purge(0, purge_depth::everything);
  const std::size_t dirty = normal_zone.dirty_pages();
  const std::size_t free = normal_zone.figures().free_pages;
  syscall(SYS_munlock, memory + 1000 * page_size, page_size);
  if (!locked) GTEST_SKIP() << "needs RLIMIT_MEMLOCK of 4 KiB";
  EXPECT_GT(dirty, 0u);
  EXPECT_LE(dirty, 16u);
  EXPECT_EQ(free, normal_zone.committed_pages() - normal_zone.used_pages());
  normal_zone.purge(0, purge_depth::everything);
  EXPECT_EQ(normal_zone.dirty_pages(), 0u);
}

TEST_F(Zone, FiguresAddUp) {
  page* heads[10];
  ASSERT_EQ(normal_zone.allocate_blocks(0, heads, 10), 10u);
  const zone_figures f = normal_zone.figures();
  EXPECT_EQ(f.committed_pages, region.committed >> page_shift);
  EXPECT_EQ(f.free_pages, f.committed_pages - normal_zone.used_pages());
  EXPECT_EQ(f.dirty_pages, normal_zone.dirty_pages());
  std::size_t in_blocks = 0;
  for (unsigned order = 0; order <= max_order; order++)
    in_blocks += f.blocks[order] << order;
  EXPECT_EQ(in_blocks, f.free_pages);
  normal_zone.free_blocks(0, heads, 10);
}

// No two runs overlap, each keeps what was written to it, and what is called clean reads as zero.
TEST_F(Zone, AgreesWithAModelOverRandomRequests) {
  struct run {
    std::size_t pages;
    u64 mark;
  };
  std::map<page*, run> runs;
  std::minstd_rand random(1);
  u64 next_mark = 1;
  std::size_t used = used_before;
  for (int step = 0; step < 20'000; step++) {
    if (random() % 2 && used < used_before + (256 * mib >> page_shift)) {
      const std::size_t pages = 1 + random() % (random() % 8 ? 20 : 2000);
      const std::size_t alignment = std::size_t{1} << (random() % 8 ? 0 : random() % 10);
      bool clean;
      page* head = normal_zone.allocate(pages, alignment, &clean);
      ASSERT_NE(head, nullptr);
      ASSERT_EQ(region.frames.number_of(head) % alignment, 0u);
      if (clean) {
        ASSERT_TRUE(is_zero(address_of(head), pages << page_shift));
      }
      mark(address_of(head), pages, next_mark << 32);
      ASSERT_TRUE(runs.try_emplace(head, run{pages, next_mark << 32}).second);
      next_mark++;
      used += pages;
    } else if (!runs.empty()) {
      auto at = std::next(runs.begin(), static_cast<long>(random() % runs.size()));
      const auto [head, r] = *at;
      ASSERT_TRUE(is_marked(address_of(head), r.pages, r.mark)) << "somebody else wrote there";
      normal_zone.free(head, r.pages, false);
      runs.erase(at);
      used -= r.pages;
    }
    if (step % 500 == 0) normal_zone.start_period();
    if (step % 700 == 0) {
      normal_zone.purge(random() % 10'000, static_cast<purge_depth>(random() % 3));
    }
    ASSERT_EQ(normal_zone.used_pages(), used);
  }
  for (const auto& [head, r] : runs)
    normal_zone.free(head, r.pages, false);
}

// Pages without memory, in a zone of their own.
struct bare_zone {
  static bool agree(frame_space*, std::size_t, std::size_t) { return true; }
  static constexpr zone_backing backing = {agree, agree, 256, false};

  reserved map;
  reserved free_map_memory;
  frame_space space;
  zone free;

  explicit bare_zone(std::size_t pages, const zone_backing* behind = &backing)
      : map(pages * sizeof(page)),
        free_map_memory(free_map::size_for(pages)),
        space{nullptr,
              reinterpret_cast<page*>(map.begin()),
              pages,
              0,
              page_shift,
              nullptr,
              free_map_memory.begin()},
        free(&space, behind, zone_kind::normal) {}

  std::vector<page*> runs_of(std::size_t pages, std::size_t most) {
    std::vector<page*> runs;
    bool clean;
    page* head;
    while (runs.size() < most && (head = free.allocate(pages, 1, &clean)))
      runs.push_back(head);
    return runs;
  }
};

// 100 is no multiple of a power of two above 4, so that they begin with blocks of all sizes.
TEST_F(Zone, GapsAreUsedAgainBeforeMemoryThatNeverWas) {
  for (std::size_t pages : {10, 13, 50, 100}) {
    bare_zone z(1 << 20);
    const auto runs = z.runs_of(pages, 4000);
    for (std::size_t i = 0; i < runs.size(); i += 2)
      z.free.free(runs[i], pages, false);
    std::vector<page*> gaps;
    for (std::size_t i = 0; i < runs.size(); i += 2)
      gaps.push_back(runs[i]);
    EXPECT_EQ(z.runs_of(pages, gaps.size()), gaps) << pages << " pages";
  }
}

TEST_F(Zone, GrowsForALargeRunByWhatItLacksAndOnce) {
  for (std::size_t pages : {1000, 5000, 70'000}) {
    bare_zone z(1 << 20);
    z.runs_of(100, 1);
    const std::size_t before = z.free.committed_pages();
    EXPECT_EQ(z.runs_of(pages, 1).size(), 1u);
    EXPECT_LE(z.free.committed_pages(), before + pages + bare_zone::backing.step);
  }
}

TEST_F(Zone, WhatIsFreeAtItsEndBecomesPartOfALargerRun) {
  bare_zone z(1 << 20);
  z.runs_of(100, 1);
  const auto runs = z.runs_of(50'000, 1);
  z.free.free(runs[0], 50'000, false);
  const std::size_t before = z.free.committed_pages();
  EXPECT_EQ(z.runs_of(60'000, 1), runs);
  EXPECT_LE(z.free.committed_pages(), before + 10'000 + bare_zone::backing.step);
}

TEST_F(Zone, AtTheEndOfMemoryAGapIsFoundAmongManyThatAreTooSmall) {
  bare_zone z(1 << 14);
  const auto runs = z.runs_of(10, SIZE_MAX);
  z.free.free(runs[0], 10, false);
  for (std::size_t i = 2; i < runs.size(); i += 2)
    z.free.free(runs[i], 9, false);
  EXPECT_EQ(z.runs_of(10, SIZE_MAX).size(), 1u);
}

TEST_F(Zone, ItsFirstRunTakesWhatItNeedsAndNoMore) {
  bare_zone z(1 << 16);
  const std::size_t pages = (1 << 16) / 8 * 5;
  EXPECT_EQ(z.runs_of(pages, 1).size(), 1u);
  EXPECT_EQ(z.free.committed_pages(), pages);
}

TEST_F(Zone, WithoutAFreeMapARunIsOfABlock) {
  for (const bool has_place : {false, true}) {
    bare_zone z(1 << 14);
    if (has_place)
      z.free_map_memory.refuse_from(0);
    else
      z.space.free_map = nullptr;
    bool clean;
    EXPECT_EQ(z.free.allocate_last(100, &clean), nullptr);
    const auto first = z.runs_of(100, 1);
    EXPECT_FALSE(z.free.extend(first[0], 100, z.free.committed_pages() + 1, true));
    z.free.free(first[0], 100, false);
    const auto runs = z.runs_of(100, SIZE_MAX);
    EXPECT_EQ(runs.size(), (1u << 14) / 128);
    for (page* head : runs)
      z.free.free(head, 100, false);
    EXPECT_EQ(z.free.used_pages(), 0u);
  }
}

TEST_F(Zone, TheLastRunGrowsToTheEndOfTheSpaceAndNoFurther) {
  constexpr std::size_t pages = 1 << 14;
  bare_zone z(pages);
  bool clean;
  page* head = z.free.allocate_last(100, &clean);
  ASSERT_NE(head, nullptr);
  EXPECT_FALSE(z.free.extend(head, 100, pages + 1, true));
  EXPECT_EQ(z.free.used_pages(), 100u);
  EXPECT_TRUE(z.free.extend(head, 100, pages, true));
  EXPECT_EQ(z.free.used_pages(), pages);
  EXPECT_EQ(z.free.allocate_last(1, &clean), nullptr);
}

// A buffer that is built anew while the old one is in use, over and over.
TEST_F(Zone, LastRunsDoNotGoOnAndOnWhileTheyLeaveGaps) {
  constexpr std::size_t pages = 1000;
  bare_zone z(1 << 16);
  bool clean;
  page* held = z.free.allocate_last(pages, &clean);
  for (int turn = 0; turn < 50; turn++) {
    page* next = z.free.allocate_last(pages, &clean);
    if (!next) next = z.free.allocate(pages, 1, &clean);
    ASSERT_NE(next, nullptr);
    z.free.free(held, pages, false);
    held = next;
  }
  EXPECT_LE(z.free.committed_pages(), 5 * pages);
}

// Likewise, where it begins small enough for what is free at the end.
TEST_F(Zone, BlocksThatGrowDoNotGoOnAndOnWhileTheyLeaveGaps) {
  constexpr std::size_t pages = 2000;
  bare_zone z(1 << 18);
  bool clean;
  page* held = nullptr;
  for (int turn = 0; turn < 50; turn++) {
    page* next = z.free.allocate_last(pages / 10, &clean);
    if (!next) next = z.free.allocate(pages / 10, 1, &clean);
    ASSERT_NE(next, nullptr);
    std::size_t has = pages / 10;
    for (std::size_t wanted; has < pages; has = wanted) {
      wanted = std::min(pages, has + has / 2);
      if (z.free.extend(next, has, wanted, true)) continue;
      page* moved = z.free.allocate(wanted, 1, &clean);
      ASSERT_NE(moved, nullptr);
      z.free.free(next, has, false);
      next = moved;
    }
    if (held) z.free.free(held, pages, false);
    held = next;
  }
  EXPECT_LE(z.free.committed_pages(), 10 * pages);
}

// Which part of a block that was put together is in memory is a guess, and may be a wrong one.
TEST_F(Zone, APurgeOfEverythingTakesWhatCountsAsClean) {
  constexpr std::size_t half = 1 << 10;
  bool clean;
  page* lower = normal_zone.allocate(half, 2 * half, &clean);
  ASSERT_NE(lower, nullptr);
  page* upper = lower + half;
  if (!normal_zone.extend(lower, half, 2 * half, true)) GTEST_SKIP() << "there is something behind";
  normal_zone.free(lower, half, false);
  normal_zone.purge(0, purge_depth::everything);
  mark(address_of(upper), half, 1);
  normal_zone.free(upper, half, false);
  page* taken = normal_zone.allocate(half, half, &clean);
  ASSERT_NE(taken, nullptr);
  EXPECT_EQ(taken, lower) << "the test is of no use";
  normal_zone.purge(0, purge_depth::everything);
  EXPECT_EQ(resident_pages(address_of(upper), half << page_shift), 0u);
  normal_zone.free(taken, half, false);
}

// As a block does in a program that has little else: copied at first, then at the end.
TEST_F(Zone, ABlockThatGrowsInASmallHeapGoesOnAtItsEnd) {
  bare_zone z(1 << 18);
  bool clean;
  z.runs_of(10, 1);
  for (int turn = 0; turn < 3; turn++) {
    std::size_t has = 2;
    page* head = z.free.allocate(has, 1, &clean);
    unsigned moves = 0;
    for (std::size_t wanted = 3; wanted < 25'600; has = wanted, wanted += wanted / 2) {
      if (z.free.extend(head, has, wanted, wanted > 256)) continue;
      page* next = wanted > 256 ? z.free.allocate_last(wanted, &clean) : nullptr;
      if (!next) next = z.free.allocate(wanted, 1, &clean);
      ASSERT_NE(next, nullptr);
      z.free.free(head, has, false);
      head = next;
      moves += wanted > 256;
    }
    EXPECT_LE(moves, 1u);
    z.free.free(head, has, false);
  }
}

TEST_F(Zone, GrowsNoFurtherThanItsFreeMapCan) {
  bare_zone z(1 << 16);
  auto runs = z.runs_of(100, 10);
  z.free_map_memory.refuse_from(2 * page_size);
  const auto others = z.runs_of(100, SIZE_MAX);
  EXPECT_EQ(runs.size() + others.size(), 16384 / 100);
  z.free.free(runs[3], 100, false);
  EXPECT_EQ(z.runs_of(90, 1).front(), runs[3]);
}

// While a purge has taken the zone's free end away, a run begins behind it.
TEST_F(Zone, ARunDoesNotReachIntoWhatIsBeingPurged) {
  static bare_zone* purged;
  static std::vector<page*> meanwhile;
  static const auto take_one = [](frame_space*, std::size_t, std::size_t) {
    if (meanwhile.empty()) meanwhile = purged->runs_of(1000, 1);
    return true;
  };
  static constexpr zone_backing backing = {bare_zone::agree, +take_one, 256, false};
  bare_zone z(1 << 16, &backing);
  purged = &z;
  const auto runs = z.runs_of(256, 1);
  z.free.free(runs[0], 256, false);
  const std::size_t end = z.free.committed_pages();
  z.free.purge(0, purge_depth::everything);
  ASSERT_EQ(meanwhile.size(), 1u);
  EXPECT_GE(z.space.number_of(meanwhile[0]), end);
}

// The last one: the zone keeps its reserve from then on.
TEST_F(Zone, ARunDoesNotGrowIntoTheReserve) {
  normal_zone.keep_reserve();
  bool clean;
  page* head = normal_zone.allocate(1, 1, &clean);
  ASSERT_NE(head, nullptr);
  std::size_t pages = 1;
  while (normal_zone.extend(head, pages, pages + 1, false))
    pages++;
  EXPECT_GE(normal_zone.figures().free_pages, normal_zone.figures().marks.low);
  normal_zone.free(head, pages, false);
}

}  // namespace
