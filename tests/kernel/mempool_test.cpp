// Pools through quarry/mempool.h: what the header promises, over functions of the program's own.
// Waiting and the order of service are tested in ../mempool, the end of memory in mempool_limit.c.
#include <quarry/mempool.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

#include "../preload/child.h"

namespace {

using preload_test::dies_with_one_line;

struct counts {
  int allocated = 0;
  int freed = 0;
  int left = -1;  // no end below zero
};

void* allocate(gfp_t, void* data) {
  auto* c = static_cast<counts*>(data);
  if (c->left == 0) return nullptr;
  if (c->left > 0) c->left--;
  c->allocated++;
  return std::malloc(100);
}

void give_back(void* element, void* data) {
  static_cast<counts*>(data)->freed++;
  std::free(element);
}

TEST(Pools, KeepTheirReserveThroughEveryUse) {
  counts c;
  mempool_t* pool = mempool_create(5, allocate, give_back, &c);
  ASSERT_NE(pool, nullptr);
  EXPECT_EQ(c.allocated, 5);
  void* element = mempool_alloc(pool, GFP_KERNEL);
  EXPECT_EQ(c.allocated, 6);
  mempool_free(element, pool);
  EXPECT_EQ(c.freed, 1);
  mempool_destroy(pool);
  EXPECT_EQ(c.freed, 6);
}

TEST(Pools, WhoMayNotWaitGetsTheReserveAndThenNull) {
  counts c;
  mempool_t* pool = mempool_create(2, allocate, give_back, &c);
  c.left = 0;
  void* a = mempool_alloc(pool, GFP_ATOMIC);
  void* b = mempool_alloc(pool, GFP_NOWAIT);
  EXPECT_TRUE(a && b);
  EXPECT_EQ(mempool_alloc(pool, GFP_ATOMIC), nullptr);
  mempool_free(a, pool);
  mempool_free(b, pool);
  mempool_destroy(pool);
  EXPECT_EQ(c.freed, 2);
}

TEST(Pools, CanBeResized) {
  counts c;
  mempool_t* pool = mempool_create(2, allocate, give_back, &c);
  EXPECT_EQ(mempool_resize(pool, 1000, GFP_KERNEL), 0);
  EXPECT_EQ(c.allocated, 1000);
  EXPECT_EQ(mempool_resize(pool, 1, GFP_KERNEL), 0);
  EXPECT_EQ(c.freed, 999);
  EXPECT_EQ(mempool_resize(pool, INT_MAX, GFP_KERNEL), -ENOMEM);
  EXPECT_EQ(c.allocated, 1000);
  mempool_destroy(pool);
}

TEST(Pools, CannotBeMadeWithoutMemoryForTheReserve) {
  counts c;
  c.left = 3;
  EXPECT_EQ(mempool_create(4, allocate, give_back, &c), nullptr);
  EXPECT_EQ(c.freed, 3);
}

TEST(Pools, TakeNullWhereTheKernelDoes) {
  counts c;
  mempool_t* pool = mempool_create(1, allocate, give_back, &c);
  mempool_free(nullptr, pool);
  EXPECT_EQ(c.freed, 0);
  mempool_destroy(pool);
  mempool_destroy(nullptr);
}

TEST(Pools, WrongUseEndsTheProcessWithALine) {
  counts c;
  mempool_t* pool = mempool_create(1, allocate, give_back, &c);
  void* block = std::malloc(10000);
  EXPECT_TRUE(
      dies_with_one_line([&] { mempool_alloc(static_cast<mempool_t*>(block), GFP_KERNEL); },
                         "quarry: mempool_alloc\\(0x[0-9a-f]+\\): not a pool, or destroyed"));
  EXPECT_TRUE(
      dies_with_one_line([&] { std::free(pool); }, "quarry: free\\(0x[0-9a-f]+\\): not .*"));
  EXPECT_TRUE(dies_with_one_line([&] { mempool_create(-1, allocate, give_back, &c); },
                                 "quarry: mempool_create\\(.*\\): min_nr is negative"));
  EXPECT_TRUE(dies_with_one_line([&] { mempool_resize(pool, 0, GFP_KERNEL); },
                                 "quarry: mempool_resize\\(.*\\): new_min_nr is less than 1"));
  std::free(block);
  mempool_destroy(pool);
}

}  // namespace
