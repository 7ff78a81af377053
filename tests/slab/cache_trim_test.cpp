// Trimming: pages of slabs in which no object is out go back to the system, all others stay.
#include <atomic>
#include <set>
#include <thread>

#include "../page/started.h"
#include "page/reclaim.h"
#include "page/zones.h"
#include "slab/cache.h"
#include "slab/dedicated.h"

using namespace page_test;

namespace {

constexpr unsigned kept_share = 40;

char byte_of(const char* object, std::size_t at) {
  return static_cast<char>(0x5a + offset_of(object) / 8 + at);
}

// Objects of 12 MiB of one size, all of them written to, of which one in forty is still out.
class Burst : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override {
    start_heap();
    reclaim_everything();
    c = compute_class(GetParam());
    size = bytes_of_class(c);
    std::vector<char*> objects(12 * mib / size);
    for (char*& object : objects) {
      object = take();
      add_slab_of(object);
    }
    for (std::size_t i = 0; i < objects.size(); i++) {
      if (i % kept_share == kept_share / 2) {
        kept.push_back(objects[i]);
      } else {
        give(objects[i]);
      }
    }
    shrink_all(false);
    purge_zones();
  }
  void TearDown() override {
    for (char* object : kept)
      give(object);
    reclaim_everything();
    EXPECT_EQ(general_caches[c].figures().slabs, 0u);
    EXPECT_EQ(general_caches[c].figures().objects_out, 0u);
  }

  char* take() {
    void* object = percpu::pop(c);
    char* bytes = static_cast<char*>(object ? object : general_caches[c].allocate());
    for (std::size_t at = 0; at < size; at++)
      bytes[at] = byte_of(bytes, at);
    return bytes;
  }
  void give(char* object) const {
    for (std::size_t at = 0; at < size; at++)
      ASSERT_EQ(object[at], byte_of(object, at));
    if (!percpu::push(c, object)) general_caches[c].free(object);
  }

  void add_slab_of(const char* object) {
    slabs.insert(region.frames.address_of(slab_of(object, general_caches[c].shape())));
  }
  static void purge_zones() {
    for_each_zone([](zone* z) { z->purge(0, purge_depth::everything); });
  }

  // Where pages are, from the region's base: those in memory of all slabs that there were.
  std::set<std::size_t> resident() const {
    std::set<std::size_t> found;
    const u32 pages = general_caches[c].shape().pages;
    for (const char* slab : slabs) {
      for (u32 p = 0; p < pages; p++) {
        const char* at = slab + p * page_size;
        if (resident_pages(at, page_size)) found.insert(offset_of(at));
      }
    }
    return found;
  }
  // And those that a kept object is in.
  std::set<std::size_t> needed() const {
    std::set<std::size_t> found;
    for (const char* object : kept) {
      const std::size_t begin = align_down(offset_of(object), page_size);
      for (std::size_t at = begin; at < offset_of(object) + size; at += page_size)
        found.insert(at);
    }
    return found;
  }

  // All but the needed pages, and those of the last slab that nothing was ever in.
  void expect_gone(std::size_t pages, std::size_t before) const {
    EXPECT_GE(pages, before - needed().size());
    EXPECT_LE(pages, before - needed().size() + general_caches[c].shape().pages);
  }

  unsigned c = 0;
  std::size_t size = 0;
  std::vector<char*> kept;
  std::set<const char*> slabs;
};

TEST_P(Burst, LeavesThePagesInWhichSomethingIsOut) {
  EXPECT_GT(resident().size(), needed().size()) << "there is nothing to be trimmed";
  const std::size_t before = resident().size();
  const trimmed result = trim_all(trim_depth::everything);
  EXPECT_EQ(resident(), needed());
  expect_gone(result.pages, before);
  EXPECT_EQ(trim_all(trim_depth::everything).pages, 0u) << "what went back went once more";
}

TEST_P(Burst, LeavesSlabsThatServeAsBefore) {
  trim_all(trim_depth::everything);
  const std::size_t before = general_caches[c].figures().slabs;
  std::set<char*> objects(kept.begin(), kept.end());
  const std::size_t all = before * general_caches[c].shape().objects;
  while (objects.size() + general_caches[c].shape().objects < all) {
    char* object = take();
    ASSERT_TRUE(objects.insert(object).second) << "handed out twice";
  }
  EXPECT_LE(general_caches[c].figures().slabs, before) << "objects were lost";
  for (auto at = objects.begin(); std::next(at) != objects.end(); ++at)
    ASSERT_LE(*at + size, *std::next(at)) << "overlap";
  for (char* object : kept)
    objects.erase(object);
  for (char* object : objects)
    give(object);
}

TEST_P(Burst, IsLeftAloneUntilTheSecondLook) {
  const std::size_t before = resident().size();
  const trimmed first = trim_all(trim_depth::idle);
  EXPECT_EQ(first.pages, 0u);
  EXPECT_TRUE(first.may_follow);
  EXPECT_EQ(resident().size(), before);
  expect_gone(trim_all(trim_depth::idle).pages, before);
  EXPECT_EQ(resident(), needed());
  EXPECT_FALSE(trim_all(trim_depth::idle).may_follow);
}

// One that gave or took an object in between.
TEST_P(Burst, KeepsTheSlabsThatAreInUse) {
  trim_all(trim_depth::idle);
  const page* used = slab_of(kept.back(), general_caches[c].shape());
  const char* begin = region.frames.address_of(used);
  const std::size_t bytes = std::size_t{general_caches[c].shape().pages} << page_shift;
  const std::size_t before = resident_pages(begin, bytes);
  char* copy = kept.back();
  kept.pop_back();
  give(copy);
  percpu::drain_index(c, release_drained);
  general_caches[c].shrink(false);
  if (used->kind != page_kind::slab) return;  // it was the last one in it
  trim_all(trim_depth::idle);
  EXPECT_EQ(resident_pages(begin, bytes), before);
  trim_all(trim_depth::idle);
  EXPECT_LT(resident_pages(begin, bytes), before);
}

// A program may have locked them, and has no more to do with them.
TEST_P(Burst, KeepsPagesThatAreLocked) {
  const auto before = resident();
  const auto stays = needed();
  const auto at =
      std::find_if(before.begin(), before.end(), [&](auto p) { return !stays.count(p); });
  ASSERT_NE(at, before.end());
  if (!lock_memory(frames_base + *at, page_size)) GTEST_SKIP() << "needs RLIMIT_MEMLOCK";
  trim_all(trim_depth::everything);
  EXPECT_TRUE(resident().count(*at));
  EXPECT_LE(resident().size(), stays.size() + general_caches[c].shape().pages);
  unlock_memory(frames_base + *at, page_size);
  trim_all(trim_depth::idle);
  EXPECT_TRUE(resident().count(*at)) << "the helper would try again and again";
  trim_all(trim_depth::everything);
  EXPECT_EQ(resident(), needed());
  EXPECT_EQ(general_caches[c].figures().objects_out, kept.size());
}

INSTANTIATE_TEST_SUITE_P(Sizes, Burst, testing::Values(320, 448, 1024, 1536, 3072, 5120, 10240));

// A thread that waits for it does a part.
TEST(Trim, DoesNotKeepTheProgramWaiting) {
  start_heap();
  const unsigned c = compute_class(1024);
  constexpr std::size_t pages = 20'000;
  std::vector<void*> objects(pages * 4);
  for (void*& object : objects) {
    void* listed = percpu::pop(c);
    object = listed ? listed : general_caches[c].allocate();
    std::memset(object, 1, 1024);
  }
  std::sort(objects.begin(), objects.end());
  std::vector<void*> kept;
  for (std::size_t i = 0; i < objects.size(); i++) {
    if (i % 32 == 0)
      kept.push_back(objects[i]);
    else if (!percpu::push(c, objects[i]))
      general_caches[c].free(objects[i]);
  }
  shrink_all(false);
  trim_all(trim_depth::idle);
  const trimmed some = trim_all(trim_depth::some);
  EXPECT_GT(some.pages, 1000u);
  EXPECT_LT(some.pages, pages * 5 / 8);
  EXPECT_TRUE(some.may_follow);
  std::size_t all = some.pages;
  for (int i = 0; i < 10; i++)
    all += trim_all(trim_depth::some).pages;
  EXPECT_GT(all, pages * 6 / 8);
  for (void* object : kept)
    general_caches[c].free(object);
  reclaim_everything();
}

// Objects that are being trimmed are not out.
TEST(Trim, LetsCachesBeShrunkAndDestroyed) {
  start_heap();
  std::atomic<bool> done{false};
  std::thread trims([&] {
    while (!done)
      reclaim_everything();
  });
  for (int turn = 0; turn < 300; turn++) {
    cache_error error;
    quarry::kmem_cache* cache = create_cache("short-lived", 1000, 0, 0, nullptr, nullptr, &error);
    ASSERT_NE(cache, nullptr);
    std::vector<void*> objects(600);
    for (void*& object : objects) {
      object = cache->allocate();
      std::memset(object, 1, 1000);
    }
    for (std::size_t i = 0; i < objects.size(); i++)
      if (i % 16) cache->free(objects[i]);
    for (std::size_t i = 0; i < objects.size(); i += 16)
      cache->free(objects[i]);
    if (turn % 2) {
      ASSERT_TRUE(shrink_cache(cache));
    }
    ASSERT_EQ(destroy_cache(cache), 0u);
  }
  done = true;
  trims.join();
}

}  // namespace
