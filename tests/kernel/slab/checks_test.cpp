// SLAB_RED_ZONE, SLAB_POISON, SLAB_STORE_USER, SLAB_CONSISTENCY_CHECKS: each violation is named in
// one line, at once.
#include <malloc.h>
#include <quarry/slab.h>

#include <cstring>
#include <vector>

#include "../../preload/child.h"
#include "slabinfo.h"

using namespace kernel_test;
using preload_test::dies_with_one_line;
using preload_test::text_of;

namespace {

constexpr unsigned long all_checks =
    SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER | SLAB_CONSISTENCY_CHECKS;
const std::string users = "(, last taken at 0x[0-9a-f]+)?(, last given back at 0x[0-9a-f]+)?";

class Checked : public testing::TestWithParam<size_t> {
 protected:
  char* take(unsigned long flags) {
    cache = kmem_cache_create("checked", GetParam(), 0, flags, nullptr, nullptr);
    other = static_cast<char*>(kmem_cache_alloc(cache, GFP_KERNEL));
    return object = static_cast<char*>(kmem_cache_alloc(cache, GFP_KERNEL));
  }
  void TearDown() override {
    kmem_cache_free(cache, object);
    kmem_cache_free(cache, other);
    EXPECT_EQ(kmem_cache_destroy(cache), 0);
  }
  std::string line(const std::string& call, const std::string& what) const {
    return "quarry: " + call + "\\(" + text_of(object) + "\\): " + what + " cache \"checked\"" +
           users;
  }
  kmem_cache_t* cache;
  char* object;
  char* other;
};

TEST_P(Checked, ObjectsCanBeUsedToTheirLastByte) {
  take(all_checks);
  for (int round = 0; round < 3; round++) {
    std::vector<char*> objects(50);
    for (char*& o : objects) {
      o = static_cast<char*>(kmem_cache_alloc(cache, GFP_KERNEL));
      memset(o, round, GetParam());
    }
    for (size_t i = 0; i < objects.size(); i++) {
      EXPECT_EQ(objects[i][GetParam() - 1], round);
      if (i % 3 == 0) free(objects[i]);
      if (i % 3 == 1) kfree(objects[i]);
      if (i % 3 == 2) kmem_cache_free(cache, objects[i]);
    }
  }
  EXPECT_EQ(malloc_usable_size(object), GetParam());
}

TEST_P(Checked, AWriteBehindTheObjectIsNamed) {
  take(SLAB_RED_ZONE);
  for (int beyond : {0, 7}) {
    EXPECT_TRUE(dies_with_one_line(
        [&] {
          object[GetParam() + beyond] = 'x';
          kmem_cache_free(cache, object);
        },
        line("kmem_cache_free", "0x78 was written " + std::to_string(beyond) +
                                    " bytes behind the end of the object of")));
  }
}

TEST_P(Checked, AWriteBeforeTheObjectIsNamed) {
  take(SLAB_RED_ZONE | SLAB_STORE_USER);
  EXPECT_TRUE(dies_with_one_line(
      [&] {
        object[-1] = 'x';
        free(object);
      },
      line("free", "0x78 was written 1 bytes before the object of")));
}

TEST_P(Checked, AWriteToAFreeObjectIsNamedWhenItIsTakenNext) {
  take(all_checks);
  for (size_t at : {size_t{0}, GetParam() / 2, GetParam() - 1}) {
    const auto write = [&] {
      kmem_cache_free(cache, object);
      object[at] = 'x';
    };
    const std::string what =
        "0x78 was written to byte " + std::to_string(at) + " of the free object of";
    EXPECT_TRUE(dies_with_one_line(
        [&] {
          write();
          for (int i = 0; i < 1000; i++)
            kmem_cache_alloc(cache, GFP_KERNEL);
        },
        line("kmem_cache_alloc", what)));
    EXPECT_TRUE(dies_with_one_line(
        [&] {
          write();
          kmem_cache_free(cache, other);
          kmem_cache_shrink(cache);
        },
        line("kmem_cache_shrink", what)));
  }
}

TEST_P(Checked, AnObjectGivenBackTwiceIsNamedAtOnce) {
  take(SLAB_CONSISTENCY_CHECKS);
  EXPECT_TRUE(dies_with_one_line(
      [&] {
        kmem_cache_free(cache, object);
        kmem_cache_free(cache, object);
      },
      line("kmem_cache_free", "already free,")));
  EXPECT_TRUE(dies_with_one_line([&] { kmem_cache_free(cache, object + 1); },
                                 "quarry: kmem_cache_free\\(" + text_of(object + 1) +
                                     "\\): inside a block that begins at " + text_of(object) +
                                     ", cache \"checked\""));
}

TEST_P(Checked, TheLastUsersAreNamed) {
  take(all_checks);
  EXPECT_TRUE(dies_with_one_line(
      [&] {
        kmem_cache_free(cache, object);
        kmem_cache_free(cache, object);
      },
      "quarry: kmem_cache_free\\(" + text_of(object) +
          "\\): already free, cache \"checked\", last taken at 0x[0-9a-f]+, last given back at "
          "0x[0-9a-f]+"));
}

INSTANTIATE_TEST_SUITE_P(Sizes, Checked, testing::Values(8, 20, 100, 1000, 4096, 50'000));

TEST(Checks, PoisonShowsInFreshObjects) {
  kmem_cache_t* cache = kmem_cache_create("poison", 40, 0, SLAB_POISON, nullptr, nullptr);
  auto* object = static_cast<unsigned char*>(kmem_cache_alloc(cache, GFP_KERNEL));
  for (int i = 0; i < 40; i++)
    EXPECT_EQ(object[i], 0x5a);
  kmem_cache_free(cache, object);
  object = static_cast<unsigned char*>(kmem_cache_zalloc(cache, GFP_KERNEL));
  for (int i = 0; i < 40; i++)
    EXPECT_EQ(object[i], 0);
  kmem_cache_free(cache, object);
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

TEST(Checks, RedZonesKeepTheAlignment) {
  for (size_t align : {16, 64, 4096}) {
    kmem_cache_t* cache = kmem_cache_create("aligned", 100, align, all_checks, nullptr, nullptr);
    void* objects[20];
    ASSERT_EQ(kmem_cache_alloc_bulk(cache, GFP_KERNEL, 20, objects), 20);
    for (void* object : objects)
      EXPECT_EQ(reinterpret_cast<uintptr_t>(object) % align, 0u);
    kmem_cache_free_bulk(cache, 20, objects);
    EXPECT_EQ(kmem_cache_destroy(cache), 0);
  }
}

}  // namespace
