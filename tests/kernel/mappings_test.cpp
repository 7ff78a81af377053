// A process that has all the mappings that the system grants one (vm.max_map_count): what it frees
// then cannot be unmapped as usual, and is still to be free, zero and nobody else's afterwards.
// Most of it runs in children, whose mappings end with them.
#include <quarry/page.h>
#include <quarry/vmalloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <vector>

#include "../granted.h"
#include "../preload/child.h"

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t mib = 1 << 20;
constexpr std::size_t gib = 1 << 30;

#define CHECK(condition) \
  if (!(condition)) _exit(__LINE__)

constexpr std::size_t most_mappings = 2'000'000;

class AtTheLimitOfMappings : public testing::Test {
 protected:
  void SetUp() override {
    std::size_t limit = 0;
    std::ifstream("/proc/sys/vm/max_map_count") >> limit;
    if (limit == 0 || limit > most_mappings)
      GTEST_SKIP() << "needs a vm.max_map_count of at most " << most_mappings;
  }
};

// Neighbours differ, so that each is a mapping of its own.
class all_mappings {
 public:
  all_mappings() : addresses_(most_mappings) {
    for (; count_ < most_mappings; count_++) {
      const int protection = count_ % 2 ? PROT_READ : PROT_READ | PROT_WRITE;
      addresses_[count_] = mmap(nullptr, page, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (addresses_[count_] == MAP_FAILED) break;
    }
    CHECK(count_ < most_mappings);
  }
  ~all_mappings() {
    for (std::size_t i = 0; i < count_; i++)
      munmap(addresses_[i], page);
  }

 private:
  std::vector<void*> addresses_;
  std::size_t count_ = 0;
};

bool can_be_touched(char* at) {
  return preload_test::run_in_child([=] { *static_cast<volatile char*>(at) = 1; }).succeeded();
}

void check_in_child(const std::function<void()>& body) {
  const auto ended = preload_test::run_in_child(body);
  EXPECT_TRUE(ended.succeeded()) << "line " << WEXITSTATUS(ended.status) << ", status "
                                 << ended.status << "\n"
                                 << ended.errors;
}

bool is_zero(const char* block, std::size_t size) {
  return std::all_of(block, block + size, [](char c) { return c == 0; });
}

// Not in a child, where the kernel does not merge mappings as it does here.
TEST_F(AtTheLimitOfMappings, TheHeapStillGrows) {
  std::vector<char*> blocks(200'000);
  free(malloc(1000));
  {
    all_mappings all;
    for (char*& block : blocks)
      if ((block = static_cast<char*>(malloc(1000)))) block[0] = block[999] = 1;
  }
  EXPECT_EQ(std::count(blocks.begin(), blocks.end(), nullptr), 0);
  for (char* block : blocks)
    free(block);
}

TEST_F(AtTheLimitOfMappings, ABlockThatIsFreedReadsAsZeroWhenItIsTakenAgain) {
  check_in_child([] {
    char* block = static_cast<char*>(vzalloc(mib));
    CHECK(block);
    std::memset(block, 7, mib);
    {
      all_mappings all;
      vfree(block);
    }
    char* again = static_cast<char*>(vzalloc(mib));
    CHECK(again && is_zero(again, mib));
  });
}

TEST_F(AtTheLimitOfMappings, CallocsLargestBlocksReadAsZero) {
  check_in_child([] {
    char* block = static_cast<char*>(malloc(gib + page));
    CHECK(block);
    for (std::size_t at = 0; at < gib; at += 100 * page)
      block[at] = 7;
    {
      all_mappings all;
      free(block);
    }
    char* again = static_cast<char*>(calloc(1, gib + page));
    CHECK(again);
    for (std::size_t at = 0; at < gib; at += 100 * page)
      CHECK(again[at] == 0);
  });
}

TEST_F(AtTheLimitOfMappings, WhatABlockLosesReadsAsZeroWhenItGrowsAgain) {
  check_in_child([] {
    constexpr gfp_t gfp = GFP_KERNEL | __GFP_ZERO;
    char* block = static_cast<char*>(vzalloc(mib));
    CHECK(block);
    std::memset(block, 7, mib);
    {
      all_mappings all;
      block = static_cast<char*>(vrealloc(block, page, gfp));
    }
    CHECK(block && block[page - 1] == 7);
    block = static_cast<char*>(vrealloc(block, mib, gfp));
    CHECK(block && is_zero(block + page, mib - page));
  });
}

TEST_F(AtTheLimitOfMappings, AFreedBlockLeavesNothingBehindTheNext) {
  check_in_child([] {
    char* block = static_cast<char*>(vmalloc(mib));
    CHECK(block);
    {
      all_mappings all;
      vfree(block);
    }
    char* next = static_cast<char*>(vmalloc(page));
    CHECK(next && can_be_touched(next) && !can_be_touched(next + page));
  });
}

struct page* highmem_page() {
  struct page* taken = alloc_page(GFP_HIGHUSER);
  CHECK(taken && page_zone(taken) == ZONE_HIGHMEM);
  return taken;
}

TEST_F(AtTheLimitOfMappings, WhatWasMappedByVmapIsNoOtherBlocks) {
  if (!granted::large_memory_file()) GTEST_SKIP() << "needs memfd_create and no RLIMIT_FSIZE";
  check_in_child([] {
    struct page* pages[] = {highmem_page(), highmem_page()};
    char* address = static_cast<char*>(vmap(pages, 2, VM_MAP, PAGE_KERNEL));
    CHECK(address);
    std::memset(address, 7, 2 * page);
    {
      all_mappings all;
      vunmap(address);
    }
    char* block = static_cast<char*>(vzalloc(2 * page));
    CHECK(block && is_zero(block, 2 * page));
    std::memset(block, 1, 2 * page);
    CHECK(*static_cast<char*>(kmap(pages[0])) == 7);
  });
}

TEST_F(AtTheLimitOfMappings, VunmapMakesRoomForVmap) {
  if (!granted::large_memory_file()) GTEST_SKIP() << "needs memfd_create and no RLIMIT_FSIZE";
  check_in_child([] {
    std::vector<struct page*> pages(2000);
    for (struct page*& p : pages)
      p = highmem_page();
    // No neighbours, so that each page takes a mapping.
    std::stable_partition(pages.begin(), pages.end(), [](auto* p) { return page_to_pfn(p) % 2; });
    std::vector<void*> mapped;
    while (void* address = vmap(pages.data(), 2000, VM_MAP, PAGE_KERNEL))
      mapped.push_back(address);
    for (void* address : mapped)
      vunmap(address);
    CHECK(!mapped.empty());
    CHECK(vmap(pages.data(), 2000, VM_MAP, PAGE_KERNEL));
  });
}

}  // namespace
