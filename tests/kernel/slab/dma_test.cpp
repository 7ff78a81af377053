// Objects of ZONE_DMA: caches with SLAB_CACHE_DMA, and kmalloc with GFP_DMA.
#include <malloc.h>
#include <quarry/page.h>
#include <quarry/slab.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "../../granted.h"
#include "../../preload/child.h"
#include "../../seccomp.h"
#include "slabinfo.h"

using namespace kernel_test;
using preload_test::dies_with_one_line;
using preload_test::run_in_child;

namespace {

constexpr gfp_t kernel_dma = GFP_KERNEL | GFP_DMA | __GFP_NOWARN;
constexpr uintptr_t end_of_dma = uintptr_t{4} << 30;

bool is_dma(const void* block) {
  return reinterpret_cast<uintptr_t>(block) < end_of_dma &&
         page_zone(virt_to_page(block)) == ZONE_DMA;
}

class DmaObjects : public testing::Test {
 protected:
  void SetUp() override {
    void* block = kmalloc(1, kernel_dma);
    if (!block) {
      ASSERT_FALSE(granted::locked_memory_below_4_gib()) << "there is no zone";
      GTEST_SKIP() << "needs RLIMIT_MEMLOCK of some pages and room below 4 GiB";
    }
    kfree(block);
  }
};

class DmaObjectsOf : public DmaObjects, public testing::WithParamInterface<size_t> {};

TEST_P(DmaObjectsOf, ThatSizeAgreeWithAModel) {
  const size_t size = GetParam();
  kmem_cache_t* cache = kmem_cache_create("dma", size, 0, SLAB_CACHE_DMA, nullptr, nullptr);
  ASSERT_NE(cache, nullptr);
  const cache_guard guard{cache};
  const size_t most = std::min<size_t>(2000, (8 << 20) / size / 2);
  std::map<char*, char> objects;
  std::minstd_rand random(3);
  for (int step = 0; step < 20'000; step++) {
    if (random() % 2 && objects.size() < most) {
      char* object = static_cast<char*>(kmem_cache_alloc(cache, kernel_dma));
      ASSERT_NE(object, nullptr);
      ASSERT_TRUE(is_dma(object) && is_dma(object + size - 1));
      ASSERT_EQ(malloc_usable_size(object), size);
      const char mark = static_cast<char>(step);
      object[0] = object[size - 1] = mark;
      ASSERT_TRUE(objects.emplace(object, mark).second);
    } else if (!objects.empty()) {
      const auto at = std::next(objects.begin(), static_cast<long>(random() % objects.size()));
      ASSERT_EQ(at->first[0], at->second);
      ASSERT_EQ(at->first[size - 1], at->second);
      void* object = at->first;
      objects.erase(at);
      switch (random() % 3) {
        case 0:
          kmem_cache_free(cache, object);
          break;
        case 1:
          kfree(object);
          break;
        case 2:
          free(object);
      }
    }
  }
  for (const auto& [object, mark] : objects)
    kmem_cache_free(cache, object);
  EXPECT_EQ(kmem_cache_shrink(cache), 0);
}
INSTANTIATE_TEST_SUITE_P(Sizes, DmaObjectsOf, testing::Values(8, 100, 1000, 5000, 40'000, 300'000));

TEST_F(DmaObjects, TravelBetweenThreads) {
  kmem_cache_t* cache = kmem_cache_create("dma", 100, 0, SLAB_CACHE_DMA, nullptr, nullptr);
  const cache_guard guard{cache};
  for (int round = 0; round < 20; round++) {
    std::vector<void*> objects(2000);
    std::thread([&] {
      for (void*& object : objects)
        object = kmem_cache_alloc(cache, GFP_KERNEL);
    }).join();
    for (void* object : objects) {
      ASSERT_TRUE(is_dma(object));
      kmem_cache_free(cache, object);
    }
  }
}

TEST_F(DmaObjects, CanBeConstructedAndChecked) {
  kmem_cache_t* cache = kmem_cache_create(
      "dma", 200, 0, SLAB_CACHE_DMA | SLAB_RED_ZONE | SLAB_STORE_USER,
      [](void* object, kmem_cache_t*, unsigned long) { memset(object, 7, 200); }, nullptr);
  ASSERT_NE(cache, nullptr);
  char* object = static_cast<char*>(kmem_cache_alloc(cache, GFP_KERNEL));
  ASSERT_TRUE(is_dma(object));
  EXPECT_EQ(object[0], 7);
  EXPECT_EQ(object[199], 7);
  EXPECT_TRUE(dies_with_one_line(
      [&] {
        object[200] = 1;
        kmem_cache_free(cache, object);
      },
      ".*was written 0 bytes behind the end of the object of cache \"dma\".*"));
  EXPECT_TRUE(dies_with_one_line(
      [&] {
        kmem_cache_free(cache, object);
        kmem_cache_free(cache, object);
      },
      "quarry: kmem_cache_free.*already free, cache \"dma\".*"));
  const auto refused = run_in_child([&] { _exit(kmem_cache_destroy(cache)); });
  EXPECT_EQ(WEXITSTATUS(refused.status), 1);
  EXPECT_NE(refused.errors.find("1 objects of cache \"dma\" are in use"), std::string::npos);
  kmem_cache_free(cache, object);
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

TEST_F(DmaObjects, OfKmallocAreOfAnySize) {
  for (size_t size = 1; size <= 2 << 20; size += size / 3 + 1) {
    char* block = static_cast<char*>(kmalloc(size, kernel_dma));
    ASSERT_NE(block, nullptr) << size;
    EXPECT_TRUE(is_dma(block));
    EXPECT_GE(ksize(block), size);
    memset(block, 0xff, size);
    char* zeroed = static_cast<char*>(kzalloc(size, kernel_dma));
    ASSERT_NE(zeroed, nullptr) << size;
    EXPECT_TRUE(is_dma(zeroed));
    EXPECT_EQ(zeroed[0], 0);
    EXPECT_EQ(zeroed[size - 1], 0);
    kfree(zeroed);
    free(block);
  }
}

TEST_F(DmaObjects, OfKmallocAreAlignedAndStayWhereTheyAreWhenTheyGrow) {
  for (size_t align = 1; align <= 64 << 10; align *= 2) {
    void* block = kmalloc_align(24, align, kernel_dma);
    ASSERT_TRUE(is_dma(block));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % align, 0u);
    kfree(block);
  }
  char* block = static_cast<char*>(kmalloc(20, kernel_dma));
  strcpy(block, "contents");
  for (size_t size = 40; size < 200'000; size *= 2) {
    block = static_cast<char*>(krealloc(block, size, kernel_dma | __GFP_ZERO));
    ASSERT_TRUE(is_dma(block));
    EXPECT_STREQ(block, "contents");
    EXPECT_EQ(block[size - 1], 0);
  }
  // realloc() knows nothing of zones.
  block = static_cast<char*>(realloc(block, 4 << 20));
  EXPECT_STREQ(block, "contents");
  free(block);
}

TEST_F(DmaObjects, OfKmallocStayWhereTheyAreWhileTheyFit) {
  for (size_t size : {100, 10'000, 32'768, 100'000}) {
    void* block = kmalloc(size, kernel_dma);
    ASSERT_TRUE(is_dma(block));
    for (size_t wanted : {ksize(block), size, size / 8})
      ASSERT_EQ(krealloc(block, wanted, GFP_KERNEL), block) << size << " to " << wanted;
    kfree(block);
  }
}

TEST_F(DmaObjects, AreListedUnderTheKernelsNames) {
  void* block = kmalloc(1000, kernel_dma);
  const auto caches = read_slabinfo();
  ASSERT_TRUE(caches.contains("size-1024(DMA)"));
  EXPECT_EQ(caches.at("size-1024(DMA)").active_objects, 1u);
  kfree(block);
}

TEST_F(DmaObjects, AreHadWithoutASystemCall) {
  kfree(kmalloc(64, kernel_dma));
  const auto result = run_in_child([] {
    void* first = kmalloc(64, kernel_dma);  // the child's own
    if (!seccomp_test::enter_silence()) _exit(77);
    void* blocks[200];
    for (void*& block : blocks)
      block = kmalloc(64, GFP_ATOMIC | GFP_DMA);
    for (void* block : blocks) {
      if (!block || !is_dma(block)) syscall(SYS_exit_group, 1);
      kfree(block);
    }
    kfree(first);
    syscall(SYS_exit_group, 0);
  });
  if (WEXITSTATUS(result.status) == 77) GTEST_SKIP() << "needs seccomp filters";
  EXPECT_TRUE(result.succeeded()) << result.status << result.errors;
}

// Before the zone is used up: a child has what its parent never had.
TEST_F(DmaObjects, OfAForkChildAreNotInItsParentsPages) {
  void* parents = kmalloc(64, kernel_dma);
  const auto result = run_in_child([&] {
    void* own = kmalloc(64, kernel_dma);
    if (!own || !is_dma(own)) _exit(1);
    if (virt_to_page(own) == virt_to_page(parents)) _exit(2);
    kfree(parents);
    kfree(own);
  });
  EXPECT_TRUE(result.succeeded()) << result.status << result.errors;
  kfree(parents);
}

TEST_F(DmaObjects, EndInNullWhenTheZoneIsFull) {
  std::vector<void*> blocks;
  while (void* block = kmalloc(10'000, kernel_dma))
    blocks.push_back(block);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_GT(blocks.size(), 500u);
  void* ordinary = kmalloc(10'000, GFP_KERNEL);
  ASSERT_NE(ordinary, nullptr);
  EXPECT_FALSE(is_dma(ordinary));
  kfree(ordinary);
  for (void* block : blocks)
    kfree(block);
  void* again = kmalloc(10'000, kernel_dma);
  EXPECT_NE(again, nullptr);
  kfree(again);
}

// What malloc's statistics say is of malloc's memory.
TEST_F(DmaObjects, DoNotCountAsTheHeaps) {
  std::vector<void*> blocks(2500);
  const size_t before = mallinfo2().uordblks;
  for (void*& block : blocks)
    ASSERT_NE(block = kmalloc(4096, kernel_dma), nullptr);
  const size_t now = mallinfo2().uordblks;
  EXPECT_LT(now, before + 65536);
  EXPECT_GT(now + 65536, before);
  for (void* block : blocks)
    kfree(block);
}

}  // namespace
