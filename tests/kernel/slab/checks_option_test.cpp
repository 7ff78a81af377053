// QUARRY_CONF=checks:on, in which these tests run: wrong use of blocks of kmalloc, and of objects
// of caches without checks of their own, is seen by the wrong call itself.
#include <malloc.h>
#include <quarry/slab.h>

#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "../../granted.h"
#include "../../preload/child.h"
#include "slabinfo.h"

using namespace kernel_test;
using preload_test::dies_with_one_line;
using preload_test::text_of;

namespace {

struct wrong_call {
  const char* name;
  void (*call)(void*);
};

void* sink;

const wrong_call wrong_calls[] = {
    {"kfree", [](void* p) { kfree(p); }},
    {"free", [](void* p) { free(p); }},
    {"realloc", [](void* p) { sink = realloc(p, 100'000); }},
    {"krealloc", [](void* p) { sink = krealloc(p, 100'000, GFP_KERNEL); }},
    {"krealloc", [](void* p) { sink = krealloc(p, 100'000, GFP_NOWAIT); }},
    {"ksize", [](void* p) { sink = reinterpret_cast<void*>(ksize(p)); }},
};

// The child ends at once after the call: what it does not see, nobody sees.
void expect_line(
    const wrong_call& wrong, void* object, const std::string& reason,
    const std::function<void()>& before = [] {}) {
  EXPECT_TRUE(dies_with_one_line(
      [&] {
        before();
        wrong.call(object);
        _exit(0);
      },
      std::string("quarry: ") + wrong.name + "\\(" + text_of(object) + "\\): " + reason))
      << wrong.name;
}

// Each with a neighbour that keeps the slab.
void expect_lines(void* object, const std::string& suffix, void (*free_others)()) {
  for (const wrong_call& wrong : wrong_calls) {
    expect_line(wrong, object, "already free" + suffix, [=] { kfree(object); });
    expect_line(wrong, object, "already free" + suffix, [=] {
      std::thread([=] { kfree(object); }).join();
      free_others();
    });
    expect_line(wrong, static_cast<char*>(object) + 8,
                "inside a block that begins at " + text_of(object) + suffix);
  }
}

void free_blocks() {
  for (int i = 0; i < 1000; i++)
    kfree(kmalloc(1 + i % 3 * 4000, i % 2 ? GFP_KERNEL : GFP_NOWAIT));
}

TEST(ChecksOption, NamesWrongUseOfABlockAtOnce) {
  for (gfp_t gfp : {GFP_KERNEL, GFP_NOWAIT}) {
    for (size_t size : {64, 1000, 20'000, 40'000}) {
      void* neighbour = kmalloc(size, GFP_KERNEL);
      void* block = kmalloc(size, gfp);
      if (!block) block = kmalloc(size, GFP_KERNEL);
      expect_lines(block, "", free_blocks);
      kfree(block);
      kfree(neighbour);
    }
  }
}

class ChecksOptionOfZoneDma : public testing::Test {
 protected:
  void SetUp() override {
    void* block = kmalloc(1, dma);
    if (!block) {
      ASSERT_FALSE(granted::locked_memory_below_4_gib()) << "there is no zone";
      GTEST_SKIP() << "needs RLIMIT_MEMLOCK of some pages and room below 4 GiB";
    }
    kfree(block);
  }

  static constexpr gfp_t dma = GFP_KERNEL | GFP_DMA | __GFP_NOWARN;
};

TEST_F(ChecksOptionOfZoneDma, NamesWrongUseOfABlockAtOnce) {
  for (size_t size : {64, 1024}) {
    void* neighbour = kmalloc(size, dma);
    void* block = kmalloc(size, dma);
    expect_lines(block, ", cache \"size-" + std::to_string(size) + "\\(DMA\\)\"", free_blocks);
    kfree(block);
    kfree(neighbour);
  }
}

kmem_cache_t* cache;

void free_objects() {
  std::vector<void*> objects(1000);
  ASSERT_EQ(kmem_cache_alloc_bulk(cache, GFP_KERNEL, 1000, objects.data()), 1000);
  kmem_cache_free_bulk(cache, 1000, objects.data());
}

void expect_lines_of_object(unsigned long flags) {
  cache = kmem_cache_create("plain", 200, 0, flags, nullptr, nullptr);
  void* neighbour = kmem_cache_alloc(cache, GFP_KERNEL);
  void* object = kmem_cache_alloc(cache, GFP_KERNEL);
  expect_lines(object, ", cache \"plain\"", free_objects);
  const auto again = [=] { kmem_cache_free(cache, object); };
  expect_line({"kmem_cache_free", [](void* o) { kmem_cache_free(cache, o); }}, object,
              "already free, cache \"plain\"", again);
  expect_line({"kmem_cache_free_bulk", [](void* o) { kmem_cache_free_bulk(cache, 1, &o); }}, object,
              "already free, cache \"plain\"", again);
  kmem_cache_free(cache, object);
  kmem_cache_free(cache, neighbour);
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

TEST(ChecksOption, NamesWrongUseOfAnObjectAtOnce) {
  expect_lines_of_object(0);
}
TEST_F(ChecksOptionOfZoneDma, NamesWrongUseOfAnObjectAtOnce) {
  expect_lines_of_object(SLAB_CACHE_DMA);
}

TEST(ChecksOption, LeavesNoCacheAnArray) {
  cache = kmem_cache_create("plain", 64, 0, 0, nullptr, nullptr);
  free_objects();
  kfree(kmalloc(704, GFP_KERNEL));
  for (const char* name : {"plain", "size-704"}) {
    errno = 0;
    EXPECT_EQ(quarry_slab_tune(name, 50, 25, 2), -1);
    EXPECT_EQ(errno, EINVAL);
    const slab_line line = read_slabinfo()[name];
    EXPECT_EQ(line.limit, 0u);
    EXPECT_EQ(line.shared_available, 0u);
    EXPECT_EQ(line.active_objects, 0u);
  }
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

}  // namespace
