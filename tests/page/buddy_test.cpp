// The buddy allocator over a plain array of `page`, beside a model that has a byte per unit.
#include "page/buddy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "reserved.h"

using namespace page_test;

namespace {

// Units with nothing behind them, all in use at first. The map ends where `mapped` says it does.
struct units {
  std::vector<page> map;
  reserved map_memory;
  frame_space space;
  buddy free;

  explicit units(std::size_t count)
      : map(count),
        map_memory(free_map::size_for(2 * count)),
        space{nullptr, map.data(), 2 * count, count, page_shift, nullptr, map_memory.begin()},
        free(&space) {}

  std::size_t number_of(page* head) const { return space.number_of(head); }

  // nullptr where so many are not free behind each other.
  page* take_lowest(std::size_t count, bool* clean) {
    const std::size_t first = free.place_for(count, map.size());
    return count <= map.size() - std::min(first, map.size()) ? free.take_at(first, count, clean)
                                                             : nullptr;
  }
};

enum class unit : u8 { used, clean, dirty };

class model {
 public:
  explicit model(std::size_t count) : units_(count, unit::used) {}

  std::size_t size() const { return units_.size(); }
  void set(std::size_t first, std::size_t count, unit to) {
    std::fill_n(units_.begin() + static_cast<long>(first), count, to);
  }
  bool all_free(std::size_t first, std::size_t count) const {
    return first + count <= size() && none_is(first, count, unit::used);
  }
  bool none_is(std::size_t first, std::size_t count, unit what) const {
    const auto begin = units_.begin() + static_cast<long>(first);
    return std::find(begin, begin + static_cast<long>(count), what) ==
           begin + static_cast<long>(count);
  }
  std::size_t free_units() const {
    return size() - static_cast<std::size_t>(std::count(units_.begin(), units_.end(), unit::used));
  }
  bool has_block(unsigned order) const {
    const std::size_t block = std::size_t{1} << order;
    for (std::size_t n = 0; n + block <= size(); n += block) {
      if (all_free(n, block)) return true;
    }
    return false;
  }
  // Where the lowest run begins, or the one at the end.
  std::size_t lowest(std::size_t count) const {
    std::size_t n = 0;
    while (n < size() && !all_free(n, std::min(count, size() - n)))
      n++;
    return n;
  }
  // The free units cut into aligned blocks, each as large as it can be.
  std::vector<std::size_t> blocks() const {
    std::vector<std::size_t> per_order(max_order + 1);
    for (std::size_t n = 0; n < size();) {
      const std::size_t block = block_at(n);
      if (block) per_order[floor_log2(block)]++;
      n += std::max<std::size_t>(block, 1);
    }
    return per_order;
  }

 private:
  // Units of the block that begins there if the units before it are blocks already; 0 for one in
  // use.
  std::size_t block_at(std::size_t n) const {
    if (units_[n] == unit::used) return 0;
    std::size_t block = 1;
    while (block < std::size_t{1} << max_order && n % (2 * block) == 0 && all_free(n, 2 * block))
      block *= 2;
    return block;
  }

  std::vector<unit> units_;
};

std::vector<std::size_t> blocks_of(buddy& b) {
  std::vector<std::size_t> per_order;
  for (unsigned order = 0; order <= max_order; order++)
    per_order.push_back(b.blocks(order));
  return per_order;
}

// Random requests to both.
class comparison {
 public:
  comparison(std::size_t count, unsigned seed) : units_(count), model_(count), random_(seed) {
    give(0, count, true);
  }

  void step() {
    switch (random_() % 12) {
      case 0:
      case 1:
      case 2:
      case 3:
        return take();
      case 4:
        return take_lowest();
      case 5:
        return extend();
      case 6:
        return purge();
      case 7:
        return units_.free.start_period();
      default:
        return free_some();
    }
  }

  void check() {
    ASSERT_EQ(units_.free.free_units(), model_.free_units());
    ASSERT_LE(units_.free.dirty_units(), model_.free_units());
    ASSERT_EQ(blocks_of(units_.free), model_.blocks());
  }

  void free_all() {
    while (!runs_.empty())
      free_run(runs_.begin(), 0);
  }

 private:
  using run = std::map<std::size_t, std::size_t>::iterator;

  void give(std::size_t first, std::size_t count, bool clean) {
    units_.free.give(first, count, clean);
    model_.set(first, count, clean ? unit::clean : unit::dirty);
  }

  void take() {
    const unsigned order = random_() % 9;
    const std::size_t block = std::size_t{1} << order;
    const std::size_t count = block - random_() % (block / 2 + 1);
    bool clean = false;
    page* head = units_.free.take(order, count, &clean);
    ASSERT_EQ(head != nullptr, model_.has_block(order)) << "order " << order;
    if (!head) return;
    ASSERT_EQ(units_.number_of(head) % block, 0u);
    use(head, count, clean);
  }

  void take_lowest() {
    const std::size_t count = 1 + random_() % 300;
    const std::size_t first = model_.lowest(count);
    ASSERT_EQ(units_.free.place_for(count, model_.size()), first) << count << " units";
    bool clean = false;
    if (first + count <= model_.size())
      use(units_.free.take_at(first, count, &clean), count, clean);
  }

  void use(page* head, std::size_t count, bool clean) {
    const std::size_t first = units_.number_of(head);
    ASSERT_TRUE(model_.all_free(first, count)) << "units " << first << " were in use";
    ASSERT_TRUE(!clean || model_.none_is(first, count, unit::dirty)) << "dirty called clean";
    model_.set(first, count, unit::used);
    head->kind = page_kind::run;
    runs_[first] = count;
  }

  run any_run() {
    auto at = runs_.lower_bound(random_() % model_.size());
    return at == runs_.end() ? runs_.begin() : at;
  }

  // All of it, or what is behind the first `kept` units.
  void free_run(run at, std::size_t kept) {
    const auto [first, count] = *at;
    units_.space.page_at(first + kept)->kind = page_kind::none;
    give(first + kept, count - kept, random_() % 4 == 0);
    kept ? void(at->second = kept) : void(runs_.erase(at));
  }

  void free_some() {
    if (runs_.empty()) return;
    const run at = any_run();
    free_run(at, random_() % 4 == 0 ? random_() % at->second : 0);
  }

  void extend() {
    if (runs_.empty()) return;
    const run at = any_run();
    for (unsigned times = 1 + random_() % 5; times-- > 0;) {
      const std::size_t end = at->first + at->second, more = 1 + random_() % 30;
      const bool free = model_.all_free(end, more);
      ASSERT_EQ(units_.free.extend(end, more), free) << more << " units from " << end;
      if (!free) return;
      model_.set(end, more, unit::used);
      at->second += more;
      ASSERT_EQ(units_.free.free_units(), model_.free_units());
    }
  }

  void purge() {
    page* head = units_.free.take_dirty(random_() % 2 == 0);
    if (!head) return;
    const std::size_t first = units_.number_of(head), count = std::size_t{1} << head->order;
    ASSERT_TRUE(model_.all_free(first, count));
    give(first, count, true);
  }

  units units_;
  model model_;
  std::minstd_rand random_;
  std::map<std::size_t, std::size_t> runs_;  // in use: first unit and count
};

TEST(Buddy, AgreesWithTheModelOverRandomRequests) {
  for (unsigned seed = 1; seed <= 8; seed++) {
    // Not a power of two: the last blocks have no buddy.
    comparison both(seed % 2 ? 2048 : 1500, seed);
    for (int i = 0; i < 4000; i++) {
      both.step();
      if (i % 20 == 0) both.check();
      if (testing::Test::HasFatalFailure()) return;
    }
    both.free_all();
    both.check();
  }
}

TEST(Buddy, HasNothingUntilItIsGivenSomething) {
  units u(16);
  bool clean;
  EXPECT_EQ(u.free.take(0, 1, &clean), nullptr);
  EXPECT_EQ(u.free.take_dirty(true), nullptr);
  EXPECT_FALSE(u.free.extend(0, 1));
  EXPECT_EQ(u.free.free_units(), 0u);
}

TEST(Buddy, SplitsDownToOneUnitAndMergesAllTheWayUp) {
  units u(1024);
  u.free.give(0, 1024, true);
  std::vector<page*> taken;
  bool clean;
  while (page* head = u.free.take(0, 1, &clean))
    taken.push_back(head);
  ASSERT_EQ(taken.size(), 1024u);
  std::shuffle(taken.begin(), taken.end(), std::minstd_rand(1));
  for (page* head : taken)
    u.free.give(u.number_of(head), 1, false);
  EXPECT_EQ(u.free.blocks(10), 1u);
  EXPECT_EQ(u.free.dirty_units(), 1024u);
}

TEST(Buddy, MergesUpToTheLargestOrderAndNotBeyond) {
  const std::size_t largest = std::size_t{1} << max_order;
  units u(2 * largest);
  u.free.give(0, 2 * largest, true);
  EXPECT_EQ(u.free.blocks(max_order), 2u);
  bool clean;
  page* head = u.free.take(max_order, largest, &clean);
  ASSERT_NE(head, nullptr);
  EXPECT_EQ(u.number_of(head) % largest, 0u);
  u.free.give(u.number_of(head), largest, false);
  EXPECT_EQ(u.free.blocks(max_order), 2u);
}

TEST(Buddy, WhatARequestDoesNotNeedOfItsBlockStaysFree) {
  units u(64);
  u.free.give(0, 64, true);
  bool clean;
  page* head = u.free.take(5, 19, &clean);
  ASSERT_NE(head, nullptr);
  EXPECT_EQ(u.number_of(head) % 32, 0u);
  EXPECT_EQ(u.free.free_units(), 64u - 19u);
  EXPECT_TRUE(u.free.extend(u.number_of(head) + 19, 13));
}

TEST(Buddy, TakesDirtyBlocksBeforeCleanOnesAndTheYoungestOfThemFirst) {
  units u(64);
  // Single units with one in use between them, so that they do not merge.
  u.free.give(0, 1, true);
  u.free.give(2, 1, false);
  u.free.start_period();
  u.free.give(4, 1, false);
  u.free.give(6, 1, false);
  std::vector<std::size_t> order;
  std::vector<bool> cleanness;
  for (int i = 0; i < 4; i++) {
    bool clean;
    order.push_back(u.number_of(u.free.take(0, 1, &clean)));
    cleanness.push_back(clean);
  }
  EXPECT_EQ(order, (std::vector<std::size_t>{6, 4, 2, 0}));
  EXPECT_EQ(cleanness, (std::vector<bool>{false, false, false, true}));
}

TEST(Buddy, FromWhatHasBeenInMemoryAloneNoCleanBlockIsTaken) {
  units u(64);
  u.free.give(0, 16, true);
  u.free.give(32, 8, false);
  EXPECT_EQ(u.free.take_in_memory(4, 3), nullptr);
  u.free.start_period();
  page* old = u.free.take_in_memory(3, 3);
  ASSERT_NE(old, nullptr);
  EXPECT_EQ(u.number_of(old), 32u);
  EXPECT_TRUE(u.free.extend(35, 5));
  EXPECT_EQ(u.free.take_in_memory(0, 1), nullptr);
  EXPECT_EQ(u.free.free_units(), 16u);
}

TEST(Buddy, ABlockThatIsPartlyDirtyIsNotCalledClean) {
  units u(2);
  u.free.give(0, 1, true);
  u.free.give(1, 1, false);
  EXPECT_EQ(u.free.dirty_units(), 1u);
  bool clean = true;
  EXPECT_NE(u.free.take(0, 1, &clean), nullptr);
  EXPECT_FALSE(clean);
  EXPECT_NE(u.free.take(0, 1, &clean), nullptr);
  EXPECT_FALSE(clean);
  EXPECT_EQ(u.free.dirty_units(), 0u);
}

TEST(Buddy, DirtyMemoryIsOldAfterAPeriodAndFreshlyFreedIsNot) {
  units u(64);
  u.free.give(0, 4, false);
  EXPECT_EQ(u.free.take_dirty(false), nullptr);
  u.free.start_period();
  u.free.give(8, 2, false);
  page* old = u.free.take_dirty(false);
  ASSERT_NE(old, nullptr);
  EXPECT_EQ(u.number_of(old), 0u);
  EXPECT_EQ(u.free.take_dirty(false), nullptr);
  page* young = u.free.take_dirty(true);
  ASSERT_NE(young, nullptr);
  EXPECT_EQ(u.number_of(young), 8u);
}

TEST(Buddy, OldMemoryIsNotMadeYoungByANeighbourThatIsFreed) {
  units u(8);
  u.free.give(0, 4, false);
  u.free.start_period();
  u.free.give(4, 4, false);
  page* merged = u.free.take_dirty(false);
  ASSERT_NE(merged, nullptr);
  EXPECT_EQ(merged->order, 3u);
}

TEST(Buddy, TheLargestDirtyBlockIsTakenFirst) {
  units u(64);
  u.free.give(0, 2, false);
  u.free.give(16, 8, false);
  u.free.give(32, 4, false);
  std::vector<unsigned> orders;
  while (page* head = u.free.take_dirty(true))
    orders.push_back(head->order);
  EXPECT_EQ(orders, (std::vector<unsigned>{3, 2, 1}));
  EXPECT_EQ(u.free.dirty_units(), 0u);
}

TEST(Buddy, SmallDirtyBlocksAreLeftWhereTheyAreNotWanted) {
  units u(64);
  u.free.give(0, 2, false);
  u.free.give(16, 8, false);
  EXPECT_EQ(u.free.take_dirty(true, 4), nullptr);
  page* large = u.free.take_dirty(true, 3);
  ASSERT_NE(large, nullptr);
  EXPECT_EQ(u.number_of(large), 16u);
  EXPECT_EQ(u.free.take_dirty(true, 3), nullptr);
  EXPECT_EQ(u.free.dirty_units(), 2u);
}

TEST(Buddy, ABlockGrowsByAllThatIsWantedOrNotAtAll) {
  units u(64);
  u.free.give(3, 20, false);
  EXPECT_FALSE(u.free.extend(3, 21));
  EXPECT_FALSE(u.free.extend(2, 5));
  EXPECT_FALSE(u.free.extend(60, 10)) << "beyond the end of the map";
  EXPECT_EQ(u.free.free_units(), 20u);
  EXPECT_TRUE(u.free.extend(3, 20));
  EXPECT_EQ(u.free.free_units(), 0u);
  EXPECT_EQ(u.free.dirty_units(), 0u);
}

TEST(Buddy, ABlockThatGrewAndCannotAgainLeavesWhatIsAheadOfItFree) {
  units u(64);
  u.free.give(16, 16, false);
  EXPECT_TRUE(u.free.extend(16, 3));
  EXPECT_FALSE(u.free.extend(19, 14));
  EXPECT_EQ(u.free.free_units(), 13u);
  EXPECT_EQ(u.free.dirty_units(), 13u);
  EXPECT_TRUE(u.free.extend(19, 13));
}

TEST(Buddy, TheLowestGapIsTakenWhateverBlocksItIsOf) {
  units u(256);
  u.free.give(64, 16, true);
  u.free.give(7, 10, true);
  u.free.give(128, 10, false);
  u.free.give(39, 9, false);
  bool clean;
  EXPECT_EQ(u.number_of(u.take_lowest(10, &clean)), 7u);
  EXPECT_TRUE(clean);
  EXPECT_EQ(u.number_of(u.take_lowest(10, &clean)), 64u);
  EXPECT_TRUE(clean);
  EXPECT_EQ(u.number_of(u.take_lowest(10, &clean)), 128u);
  EXPECT_FALSE(clean);
  EXPECT_EQ(u.take_lowest(10, &clean), nullptr);
  u.free.give(48, 1, false);
  EXPECT_EQ(u.number_of(u.take_lowest(10, &clean)), 39u);
}

TEST(Buddy, WhereNoGapIsLargeEnoughTheOneAtTheEndIsNamed) {
  units u(64);
  EXPECT_EQ(u.free.place_for(30, 40), 40u);
  u.free.give(21, 10, false);
  u.free.give(31, 9, true);
  EXPECT_EQ(u.free.place_for(30, 40), 21u);
  EXPECT_EQ(u.free.place_for(19, 40), 21u);
  EXPECT_EQ(u.free.place_for(20, 41), 41u);
  bool clean;
  EXPECT_EQ(u.number_of(u.free.take_at(21, 12, &clean)), 21u);
  EXPECT_FALSE(clean);
  EXPECT_EQ(u.free.free_units(), 7u);
  EXPECT_EQ(u.number_of(u.free.take_at(33, 7, &clean)), 33u);
  EXPECT_TRUE(clean);
}

TEST(Buddy, WithoutAFreeMapThereIsNoLowestPlace) {
  units u(64);
  u.space.free_map = nullptr;
  u.free.give(0, 64, true);
  EXPECT_EQ(u.free.place_for(10, 64), buddy::none);
}

// Each of the operations finds what another left ahead of a block.
TEST(Buddy, WhatIsAheadOfABlockThatGrewIsFreeForAllOthers) {
  units u(64);
  bool clean;
  const auto grow_into_64 = [&](std::size_t units) {
    u.free.give(0, 64, false);
    ASSERT_TRUE(u.free.extend(0, units));
    ASSERT_EQ(u.free.free_units(), 64 - units);
    ASSERT_EQ(u.free.dirty_units(), 64 - units);
  };

  grow_into_64(33);
  EXPECT_EQ(u.number_of(u.free.take(4, 16, &clean)), 48u);
  u.free.give(48, 16, false);
  u.free.give(0, 33, false);
  EXPECT_EQ(u.free.blocks(6), 1u);
  ASSERT_TRUE(u.free.extend(0, 64));

  grow_into_64(40);
  EXPECT_EQ(u.number_of(u.take_lowest(24, &clean)), 40u);
  EXPECT_FALSE(clean);

  grow_into_64(33);
  EXPECT_EQ(u.number_of(u.free.take_dirty(true)), 48u);
  EXPECT_EQ(u.free.dirty_units(), 15u);
}

// Whoever asks another zone next must not believe it of that one's block.
TEST(Buddy, ABlockThatThereIsNotIsNotClean) {
  units u(64);
  u.free.give(0, 4, true);
  bool clean = true;
  EXPECT_EQ(u.free.take(3, 8, &clean), nullptr);
  EXPECT_FALSE(clean);
  EXPECT_NE(u.free.take(2, 4, &clean), nullptr);
  EXPECT_TRUE(clean);
}

// What is left of a large request that comes and goes must not be where small ones settle.
TEST(Buddy, ALowBlockIsCutRatherThanASmallOneThatLiesHigher) {
  units u(1024);
  u.free.give(0, 64, false);
  u.free.give(513, 1, false);
  u.free.give(516, 4, false);
  bool clean;
  EXPECT_EQ(u.number_of(u.free.take(0, 1, &clean)), 0u);
  EXPECT_EQ(u.number_of(u.free.take(2, 4, &clean)), 4u);
  EXPECT_EQ(u.number_of(u.free.take(0, 1, &clean)), 1u);
}

}  // namespace
