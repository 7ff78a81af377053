// shared_array: what it holds, and how its limit follows what has no room and comes back.
#include "slab/shared_array.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "../page/started.h"
#include "page/zones.h"

using namespace quarry;

namespace {

constexpr unsigned first_limit = 100;
constexpr unsigned most = 1000;

class SharedArray : public testing::Test {
 protected:
  void SetUp() override { array.start(first_limit, most, {first.data(), first_limit}); }

  // Pointers that are told apart by their number.
  static std::vector<void*> objects(unsigned count) {
    std::vector<void*> made(count);
    for (unsigned i = 0; i < count; i++)
      made[i] = reinterpret_cast<void*>(std::uintptr_t{i + 1} * 16);
    return made;
  }

  unsigned give(unsigned count) { return array.give(objects(count).data(), count); }

  // As a cache that had to go to its slabs for them.
  void miss(unsigned count) {
    void* none = nullptr;
    ASSERT_EQ(array.take(&none, 1), 0u);
    array.note_missing(count);
  }

  // All that it holds, the last first.
  std::vector<void*> take_all() {
    std::vector<void*> taken;
    void* object = nullptr;
    while (array.take(&object, 1) == 1)
      taken.push_back(object);
    return taken;
  }

  std::vector<void*> first = std::vector<void*>(first_limit);
  shared_array array;
};

TEST_F(SharedArray, GivesBackWhatItTookTheLastFirst) {
  EXPECT_EQ(give(3), 3u);
  EXPECT_EQ(array.count(), 3u);
  std::vector<void*> expected = objects(3);
  std::reverse(expected.begin(), expected.end());
  EXPECT_EQ(take_all(), expected);
}

TEST_F(SharedArray, TakesNoMoreThanThereIsRoomFor) {
  EXPECT_EQ(give(first_limit + 50), first_limit);
  EXPECT_EQ(give(1), 0u);
  std::vector<void*> taken(first_limit + 50);
  EXPECT_EQ(array.take(taken.data(), first_limit + 50), first_limit);
}

TEST_F(SharedArray, ItsLimitRisesByWhatHadNoRoomAndCameBack) {
  give(first_limit + 50);
  EXPECT_EQ(array.limit(), first_limit) << "it may be gone for good";
  take_all();
  miss(30);
  EXPECT_EQ(array.limit(), first_limit + 30);
  miss(30);
  EXPECT_EQ(array.limit(), first_limit + 50) << "the others were never given";
}

TEST_F(SharedArray, ItsLimitStaysWhereNothingOverflowed) {
  give(first_limit);
  take_all();
  miss(500);
  EXPECT_EQ(array.limit(), first_limit);
}

TEST_F(SharedArray, WhatOverflowedBeforeTheLastLookIsForgotten) {
  give(first_limit + 50);
  array.look();
  take_all();
  miss(50);
  EXPECT_EQ(array.limit(), first_limit);
}

TEST_F(SharedArray, ItsLimitRisesToTheMost) {
  give(5000);
  take_all();
  miss(4900);
  EXPECT_EQ(array.limit(), most);
}

TEST_F(SharedArray, ItsLimitIsFixedWithAMostOfZero) {
  EXPECT_FALSE(array.is_fixed());
  array.start(first_limit, 0, {first.data(), first_limit});
  EXPECT_TRUE(array.is_fixed());
  give(first_limit + 500);
  take_all();
  miss(500);
  EXPECT_EQ(array.limit(), first_limit);
  EXPECT_EQ(array.start_again(10, {}).begin, nullptr);
  EXPECT_EQ(array.room(), first_limit);
}

TEST_F(SharedArray, WantsRoomWhenItsLimitHasDoubledOrIsTheMost) {
  const auto rise_to = [&](unsigned limit) {
    give(array.room() + (limit - array.limit()));
    take_all();
    miss(limit - array.limit());
    ASSERT_EQ(array.limit(), limit);
  };
  EXPECT_EQ(array.wanted_room(), 0u);
  rise_to(2 * first_limit - 1);
  EXPECT_EQ(array.wanted_room(), 0u);
  rise_to(2 * first_limit);
  EXPECT_EQ(array.wanted_room(), 2 * first_limit);
  std::vector<void*> room(800);
  rise_to(800);
  array.move_to({room.data(), 800});
  rise_to(most);
  EXPECT_EQ(array.wanted_room(), most) << "less than twice what it has, but there will be no more";
}

TEST_F(SharedArray, ThatIsToHaveALimitWantsAllOfIt) {
  array.start(first_limit, most, {});
  EXPECT_EQ(array.wanted_room(), first_limit);
  EXPECT_EQ(give(10), 0u);
  array.move_to({first.data(), first_limit});
  EXPECT_EQ(give(10), 10u);
}

TEST_F(SharedArray, KeepsWhatItHoldsWhenItGetsMoreRoom) {
  give(first_limit + 200);
  take_all();
  miss(200);
  EXPECT_EQ(give(70), 70u);
  std::vector<void*> room(300);
  EXPECT_EQ(array.move_to({room.data(), 300}).begin, first.data());
  EXPECT_EQ(array.room(), 300u);
  std::vector<void*> expected = objects(70);
  std::reverse(expected.begin(), expected.end());
  EXPECT_EQ(take_all(), expected);
}

TEST_F(SharedArray, RefusesRoomThatIsNoMoreOrAboveItsLimit) {
  std::vector<void*> room(300);
  EXPECT_EQ(array.move_to({room.data(), 300}).begin, room.data());
  EXPECT_EQ(array.move_to({room.data(), first_limit}).begin, room.data());
  EXPECT_EQ(array.room(), first_limit);
}

TEST_F(SharedArray, StaysWithTheRoomThatItHasWhereThereIsNoMemory) {
  give(first_limit + 200);
  take_all();
  miss(200);
  ASSERT_NE(array.wanted_room(), 0u);
  array.stay();
  EXPECT_EQ(array.wanted_room(), 0u);
  array.start(first_limit, most, {});
  array.stay();
  EXPECT_EQ(array.wanted_room(), first_limit) << "without any it asks again";
}

TEST_F(SharedArray, StartsAgainWithWhatItBeganWithOnlyIfItHasRisen) {
  EXPECT_EQ(array.start_again(first_limit, {}).begin, nullptr);
  EXPECT_EQ(array.room(), first_limit);
  give(first_limit + 200);
  take_all();
  miss(200);
  std::vector<void*> room(300);
  array.move_to({room.data(), 300});
  const pointer_room before = array.start_again(first_limit, {first.data(), first_limit});
  EXPECT_EQ(before.begin, room.data());
  EXPECT_EQ(before.count, 300u);
  EXPECT_EQ(array.limit(), first_limit);
  EXPECT_EQ(array.room(), first_limit);
}

TEST_F(SharedArray, StartsWithoutWhatItRemembered) {
  give(first_limit + 50);
  array.look();
  give(50);
  take_all();
  array.start(first_limit, most, {first.data(), first_limit});
  miss(50);
  EXPECT_EQ(array.limit(), first_limit);
  EXPECT_TRUE(array.look()) << "it is empty, as at the start";
}

TEST_F(SharedArray, LooksLeftAloneWhileItHoldsAsMany) {
  give(5);
  EXPECT_FALSE(array.look());
  EXPECT_TRUE(array.look());
  give(1);
  EXPECT_FALSE(array.look());
}

TEST(Pointers, ComeInPagesAndGoBackToTheZone) {
  page_test::start_heap();
  const std::size_t used = normal_zone.used_pages();
  const pointer_room room = allocate_pointers(1000);
  ASSERT_NE(room.begin, nullptr);
  EXPECT_EQ(room.count, 1000u);
  EXPECT_EQ(normal_zone.used_pages(), used + 2);
  std::iota(reinterpret_cast<std::uintptr_t*>(room.begin),
            reinterpret_cast<std::uintptr_t*>(room.begin + room.count), 0);
  free_pointers(room);
  EXPECT_EQ(normal_zone.used_pages(), used);
  EXPECT_EQ(allocate_pointers(0).begin, nullptr);
  free_pointers({});
}

}  // namespace
