// The intrusive list beside std::list over random operations.
#include "base/list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <list>
#include <random>
#include <vector>

using namespace quarry;

namespace {

struct item {
  list_node link;
  int number;
};

std::vector<item*> contents(const quarry::list<item>& l) {
  std::vector<item*> items;
  l.for_each([&](item* i) { items.push_back(i); });
  return items;
}

constinit quarry::list<item> static_list;

TEST(List, IsEmptyWithoutAConstructorHavingRun) {
  EXPECT_TRUE(static_list.empty());
  EXPECT_EQ(static_list.front(), nullptr);
  EXPECT_EQ(static_list.pop_front(), nullptr);
  EXPECT_TRUE(contents(static_list).empty());
}

TEST(List, ANodeLeavesItsListWithoutKnowingIt) {
  quarry::list<item> l;
  item a{{}, 1}, b{{}, 2}, c{{}, 3};
  for (item* i : {&a, &b, &c})
    l.push_back(i);
  list_unlink(&b.link);
  EXPECT_EQ(contents(l), (std::vector<item*>{&a, &c}));
}

TEST(List, BehavesAsStdListOverRandomOperations) {
  quarry::list<item> l;
  std::list<item*> model;
  std::vector<item> items(50);
  std::vector<item*> outside;
  for (item& i : items)
    outside.push_back(&i);
  std::mt19937_64 random(1);
  for (int step = 0; step < 20'000; step++) {
    const auto action = random() % 4;
    if (action < 2 && !outside.empty()) {
      item* i = outside.back();
      outside.pop_back();
      action == 0 ? l.push_front(i) : l.push_back(i);
      action == 0 ? model.push_front(i) : model.push_back(i);
    } else if (action == 2) {
      item* expected = model.empty() ? nullptr : model.front();
      ASSERT_EQ(l.pop_front(), expected);
      if (!expected) continue;
      model.pop_front();
      outside.push_back(expected);
    } else if (!model.empty()) {
      auto at = std::next(model.begin(), static_cast<long>(random() % model.size()));
      l.remove(*at);
      outside.push_back(*at);
      model.erase(at);
    }
    ASSERT_EQ(l.empty(), model.empty());
    ASSERT_EQ(l.front(), model.empty() ? nullptr : model.front());
    ASSERT_EQ(contents(l), std::vector<item*>(model.begin(), model.end()));
  }
}

}  // namespace
