// Pools over page blocks.
#include <gtest/gtest.h>
#include <quarry/mempool.h>
#include <quarry/page.h>

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

TEST(PoolSources, APagePool) {
  for (int order : {0, 1, 5}) {
    use(mempool_create_page_pool(3, order), std::size_t{4096} << order,
        [](void* element) { return page_address(static_cast<struct page*>(element)); });
  }
  EXPECT_EQ(mempool_create_page_pool(1, MAX_ORDER), nullptr);
  EXPECT_EQ(mempool_create_page_pool(1, -1), nullptr);
}

}  // namespace
