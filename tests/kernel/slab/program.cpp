// A C++ program on object caches, linked as a user's would be.
#include <quarry/slab.h>

#include <string>
#include <thread>
#include <vector>

#include "../../preload/linked/check.h"

namespace {

struct record {
  std::string text;
};

}  // namespace

int main() {
  kmem_cache_t* cache = kmem_cache_create(
      "record", sizeof(record), alignof(record), 0,
      [](void* object, kmem_cache_t*, unsigned long) {
        new (object) record{"as constructed, and long"};
      },
      [](void* object, kmem_cache_t*, unsigned long) { static_cast<record*>(object)->~record(); });
  CHECK(cache);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([=] {
      for (int i = 0; i < 20000; i++) {
        auto* r = static_cast<record*>(kmem_cache_alloc(cache, GFP_KERNEL));
        CHECK(r && r->text == "as constructed, and long");
        r->text[0] = 'A';
        r->text[0] = 'a';
        kmem_cache_free(cache, r);
      }
    });
  }
  for (std::thread& t : threads)
    t.join();
  CHECK(kmem_cache_destroy(cache) == 0);
  return 0;
}
