// kmem_cache: objects from slabs through the shared array, and back.
#include "slab/cache.h"

#include <deque>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "../os/kernel.h"
#include "../page/started.h"
#include "../preload/child.h"
#include "page/page_alloc.h"
#include "page/reclaim.h"

using namespace page_test;
using preload_test::dies_with_one_line;

namespace {

// As allocate() and release() use a cache: the CPU's array first.
void* take(unsigned c) {
  void* object = percpu::pop(c);
  return object ? object : general_caches[c].allocate();
}
void give(unsigned c, void* object) {
  if (!percpu::push(c, object)) general_caches[c].free(object);
}

u64 pattern_of(const void* object) {
  return reinterpret_cast<u64>(object) * 0x9e37'79b9'7f4a'7c15;
}

// First and last word, so that an overlap with a neighbour is seen.
void fill(void* object, std::size_t size) {
  const u64 pattern = pattern_of(object);
  std::memcpy(object, &pattern, sizeof pattern);
  std::memcpy(static_cast<char*>(object) + size - sizeof pattern, &pattern, sizeof pattern);
}
bool is_filled(const void* object, std::size_t size) {
  const u64 pattern = pattern_of(object);
  return std::memcmp(object, &pattern, sizeof pattern) == 0 &&
         std::memcmp(static_cast<const char*>(object) + size - sizeof pattern, &pattern,
                     sizeof pattern) == 0;
}

// Every test leaves its cache empty.
class CacheOfSize : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    start_heap();
    c = compute_class(GetParam());
    size = bytes_of_class(c);
    shrink_all(false);
    ASSERT_EQ(general_caches[c].figures().slabs, 0u);
  }
  void TearDown() override {
    shrink_all(false);
    const cache_figures f = general_caches[c].figures();
    EXPECT_EQ(f.slabs, 0u) << "a slab was not released";
    EXPECT_EQ(f.objects_out, 0u) << "an object was lost";
    EXPECT_EQ(f.shared_objects, 0u);
  }

  unsigned c = 0;
  std::size_t size = 0;
};

TEST_P(CacheOfSize, AgreesWithAModelOverRandomRequests) {
  std::map<char*, int> objects;
  std::vector<char*> order;
  std::minstd_rand random(1);
  const std::size_t most = std::min<std::size_t>(5000, 64 * mib / size);
  for (int step = 0; step < 30'000; step++) {
    if (order.size() < most && random() % 5 < 3) {
      char* object = static_cast<char*>(take(c));
      ASSERT_NE(object, nullptr);
      const auto [at, fresh] = objects.try_emplace(object, 0);
      ASSERT_TRUE(fresh) << "handed out twice";
      const auto next = std::next(at);
      ASSERT_TRUE(next == objects.end() || next->first >= object + size) << "overlap";
      ASSERT_TRUE(at == objects.begin() || std::prev(at)->first + size <= object) << "overlap";
      fill(object, size);
      order.push_back(object);
    } else if (!order.empty()) {
      std::swap(order[random() % order.size()], order.back());
      char* object = order.back();
      order.pop_back();
      ASSERT_TRUE(is_filled(object, size));
      objects.erase(object);
      give(c, object);
    }
    if (step % 5000 == 0) shrink_all(step % 2 == 0);
  }
  for (char* object : order) {
    EXPECT_TRUE(is_filled(object, size));
    give(c, object);
  }
}

TEST_P(CacheOfSize, CountsWhatIsOutOfItsSlabs) {
  const unsigned count = 100;
  std::vector<void*> objects;
  for (unsigned i = 0; i < count; i++)
    objects.push_back(take(c));
  const auto in_use = [&] {
    const cache_figures f = general_caches[c].figures();
    return f.objects_out - f.shared_objects - percpu::figures_of(c).objects;
  };
  EXPECT_EQ(in_use(), count);
  const cache_figures f = general_caches[c].figures();
  EXPECT_GE(f.slabs * general_caches[c].shape().objects, f.objects_out);
  for (void* object : objects)
    give(c, object);
  EXPECT_EQ(in_use(), 0u);
}

TEST_P(CacheOfSize, ShrinkingReturnsEveryPageThatHoldsNothing) {
  reclaim_everything();
  const std::size_t used = normal_zone.used_pages();
  const std::size_t count = std::min<std::size_t>(2000, 32 * mib / size);
  std::vector<void*> objects;
  for (std::size_t i = 0; i < count; i++)
    objects.push_back(take(c));
  EXPECT_GE(normal_zone.used_pages() - used, count * size >> page_shift);
  for (void* object : objects)
    give(c, object);
  shrink_all(false);
  reclaim_everything();
  EXPECT_EQ(normal_zone.used_pages(), used);
}

TEST_P(CacheOfSize, SlabsThatStillHoldAnObjectStay) {
  void* first = take(c);
  std::vector<void*> others;
  for (int i = 0; i < 100; i++)
    others.push_back(take(c));
  fill(first, size);
  for (void* object : others)
    give(c, object);
  shrink_all(false);
  EXPECT_EQ(general_caches[c].figures().slabs, 1u);
  EXPECT_EQ(general_caches[c].figures().objects_out, 1u);
  EXPECT_TRUE(is_filled(first, size));
  EXPECT_EQ(general_caches[c].check(first, "realloc"), size);
  give(c, first);
}

TEST_P(CacheOfSize, AnIdleSharedArrayIsEmptiedAtTheSecondGlance) {
  std::vector<void*> objects;
  for (unsigned i = 0; i < 2000 && i * size < 32 * mib; i++)
    objects.push_back(take(c));
  for (void* object : objects)
    give(c, object);
  if (general_caches[c].figures().shared_objects == 0) {
    ASSERT_GT(size, 16 * kib) << "small objects pass through the shared array";
    return;
  }
  general_caches[c].shrink(true);
  EXPECT_GT(general_caches[c].figures().shared_objects, 0u);
  general_caches[c].shrink(true);
  EXPECT_EQ(general_caches[c].figures().shared_objects, 0u);
  // What is in use again, if only to hold as many as then, is not idle.
  for (void*& object : objects)
    object = take(c);
  for (void* object : objects)
    give(c, object);
  general_caches[c].shrink(true);
  EXPECT_GT(general_caches[c].figures().shared_objects, 0u);
}

// A descriptor can be seen by whoever shrinks all caches before its cache is made.
TEST(Cache, ThatIsNotMadeYetCanBeShrunk) {
  start_heap();
  quarry::kmem_cache cache;
  cache.shrink(true);
  cache.shrink(false);
  EXPECT_EQ(cache.figures().slabs, 0u);
}

// Without that, all but a few would go to their slabs and come from them in every turn.
TEST_P(CacheOfSize, WhatGoesAndComesInTurnsFindsRoomInTheSharedArray) {
  if (size > 2 * kib) return;  // slabs of few objects go back to the pages as a whole
  const std::size_t used = normal_zone.used_pages();
  std::vector<void*> objects(std::min<std::size_t>(3 * mib / size, 50'000));
  for (int turn = 0; turn < 4; turn++) {
    for (void*& object : objects)
      fill(object = take(c), size);
    for (void* object : objects) {
      ASSERT_TRUE(is_filled(object, size));
      give(c, object);
    }
  }
  EXPECT_GT(general_caches[c].figures().shared_objects, objects.size() / 2);
  general_caches[c].shrink(false);
  EXPECT_EQ(general_caches[c].figures().shared_objects, 0u);
  EXPECT_EQ(general_caches[c].tunables().shared, shared_limit_for(size) / batch_for(size));
  shrink_all(false);
  reclaim_everything();
  EXPECT_LE(normal_zone.used_pages(), used) << "the memory for pointers did not go back";
}

// Objects travel from the thread that takes them to the one that gives them back.
TEST_P(CacheOfSize, ThreadsMayGiveBackWhatOthersTook) {
  std::mutex mutex;
  std::deque<void*> queue;
  std::atomic<unsigned> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; t++) {
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < 5000; i++) {
        void* mine = take(c);
        fill(mine, size);
        void* old = nullptr;
        {
          const std::lock_guard guard(mutex);
          queue.push_back(mine);
          if (queue.size() > 300) {
            old = queue.front();
            queue.pop_front();
          }
        }
        if (old) {
          wrong += !is_filled(old, size);
          give(c, old);
        }
        if (t == 0 && i % 500 == 0) shrink_all(false);
        if (t == 0 && i % 500 == 250) trim_all(trim_depth::everything);
      }
    });
  }
  for (std::thread& t : threads)
    t.join();
  EXPECT_EQ(wrong, 0u);
  for (void* object : queue) {
    EXPECT_TRUE(is_filled(object, size));
    give(c, object);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, CacheOfSize,
                         testing::Values(8, 16, 64, 112, 256, 1024, 1792, 4096, 10240, 32768, 65536,
                                         max_small_size));

// Pages behind objects that were just taken from new slabs, none of them written to. All zeros, as
// nothing was in them before.
class NewSlabs : public testing::Test {
 protected:
  void SetUp() override {
    start_heap();
    shrink_all(false);
    reclaim_everything();
  }
  void TearDown() override {
    shrink_all(false);
    reclaim_everything();
  }

  // Of the pages in which `count` objects of the class lie, how many are in memory; and of the
  // frames of their slabs.
  struct pages {
    std::size_t of_objects;
    std::size_t resident;
    std::size_t resident_in_slabs;
  };
  static pages take_objects(std::size_t object_size, unsigned count) {
    const unsigned c = compute_class(object_size);
    const slab_shape& shape = general_caches[c].shape();
    std::vector<void*> objects;
    std::set<const char*> frames, slabs;
    for (unsigned i = 0; i < count; i++) {
      objects.push_back(take(c));
      const auto* begin = static_cast<const char*>(objects.back());
      slabs.insert(region.frames.address_of(slab_of(begin, shape)));
      for (std::size_t at = 0; at < object_size; at += page_size)
        frames.insert(frames_base + align_down(offset_of(begin + at), page_size));
    }
    pages found = {frames.size(), 0, 0};
    for (const char* frame : frames)
      found.resident += resident_pages(frame, page_size);
    for (const char* slab : slabs)
      found.resident_in_slabs += resident_pages(slab, std::size_t{shape.pages} << page_shift);
    for (void* object : objects)
      EXPECT_TRUE(is_zero(object, object_size));
    for (void* object : objects)
      give(c, object);
    return found;
  }
};

TEST_F(NewSlabs, OfASmallHeapHaveOnlyThePagesThatAreTouched) {
  const pages found = take_objects(1000, 200);
  EXPECT_GE(found.of_objects, 45u);
  EXPECT_EQ(found.resident_in_slabs, 0u);
}

TEST_F(NewSlabs, OfALargeHeapHaveTheirPagesBeforeTheFirstTouch) {
  if (!knows_populate()) GTEST_SKIP() << "needs Linux 5.14 (MADV_POPULATE_WRITE)";
  constexpr std::size_t much = 32 * mib >> page_shift;
  bool clean;
  page* run = alloc_run(much, 1, &clean);
  ASSERT_NE(run, nullptr);
  const pages small = take_objects(1000, 200);
  EXPECT_GE(small.of_objects, 45u);
  EXPECT_EQ(small.resident, small.of_objects);
  // A batch of objects ahead of the caller, and four pages ahead of that.
  EXPECT_LE(small.resident_in_slabs, small.of_objects + 8);
  const pages large = take_objects(8000, 200);
  EXPECT_EQ(large.resident_in_slabs, 0u) << "of objects that may not be written to as a whole";
  free_run(run, much, true);
}

class WrongUse : public CacheOfSize {
 protected:
  // What a drain does, by which every wrong object is seen at the latest.
  void give_and_flush(const std::vector<void*>& objects) {
    for (void* object : objects)
      give(c, object);
    shrink_all(false);
  }
  static std::string line(const void* object, const std::string& reason) {
    char address[32];
    snprintf(address, sizeof address, "%p", object);
    return std::string("quarry: free\\(") + address + "\\): " + reason;
  }
};

TEST_P(WrongUse, GivenBackTwiceAnObjectIsNamed) {
  void* object = take(c);
  void* keeps_the_slab = take(c);
  EXPECT_TRUE(dies_with_one_line(
      [&] {
        give_and_flush({object, object});
      },
      line(object, "(already free|not a block of this allocator)")));
  give(c, object);
  give(c, keeps_the_slab);
}

// All of a slab, one of another, and then again one of the first slab, which has become empty.
TEST_P(WrongUse, GivenBackTwiceAnObjectOfAnEmptySlabIsNamed) {
  const unsigned count = general_caches[c].shape().objects;
  std::vector<void*> objects(2 * count);
  ASSERT_EQ(general_caches[c].allocate_many(GFP_KERNEL, objects.data(), 2 * count), 2 * count);
  std::vector<void*> wrong(objects.begin(), objects.begin() + count + 1);
  wrong.push_back(wrong.front());
  EXPECT_TRUE(dies_with_one_line([&] { general_caches[c].free_to_slabs(wrong.data(), count + 2); },
                                 line(wrong.front(), "already free")));
  general_caches[c].free_to_slabs(objects.data(), 2 * count);
}

TEST_P(WrongUse, AnAddressInsideAnObjectIsNamedWithItsBegin) {
  char* object = static_cast<char*>(take(c));
  char begin[32];
  snprintf(begin, sizeof begin, "%p", static_cast<void*>(object));
  for (std::size_t offset : {std::size_t{1}, size / 2, size - 1}) {
    EXPECT_TRUE(dies_with_one_line(
        [&] { give_and_flush({object + offset}); },
        line(object + offset, std::string("inside a block that begins at ") + begin)));
  }
  give(c, object);
}

TEST_P(WrongUse, CheckingNamesTheCallThatAsked) {
  char* object = static_cast<char*>(take(c));
  void* other = take(c);
  EXPECT_EQ(general_caches[c].check(object, "realloc"), size);
  char expected[200];
  snprintf(expected, sizeof expected,
           "quarry: malloc_usable_size\\(%p\\): inside a block that begins at %p",
           static_cast<void*>(object + 4), static_cast<void*>(object));
  EXPECT_TRUE(dies_with_one_line([&] { general_caches[c].check(object + 4, "malloc_usable_size"); },
                                 expected));
  give(c, object);
  give(c, other);
}

INSTANTIATE_TEST_SUITE_P(Sizes, WrongUse,
                         testing::Values(8, 64, 1792, 20480, 32768, max_small_size));

}  // namespace
