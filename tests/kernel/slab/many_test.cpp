// Thousands of caches, made, used and destroyed.
#include <malloc.h>
#include <quarry/slab.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "slabinfo.h"

using namespace kernel_test;

namespace {

kmem_cache_t* make(unsigned i) {
  char name[32];
  snprintf(name, sizeof name, "cache-%u", i);
  return kmem_cache_create(name, 16 + i % 500 * 8, 0, i % 3 ? 0 : SLAB_HWCACHE_ALIGN, nullptr,
                           nullptr);
}

TEST(ManyCaches, CanBeUsedAtATime) {
  std::vector<kmem_cache_t*> caches(3000);
  std::vector<void*> objects;
  for (unsigned i = 0; i < caches.size(); i++)
    ASSERT_NE(caches[i] = make(i), nullptr);
  for (int round = 0; round < 3; round++) {
    for (kmem_cache_t* cache : caches) {
      objects.push_back(kmem_cache_alloc(cache, GFP_KERNEL));
      ASSERT_NE(objects.back(), nullptr);
      memset(objects.back(), 0x55, kmem_cache_size(cache));
    }
    malloc_trim(0);
  }
  EXPECT_GE(read_slabinfo().size(), 3000u);
  for (size_t i = 0; i < objects.size(); i++)
    kmem_cache_free(caches[i % 3000], objects[i]);
  for (kmem_cache_t* cache : caches)
    EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

TEST(ManyCaches, EndInAnErrorWhenThereAreNoMoreNumbers) {
  std::vector<kmem_cache_t*> caches;
  errno = 0;
  while (kmem_cache_t* cache = make(caches.size())) {
    caches.push_back(cache);
    ASSERT_LE(caches.size(), size_t{KMEM_CACHE_MAX_COUNT});
  }
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_EQ(caches.size(), size_t{KMEM_CACHE_MAX_COUNT});
  EXPECT_EQ(kmem_cache_destroy(caches.back()), 0);
  caches.back() = make(1);
  EXPECT_NE(caches.back(), nullptr);
  for (kmem_cache_t* cache : caches)
    EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

// Whoever gives memory back may have slabs of a cache in hand that is destroyed meanwhile, and
// whose descriptor becomes that of a cache of another shape.
TEST(ManyCaches, AreDestroyedWhileMemoryIsGivenBack) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; t++) {
    threads.emplace_back([&, t] {
      std::minstd_rand random(t + 1);
      std::vector<void*> objects;
      while (!stop) {
        const size_t size = std::array{64, 1500, 5000}[random() % 3];
        kmem_cache_t* cache =
            kmem_cache_create("brief", size, 0, random() % 2 ? SLAB_POISON : 0, nullptr, nullptr);
        for (size_t i = 0; i < 40'000 / size; i++)
          memset(objects.emplace_back(kmem_cache_alloc(cache, GFP_KERNEL)), 0x11, size);
        for (void* object : objects)
          kmem_cache_free(cache, object);
        objects.clear();
        ASSERT_EQ(kmem_cache_destroy(cache), 0);
      }
    });
  }
  for (int t = 0; t < 2; t++) {
    threads.emplace_back([&] {
      while (!stop)
        malloc_trim(0);
    });
  }
  std::this_thread::sleep_for(std::chrono::seconds(5));
  stop = true;
  for (std::thread& thread : threads)
    thread.join();
}

// Numbers and descriptors are used again and again, while others work and memory is given back.
TEST(ManyCaches, ComeAndGoInSeveralThreads) {
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; t++) {
    threads.emplace_back([=] {
      for (unsigned round = 0; round < 20; round++) {
        kmem_cache_t* caches[50];
        for (unsigned i = 0; i < 50; i++)
          ASSERT_NE(caches[i] = make(t * 1000 + i), nullptr);
        for (kmem_cache_t* cache : caches) {
          void* objects[100];
          for (void*& object : objects) {
            object = kmem_cache_alloc(cache, GFP_KERNEL);
            memset(object, static_cast<int>(t), kmem_cache_size(cache));
          }
          for (void* object : objects) {
            ASSERT_EQ(*static_cast<char*>(object), static_cast<char>(t));
            kmem_cache_free(cache, object);
          }
        }
        if (round % 5 == 0) malloc_trim(0);
        for (kmem_cache_t* cache : caches)
          ASSERT_EQ(kmem_cache_destroy(cache), 0);
      }
    });
  }
  for (std::thread& t : threads)
    t.join();
}

}  // namespace
