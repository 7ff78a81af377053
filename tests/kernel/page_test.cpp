// Page blocks through quarry/page.h: what the kernel promises of them.
#include "quarry/page.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "../preload/child.h"
#include "../survival/proc.h"

namespace {

bool is_zero(const void* memory, size_t bytes) {
  const auto* at = static_cast<const uint64_t*>(memory);
  for (size_t i = 0; i < bytes / 8; ++i)
    if (at[i]) return false;
  return true;
}

class Order : public testing::TestWithParam<unsigned> {
 protected:
  size_t bytes() const { return PAGE_SIZE << GetParam(); }
};

TEST_P(Order, BlocksAreAlignedToTheirSizeAndTheProgramsOwn) {
  std::set<char*> blocks;
  for (int i = 0; i < 4; ++i) {
    struct page* page = alloc_pages(GFP_KERNEL, GetParam());
    ASSERT_NE(page, nullptr);
    char* memory = static_cast<char*>(page_address(page));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % bytes(), 0u);
    EXPECT_EQ(page_order(page), GetParam());
    EXPECT_EQ(page_count(page), 1);
    EXPECT_EQ(page_zone(page), ZONE_NORMAL);
    memory[0] = memory[bytes() - 1] = static_cast<char>(i);
    EXPECT_TRUE(blocks.insert(memory).second);
  }
  char* last = nullptr;
  for (char* memory : blocks) {
    EXPECT_TRUE(!last || last + bytes() <= memory);
    last = memory;
  }
  for (char* memory : blocks)
    free_pages(reinterpret_cast<unsigned long>(memory), GetParam());
}

TEST_P(Order, ZeroedBlocksReadAsZeroAfterUseToo) {
  for (int round = 0; round < 3; ++round) {
    const unsigned long address = __get_free_pages(GFP_KERNEL | __GFP_ZERO, GetParam());
    ASSERT_NE(address, 0u);
    EXPECT_TRUE(is_zero(reinterpret_cast<void*>(address), bytes()));
    memset(reinterpret_cast<void*>(address), 0xff, bytes());
    free_pages(address, GetParam());
  }
}

TEST_P(Order, PagesAddressesAndNumbersLeadToOneAnother) {
  struct page* head = alloc_pages(GFP_KERNEL, GetParam());
  ASSERT_NE(head, nullptr);
  char* memory = static_cast<char*>(page_address(head));
  const unsigned long pfn = page_to_pfn(head);
  for (unsigned long i = 0; i < 1ul << GetParam(); ++i) {
    struct page* page = virt_to_page(memory + i * PAGE_SIZE + 5);
    EXPECT_EQ(page_to_pfn(page), pfn + i);
    EXPECT_EQ(pfn_to_page(pfn + i), page);
    EXPECT_EQ(page_address(page), memory + i * PAGE_SIZE);
  }
  __free_pages(head, GetParam());
}

TEST_P(Order, TheLastReferenceFrees) {
  struct page* page = alloc_pages(GFP_KERNEL, GetParam());
  get_page(page);
  get_page(page);
  EXPECT_EQ(page_count(page), 3);
  put_page(page);
  __free_pages(page, GetParam());
  EXPECT_EQ(page_count(page), 1);
  put_page(page);
  EXPECT_EQ(page_count(page), 0);
}

TEST_P(Order, ASplitBlockIsFreedPageByPage) {
  struct page* head = alloc_pages(GFP_KERNEL, GetParam());
  char* memory = static_cast<char*>(page_address(head));
  get_page(head);
  split_page(head, GetParam());
  EXPECT_EQ(page_count(head), 2);
  put_page(head);
  for (unsigned long i = 0; i < 1ul << GetParam(); ++i) {
    struct page* page = virt_to_page(memory + i * PAGE_SIZE);
    EXPECT_EQ(page_count(page), 1);
    EXPECT_EQ(page_order(page), 0u);
    __free_page(page);
  }
}

INSTANTIATE_TEST_SUITE_P(Orders, Order, testing::Values(0, 1, 2, 3, 4, 6, 9, 11));

TEST(Pages, TheLargestBlockIsOfAGibibyteAndLargerOnesAreRefused) {
  EXPECT_EQ(alloc_pages(GFP_KERNEL, MAX_ORDER), nullptr);
  EXPECT_EQ(alloc_pages(GFP_KERNEL | __GFP_NOFAIL, 200), nullptr);
  struct page* page = alloc_pages(GFP_KERNEL, MAX_ORDER - 1);
  ASSERT_NE(page, nullptr);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(page_address(page)) % (1ul << 30), 0u);
  __free_pages(page, MAX_ORDER - 1);
}

TEST(Pages, ExactBlocksTakeNoMoreThanTheirPages) {
  for (size_t size : {size_t{1}, PAGE_SIZE, 3 * PAGE_SIZE, 5 * PAGE_SIZE + 1, 300 * PAGE_SIZE}) {
    const size_t pages = (size + PAGE_SIZE - 1) / PAGE_SIZE;
    const size_t before = mallinfo2().uordblks;
    char* memory = static_cast<char*>(alloc_pages_exact(size, GFP_KERNEL | __GFP_ZERO));
    ASSERT_NE(memory, nullptr);
    EXPECT_TRUE(is_zero(memory, pages * PAGE_SIZE));
    malloc_trim(0);
    EXPECT_EQ(mallinfo2().uordblks, before + pages * PAGE_SIZE) << size;
    memset(memory, 1, size);
    free_pages_exact(memory, size);
    malloc_trim(0);
    EXPECT_EQ(mallinfo2().uordblks, before) << size;
  }
  EXPECT_EQ(alloc_pages_exact(0, GFP_KERNEL), nullptr);
  EXPECT_EQ(alloc_pages_exact(SIZE_MAX, GFP_KERNEL), nullptr);
}

// One by one, and by themselves: the alarm of the child ends what would never come.
TEST(Pages, OfAnIdleProgramGoBackToTheSystem) {
  const auto result = preload_test::run_in_child([] {
    static struct page* pages[1 << 14];
    const size_t before = survival::resident_bytes();
    for (struct page*& p : pages)
      memset(page_address(p = alloc_page(GFP_KERNEL)), 1, PAGE_SIZE);
    for (struct page* p : pages)
      put_page(p);
    while (survival::resident_bytes() > before + std::size(pages) / 4 * PAGE_SIZE)
      survival::sleep_milliseconds(10);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

TEST(Pages, FreeTakesAPageBlockAndReallocMovesIt) {
  const size_t before = mallinfo2().uordblks;
  auto* memory = reinterpret_cast<char*>(__get_free_pages(GFP_KERNEL, 2));
  EXPECT_EQ(malloc_usable_size(memory), 4 * PAGE_SIZE);
  memset(memory, 7, 4 * PAGE_SIZE);
  auto* moved = static_cast<char*>(realloc(memory, 10 * PAGE_SIZE));
  ASSERT_NE(moved, nullptr);
  EXPECT_EQ(moved[4 * PAGE_SIZE - 1], 7);
  free(moved);
  free(reinterpret_cast<void*>(__get_free_pages(GFP_KERNEL, 5)));
  malloc_trim(0);
  EXPECT_EQ(mallinfo2().uordblks, before);
}

TEST(Pages, AMallocedBlockHasPagesThatAreNoPageBlocks) {
  void* block = malloc(100);
  struct page* page = virt_to_page(block);
  ASSERT_NE(page, nullptr);
  EXPECT_EQ(page_count(page), 0);
  EXPECT_EQ(page_zone(page), ZONE_NORMAL);
  free(block);
  int on_stack;
  EXPECT_EQ(virt_to_page(&on_stack), nullptr);
  EXPECT_EQ(virt_to_page(nullptr), nullptr);
  EXPECT_EQ(pfn_to_page(0), nullptr);
  free_pages(0, 3);
}

// Two threads share each block by references; whoever is last frees it.
TEST(Pages, ReferencesMayBeDroppedByAnyThread) {
  const size_t before = mallinfo2().uordblks;
  for (int round = 0; round < 50; ++round) {
    std::vector<struct page*> pages(400);
    for (size_t i = 0; i < pages.size(); ++i)
      get_page(pages[i] = alloc_pages(GFP_KERNEL, i % 5));
    const auto drop_all = [&] {
      for (struct page* page : pages)
        put_page(page);
    };
    std::thread other(drop_all);
    drop_all();
    other.join();
  }
  malloc_trim(0);
  EXPECT_LE(mallinfo2().uordblks, before + 64 * 1024);
}

// Contents stay, blocks do not overlap, references count.
class page_model {
 public:
  ~page_model() {
    for (const auto& [page, b] : blocks_)
      for (int i = 0; i < b.references; ++i)
        put_page(page);
  }

  void step(uint64_t mark) {
    const unsigned what = random_() % 8;
    if (what < 4 && blocks_.size() < 1500) return take(mark);
    if (blocks_.empty()) return;
    const auto at = std::next(blocks_.begin(), static_cast<long>(random_() % blocks_.size()));
    check(at->first, at->second);
    if (what == 4) {
      get_page(at->first);
      at->second.references++;
    } else {
      what == 5 ? put_page(at->first) : __free_pages(at->first, at->second.order);
      if (--at->second.references == 0) blocks_.erase(at);
    }
  }

 private:
  struct block {
    unsigned order;
    int references;
    uint64_t mark;  // in its first word and its last
  };

  static auto ends(struct page* page, unsigned order) {
    auto* memory = static_cast<char*>(page_address(page));
    return std::pair(reinterpret_cast<uint64_t*>(memory),
                     reinterpret_cast<uint64_t*>(memory + (PAGE_SIZE << order) - 8));
  }

  void take(uint64_t mark) {
    constexpr gfp_t kinds[] = {GFP_KERNEL,
                               GFP_ATOMIC,
                               GFP_NOWAIT,
                               GFP_USER | __GFP_ZERO,
                               GFP_ATOMIC | __GFP_ZERO,
                               GFP_KERNEL | __GFP_NORETRY};
    const unsigned order = random_() % 16 ? random_() % 4 : random_() % 9;
    const gfp_t gfp = kinds[random_() % std::size(kinds)];
    struct page* page = alloc_pages(gfp, order);
    if (!page) {
      ASSERT_FALSE(gfp & __GFP_WAIT);
      return;
    }
    const auto [first, last] = ends(page, order);
    if (gfp & __GFP_ZERO) {
      ASSERT_TRUE(*first == 0 && *last == 0);
    }
    *first = *last = mark;
    ASSERT_TRUE(blocks_.try_emplace(page, block{order, 1, mark}).second);
  }

  static void check(struct page* page, const block& b) {
    ASSERT_EQ(page_count(page), b.references);
    ASSERT_EQ(page_order(page), b.order);
    const auto [first, last] = ends(page, b.order);
    ASSERT_TRUE(*first == b.mark && *last == b.mark) << "somebody else wrote there";
  }

  std::map<struct page*, block> blocks_;
  std::minstd_rand random_{7};
};

TEST(Pages, AgreeWithAModelOverRandomRequests) {
  page_model model;
  for (uint64_t mark = 1; mark < 60'000 && !testing::Test::HasFatalFailure(); ++mark)
    model.step(mark);
}

TEST(Pages, OfTheParentAreTheChildsOwnCopyAfterFork) {
  auto* shared = reinterpret_cast<int*>(get_zeroed_page(GFP_KERNEL));
  const pid_t child = fork();
  if (child == 0) {
    *shared = 1;
    free_page(reinterpret_cast<unsigned long>(shared));
    struct page* page = alloc_pages(GFP_KERNEL, 4);
    _exit(page && page_count(page) == 1 ? 0 : 1);
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(*shared, 0);
  free_page(reinterpret_cast<unsigned long>(shared));
}

}  // namespace
