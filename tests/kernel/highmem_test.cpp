// ZONE_HIGHMEM: pages without an address, which kmap and vmap give them.
#include <malloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "../granted.h"
#include "../preload/child.h"
#include "../seccomp.h"
#include "../survival/proc.h"
#include "quarry/page.h"
#include "quarry/stats.h"

using preload_test::dies_with_one_line;
using preload_test::run_in_child;

namespace {

struct page* highmem_page(gfp_t more = 0, unsigned order = 0) {
  struct page* page = alloc_pages(GFP_HIGHUSER | more, order);
  return page && page_zone(page) == ZONE_HIGHMEM ? page : nullptr;
}

class Highmem : public testing::Test {
 protected:
  void SetUp() override {
    struct page* page = highmem_page();
    if (!page) {
      ASSERT_FALSE(granted::large_memory_file()) << "there is no zone";
      GTEST_SKIP() << "needs memfd_create and no RLIMIT_FSIZE";
    }
    put_page(page);
  }
};

// Before the first of the others.
TEST(HighmemBeforeUse, IsNotMadeForThoseWhoMayNotWait) {
  const auto result = run_in_child([] {
    __free_page(alloc_page(GFP_KERNEL));
    if (!seccomp_test::enter_silence()) _exit(99);
    struct page* page = alloc_page(GFP_ATOMIC | __GFP_HIGHMEM);
    _exit(page && page_zone(page) == ZONE_NORMAL ? 0 : 1);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

TEST(HighmemBeforeUse, IsDoneWithoutWhereAFileMayNotBeThatLarge) {
  const auto result = run_in_child([] {
    const rlimit small = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_FSIZE, &small);
    struct page* page = alloc_page(GFP_HIGHUSER);
    _exit(page && page_zone(page) == ZONE_NORMAL ? 0 : 1);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

TEST_F(Highmem, PagesHaveNoAddressUntilTheyAreMapped) {
  struct page* page = highmem_page();
  EXPECT_EQ(page_address(page), nullptr);
  EXPECT_EQ(page_count(page), 1);
  auto* memory = static_cast<char*>(kmap(page));
  ASSERT_NE(memory, nullptr);
  EXPECT_EQ(page_address(page), memory);
  memset(memory, 5, PAGE_SIZE);
  kunmap(page);
  EXPECT_EQ(page_address(page), nullptr);
  memory = static_cast<char*>(kmap(page));
  EXPECT_EQ(memory[PAGE_SIZE - 1], 5);
  kunmap(page);
  __free_page(page);
}

TEST_F(Highmem, AMappedPageStaysUntilItWasUnmappedAsOften) {
  struct page* page = highmem_page();
  void* memory = kmap(page);
  EXPECT_EQ(kmap(page), memory);
  kunmap(page);
  EXPECT_EQ(page_address(page), memory);
  *static_cast<volatile char*>(memory) = 1;
  kunmap(page);
  const auto touched = run_in_child([=] { *static_cast<volatile char*>(memory) = 1; });
  EXPECT_TRUE(WIFSIGNALED(touched.status) && WTERMSIG(touched.status) == SIGSEGV);
  __free_page(page);
}

TEST_F(Highmem, KmapOfAPageWithAnAddressIsThat) {
  struct page* page = alloc_page(GFP_KERNEL);
  EXPECT_EQ(kmap(page), page_address(page));
  kunmap(page);
  __free_page(page);
}

TEST_F(Highmem, PageNumbersAreThoseOfNoOtherZone) {
  struct page* page = highmem_page(0, 3);
  const unsigned long pfn = page_to_pfn(page);
  EXPECT_EQ(pfn_to_page(pfn), page);
  EXPECT_EQ(page_to_pfn(pfn_to_page(pfn + 7)), pfn + 7);
  EXPECT_EQ(pfn_to_page(pfn | 1ul << 52), nullptr) << "not a page number at all";
  __free_pages(page, 3);
}

TEST_F(Highmem, ZeroedPagesReadAsZeroAfterUseToo) {
  for (int round = 0; round < 10; ++round) {
    struct page* page = highmem_page(__GFP_ZERO, 2);
    ASSERT_NE(page, nullptr);
    void* memory = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
    for (size_t i = 0; i < PAGE_SIZE; ++i)
      ASSERT_EQ(static_cast<char*>(memory)[i], 0);
    memset(memory, 0xff, PAGE_SIZE);
    vunmap(memory);
    __free_pages(page, 2);
  }
}

// A ring of four pages that goes on at its beginning: what is written past the end is there.
TEST_F(Highmem, ARingBufferWrapsByItself) {
  constexpr unsigned count = 4;
  constexpr size_t size = count * PAGE_SIZE;
  struct page* pages[2 * count];
  for (unsigned i = 0; i < count; ++i)
    pages[i] = pages[i + count] = highmem_page();
  auto* ring = static_cast<char*>(vmap(pages, 2 * count, VM_MAP, PAGE_KERNEL));
  ASSERT_NE(ring, nullptr);
  std::minstd_rand random(1);
  size_t written = 0, read = 0;
  for (int message = 0; message < 10'000; ++message) {
    const size_t length = 1 + random() % 3000;
    memset(ring + written % size, message, length);  // in one piece, across the end
    written += length;
    for (; read < written; ++read)
      ASSERT_EQ(ring[read % size], static_cast<char>(message));
  }
  vunmap(ring);
  for (unsigned i = 0; i < count; ++i)
    put_page(pages[i]);
}

TEST_F(Highmem, VmapMakesScatteredPagesOnePiece) {
  std::vector<struct page*> pages;
  for (int i = 0; i < 64; ++i)
    pages.push_back(highmem_page());
  std::shuffle(pages.begin(), pages.end(), std::minstd_rand(2));
  const auto count = static_cast<unsigned>(pages.size());
  auto* memory = static_cast<char*>(vmap(pages.data(), count, VM_MAP, PAGE_KERNEL));
  auto* to_read = static_cast<char*>(vmap(pages.data(), count, VM_MAP, PAGE_KERNEL_RO));
  ASSERT_TRUE(memory && to_read);
  for (size_t i = 0; i < pages.size() * PAGE_SIZE; ++i)
    memory[i] = static_cast<char>(i / PAGE_SIZE);
  EXPECT_EQ(memcmp(memory, to_read, pages.size() * PAGE_SIZE), 0);
  for (unsigned i = 0; i < count; ++i) {
    EXPECT_EQ(*static_cast<char*>(kmap(pages[i])), static_cast<char>(i));
    kunmap(pages[i]);
  }
  const auto write_to_it = run_in_child([&] { to_read[0] = 1; });
  EXPECT_TRUE(WIFSIGNALED(write_to_it.status) && WTERMSIG(write_to_it.status) == SIGSEGV);
  const auto write_behind = run_in_child([&] { memory[pages.size() * PAGE_SIZE] = 1; });
  EXPECT_TRUE(WIFSIGNALED(write_behind.status) && WTERMSIG(write_behind.status) == SIGSEGV);
  vunmap(memory);
  vunmap(to_read);
  for (struct page* page : pages)
    put_page(page);
}

TEST_F(Highmem, VmapRefusesPagesOfOtherZonesAndNone) {
  struct page* pages[] = {highmem_page(), alloc_page(GFP_KERNEL)};
  EXPECT_EQ(vmap(pages, 2, VM_MAP, PAGE_KERNEL), nullptr);
  EXPECT_EQ(vmap(pages, 0, VM_MAP, PAGE_KERNEL), nullptr);
  vunmap(nullptr);
  for (struct page* page : pages)
    put_page(page);
}

TEST_F(Highmem, WrongUseIsNamed) {
  struct page* page = highmem_page();
  EXPECT_TRUE(dies_with_one_line([&] { kunmap(page); }, "quarry: kunmap\\(.*\\): not mapped"));
  EXPECT_TRUE(dies_with_one_line(
      [&] {
        kmap(page);
        __free_page(page);
      },
      "quarry: __free_page\\(.*\\): still mapped by kmap"));
  EXPECT_TRUE(dies_with_one_line(
      [&] {
        __free_page(page);
        kmap(page);
      },
      "quarry: kmap\\(.*\\): .*"));
  EXPECT_TRUE(dies_with_one_line(
      [&] {
        __free_page(page);
        vmap(&page, 1, VM_MAP, PAGE_KERNEL);
      },
      "quarry: vmap\\(.*\\): .*"));
  EXPECT_TRUE(dies_with_one_line([&] { vunmap(page); },
                                 "quarry: vunmap\\(.*\\): not an address from vmap"));
  EXPECT_TRUE(dies_with_one_line(
      [&] {
        void* memory = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
        vunmap(memory);
        vunmap(memory);
      },
      "quarry: vunmap\\(.*\\): not an address from vmap"));
  EXPECT_TRUE(dies_with_one_line([&] { free(vmap(&page, 1, VM_MAP, PAGE_KERNEL)); },
                                 "quarry: free\\(.*\\): .*"));
  __free_page(page);
  struct page* two = highmem_page(0, 1);
  EXPECT_TRUE(dies_with_one_line(
      [&] {
        kmap(pfn_to_page(page_to_pfn(two) + 1));
        __free_pages(two, 1);
      },
      "quarry: __free_pages\\(.*\\): still mapped by kmap"));
  __free_pages(two, 1);
}

// The other process is a child that has nothing of ours but the descriptor and the offset.
TEST_F(Highmem, AnotherProcessMapsTheSamePages) {
  struct page* page = highmem_page(__GFP_ZERO, 1);
  off_t offset;
  const int fd = quarry_highmem_fd(page, &offset);
  ASSERT_GE(fd, 0);
  auto* memory = static_cast<char*>(kmap(page));
  const auto result = run_in_child([=] {
    void* there = mmap(nullptr, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
    if (there == MAP_FAILED) _exit(1);
    strcpy(static_cast<char*>(there), "from another process");
  });
  EXPECT_TRUE(result.succeeded());
  EXPECT_STREQ(memory, "from another process");
  kunmap(page);
  __free_pages(page, 1);
  struct page* normal = alloc_page(GFP_KERNEL);
  EXPECT_EQ(quarry_highmem_fd(normal, nullptr), -1);
  __free_page(normal);
}

TEST_F(Highmem, AForkChildSharesWhatWasInUseAndGetsNormalPages) {
  struct page* page = highmem_page(__GFP_ZERO);
  auto* memory = static_cast<volatile int*>(kmap(page));
  const auto result = run_in_child([=] {
    *memory = 1;
    kunmap(page);
    __free_page(page);
    for (int i = 0; i < 100; ++i) {
      struct page* own = alloc_pages(GFP_HIGHUSER | __GFP_ZERO, 1);
      if (!own || page_zone(own) != ZONE_NORMAL) _exit(1);
    }
  });
  EXPECT_TRUE(result.succeeded()) << result.status << result.errors;
  EXPECT_EQ(*memory, 1);
  EXPECT_EQ(page_count(page), 1);
  kunmap(page);
  __free_page(page);
}

TEST_F(Highmem, AClosedFileMeansNoMappingRatherThanAnotherFiles) {
  struct page* page = highmem_page();
  const auto result = run_in_child([=] {
    const int fd = quarry_highmem_fd(page, nullptr);
    close(fd);
    if (open("/dev/zero", O_RDWR) != fd) _exit(1);
    if (kmap(page) || vmap(const_cast<struct page**>(&page), 1, VM_MAP, PAGE_KERNEL)) _exit(2);
    if (quarry_highmem_fd(page, nullptr) != -1) _exit(3);
    __free_page(page);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
  __free_page(page);
}

TEST_F(Highmem, AtomicRequestsMakeNoSystemCall) {
  const auto result = run_in_child([] {
    execl("/proc/self/exe", "kernel_highmem_test", "--silent", nullptr);
    _exit(127);
  });
  EXPECT_EQ(WEXITSTATUS(result.status), 3) << "status " << result.status << result.errors;
}

int silent() {
  __free_page(alloc_page(GFP_HIGHUSER));
  if (!seccomp_test::enter_silence()) return 99;
  struct page* page = alloc_page(GFP_ATOMIC | GFP_HIGHMEM);
  if (!page || page_zone(page) != ZONE_HIGHMEM) return 1;
  __free_page(page);
  for (int i = 0; i < 100; ++i) {
    page = alloc_page(GFP_ATOMIC | __GFP_HIGHMEM | __GFP_ZERO);
    if (!page) return 2;
    __free_page(page);
  }
  return 3;
}

// Bytes of the zone's file that are in memory.
size_t bytes_in_memory(int file) {
  struct stat status = {};
  EXPECT_EQ(fstat(file, &status), 0);
  return static_cast<size_t>(status.st_blocks) * 512;
}

void write_to_block(struct page* page, size_t pages) {
  std::vector<struct page*> all(pages);
  for (size_t i = 0; i < pages; ++i)
    all[i] = pfn_to_page(page_to_pfn(page) + i);
  void* memory = vmap(all.data(), static_cast<unsigned>(pages), VM_MAP, PAGE_KERNEL);
  memset(memory, 1, pages * PAGE_SIZE);
  vunmap(memory);
}

struct written_block {
  int file;  // the zone's
  size_t bytes_during;
};

// Takes a block, writes to all of it and frees it.
written_block free_written_block(unsigned order) {
  struct page* page = highmem_page(0, order);
  EXPECT_NE(page, nullptr);
  const int file = quarry_highmem_fd(page, nullptr);
  write_to_block(page, size_t{1} << order);
  const size_t during = bytes_in_memory(file);
  __free_pages(page, order);
  return {file, during};
}

// Freed memory of the zone goes back to the system when asked, as all does.
TEST_F(Highmem, FreedPagesGoBackToTheSystem) {
  constexpr unsigned order = 12;
  const auto [file, during] = free_written_block(order);
  EXPECT_GE(during, PAGE_SIZE << order);
  malloc_trim(0);
  EXPECT_LE(bytes_in_memory(file), during - (PAGE_SIZE << order));
}

TEST_F(Highmem, FreedPagesOfAnIdleProgramGoBackByThemselves) {
  constexpr unsigned order = 14;
  const auto [file, during] = free_written_block(order);
  const size_t wanted = during - (PAGE_SIZE << order) / 2;
  for (int i = 0; i < 1000 && bytes_in_memory(file) > wanted; ++i)
    usleep(10'000);
  EXPECT_LE(bytes_in_memory(file), wanted);
}

// Contents stay with their pages whichever way they are mapped, by threads that take turns.
TEST_F(Highmem, AgreesWithAModelOverRandomRequests) {
  std::atomic<unsigned> wrong{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::minstd_rand random(t + 1);
      std::map<struct page*, std::pair<unsigned, uint64_t>> blocks;
      for (uint64_t step = 1; step < 3000; ++step) {
        if (random() % 2 && blocks.size() < 100) {
          const unsigned order = random() % 4;
          struct page* page = highmem_page(random() % 2 ? __GFP_ZERO : 0, order);
          if (!page || page_count(page) != 1) {
            wrong++;
            continue;
          }
          *static_cast<uint64_t*>(kmap(page)) = uint64_t{t} << 32 | step;
          kunmap(page);
          blocks[page] = {order, uint64_t{t} << 32 | step};
        } else if (!blocks.empty()) {
          const auto at = std::next(blocks.begin(), static_cast<long>(random() % blocks.size()));
          const auto [page, b] = *at;
          wrong += *static_cast<uint64_t*>(kmap(page)) != b.second;
          kunmap(page);
          __free_pages(page, b.first);
          blocks.erase(at);
        }
      }
      for (const auto& [page, b] : blocks)
        put_page(page);
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0u);
}

// 16 MiB of it for 1 GiB of pages, though none of them was touched.
TEST_F(Highmem, ItsMapGoesBackWithThePages) {
  std::vector<struct page*> pages(1 << 18);
  for (struct page*& p : pages)
    ASSERT_NE(p = highmem_page(), nullptr);
  malloc_trim(0);
  const size_t before = survival::resident_bytes();
  for (struct page* p : pages)
    put_page(p);
  malloc_trim(0);
  const size_t after = survival::resident_bytes();
  EXPECT_GT(before, after + (size_t{12} << 20));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && !strcmp(argv[1], "--silent")) return silent();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
