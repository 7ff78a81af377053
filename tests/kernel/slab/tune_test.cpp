// quarry_slab_tune, as writing to /proc/slabinfo did.
#include <quarry/slab.h>
#include <quarry/stats.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "slabinfo.h"

using namespace kernel_test;

namespace {

void use(kmem_cache_t* cache) {
  std::vector<void*> objects(3000);
  for (int round = 0; round < 3; round++) {
    for (void*& object : objects)
      object = kmem_cache_alloc(cache, GFP_KERNEL);
    for (void* object : objects)
      kmem_cache_free(cache, object);
  }
}

TEST(Tune, SetsWhatSlabinfoShows) {
  kmem_cache_t* cache = kmem_cache_create("tuned", 64, 0, 0, nullptr, nullptr);
  for (const auto& [limit, batch, shared] :
       {std::tuple{120u, 60u, 8u}, {1u, 1u, 0u}, {1000u, 500u, 4u}, {30u, 10u, 1u}}) {
    use(cache);
    ASSERT_EQ(quarry_slab_tune("tuned", limit, batch, shared), 0);
    use(cache);
    const slab_line line = read_slabinfo()["tuned"];
    EXPECT_EQ(line.limit, limit);
    EXPECT_EQ(line.batchcount, batch);
    EXPECT_EQ(line.shared, shared);
    EXPECT_LE(line.shared_available, shared * batch);
    EXPECT_EQ(line.active_objects, 0u);
  }
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

TEST(Tune, FixesTheSharedArrayThatElseGrowsWithUse) {
  kmem_cache_t* cache = kmem_cache_create("grows", 64, 0, 0, nullptr, nullptr);
  const auto tune_to_what_it_shows = [] {
    const slab_line line = read_slabinfo()["grows"];
    EXPECT_EQ(quarry_slab_tune("grows", line.limit, line.batchcount, line.shared), 0);
    return line.shared;
  };
  const unsigned first = tune_to_what_it_shows();
  use(cache);
  EXPECT_EQ(read_slabinfo()["grows"].shared, first);
  ASSERT_EQ(kmem_cache_destroy(cache), 0);

  cache = kmem_cache_create("grows", 64, 0, 0, nullptr, nullptr);
  use(cache);
  EXPECT_GT(read_slabinfo()["grows"].shared, first);
  const unsigned grown = tune_to_what_it_shows();
  use(cache);
  const slab_line line = read_slabinfo()["grows"];
  EXPECT_EQ(line.shared, grown);
  EXPECT_LE(line.shared_available, grown * line.batchcount);
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

TEST(Tune, WorksForGeneralCachesToo) {
  void* block = kmalloc(704, GFP_KERNEL);
  ASSERT_EQ(quarry_slab_tune("size-704", 50, 25, 2), 0);
  const slab_line line = read_slabinfo()["size-704"];
  EXPECT_EQ(line.limit, 50u);
  EXPECT_EQ(line.batchcount, 25u);
  EXPECT_EQ(line.shared, 2u);
  std::vector<void*> blocks(2000);
  for (void*& b : blocks)
    b = kmalloc(704, GFP_KERNEL);
  for (void* b : blocks)
    kfree(b);
  kfree(block);
}

TEST(Tune, WorksForGeneralCachesOfEverySize) {
  for (size_t size = 8; size <= 1 << 20; size *= 2) {
    const std::string name = "size-" + std::to_string(size);
    void* block = kmalloc(size, GFP_KERNEL);
    for (unsigned shared : {1, 0, 2}) {
      ASSERT_EQ(quarry_slab_tune(name.c_str(), 8, 4, shared), 0) << name;
      kfree(std::exchange(block, kmalloc(size, GFP_KERNEL)));
    }
    kfree(block);
  }
}

// Blocks that have pages of their own may be known to be fresh; in batches of several one is not.
TEST(Tune, KeepsCallocsBlocksZero) {
  constexpr size_t size = 32 << 10;
  ASSERT_EQ(quarry_slab_tune("size-32768", 7, 7, 0), 0);
  std::atomic<bool> stop{false};
  std::vector<std::thread> others;
  for (int t = 0; t < 2; t++) {
    others.emplace_back([&] {
      void* blocks[24];
      while (!stop) {
        for (void*& block : blocks)
          memset(block = malloc(size), 0xcc, 4096);
        for (void* block : blocks)
          free(block);
      }
    });
  }
  std::vector<char*> zeros(100'000);
  size_t dirty = 0;
  for (char*& block : zeros) {
    block = static_cast<char*>(calloc(1, size));
    dirty += block[0] != 0 || block[4000] != 0;
  }
  EXPECT_EQ(dirty, 0u);
  stop = true;
  for (std::thread& other : others)
    other.join();
  for (char* block : zeros)
    free(block);
}

TEST(Tune, RefusesWhatIsNoLimit) {
  kmem_cache_t* cache = kmem_cache_create("refusing", 64, 0, 0, nullptr, nullptr);
  const slab_line before = read_slabinfo()["refusing"];
  for (const auto& [limit, batch, shared] :
       {std::tuple{0u, 1u, 1u}, {10u, 0u, 1u}, {10u, 11u, 1u}, {5000u, 1u, 1u}, {10u, 10u, ~0u}}) {
    errno = 0;
    EXPECT_EQ(quarry_slab_tune("refusing", limit, batch, shared), -1);
    EXPECT_EQ(errno, EINVAL);
  }
  EXPECT_EQ(quarry_slab_tune("no such cache", 10, 5, 1), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(read_slabinfo()["refusing"].limit, before.limit);
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

TEST(Tune, IsPossibleWhileThreadsUseTheCache) {
  kmem_cache_t* cache = kmem_cache_create("busy", 64, 0, 0, nullptr, nullptr);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([=] {
      for (int i = 0; i < 5; i++)
        use(cache);
    });
  }
  for (unsigned i = 0; i < 200; i++)
    EXPECT_EQ(quarry_slab_tune("busy", 1 + i * 5, 1 + i % 2 * i, i % 5), 0);
  for (std::thread& t : threads)
    t.join();
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

}  // namespace
