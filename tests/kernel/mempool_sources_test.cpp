// Pools over object caches, kmalloc and pages.
#include <gtest/gtest.h>
#include <quarry/mempool.h>
#include <quarry/page.h>
#include <quarry/slab.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

namespace {

// Takes and frees more than the reserve, each element different and writable.
template <class address_fn>
void use(mempool_t* pool, std::size_t bytes, address_fn address) {
  ASSERT_NE(pool, nullptr);
  std::vector<void*> elements;
  for (int i = 0; i < 20; i++) {
    elements.push_back(mempool_alloc(pool, i % 2 ? GFP_KERNEL : GFP_NOWAIT));
    if (!elements.back()) {
      ASSERT_EQ(i % 2, 0) << "who may wait gets one";
      elements.pop_back();
      continue;
    }
    std::memset(address(elements.back()), i, bytes);
  }
  EXPECT_EQ(std::set<void*>(elements.begin(), elements.end()).size(), elements.size());
  for (void* element : elements)
    mempool_free(element, pool);
  mempool_destroy(pool);
}

void* itself(void* element) {
  return element;
}

TEST(PoolSources, ASlabPoolTakesFromItsCacheAndGivesAllBack) {
  kmem_cache_t* cache = kmem_cache_create("pooled", 200, 0, 0, nullptr, nullptr);
  ASSERT_NE(cache, nullptr);
  use(mempool_create_slab_pool(8, cache), 200, itself);
  EXPECT_EQ(kmem_cache_destroy(cache), 0) << "objects are lost";
}

TEST(PoolSources, AKmallocPool) {
  for (std::size_t size : {std::size_t{1}, std::size_t{100}, std::size_t{3} << 20})
    use(mempool_create_kmalloc_pool(3, size), size, itself);
}

TEST(PoolSources, LeaveErrnoAlone) {
  mempool_t* pool = mempool_create_kmalloc_pool(0, PTRDIFF_MAX);
  ASSERT_NE(pool, nullptr);
  errno = 0;
  EXPECT_EQ(mempool_alloc(pool, GFP_NOWAIT), nullptr);
  EXPECT_EQ(mempool_create_kmalloc_pool(1, PTRDIFF_MAX), nullptr);
  EXPECT_EQ(mempool_create_kmalloc_pool(0, SIZE_MAX), nullptr);
  EXPECT_EQ(errno, 0);
  mempool_destroy(pool);
}

TEST(PoolSources, APagePool) {
  for (int order : {0, 1, 5}) {
    use(mempool_create_page_pool(3, order), std::size_t{4096} << order,
        [](void* element) { return page_address(static_cast<struct page*>(element)); });
  }
  EXPECT_EQ(mempool_create_page_pool(0, MAX_ORDER), nullptr);
  EXPECT_EQ(mempool_create_page_pool(0, -1), nullptr);
}

TEST(PoolSources, ConstructedObjectsStayConstructedInTheReserve) {
  kmem_cache_t* cache = kmem_cache_create(
      "constructed", 64, 0, 0,
      [](void* object, kmem_cache_t*, unsigned long) { std::memset(object, 7, 64); }, nullptr);
  mempool_t* pool = mempool_create_slab_pool(4, cache);
  ASSERT_NE(pool, nullptr);
  for (int i = 0; i < 100; i++) {
    char* object = static_cast<char*>(mempool_alloc(pool, GFP_KERNEL));
    EXPECT_EQ(std::count(object, object + 64, 7), 64);
    mempool_free(object, pool);
  }
  mempool_destroy(pool);
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

}  // namespace
