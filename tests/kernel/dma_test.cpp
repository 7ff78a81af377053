// ZONE_DMA: below 4 GiB, in memory and locked there, in pieces of 2 MiB where huge pages are
// reserved.
#include <fcntl.h>
#include <malloc.h>
#include <sys/file.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "../granted.h"
#include "../preload/child.h"
#include "../seccomp.h"
#include "quarry/page.h"
#include "quarry/stats.h"

using preload_test::run_in_child;

namespace {

constexpr gfp_t kernel_dma = GFP_KERNEL | GFP_DMA | __GFP_NOWARN;
size_t free_huge_pages() {
  size_t pages = 0;
  std::ifstream("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") >> pages;
  return pages;
}

constexpr size_t end_of_dma = size_t{4} << 30;

size_t locked_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    size_t kib;
    if (word == "VmLck:" && status >> kib) return kib;
  }
  return 0;
}

std::string zoneinfo() {
  return run_in_child([] { quarry_zoneinfo(STDERR_FILENO); }).errors;
}

// Held only while a test of the zone runs: the other tests of this program have none.
class Dma : public testing::Test {
 protected:
  void SetUp() override {
    struct page* page = alloc_pages(kernel_dma, 0);
    if (!page) {
      ASSERT_FALSE(granted::locked_memory_below_4_gib()) << "there is no zone";
      GTEST_SKIP() << "needs RLIMIT_MEMLOCK of some pages and room below 4 GiB";
    }
    __free_page(page);
  }
};

TEST(DmaBeforeUse, DoesNotExist) {
  EXPECT_EQ(alloc_pages(GFP_DMA | GFP_ATOMIC, 0), nullptr);
  EXPECT_EQ(locked_kib(), 0u);
  EXPECT_EQ(zoneinfo().find("DMA"), std::string::npos);
}

TEST_F(Dma, BlocksAreBelowFourGibibytesInMemoryAndLocked) {
  for (unsigned order : {0, 1, 4, 7}) {
    struct page* page = alloc_pages(kernel_dma | __GFP_ZERO, order);
    ASSERT_NE(page, nullptr);
    const size_t bytes = PAGE_SIZE << order;
    auto* memory = static_cast<char*>(page_address(page));
    EXPECT_EQ(page_zone(page), ZONE_DMA);
    EXPECT_EQ(page_order(page), order);
    EXPECT_EQ(page_count(page), 1);
    EXPECT_LE(reinterpret_cast<uintptr_t>(memory) + bytes, end_of_dma);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % bytes, 0u);
    for (size_t i = 0; i < bytes; ++i)
      ASSERT_EQ(memory[i], 0);
    unsigned char resident[1 << 7];
    ASSERT_EQ(mincore(memory, bytes, resident), 0);
    for (size_t i = 0; i < 1u << order; ++i)
      EXPECT_TRUE(resident[i] & 1);
    EXPECT_EQ(virt_to_page(memory + bytes - 1), virt_to_page(memory + bytes - PAGE_SIZE));
    EXPECT_EQ(pfn_to_page(page_to_pfn(page)), page);
    EXPECT_LT(page_to_pfn(page), end_of_dma >> PAGE_SHIFT);
    memset(memory, 0xff, bytes);
    __free_pages(page, order);
  }
  // Reserved huge pages are never swapped, and so not locked.
  if (free_huge_pages() == 0) {
    EXPECT_GT(locked_kib(), 0u);
  }
}

TEST_F(Dma, FreeFindsABlockByItsAddress) {
  auto* memory = reinterpret_cast<char*>(__get_free_pages(kernel_dma, 1));
  ASSERT_NE(memory, nullptr);
  EXPECT_EQ(malloc_usable_size(memory), 2 * PAGE_SIZE);
  struct page* page = virt_to_page(memory);
  free(memory);
  EXPECT_EQ(page_count(page), 0);
  EXPECT_TRUE(preload_test::dies_with_one_line([&] { free(memory); }, "quarry: free\\(.*\\): .*"));
}

TEST_F(Dma, AtomicRequestsAreServedOfWhatIsLocked) {
  const auto result = run_in_child([] {
    __free_page(alloc_pages(kernel_dma, 0));
    if (!seccomp_test::enter_silence()) _exit(99);
    struct page* page = alloc_pages(GFP_ATOMIC | GFP_DMA | __GFP_ZERO, 2);
    if (!page || page_zone(page) != ZONE_DMA) _exit(1);
    __free_pages(page, 2);
    _exit(0);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

TEST_F(Dma, SomeIsKeptForThoseThatNeedItWhenAllElseIsUsedUp) {
  const auto result = run_in_child([] {
    __free_page(alloc_pages(kernel_dma, 0));
    bool used = false;
    while (struct page* page = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, 0))
      used |= page_zone(page) == ZONE_DMA;
    if (!used) _exit(1);
    _exit(alloc_pages(GFP_ATOMIC | GFP_DMA | __GFP_NOWARN, 0) ? 0 : 2);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

TEST_F(Dma, AgreesWithAModelOverRandomRequests) {
  std::map<struct page*, std::pair<unsigned, char>> blocks;
  std::minstd_rand random(3);
  for (int step = 0; step < 20'000; ++step) {
    if (random() % 2 && blocks.size() < 200) {
      const unsigned order = random() % 6;
      struct page* page = alloc_pages(random() % 2 ? kernel_dma : GFP_ATOMIC | GFP_DMA, order);
      if (!page) continue;
      ASSERT_EQ(page_zone(page), ZONE_DMA);
      const char mark = static_cast<char>(step);
      memset(page_address(page), mark, PAGE_SIZE << order);
      ASSERT_TRUE(blocks.try_emplace(page, order, mark).second);
    } else if (!blocks.empty()) {
      const auto at = std::next(blocks.begin(), static_cast<long>(random() % blocks.size()));
      const auto [page, b] = *at;
      const auto* memory = static_cast<char*>(page_address(page));
      ASSERT_EQ(memory[0], b.second);
      ASSERT_EQ(memcmp(memory, memory + 1, (PAGE_SIZE << b.first) - 1), 0);
      __free_pages(page, b.first);
      blocks.erase(at);
    }
  }
  for (const auto& [page, b] : blocks)
    put_page(page);
}

TEST_F(Dma, IsAZoneOfZoneinfoAndBuddyinfo) {
  EXPECT_NE(zoneinfo().find("Node 0, zone      DMA\n"), std::string::npos) << zoneinfo();
  const std::string buddy = run_in_child([] { quarry_buddyinfo(STDERR_FILENO); }).errors;
  EXPECT_TRUE(buddy.starts_with("Node 0, zone      DMA ")) << buddy;
}

TEST_F(Dma, AForkChildGetsLockedPagesThatAreNotItsParents) {
  struct page* page = alloc_pages(kernel_dma, 2);
  auto* memory = static_cast<char*>(page_address(page));
  memory[0] = 1;
  struct page* freed = alloc_pages(kernel_dma, 2);
  __free_pages(freed, 2);
  const auto result = run_in_child([=] {
    if (memory[0] != 1) _exit(1);
    if (alloc_pages(GFP_ATOMIC | GFP_DMA, 0)) _exit(2);
    __free_pages(page, 2);
    struct page* own = alloc_pages(kernel_dma, 2);
    if (!own || own == page || own == freed || page_zone(own) != ZONE_DMA) _exit(3);
    memset(page_address(own), 2, 4 * PAGE_SIZE);
    if (free_huge_pages() == 0 && locked_kib() == 0) _exit(4);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
  EXPECT_EQ(page_count(page), 1);
  __free_pages(page, 2);
}

// After the others, since a fork child gets nothing of a zone that has all its pages.
TEST_F(Dma, IsOfSixteenMebibytesAndCanBeUsedUpAndFilledAgain) {
  std::set<struct page*> pages;
  while (struct page* page = alloc_pages(kernel_dma, 4))
    ASSERT_TRUE(pages.insert(page).second);
  EXPECT_LE(pages.size(), (16u << 20) / (16 * PAGE_SIZE));
  const size_t most = pages.size();
  for (struct page* page : pages)
    __free_pages(page, 4);
  pages.clear();
  while (struct page* page = alloc_pages(kernel_dma, 4))
    pages.insert(page);
  EXPECT_EQ(pages.size(), most);
  for (struct page* page : pages)
    put_page(page);
}

size_t take_single_pages(std::vector<struct page*>* pages) {
  size_t taken = 0;
  for (; struct page* page = alloc_page(kernel_dma); ++taken)
    pages->push_back(page);
  return taken;
}

TEST_F(Dma, ExactBlocksEndInNullWhenItIsUsedUpAndLoseNoPage) {
  std::vector<struct page*> pages;
  const size_t all = take_single_pages(&pages);
  for (struct page* page : pages)
    __free_page(page);
  pages.clear();

  constexpr size_t exact = 5;
  std::vector<void*> blocks;
  while (void* block = alloc_pages_exact(exact * PAGE_SIZE, kernel_dma))
    blocks.push_back(block);
  EXPECT_GE(blocks.size(), all / 8);
  EXPECT_EQ(take_single_pages(&pages), all - exact * blocks.size());
  for (void* block : blocks)
    free_pages_exact(block, exact * PAGE_SIZE);
  EXPECT_EQ(take_single_pages(&pages), exact * blocks.size());
  for (struct page* page : pages)
    __free_page(page);
}

TEST(DmaWithoutPermission, ToLockFailsAndTheHeapStaysUsable) {
  if (free_huge_pages()) GTEST_SKIP() << "needs a system without free huge pages";
  const auto result = run_in_child([] {
    const rlimit none = {0, 0};
    setrlimit(RLIMIT_MEMLOCK, &none);
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) _exit(99);
    setenv("LC_ALL", "C", 1);
    execl("/proc/self/exe", "kernel_dma_test", "--one-block", nullptr);
    _exit(127);
  });
  if (WEXITSTATUS(result.status) == 127) GTEST_SKIP() << "another user cannot run this program";
  EXPECT_EQ(WEXITSTATUS(result.status), 3) << result.errors;
}

int one_block() {
  if (alloc_pages(kernel_dma, 0)) return 1;
  return alloc_pages(GFP_KERNEL, 0) && malloc(100) ? 3 : 2;
}

// Physical page numbers are for privileged readers (pagemap, Documentation/admin-guide/mm).
uint64_t frame_of(const void* address) {
  const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  uint64_t entry = 0;
  const auto offset = static_cast<off_t>(reinterpret_cast<uintptr_t>(address) / PAGE_SIZE * 8);
  if (pread(pagemap, &entry, sizeof entry, offset) != sizeof entry) entry = 0;
  close(pagemap);
  return entry & ((uint64_t{1} << 55) - 1);
}

// The system's number of reserved huge pages, as before at the end.
class reserved_huge_pages {
 public:
  explicit reserved_huge_pages(unsigned wanted) {
    std::ifstream(path) >> before_;
    std::ofstream(path) << wanted + before_;
    std::ifstream(path) >> now_;
  }
  ~reserved_huge_pages() { std::ofstream(path) << before_; }
  unsigned added() const { return now_ - before_; }

 private:
  static constexpr const char* path = "/proc/sys/vm/nr_hugepages";
  unsigned before_ = 0, now_ = 0;
};

int contiguous_block() {
  struct page* page = alloc_pages(kernel_dma, 9);
  if (!page) return 1;
  auto* memory = static_cast<char*>(page_address(page));
  memset(memory, 1, PAGE_SIZE << 9);
  const uint64_t first = frame_of(memory);
  if (!first) return 4;
  for (uint64_t i = 0; i < 512; ++i)
    if (frame_of(memory + i * PAGE_SIZE) != first + i) return 2;
  return 3;
}

TEST(DmaOfHugePages, BlocksOfTwoMebibytesAreOnePieceOfPhysicalMemory) {
  const reserved_huge_pages reserved(2);
  if (reserved.added() == 0) GTEST_SKIP() << "needs root and two free huge pages";
  const auto result = run_in_child([] {
    execl("/proc/self/exe", "kernel_dma_test", "--contiguous-block", nullptr);
    _exit(127);
  });
  if (WEXITSTATUS(result.status) == 4) GTEST_SKIP() << "needs CAP_SYS_ADMIN to see frame numbers";
  EXPECT_EQ(WEXITSTATUS(result.status), 3) << result.errors;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && !strcmp(argv[1], "--one-block")) return one_block();
  if (argc == 2 && !strcmp(argv[1], "--contiguous-block")) return contiguous_block();
  testing::InitGoogleTest(&argc, argv);
  // The number of huge pages is the system's: one such program at a time.
  flock(open("/proc/sys/vm/nr_hugepages", O_RDONLY | O_CLOEXEC), LOCK_EX);
  return RUN_ALL_TESTS();
}
