// Constructors and destructors: when they run, and what lasts.
#include <malloc.h>
#include <quarry/slab.h>

#include <atomic>
#include <cstring>
#include <map>
#include <set>
#include <thread>
#include <vector>

#include "../../preload/child.h"
#include "slabinfo.h"

using namespace kernel_test;

namespace {

std::atomic<int> constructed, destructed;
std::atomic<kmem_cache_t*> told;
std::atomic<unsigned long> told_flags;

struct item {
  long magic;
  long uses;
  char rest[84];
};

void construct(void* object, kmem_cache_t* cache, unsigned long flags) {
  constructed++;
  told = cache;
  told_flags = flags;
  auto* i = static_cast<item*>(object);
  i->magic = 0x600d;
  i->uses = 0;
}

void destruct(void* object, kmem_cache_t* cache, unsigned long flags) {
  destructed++;
  told = cache;
  told_flags = flags;
  EXPECT_EQ(static_cast<item*>(object)->magic, 0x600d);
}

class Constructed : public testing::TestWithParam<unsigned long> {
 protected:
  void SetUp() override {
    constructed = destructed = 0;
    cache = kmem_cache_create("constructed", sizeof(item), 0, GetParam(), construct, destruct);
    ASSERT_NE(cache, nullptr);
  }
  item* take() { return static_cast<item*>(kmem_cache_alloc(cache, GFP_KERNEL)); }
  kmem_cache_t* cache = nullptr;
};

// What goes back to the system of a slab in part use would come back as zeros.
TEST_P(Constructed, ObjectsKeepTheirStateThroughATrim) {
  std::vector<item*> items(20'000);
  for (item*& i : items)
    i = take();
  const int before = constructed;
  for (std::size_t i = 0; i < items.size(); i++)
    if (i % 50) kmem_cache_free(cache, items[i]);
  malloc_trim(0);
  for (std::size_t i = 0; i < items.size(); i++)
    if (i % 50) items[i] = take();
  for (const item* i : items)
    ASSERT_EQ(i->magic, 0x600d);
  EXPECT_LT(constructed - before, before / 2) << "they were made anew";
  for (item* i : items)
    kmem_cache_free(cache, i);
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

TEST_P(Constructed, ObjectsAreConstructedWhenTheirSlabIsPopulated) {
  item* first = take();
  EXPECT_EQ(told, cache);
  EXPECT_EQ(told_flags, SLAB_CTOR_CONSTRUCTOR);
  EXPECT_EQ(first->magic, 0x600d);
  const auto line = read_slabinfo()["constructed"];
  EXPECT_EQ(constructed, static_cast<int>(line.slabs * line.objects_per_slab));
  kmem_cache_free(cache, first);
  const int before = constructed;
  for (int i = 0; i < 1000; i++)
    kmem_cache_free(cache, take());
  EXPECT_EQ(constructed, before);
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
  EXPECT_EQ(destructed, constructed);
  EXPECT_EQ(told_flags, 0u);
}

TEST_P(Constructed, ObjectsKeepTheirStateWhileTheyAreFree) {
  std::vector<item*> items(500);
  for (item*& i : items) {
    i = take();
    EXPECT_EQ(i->magic, 0x600d);
    i->uses++;
  }
  for (item* i : items)
    kmem_cache_free(cache, i);
  for (item*& i : items) {
    i = take();
    EXPECT_EQ(i->magic, 0x600d);
    EXPECT_GE(i->uses, 0);
    EXPECT_LE(i->uses, 1);
  }
  for (item* i : items)
    kmem_cache_free(cache, i);
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
  EXPECT_EQ(destructed, constructed);
}

TEST_P(Constructed, SlabsThatGoBackAreDestructed) {
  std::vector<item*> items(5000);
  for (item*& i : items)
    i = take();
  for (item* i : items)
    free(i);
  EXPECT_EQ(kmem_cache_shrink(cache), 0);
  EXPECT_EQ(destructed, constructed);
  item* again = take();
  EXPECT_EQ(again->magic, 0x600d);
  kmem_cache_free(cache, again);
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
  EXPECT_EQ(destructed, constructed);
}

// The thread that gives memory back could not run the program's code.
TEST_P(Constructed, ReclaimLeavesDestructorsToTheProgram) {
  std::vector<item*> items(5000);
  for (item*& i : items)
    i = take();
  for (item* i : items)
    kmem_cache_free(cache, i);
  const int before = destructed;
  malloc_trim(0);
  EXPECT_EQ(destructed, before);
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
  EXPECT_EQ(destructed, constructed);
}

INSTANTIATE_TEST_SUITE_P(Flags, Constructed,
                         testing::Values(0, SLAB_HWCACHE_ALIGN, SLAB_RED_ZONE,
                                         SLAB_POISON | SLAB_STORE_USER,
                                         SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER |
                                             SLAB_CONSISTENCY_CHECKS));

TEST(Constructor, IsToldWhenItMayNotWait) {
  free(malloc(12 << 20));  // what is committed and free
  kmem_cache_t* cache = kmem_cache_create("atomic", sizeof(item), 0, 0, construct, nullptr);
  void* object = kmem_cache_alloc(cache, GFP_ATOMIC);
  ASSERT_NE(object, nullptr);
  EXPECT_EQ(told_flags, SLAB_CTOR_CONSTRUCTOR | SLAB_CTOR_ATOMIC);
  kmem_cache_free(cache, object);
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

TEST(Constructor, MayAllocate) {
  static kmem_cache_t* inner;
  inner = kmem_cache_create("inner", 64, 0, 0, nullptr, nullptr);
  kmem_cache_t* outer = kmem_cache_create(
      "outer", 200, 0, 0,
      [](void* object, kmem_cache_t*, unsigned long) {
        *static_cast<void**>(object) = kmem_cache_alloc(inner, GFP_KERNEL);
        free(malloc(100));
      },
      [](void* object, kmem_cache_t*, unsigned long) {
        kmem_cache_free(inner, *static_cast<void**>(object));
      });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([=] {
      for (int i = 0; i < 300; i++) {
        void* objects[100];
        ASSERT_EQ(kmem_cache_alloc_bulk(outer, GFP_KERNEL, 100, objects), 100);
        kmem_cache_free_bulk(outer, 100, objects);
        if (i % 10 == 0) kmem_cache_shrink(outer);
        if (i % 50 == 0) malloc_trim(0);
      }
    });
  }
  for (std::thread& t : threads)
    t.join();
  EXPECT_EQ(kmem_cache_destroy(outer), 0);
  EXPECT_EQ(kmem_cache_destroy(inner), 0);
}

TEST(Constructor, IsNotUndoneByZeroing) {
  kmem_cache_t* cache = kmem_cache_create("kept", sizeof(item), 0, 0, construct, nullptr);
  EXPECT_TRUE(preload_test::dies_with_one_line(
      [=] { kmem_cache_zalloc(cache, GFP_KERNEL); },
      "quarry: kmem_cache_alloc\\(0x[0-9a-f]+\\): __GFP_ZERO would undo the constructor, cache "
      "\"kept\""));
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

}  // namespace
