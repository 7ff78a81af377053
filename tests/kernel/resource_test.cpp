// The C++ interface, quarry/resource.hpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <memory_resource>
#include <numeric>
#include <quarry/resource.hpp>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

bool is_aligned(const void* p, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(p) % alignment == 0;
}

TEST(MemoryResource, ServesEveryAlignmentAndSize) {
  std::pmr::memory_resource* heap = quarry::memory_resource();
  for (std::size_t alignment = 1; alignment <= 1 << 16; alignment *= 2) {
    for (std::size_t size : {1, 7, 8, 9, 16, 100, 5000, 3'000'000}) {
      void* block = heap->allocate(size, alignment);
      EXPECT_TRUE(is_aligned(block, alignment)) << size << " to " << alignment;
      EXPECT_GE(ksize(block), size) << "not a block of Quarry's";
      std::memset(block, 1, size);
      heap->deallocate(block, size, alignment);
    }
  }
  EXPECT_THROW(static_cast<void>(heap->allocate(std::size_t{1} << 60)), std::bad_alloc);
}

// Each shared object that hides its symbols has one.
TEST(MemoryResource, IsEqualToThoseOfTheSameHeapAlone) {
  EXPECT_EQ(quarry::memory_resource(), quarry::memory_resource());
  EXPECT_TRUE(quarry::memory_resource()->is_equal(*quarry::memory_resource()));
  EXPECT_TRUE(quarry::memory_resource()->is_equal(quarry::detail::heap_resource()));
  EXPECT_FALSE(quarry::memory_resource()->is_equal(*std::pmr::new_delete_resource()));
}

TEST(MemoryResource, StandsBehindContainersAndOtherResources) {
  std::pmr::unsynchronized_pool_resource pool(quarry::memory_resource());
  std::pmr::map<int, std::pmr::string> map(&pool);
  std::pmr::vector<std::pmr::string> vector(quarry::memory_resource());
  for (int i = 0; i < 1000; i++) {
    map[i] = std::string(static_cast<std::size_t>(i), 'x');
    vector.emplace_back(map[i]);
  }
  for (int i = 0; i < 1000; i++)
    EXPECT_EQ(vector[static_cast<std::size_t>(i)], map[i]);
}

TEST(Allocator, ServesEveryContainer) {
  std::vector<int, quarry::allocator<int>> vector;
  std::deque<int, quarry::allocator<int>> deque;
  std::list<int, quarry::allocator<int>> list;
  std::map<int, int, std::less<>, quarry::allocator<std::pair<const int, int>>> map;
  std::basic_string<char, std::char_traits<char>, quarry::allocator<char>> string;
  for (int i = 0; i < 10'000; i++) {
    vector.push_back(i);
    deque.push_front(i);
    list.push_back(i);
    map[i] = i;
    string += static_cast<char>('a' + i % 26);
  }
  EXPECT_TRUE(std::equal(vector.begin(), vector.end(), deque.rbegin()));
  EXPECT_TRUE(std::equal(vector.begin(), vector.end(), list.begin()));
  EXPECT_EQ(map.size(), vector.size());
  EXPECT_EQ(string.size(), vector.size());
  EXPECT_GE(ksize(vector.data()), vector.size() * sizeof(int));
  const auto moved = std::move(vector);
  EXPECT_EQ(moved.size(), 10'000u);
}

TEST(Allocator, AlignsAndRefusesTheImpossible) {
  struct alignas(256) wide {
    char bytes[256];
  };
  std::vector<wide, quarry::allocator<wide>> vector(10);
  EXPECT_TRUE(is_aligned(vector.data(), 256));
  EXPECT_THROW(static_cast<void>(quarry::allocator<wide>().allocate(SIZE_MAX / 2)),
               std::bad_array_new_length);
  EXPECT_THROW(static_cast<void>(quarry::allocator<char>().allocate(std::size_t{1} << 60)),
               std::bad_alloc);
  EXPECT_EQ(quarry::allocator<int>(), quarry::allocator<char>());
}

struct counted {
  static inline int alive = 0;
  static inline int made = 0;
  explicit counted(int n = 0) : value(n) {
    if (n < 0) throw std::runtime_error("negative");
    alive++;
    made++;
  }
  counted(const counted&) = delete;
  ~counted() { alive--; }
  int value;
  char body[100];
};

TEST(ObjectCache, ConstructsAndDestroysEachObject) {
  {
    quarry::object_cache<counted> cache("counted");
    EXPECT_EQ(kmem_cache_size(cache.get()), sizeof(counted));
    auto first = cache.make(5);
    EXPECT_EQ(first->value, 5);
    counted* second = cache.construct(6);
    EXPECT_EQ(counted::alive, 2);
    cache.destroy(second);
    cache.destroy(nullptr);
    EXPECT_EQ(counted::alive, 1);
    std::vector<quarry::object_cache<counted>::owner> many;
    for (int i = 0; i < 1000; i++)
      many.push_back(cache.make(i));
    EXPECT_EQ(counted::alive, 1001);
    for (int i = 0; i < 1000; i++)
      EXPECT_EQ(many[static_cast<std::size_t>(i)]->value, i);
  }
  EXPECT_EQ(counted::alive, 0);
}

TEST(ObjectCache, AConstructorThatThrowsLosesNothing) {
  testing::internal::CaptureStderr();
  {
    quarry::object_cache<counted> cache("throwing");
    for (int i = 0; i < 100; i++)
      EXPECT_THROW(static_cast<void>(cache.make(-1)), std::runtime_error);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "the cache was not empty";
}

TEST(ObjectCache, MovesWithItsObjects) {
  quarry::object_cache<std::string> cache("strings");
  auto text = cache.make(100, 'x');
  quarry::object_cache<std::string> moved = std::move(cache);
  EXPECT_EQ(text->size(), 100u);
  text = moved.make("short");
}

TEST(ObjectCache, AlignsItsObjects) {
  struct alignas(128) wide {
    char bytes[130];
  };
  quarry::object_cache<wide> cache("wide");
  for (int i = 0; i < 10; i++)
    EXPECT_TRUE(is_aligned(cache.construct(), 128));
  // The objects go with the process: the cache stays, and says so.
  testing::internal::CaptureStderr();
  { const auto gone = std::move(cache); }
  EXPECT_NE(testing::internal::GetCapturedStderr(), "");
}

struct table {
  static inline std::atomic<int> constructed = 0;
  static inline std::atomic<int> destroyed = 0;
  table() noexcept {
    std::iota(entries, entries + 100, 0);
    constructed++;
  }
  ~table() { destroyed++; }
  int entries[100];
};

TEST(ObjectCache, AlignsObjectsToMoreThanAPage) {
  struct alignas(16384) wide {
    char first;
  };
  quarry::object_cache<wide> cache("pages");
  std::vector<quarry::object_cache<wide>::owner> objects;
  for (int i = 0; i < 20; i++) {
    objects.push_back(cache.make());
    EXPECT_TRUE(is_aligned(objects.back().get(), 16384));
  }
}

TEST(ConstructedCache, ConstructsWithTheSlabAndDestroysWithIt) {
  {
    quarry::constructed_cache<table> cache("tables");
    for (int i = 0; i < 1000; i++) {
      auto one = cache.take();
      ASSERT_EQ(one->entries[99], 99);
    }
    EXPECT_GT(table::constructed, 0);
    EXPECT_LT(table::constructed, 200);
  }
  EXPECT_EQ(table::constructed, table::destroyed);
}

TEST(Owners, GiveBackWhatTheyHold) {
  quarry::unique_cache cache = quarry::make_cache("owned", 100);
  quarry::unique_pool slab_pool = quarry::make_slab_pool(3, cache.get());
  quarry::unique_pool kmalloc_pool = quarry::make_kmalloc_pool(3, 500);
  quarry::unique_pool page_pool = quarry::make_page_pool(3, 1);
  quarry::unique_pages block = quarry::make_pages(2);
  std::memset(page_address(block.get()), 1, 4 * 4096);
  get_page(block.get());
  struct page* page = block.get();
  block.reset();
  EXPECT_EQ(page_count(page), 1);
  put_page(page);
  for (mempool_t* pool : {slab_pool.get(), kmalloc_pool.get(), page_pool.get()})
    mempool_free(mempool_alloc(pool, GFP_KERNEL), pool);
}

TEST(Owners, AreNotMadeWithoutWhatTheyHold) {
  EXPECT_THROW(quarry::make_cache("none", 0), std::system_error);
  EXPECT_THROW(quarry::make_kmalloc_pool(1, std::size_t{1} << 60), std::bad_alloc);
  EXPECT_THROW(quarry::make_pages(MAX_ORDER), std::bad_alloc);
}

}  // namespace
