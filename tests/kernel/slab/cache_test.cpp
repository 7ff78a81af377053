// Object caches without constructors: what comes out of them, and that it all goes back.
#include <malloc.h>
#include <quarry/slab.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "../../preload/child.h"
#include "../../seccomp.h"
#include "../../survival/proc.h"
#include "slabinfo.h"

using namespace kernel_test;
using preload_test::dies_with_one_line;
using preload_test::run_in_child;
using preload_test::text_of;

namespace {

uintptr_t number(const void* p) {
  return reinterpret_cast<uintptr_t>(p);
}

TEST(Cache, KnowsItsNameAndSize) {
  char name[] = "a name of its own";
  kmem_cache_t* cache = kmem_cache_create(name, 100, 0, 0, nullptr, nullptr);
  ASSERT_NE(cache, nullptr);
  const cache_guard guard{cache};
  name[0] = 'b';
  EXPECT_STREQ(kmem_cache_name(cache), "a name of its own");
  EXPECT_EQ(kmem_cache_size(cache), 100u);
}

// However long the name, its line of slabinfo has all columns, and a message is a line.
TEST(Cache, MayHaveANameLongerThanALine) {
  const std::string name(700, 'x');
  kmem_cache_t* cache = kmem_cache_create(name.c_str(), 100, 0, 0, nullptr, nullptr);
  ASSERT_NE(cache, nullptr);
  const cache_guard guard{cache};
  EXPECT_EQ(kmem_cache_name(cache), name);
  bool found = false;
  for (const auto& [listed, line] : read_slabinfo())
    found |= name.starts_with(listed) && line.object_size >= 100;
  EXPECT_TRUE(found);
  EXPECT_TRUE(dies_with_one_line([&] { kmem_cache_free(cache, &found); },
                                 "quarry: kmem_cache_free\\(.*\\): not an object of cache .*"));
}

class CacheOf : public testing::TestWithParam<size_t> {};

TEST_P(CacheOf, ThatSizeAgreesWithAModel) {
  const size_t size = GetParam();
  kmem_cache_t* cache = kmem_cache_create("model", size, 0, 0, nullptr, nullptr);
  ASSERT_NE(cache, nullptr);
  const cache_guard guard{cache};
  std::minstd_rand random(1);
  std::set<char*> objects;
  std::vector<char*> order;
  const size_t most = std::min<size_t>(2000, (size_t{32} << 20) / size + 2);
  for (int step = 0; step < 20'000; step++) {
    if (order.size() < most && random() % 5 < 3) {
      auto* object = static_cast<char*>(kmem_cache_alloc(cache, GFP_KERNEL));
      ASSERT_NE(object, nullptr);
      EXPECT_EQ(number(object) % std::clamp<size_t>(size & -size, 8, 64), 0u);
      const auto [at, fresh] = objects.insert(object);
      ASSERT_TRUE(fresh) << "handed out twice";
      ASSERT_TRUE(std::next(at) == objects.end() || *std::next(at) >= object + size);
      ASSERT_TRUE(at == objects.begin() || *std::prev(at) + size <= object);
      object[0] = object[size - 1] = static_cast<char>(number(object) >> 3);
      order.push_back(object);
    } else if (!order.empty()) {
      std::swap(order[random() % order.size()], order.back());
      char* object = order.back();
      order.pop_back();
      ASSERT_EQ(object[0], static_cast<char>(number(object) >> 3));
      ASSERT_EQ(object[size - 1], static_cast<char>(number(object) >> 3));
      objects.erase(object);
      if (step % 7 == 0) {
        free(object);
      } else if (step % 7 == 1) {
        kfree(object);
      } else {
        kmem_cache_free(cache, object);
      }
    }
    if (step % 4000 == 0) kmem_cache_shrink(cache);
  }
  EXPECT_EQ(read_slabinfo()["model"].active_objects, order.size());
  for (char* object : order)
    kmem_cache_free(cache, object);
  EXPECT_EQ(kmem_cache_shrink(cache), 0);
  EXPECT_EQ(read_slabinfo()["model"].slabs, 0u);
}

INSTANTIATE_TEST_SUITE_P(Sizes, CacheOf,
                         testing::Values(1, 8, 20, 24, 64, 100, 256, 1000, 4000, 4096, 20'000,
                                         32'768, 40'000, 100'000, 1 << 20, 5'000'000));

class CacheAligned : public testing::TestWithParam<size_t> {};

TEST_P(CacheAligned, ToAPowerOfTwoHasSuchObjects) {
  for (size_t size : {8, 24, 1000, 4000, 50'000}) {
    kmem_cache_t* cache = kmem_cache_create("aligned", size, GetParam(), 0, nullptr, nullptr);
    ASSERT_NE(cache, nullptr);
    const cache_guard guard{cache};
    std::vector<void*> objects(20);
    for (void*& object : objects) {
      object = kmem_cache_alloc(cache, GFP_KERNEL);
      ASSERT_NE(object, nullptr);
      EXPECT_EQ(number(object) % GetParam(), 0u);
    }
    for (void* object : objects)
      kmem_cache_free(cache, object);
  }
}

INSTANTIATE_TEST_SUITE_P(Alignments, CacheAligned,
                         testing::Values(8, 64, 256, 4096, 16'384, 65'536));

TEST(Cache, HardwareAlignedObjectsDoNotShareALineWithoutNeed) {
  for (const auto& [size, alignment] :
       {std::pair{100, 64}, {64, 64}, {33, 64}, {32, 32}, {10, 16}}) {
    kmem_cache_t* cache = kmem_cache_create("lines", size, 0, SLAB_HWCACHE_ALIGN, nullptr, nullptr);
    const cache_guard guard{cache};
    void* a = kmem_cache_alloc(cache, GFP_KERNEL);
    void* b = kmem_cache_alloc(cache, GFP_KERNEL);
    EXPECT_EQ(number(a) % alignment, 0u);
    EXPECT_EQ(number(b) % alignment, 0u);
    kmem_cache_free(cache, a);
    kmem_cache_free(cache, b);
  }
}

// Each object is written to from end to end.
void expect_objects_of_their_own(size_t size, size_t align, unsigned long flags) {
  SCOPED_TRACE(testing::Message() << size << " bytes, alignment " << align << ", flags " << flags);
  kmem_cache_t* cache = kmem_cache_create("largest", size, align, flags, nullptr, nullptr);
  ASSERT_NE(cache, nullptr);
  const cache_guard guard{cache};
  EXPECT_EQ(kmem_cache_size(cache), size);
  char* objects[3];
  for (int i = 0; i < 3; i++) {
    objects[i] = static_cast<char*>(kmem_cache_alloc(cache, GFP_KERNEL));
    ASSERT_NE(objects[i], nullptr);
    EXPECT_EQ(number(objects[i]) % std::max<size_t>(align, 1), 0u);
    memset(objects[i], i + 1, size);
  }
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(objects[i][0], i + 1);
    EXPECT_EQ(memcmp(objects[i], objects[i] + 1, size - 1), 0);
    kmem_cache_free(cache, objects[i]);
  }
  EXPECT_EQ(kmem_cache_shrink(cache), 0);
}

TEST(Cache, MayHaveTheLargestObjectsAndTheLargestAlignment) {
  constexpr size_t most = KMEM_CACHE_MAX_SIZE;
  constexpr unsigned long all_checks =
      SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER | SLAB_CONSISTENCY_CHECKS;
  for (unsigned long flags : {0ul, all_checks}) {
    expect_objects_of_their_own(most, 0, flags);
    expect_objects_of_their_own(most - 1, 0, flags);
    expect_objects_of_their_own(8, most, flags);
    expect_objects_of_their_own(most, most, flags);
  }
}

TEST(Cache, ThatCannotBeIsRefused) {
  const auto refused = [](const char* name, size_t size, size_t align, unsigned long flags) {
    errno = 0;
    return kmem_cache_create(name, size, align, flags, nullptr, nullptr) == nullptr &&
           errno == EINVAL;
  };
  EXPECT_TRUE(refused(nullptr, 8, 0, 0));
  EXPECT_TRUE(refused("none", 0, 0, 0));
  EXPECT_TRUE(refused("large", KMEM_CACHE_MAX_SIZE + 1, 0, 0));
  EXPECT_TRUE(refused("larger", SIZE_MAX, 0, 0));
  EXPECT_TRUE(refused("odd", 8, 24, 0));
  EXPECT_TRUE(refused("far", 8, 2 * KMEM_CACHE_MAX_SIZE, 0));
  EXPECT_TRUE(refused("flags", 8, 0, 1));
  errno = 0;
  EXPECT_EQ(kmem_cache_create("dtor", 8, 0, 0, nullptr, [](void*, kmem_cache_t*, unsigned long) {}),
            nullptr);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_TRUE(dies_with_one_line(
      [] { kmem_cache_create("wanted", 0, 0, SLAB_PANIC, nullptr, nullptr); },
      "quarry: kmem_cache_create\\(\"wanted\"\\): SLAB_PANIC: invalid argument"));
}

TEST(Cache, ZeroedObjectsAreZeroAfterUse) {
  kmem_cache_t* cache = kmem_cache_create("zeroed", 200, 0, 0, nullptr, nullptr);
  const cache_guard guard{cache};
  const char zeros[200] = {};
  for (int i = 0; i < 100; i++) {
    void* object = i % 2 ? kmem_cache_zalloc(cache, GFP_KERNEL)
                         : kmem_cache_alloc(cache, GFP_KERNEL | __GFP_ZERO);
    EXPECT_EQ(memcmp(object, zeros, sizeof zeros), 0);
    memset(object, 0xff, sizeof zeros);
    kmem_cache_free(cache, object);
  }
}

// By themselves: the alarm of the child ends what would never come.
TEST(Cache, TheMemoryOfAnIdleProgramsFreeObjectsGoesBackToTheSystem) {
  kmem_cache_t* cache = kmem_cache_create("idle", 1000, 0, 0, nullptr, nullptr);
  const cache_guard guard{cache};
  const auto result = run_in_child([=] {
    static void* objects[1 << 16];
    const size_t before = survival::resident_bytes();
    for (void*& object : objects)
      memset(object = kmem_cache_alloc(cache, GFP_KERNEL), 1, 1000);
    for (void* object : objects)
      kmem_cache_free(cache, object);
    while (survival::resident_bytes() > before + std::size(objects) / 4 * 1000)
      survival::sleep_milliseconds(10);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

TEST(Cache, GivesAndTakesManyAtOnce) {
  kmem_cache_t* cache = kmem_cache_create("bulk", 120, 0, 0, nullptr, nullptr);
  const cache_guard guard{cache};
  for (size_t count : {0, 1, 10, 1000, 50'000}) {
    std::vector<void*> objects(count);
    ASSERT_EQ(kmem_cache_alloc_bulk(cache, GFP_KERNEL, count, objects.data()),
              static_cast<int>(count));
    EXPECT_EQ(std::set<void*>(objects.begin(), objects.end()).size(), count);
    for (void* object : objects)
      memset(object, 1, 120);
    kmem_cache_free_bulk(cache, count, objects.data());
  }
}

TEST(Cache, ObjectsAreMallocsBlocksToo) {
  kmem_cache_t* cache = kmem_cache_create("blocks", 100, 0, 0, nullptr, nullptr);
  const cache_guard guard{cache};
  auto* object = static_cast<char*>(kmem_cache_alloc(cache, GFP_KERNEL));
  strcpy(object, "contents");
  EXPECT_EQ(malloc_usable_size(object), 100u);
  EXPECT_EQ(ksize(object), 100u);
  EXPECT_EQ(realloc(object, 60), object);
  auto* moved = static_cast<char*>(realloc(object, 5000));
  EXPECT_STREQ(moved, "contents");
  EXPECT_EQ(read_slabinfo()["blocks"].active_objects, 0u);
  free(moved);
}

TEST(Cache, WithObjectsOutIsNotDestroyedAndSaysWhere) {
  kmem_cache_t* cache = kmem_cache_create("kept", 100, 0, 0, nullptr, nullptr);
  const cache_guard guard{cache};
  void* objects[600];
  for (void*& object : objects)
    object = kmem_cache_alloc(cache, GFP_KERNEL);
  for (int i = 0; i < 598; i++)
    kmem_cache_free(cache, objects[i]);
  int returned = -1;
  const auto result = run_in_child([&] {
    returned = kmem_cache_destroy(cache);
    if (returned != 2) _exit(1);
    // Nothing is lost.
    void* more = kmem_cache_alloc(cache, GFP_KERNEL);
    for (void* object : {more, objects[598], objects[599]})
      kmem_cache_free(cache, object);
    if (kmem_cache_destroy(cache) != 0) _exit(2);
  });
  EXPECT_TRUE(result.succeeded()) << result.status;
  EXPECT_EQ(result.lines(), 1);
  EXPECT_NE(result.errors.find("kmem_cache_destroy(" + text_of(cache) +
                               "): 2 objects of cache \"kept\" are in use: "),
            std::string::npos)
      << result.errors;
  EXPECT_NE(result.errors.find(text_of(objects[598])), std::string::npos) << result.errors;
  EXPECT_NE(result.errors.find(text_of(objects[599])), std::string::npos) << result.errors;
  kmem_cache_free(cache, objects[598]);
  kmem_cache_free(cache, objects[599]);
}

TEST(Cache, NullIsNoObjectAndNoCacheToDestroy) {
  kmem_cache_t* cache = kmem_cache_create("null", 100, 0, 0, nullptr, nullptr);
  kmem_cache_free(cache, nullptr);
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
  EXPECT_EQ(kmem_cache_destroy(nullptr), 0);
}

TEST(WrongUse, AnObjectOfAnotherCacheIsNamedWithBoth) {
  kmem_cache_t* mine = kmem_cache_create("mine", 100, 0, 0, nullptr, nullptr);
  kmem_cache_t* other = kmem_cache_create("other", 100, 0, 0, nullptr, nullptr);
  void* object = kmem_cache_alloc(other, GFP_KERNEL);
  void* block = malloc(100);
  void* large = malloc(10 << 20);
  const std::string begin = "quarry: kmem_cache_free\\(";
  const std::string reason = "\\): not an object of cache \"mine\"";
  EXPECT_TRUE(dies_with_one_line([&] { kmem_cache_free(mine, object); },
                                 begin + text_of(object) + reason + " but of \"other\""));
  EXPECT_TRUE(dies_with_one_line(
      [&] { kmem_cache_free_bulk(mine, 1, &object); },
      "quarry: kmem_cache_free_bulk\\(" + text_of(object) + reason + " but of \"other\""));
  EXPECT_TRUE(dies_with_one_line([&] { kmem_cache_free(mine, block); },
                                 begin + text_of(block) + reason + " but of \"size-112\""));
  for (void* foreign : {large, static_cast<void*>(&mine), reinterpret_cast<void*>(16)}) {
    EXPECT_TRUE(dies_with_one_line([&] { kmem_cache_free(mine, foreign); },
                                   begin + text_of(foreign) + reason));
  }
  kmem_cache_free(other, object);
  free(block);
  free(large);
  EXPECT_EQ(kmem_cache_destroy(mine), 0);
  EXPECT_EQ(kmem_cache_destroy(other), 0);
}

TEST(WrongUse, GivenBackTwiceAnObjectIsNamedWhenItsArrayIsEmptied) {
  kmem_cache_t* cache = kmem_cache_create("twice", 100, 0, 0, nullptr, nullptr);
  char* object = static_cast<char*>(kmem_cache_alloc(cache, GFP_KERNEL));
  char* keeps_the_slab = static_cast<char*>(kmem_cache_alloc(cache, GFP_KERNEL));
  const std::string begin = "quarry: kmem_cache_free\\(";
  EXPECT_TRUE(dies_with_one_line(
      [&] {
        kmem_cache_free(cache, object);
        kmem_cache_free(cache, object);
        kmem_cache_shrink(cache);
      },
      begin + text_of(object) + "\\): already free, cache \"twice\""));
  EXPECT_TRUE(dies_with_one_line(
      [&] {
        kmem_cache_free(cache, object + 8);
        kmem_cache_shrink(cache);
      },
      begin + text_of(object + 8) + "\\): inside a block that begins at " + text_of(object) +
          ", cache \"twice\""));
  EXPECT_TRUE(dies_with_one_line([&] { malloc_usable_size(object + 8); },
                                 "quarry: malloc_usable_size\\(" + text_of(object + 8) +
                                     "\\): inside a block that begins at " + text_of(object) +
                                     ", cache \"twice\""));
  kmem_cache_free(cache, object);
  kmem_cache_free(cache, keeps_the_slab);
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

TEST(WrongUse, OfADestroyedCacheIsNamed) {
  kmem_cache_t* cache = kmem_cache_create("gone", 100, 0, 0, nullptr, nullptr);
  ASSERT_EQ(kmem_cache_destroy(cache), 0);
  const std::string reason = "\\(" + text_of(cache) + "\\): the cache was destroyed.*";
  EXPECT_TRUE(dies_with_one_line([&] { kmem_cache_alloc(cache, GFP_KERNEL); },
                                 "quarry: kmem_cache_alloc" + reason));
  EXPECT_TRUE(dies_with_one_line([&] { kmem_cache_destroy(cache); },
                                 "quarry: kmem_cache_destroy" + reason));
  EXPECT_TRUE(
      dies_with_one_line([&] { kmem_cache_shrink(cache); }, "quarry: kmem_cache_shrink" + reason));
}

// Objects travel from the thread that takes them to the one that gives them back.
TEST(Cache, ThreadsMayGiveBackWhatOthersTook) {
  kmem_cache_t* cache = kmem_cache_create("travel", 72, 0, 0, nullptr, nullptr);
  const cache_guard guard{cache};
  constexpr int per_thread = 30'000;
  std::vector<std::vector<void*>> taken(4, std::vector<void*>(per_thread));
  for (int round = 0; round < 2; round++) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < per_thread; i++) {
          if (round == 1) kmem_cache_free(cache, taken[(t + 1) % 4][i]);
          if (round == 0) {
            taken[t][i] = kmem_cache_alloc(cache, GFP_KERNEL);
            memset(taken[t][i], t, 72);
          }
        }
      });
    }
    for (std::thread& t : threads)
      t.join();
  }
}

// A program may take membarrier(2) from itself, without which other CPUs' arrays are not reached.
TEST(CacheWithoutMembarrier, LosesNothing) {
  const auto result = run_in_child([] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    kmem_cache_t* cache = kmem_cache_create("refused", 64, 0, 0, nullptr, nullptr);
    std::vector<void*> objects(300);
    for (int turn = 0; turn < 20; turn++) {
      for (void*& object : objects)
        object = kmem_cache_alloc(cache, GFP_KERNEL);
      for (void* object : objects)
        kmem_cache_free(cache, object);
      if (turn == 10 && !seccomp_test::refuse(SYS_membarrier)) _exit(99);
      if (turn > 10) kmem_cache_shrink(cache);
    }
    if (read_slabinfo()["refused"].active_objects != 0) _exit(1);
    _exit(kmem_cache_destroy(cache) == 0 ? 0 : 2);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

}  // namespace
