// fork while other threads make, use and destroy caches: the child can do all of it.
#include <quarry/slab.h>

#include <atomic>
#include <thread>
#include <vector>

#include "../../preload/child.h"

using preload_test::run_in_child;

namespace {

bool work(kmem_cache_t* cache) {
  kmem_cache_t* own = kmem_cache_create("own", 100, 0, 0, nullptr, nullptr);
  if (!own) return false;
  for (kmem_cache_t* c : {cache, own}) {
    void* objects[200];
    if (kmem_cache_alloc_bulk(c, GFP_KERNEL, 200, objects) != 200) return false;
    for (void* object : objects)
      kmem_cache_free(c, object);
    kmem_cache_shrink(c);
  }
  return kmem_cache_destroy(own) == 0;
}

TEST(CachesInAForkChild, CanBeMadeUsedAndDestroyed) {
  kmem_cache_t* cache = kmem_cache_create("both", 80, 0, 0, nullptr, nullptr);
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; t++) {
    threads.emplace_back([&] {
      while (!stop)
        EXPECT_TRUE(work(cache));
    });
  }
  for (int i = 0; i < 100; i++) {
    const auto result = run_in_child([=] { _exit(work(cache) ? 0 : 1); });
    ASSERT_TRUE(result.succeeded()) << "status " << result.status << "\n" << result.errors;
  }
  stop = true;
  for (std::thread& t : threads)
    t.join();
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

}  // namespace
