// With __GFP_WAIT and __GFP_NOFAIL a request waits where memory has ended, until another thread
// gives some back.
#include <quarry/slab.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "../../data_limit.h"
#include "../../preload/child.h"

using preload_test::run_in_child;

namespace {

constexpr std::size_t all_memory = 24 << 20;

// Fixed room, so that counting does not allocate.
void* held[all_memory / 64];

struct request {
  const char* name;
  std::size_t size;  // that can be written
  void* (*make)(gfp_t gfp);
};

// Made before memory ends.
kmem_cache_t* cache;

class Nofail : public testing::TestWithParam<request> {
 protected:
  static std::size_t take_all() {
    std::size_t count = 0;
    while (count < std::size(held) && (held[count] = GetParam().make(GFP_KERNEL | __GFP_NOWARN)))
      ++count;
    return count;
  }
};

TEST_P(Nofail, WaitsUntilAnotherThreadGivesMemoryBack) {
  const auto result = run_in_child([] {
    cache = kmem_cache_create("nofail", 200, 0, 0, nullptr, nullptr);
    std::atomic<std::size_t> to_free{0};
    std::atomic<bool> is_freed{false};
    std::thread helper([&] {  // whose stack is memory, too
      while (!to_free)
        usleep(1000);
      usleep(100'000);
      is_freed = true;
      for (std::size_t i = 0; i < to_free; i++)
        kfree(held[i]);
    });
    limit_data_to(all_memory);
    const std::size_t count = take_all();
    if (count < 5 || count == std::size(held)) _exit(1);
    to_free = count;
    void* block = GetParam().make(GFP_KERNEL | __GFP_NOFAIL);
    if (!block) _exit(2);
    if (!is_freed) _exit(3);
    std::memset(block, 1, GetParam().size);
    helper.join();
    kfree(block);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

INSTANTIATE_TEST_SUITE_P(
    Requests, Nofail,
    testing::Values(request{"object", 200, [](gfp_t gfp) { return kmem_cache_alloc(cache, gfp); }},
                    request{"small", 100, [](gfp_t gfp) { return kmalloc(100, gfp); }},
                    request{"zeroed", 5000, [](gfp_t gfp) { return kzalloc(5000, gfp); }},
                    request{"medium", 40'000, [](gfp_t gfp) { return kmalloc(40'000, gfp); }},
                    request{"large", 2 << 20, [](gfp_t gfp) { return kmalloc(2 << 20, gfp); }},
                    request{"aligned", 3000,
                            [](gfp_t gfp) { return kmalloc_align(3000, 4096, gfp); }}),
    [](const auto& info) { return info.param.name; });

}  // namespace
