// alloc_pages_node, on nodes that QUARRY_CONF=nodes:N makes: this program starts itself with it.
#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "../preload/child.h"
#include "quarry/page.h"
#include "quarry/slab.h"
#include "quarry/stats.h"

using preload_test::child_result;
using preload_test::run_in_child;

namespace {

child_result run_with_nodes(const char* nodes, const char* part, rlim_t addresses = RLIM_INFINITY) {
  return run_in_child([=] {
    const rlimit limit{addresses, addresses};
    if (addresses != RLIM_INFINITY) setrlimit(RLIMIT_AS, &limit);
    const char* before = getenv("QUARRY_CONF");
    const std::string options = std::string(before ? before : "") + ",nodes:" + nodes;
    setenv("QUARRY_CONF", options.c_str(), 1);
    execl("/proc/self/exe", "kernel_nodes_test", part, nullptr);
    _exit(127);
  });
}

TEST(Nodes, ThereIsOneUnlessMoreAreAskedFor) {
  EXPECT_EQ(num_online_nodes(), 1);
  EXPECT_EQ(numa_node_id(), 0);
  struct page* page = alloc_pages_node(0, GFP_KERNEL, 1);
  ASSERT_NE(page, nullptr);
  EXPECT_EQ(page_to_nid(page), 0);
  __free_pages(page, 1);
  EXPECT_EQ(alloc_pages_node(1, GFP_KERNEL, 0), nullptr);
}

TEST(Nodes, EachHasPagesOfItsOwn) {
  for (const char* nodes : {"2", "3", "8"}) {
    const child_result result = run_with_nodes(nodes, nodes);
    EXPECT_EQ(WEXITSTATUS(result.status), 42) << nodes << ": " << result.status << result.errors;
  }
}

TEST(Nodes, ThereIsOneWhereEachWouldHaveLessThan64MiB) {
  constexpr rlim_t little = 500 << 20;
  EXPECT_EQ(WEXITSTATUS(run_with_nodes("8", "1", little).status), 42);
  EXPECT_EQ(WEXITSTATUS(run_with_nodes("2", "2", little).status), 42);
}

TEST(Nodes, AreLinesOfZoneinfoAndBuddyinfo) {
  for (const char* part : {"--zoneinfo", "--buddyinfo"}) {
    const child_result result = run_with_nodes("2", part);
    EXPECT_TRUE(result.succeeded());
    EXPECT_NE(result.errors.find("Node 0, zone   Normal"), std::string::npos) << result.errors;
    EXPECT_NE(result.errors.find("Node 1, zone   Normal"), std::string::npos) << result.errors;
  }
}

// By itself: an idle program gets it back too.
TEST(Nodes, MemoryOfEachGoesBackToTheSystem) {
  for (const char* node : {"--free-on-0", "--free-on-1"}) {
    const child_result result = run_with_nodes("2", node);
    EXPECT_EQ(WEXITSTATUS(result.status), 42) << node << ": " << result.status << result.errors;
  }
}

TEST(Nodes, BlocksOfAnotherThatGrowAreStillOfThatNode) {
  EXPECT_EQ(WEXITSTATUS(run_with_nodes("2", "--grow").status), 42);
}

TEST(Nodes, ABadNumberGetsALineAndTheDefault) {
  for (const char* bad : {"0", "9", "10", "two", "-1", ""}) {
    const child_result result = run_with_nodes(bad, "1");
    EXPECT_EQ(WEXITSTATUS(result.status), 42) << bad;
    EXPECT_EQ(result.lines(), 1) << result.errors;
    EXPECT_TRUE(result.errors.starts_with("quarry: QUARRY_CONF: bad value \"" + std::string(bad)));
  }
}

bool is_of(int node, const void* block) {
  return block && page_to_nid(virt_to_page(block)) == node;
}

// Objects of a cache and blocks of kmalloc, in memory of the node that they were asked for.
int check_objects(int nodes) {
  kmem_cache_t* plain = kmem_cache_create("plain", 200, 0, 0, nullptr, nullptr);
  kmem_cache_t* single = kmem_cache_create("single", 50'000, 0, 0, nullptr, nullptr);
  kmem_cache_t* checked = kmem_cache_create("checked", 200, 0, SLAB_RED_ZONE, nullptr, nullptr);
  if (kmem_cache_alloc_node(plain, GFP_KERNEL, nodes) || errno != EINVAL) return 6;
  if (kmalloc_node(10, GFP_KERNEL, nodes) || errno != EINVAL) return 7;
  std::vector<void*> objects;
  for (kmem_cache_t* cache : {plain, single, checked}) {
    for (int i = 0; i < 300; i++) {
      void* object = kmem_cache_alloc_node(cache, GFP_KERNEL, i % nodes);
      if (!is_of(i % nodes, object)) return 8;
      memset(object, i, kmem_cache_size(cache));
      objects.push_back(object);
      void* any = kmem_cache_alloc_node(cache, GFP_ATOMIC, i % nodes);
      if (any) kmem_cache_free(cache, any);
    }
    for (void* object : objects)
      kmem_cache_free(cache, object);
    objects.clear();
    if (kmem_cache_shrink(cache) != 0) return 12;
    if (kmem_cache_destroy(cache) != 0) return 9;
  }
  for (size_t size = 1; size < 4'000'000; size += size / 2 + 1) {
    for (int node = 0; node < nodes; node++) {
      char* block = static_cast<char*>(kmalloc_node(size, GFP_KERNEL | __GFP_ZERO, node));
      if (!is_of(node, block) || block[0] || block[size - 1]) return 10;
      memset(block, 1, size);
      block = static_cast<char*>(krealloc(block, size * 2, GFP_KERNEL));
      if (block[0] != 1 || block[size - 1] != 1) return 11;
      kfree(block);
      kfree(kmalloc_node(size, GFP_ATOMIC, node));
    }
  }
  return 0;
}

int check_nodes(int nodes) {
  if (num_online_nodes() != nodes || numa_node_id() < 0 || numa_node_id() >= nodes) return 1;
  if (alloc_pages_node(nodes, GFP_KERNEL, 0)) return 2;
  struct block {
    int node;
    unsigned order;
    char mark;
  };
  std::map<struct page*, block> blocks;
  std::minstd_rand random(5);
  for (int step = 0; step < 20'000; ++step) {
    if (random() % 2 && blocks.size() < 500) {
      const int node = static_cast<int>(random() % static_cast<unsigned>(nodes));
      const unsigned order = random() % 5;
      struct page* page = alloc_pages_node(node, GFP_KERNEL, order);
      if (!page || page_to_nid(page) != node || page_count(page) != 1) return 3;
      if (virt_to_page(page_address(page)) != page || page_zone(page) != ZONE_NORMAL) return 4;
      memset(page_address(page), step, PAGE_SIZE << order);
      blocks[page] = {node, order, static_cast<char>(step)};
    } else if (!blocks.empty()) {
      const auto at = std::next(blocks.begin(), static_cast<long>(random() % blocks.size()));
      const auto [page, b] = *at;
      const char* memory = static_cast<char*>(page_address(page));
      if (memory[0] != b.mark || memory[(PAGE_SIZE << b.order) - 1] != b.mark) return 5;
      if (random() % 2) {
        __free_pages(page, b.order);
      } else {
        free(page_address(page));
      }
      blocks.erase(at);
    }
  }
  for (const auto& [page, b] : blocks)
    put_page(page);
  if (const int failed = check_objects(nodes)) return failed;
  struct page* here = alloc_pages_node(-1, GFP_ATOMIC, 0);
  if (here) put_page(here);
  for (size_t size = 1; size < 10'000'000; size *= 3)
    free(malloc(size));
  return 42;
}

// The alarm of the child ends what would never come.
int wait_for_memory_of(int node) {
  constexpr unsigned order = 14;
  constexpr size_t pages = size_t{1} << order;
  struct page* page = alloc_pages_node(node, GFP_KERNEL, order);
  if (!page || page_to_nid(page) != node) return 1;
  void* memory = page_address(page);
  memset(memory, 1, pages * PAGE_SIZE);
  __free_pages(page, order);
  static unsigned char resident[pages];
  do {
    usleep(10'000);
    if (mincore(memory, pages * PAGE_SIZE, resident) != 0) return 2;
  } while (std::count_if(resident, std::end(resident), [](auto r) { return r & 1; }) >
           static_cast<long>(pages / 8));
  return 42;
}

// Large blocks that may not wait are taken where pages are committed: here on node 1.
int grow_blocks_of_node_1() {
  std::vector<struct page*> pages(64);
  for (struct page*& p : pages)
    p = alloc_pages_node(1, GFP_KERNEL, 8);
  for (struct page* p : pages)
    __free_pages(p, 8);
  std::vector<void*> blocks;
  long of_node_1 = 0;
  while (void* block = blocks.size() < 300 ? kmalloc(200'000, GFP_ATOMIC) : nullptr) {
    of_node_1 += is_of(1, block);
    blocks.push_back(block);
  }
  if (of_node_1 == 0) return 1;
  for (void*& block : blocks) {
    memset(block, 1, 200'000);
    block = realloc(block, 240'000);
    if (!block || !std::all_of(static_cast<char*>(block), static_cast<char*>(block) + 200'000,
                               [](char c) { return c == 1; })) {
      return 2;
    }
  }
  for (void* block : blocks)
    free(block);
  for (int round = 0; round < 20; round++) {
    for (size_t i = 0; i < pages.size(); i++)
      if (!(pages[i] = alloc_pages_node(1, GFP_KERNEL, i % 9)) || page_to_nid(pages[i]) != 1)
        return 3;
    for (size_t i = 0; i < pages.size(); i++)
      __free_pages(pages[i], i % 9);
    for (size_t size = 1000; size < 3'000'000; size += size / 3)
      free(malloc(size));
    malloc_trim(0);
  }
  return 42;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && !strcmp(argv[1], "--zoneinfo")) return quarry_zoneinfo(STDERR_FILENO), 0;
  if (argc == 2 && !strcmp(argv[1], "--buddyinfo")) return quarry_buddyinfo(STDERR_FILENO), 0;
  if (argc == 2 && !strcmp(argv[1], "--free-on-0")) return wait_for_memory_of(0);
  if (argc == 2 && !strcmp(argv[1], "--free-on-1")) return wait_for_memory_of(1);
  if (argc == 2 && !strcmp(argv[1], "--grow")) return grow_blocks_of_node_1();
  if (argc == 2 && atoi(argv[1]) > 0) return check_nodes(atoi(argv[1]));
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
