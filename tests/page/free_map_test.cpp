// The map of free units beside a model that has a byte per unit.
#include "page/free_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "reserved.h"

using namespace page_test;

namespace {

// Of a space with room for twice the units that have map entries.
struct mapped {
  reserved memory;
  frame_space space;
  free_map map;

  explicit mapped(std::size_t units)
      : memory(free_map::size_for(2 * units)),
        space{nullptr, nullptr, 2 * units, units, page_shift, nullptr, memory.begin()},
        map(&space) {}
};

class model {
 public:
  explicit model(std::size_t units) : free_(units) {}

  void set(std::size_t first, std::size_t count, bool free) {
    std::fill_n(free_.begin() + static_cast<long>(first), count, free);
  }
  std::size_t lowest(std::size_t count) const {
    const auto at = std::search_n(free_.begin(), free_.end(), static_cast<long>(count), char{true});
    return at == free_.end() ? free_map::none : static_cast<std::size_t>(at - free_.begin());
  }
  std::size_t begin_of_run(std::size_t end) const {
    while (end > 0 && free_[end - 1])
      end--;
    return end;
  }

 private:
  std::vector<char> free_;
};

// 16384 units are a sheet of the map: runs cross its ends, and some are as long as several.
TEST(FreeMap, AgreesWithTheModelOverRandomChanges) {
  constexpr std::size_t units = 100'000;
  for (const std::size_t longest : {3u, 100u, 3000u, 50'000u}) {
    mapped m(units);
    model free(units);
    ASSERT_TRUE(m.map.start());
    std::minstd_rand random(static_cast<unsigned>(longest));
    const auto below = [&](std::size_t n) { return random() % n; };
    for (int i = 0; i < 3000; i++) {
      const std::size_t first = below(units);
      const std::size_t count = std::min(1 + below(longest), units - first);
      const bool is_set = below(2) == 0;
      is_set ? m.map.set(first, count) : m.map.clear(first, count);
      free.set(first, count, is_set);
      if (i % 10) continue;
      const std::size_t wanted = 1 + below(2 * longest);
      ASSERT_EQ(m.map.lowest(wanted), free.lowest(wanted)) << wanted << " units, step " << i;
      const std::size_t end = below(units + 1);
      ASSERT_EQ(m.map.begin_of_run(end), free.begin_of_run(end)) << "end " << end << ", step " << i;
    }
  }
}

TEST(FreeMap, ARunIsFoundWhereverItBegins) {
  mapped m(3 * 16384);
  ASSERT_TRUE(m.map.start());
  for (const std::size_t count : {1u, 63u, 64u, 65u, 255u, 300u, 16383u, 16384u, 20'000u}) {
    for (std::size_t first = 1; first + count <= m.space.mapped; first += 251) {
      m.map.set(first, count);
      ASSERT_EQ(m.map.lowest(count), first) << count << " units";
      ASSERT_EQ(m.map.lowest(count + 1), free_map::none) << count << " units at " << first;
      ASSERT_EQ(m.map.begin_of_run(first + count), first) << count << " units";
      m.map.clear(first, count);
    }
  }
}

TEST(FreeMap, GrowsWithItsSpace) {
  for (const std::size_t units : {0u, 1u, 20'000u}) {
    mapped m(20'000);
    m.space.mapped = units;
    ASSERT_TRUE(m.map.start());
    EXPECT_EQ(m.map.lowest(1), free_map::none);
    EXPECT_EQ(m.map.begin_of_run(units), units);
    m.map.set(0, units);
    ASSERT_TRUE(m.map.grow_to(40'000));
    m.map.set(units, 40'000 - units);
    EXPECT_EQ(m.map.lowest(40'000), 0u);
  }
}

TEST(FreeMap, KnowsNothingBeforeItIsStarted) {
  mapped m(1000);
  EXPECT_TRUE(m.map.grow_to(1000));
  m.map.set(0, 1000);
  EXPECT_FALSE(m.map.is_kept());
  ASSERT_TRUE(m.map.start());
  EXPECT_EQ(m.map.lowest(1), free_map::none);
}

TEST(FreeMap, StaysAsItIsWhereItCannotGrow) {
  mapped m(16384);
  ASSERT_TRUE(m.map.start());
  m.map.set(0, 16384);
  m.memory.refuse_from(2 * page_size);  // behind the lengths of runs, and the first sheet
  EXPECT_FALSE(m.map.grow_to(16385));
  EXPECT_TRUE(m.map.grow_to(16384));
  EXPECT_EQ(m.map.lowest(16384), 0u);
}

TEST(FreeMap, CannotBeStartedWithoutMemory) {
  for (const std::size_t refused : {0u, 1u}) {
    mapped m(16384);
    m.memory.refuse_from(refused * page_size);
    EXPECT_FALSE(m.map.start());
    EXPECT_FALSE(m.map.is_kept());
    m.space.free_map = nullptr;
    EXPECT_FALSE(m.map.start());
  }
}

}  // namespace
