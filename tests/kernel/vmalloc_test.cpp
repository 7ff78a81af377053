// Large blocks through quarry/vmalloc.h.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <quarry/page.h>
#include <quarry/stats.h>
#include <quarry/vmalloc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <regex>
#include <sstream>

#include "../granted.h"
#include "../preload/child.h"

namespace {

using preload_test::dies_with_one_line;
using preload_test::run_in_child;

constexpr std::size_t page = 4096;
constexpr std::size_t mib = 1 << 20;
constexpr std::size_t gib = 1 << 30;

char* take(std::size_t size) {
  char* block = static_cast<char*>(vmalloc(size));
  EXPECT_NE(block, nullptr) << size;
  return block;
}

bool can_be_touched(char* at) {
  return run_in_child([=] { *static_cast<volatile char*>(at) = 1; }).succeeded();
}

std::size_t resident_pages(void* block, std::size_t bytes) {
  std::vector<unsigned char> pages((bytes + page - 1) / page);
  EXPECT_EQ(mincore(block, bytes, pages.data()), 0);
  return std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return p & 1; });
}

// From here on mremap(2) fails (seccomp(2)).
bool refuse_mremap() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mremap, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {std::size(filter), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST(Vmalloc, BlocksBeginOnAPageReadAsZeroAndCanBeWrittenToTheEnd) {
  for (std::size_t size : {std::size_t{1}, page - 1, page, page + 1, 3 * mib, 100 * mib}) {
    for (auto* allocate : {&vmalloc, &vzalloc}) {
      char* block = static_cast<char*>(allocate(size));
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % page, 0u);
      EXPECT_EQ(std::count(block, block + size, 0), static_cast<std::ptrdiff_t>(size));
      std::memset(block, 1, size);
      vfree(block);
    }
  }
}

TEST(Vmalloc, ThePageBehindABlockCannotBeTouched) {
  for (std::size_t pages : {1, 2, 511, 512, 513, 1024}) {
    char* block = take(pages * page);
    EXPECT_TRUE(can_be_touched(block + pages * page - 1)) << pages;
    EXPECT_FALSE(can_be_touched(block + pages * page)) << pages;
    vfree(block);
  }
}

TEST(Vmalloc, AFreedBlockCannotBeTouched) {
  char* block = take(mib);
  *block = 1;
  vfree(block);
  EXPECT_FALSE(can_be_touched(block));
}

TEST(Vmalloc, NothingAndTheImpossibleAreNull) {
  EXPECT_EQ(vmalloc(0), nullptr);
  EXPECT_EQ(vmalloc(SIZE_MAX), nullptr);
  EXPECT_EQ(vmalloc(std::size_t{1} << 46), nullptr);
  vfree(nullptr);
  EXPECT_EQ(vrealloc(nullptr, 0, GFP_KERNEL), nullptr);
  EXPECT_EQ(vrealloc(nullptr, 100, GFP_NOWAIT), nullptr);
}

TEST(Vmalloc, ABlockThatCannotGrowStaysAsItWas) {
  char* block = take(mib);
  std::memset(block, 7, mib);
  EXPECT_EQ(vrealloc(block, SIZE_MAX, GFP_KERNEL), nullptr);
  EXPECT_EQ(vrealloc(block, std::size_t{1} << 46, GFP_KERNEL), nullptr);
  EXPECT_EQ(vrealloc(block, 2 * mib, GFP_NOWAIT), nullptr);
  EXPECT_EQ(std::count(block, block + mib, 7), static_cast<std::ptrdiff_t>(mib));
  EXPECT_EQ(vrealloc(block, mib - 5, GFP_NOWAIT), block);
  vfree(block);
}

// Copied pages would be in memory at the new place, whether they were at the old one or not.
TEST(Vmalloc, AGigabyteGrowsToAnyPlaceWithoutBeingCopied) {
  char* block = take(gib);
  constexpr std::size_t stride = 16 * mib;
  for (std::size_t at = 0; at < gib; at += stride)
    block[at] = static_cast<char>(at / stride + 1);
  char* neighbour = take(gib);
  for (std::size_t size = 2 * gib; size <= 16 * gib; size *= 2) {
    char* grown = static_cast<char*>(vrealloc(block, size, GFP_KERNEL));
    ASSERT_NE(grown, nullptr);
    block = grown;
    ASSERT_LE(resident_pages(block, gib), 64u);
    for (std::size_t at = 0; at < gib; at += stride)
      ASSERT_EQ(block[at], static_cast<char>(at / stride + 1));
    ASSERT_EQ(block[size - 1], 0);
  }
  vfree(neighbour);
  vfree(block);
}

// Where the system does not move pages there is still memory.
TEST(Vmalloc, ABlockGrowsWithItsContentsWhereMremapIsRefused) {
  const auto result = run_in_child([] {
    char* block = take(mib);
    std::memset(block, 7, mib);
    if (!refuse_mremap()) _exit(99);
    for (std::size_t size = 4 * mib; size <= 64 * mib; size *= 4) {
      char* grown = static_cast<char*>(vrealloc(block, size, GFP_KERNEL | __GFP_ZERO));
      if (!grown) _exit(1);
      if (std::count(grown, grown + size / 4, 7) != static_cast<std::ptrdiff_t>(size / 4)) _exit(2);
      if (std::count(grown + size / 4, grown + size, 0) !=
          static_cast<std::ptrdiff_t>(size / 4 * 3))
        _exit(3);
      std::memset(grown, 7, size);
      block = grown;
    }
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

// What was moved and grew is several mappings, which move one by one.
TEST(Vmalloc, ABlockThatMovesAgainAndAgainKeepsItsContents) {
  std::size_t size = 64 * 1024;
  char* block = take(size);
  std::memset(block, 1, size);
  for (char mark = 2; mark < 8; mark++) {
    block = static_cast<char*>(vrealloc(block, 5 * size, GFP_KERNEL));
    ASSERT_NE(block, nullptr);
    std::memset(block + size, mark, 4 * size);
    size *= 5;
    std::size_t at = 64 * 1024;
    ASSERT_EQ(std::count(block, block + at, 1), static_cast<std::ptrdiff_t>(at));
    for (char part = 2; part <= mark; part++, at *= 5)
      ASSERT_EQ(std::count(block + at, block + 5 * at, part), static_cast<std::ptrdiff_t>(4 * at));
  }
  vfree(block);
}

TEST(Vmalloc, GrowthIsZeroWhereTheProgramAlwaysAskedForIt) {
  std::minstd_rand random(1);
  char* block = static_cast<char*>(vzalloc(1));
  std::size_t old_size = 1;
  for (int i = 0; i < 300; i++) {
    const std::size_t size = 1 + random() % (random() % 2 ? 20 * page : 4 * mib);
    const gfp_t gfp = random() % 4 ? GFP_KERNEL : GFP_NOWAIT;
    char* resized = static_cast<char*>(vrealloc(block, size, gfp | __GFP_ZERO));
    if (!resized) {
      ASSERT_EQ(gfp, GFP_NOWAIT);
      continue;
    }
    block = resized;
    const std::size_t kept = std::min(old_size, size);
    ASSERT_EQ(std::count(block, block + kept, 7), static_cast<std::ptrdiff_t>(i ? kept : 0));
    ASSERT_EQ(std::count(block + kept, block + size, 0), static_cast<std::ptrdiff_t>(size - kept));
    std::memset(block, 7, size);
    old_size = size;
  }
  EXPECT_EQ(vrealloc(block, 0, GFP_KERNEL), nullptr);
  EXPECT_FALSE(can_be_touched(block));
}

TEST(Vmalloc, ABlockThatShrinksGivesItsMemoryBack) {
  char* block = take(64 * mib);
  std::memset(block, 7, 64 * mib);
  ASSERT_EQ(vrealloc(block, mib, GFP_KERNEL), block);
  EXPECT_EQ(std::count(block, block + mib, 7), static_cast<std::ptrdiff_t>(mib));
  EXPECT_FALSE(can_be_touched(block + mib));
  vfree(block);
}

TEST(Vmalloc, FreeTakesItsBlocks) {
  char* block = take(5 * mib);
  block[5 * mib - 1] = 1;
  free(block);
  EXPECT_FALSE(can_be_touched(block));
}

TEST(Vmalloc, AWrongPointerEndsTheProcessWithALine) {
  char* block = take(3 * mib);
  void* small = malloc(100);
  void* large = malloc(2 * mib);
  int local = 0;
  const auto dies = [](void* p, const std::string& reason) {
    EXPECT_TRUE(dies_with_one_line([=] { vfree(p); }, "quarry: vfree\\(0x[0-9a-f]+\\): " + reason));
    EXPECT_TRUE(dies_with_one_line([=] { vrealloc(p, 10, GFP_KERNEL); },
                                   "quarry: vrealloc\\(0x[0-9a-f]+\\): " + reason));
  };
  for (void* wrong : {small, large, static_cast<void*>(&local), reinterpret_cast<void*>(16)})
    dies(wrong, "not a block of vmalloc");
  dies(block + page, "inside a block that begins at 0x[0-9a-f]+");
  dies(block + 3 * mib + page, "already free, or not a block of vmalloc");
  vfree(block);
  dies(block, "already free, or not a block of vmalloc");
  free(small);
  free(large);
}

TEST(VmallocToPage, IsThePageThatHasTheAddressInABlock) {
  char* block = take(5 * mib);
  for (std::size_t at : {std::size_t{0}, page - 1, page, 3 * mib + 17, 5 * mib - 1}) {
    struct page* p = vmalloc_to_page(block + at);
    ASSERT_NE(p, nullptr) << at;
    EXPECT_EQ(page_address(p), block + at - at % page);
    EXPECT_EQ(kmap(p), page_address(p));
    kunmap(p);
    EXPECT_EQ(page_to_pfn(p), reinterpret_cast<std::uintptr_t>(block + at) / page);
    EXPECT_EQ(pfn_to_page(page_to_pfn(p)), p);
    EXPECT_EQ(page_zone(p), ZONE_NORMAL);
    EXPECT_EQ(page_to_nid(p), 0);
    EXPECT_EQ(page_count(p), 0);
  }
  EXPECT_EQ(vmalloc_to_page(block), vmalloc_to_page(block + page - 1));
  EXPECT_NE(vmalloc_to_page(block), vmalloc_to_page(block + page));
  vfree(block);
}

TEST(VmallocToPage, IsNullOutsideOfBlocks) {
  char* block = take(3 * page);
  void* small = malloc(100);
  int local = 0;
  for (void* other : {small, static_cast<void*>(&local), static_cast<void*>(block + 3 * page),
                      static_cast<void*>(nullptr), reinterpret_cast<void*>(~std::uintptr_t{0})})
    EXPECT_EQ(vmalloc_to_page(other), nullptr);
  vfree(block);
  EXPECT_EQ(vmalloc_to_page(block), nullptr);
  free(small);
}

// As many as have a list that ends with a page of it.
TEST(VmallocToPage, IsThePageThatVmapHasMapped) {
  if (!granted::large_memory_file()) GTEST_SKIP() << "needs memfd_create and no RLIMIT_FSIZE";
  struct page* two = alloc_pages(GFP_HIGHUSER, 1);
  ASSERT_TRUE(two && page_zone(two) == ZONE_HIGHMEM);
  struct page* pages[1024];
  for (int i = 0; i < 1024; i++)
    pages[i] = two;
  struct page* other = pfn_to_page(page_to_pfn(two) + 1);
  for (int i = 0; i < 1024; i += 3)
    pages[i] = other;
  char* mapped = static_cast<char*>(vmap(pages, 1024, VM_MAP, PAGE_KERNEL));
  ASSERT_NE(mapped, nullptr);
  for (int i = 0; i < 1024; i++)
    ASSERT_EQ(vmalloc_to_page(mapped + i * page + 5), pages[i]);
  EXPECT_EQ(vmalloc_to_page(mapped + 1024 * page), nullptr);
  EXPECT_FALSE(can_be_touched(mapped + 1024 * page));
  vunmap(mapped);
  EXPECT_EQ(vmalloc_to_page(mapped), nullptr);
  EXPECT_FALSE(can_be_touched(mapped + 1027 * page));
  __free_pages(two, 1);
}

TEST(VmallocToPage, ReferencesToAPageOfABlockAreRefused) {
  char* block = take(page);
  struct page* p = vmalloc_to_page(block);
  const std::string reason = "\\(0x[0-9a-f]+\\): a page of vmalloc, which goes with its block";
  EXPECT_TRUE(dies_with_one_line([=] { get_page(p); }, "quarry: get_page" + reason));
  EXPECT_TRUE(dies_with_one_line([=] { put_page(p); }, "quarry: put_page" + reason));
  EXPECT_TRUE(dies_with_one_line([=] { __free_page(p); }, "quarry: __free_page" + reason));
  vfree(block);
}

struct info_line {
  std::uintptr_t begin, end;
  std::size_t size, pages;
  std::string kind;
};

std::vector<info_line> read_vmallocinfo() {
  FILE* file = tmpfile();
  quarry_vmallocinfo(fileno(file));
  rewind(file);
  std::vector<info_line> lines;
  const std::regex layout("0x([0-9a-f]+)-0x([0-9a-f]+) +([0-9]+) pages=([0-9]+) (vmalloc|vmap)\n");
  char text[200];
  while (fgets(text, sizeof text, file)) {
    std::cmatch m;
    EXPECT_TRUE(std::regex_match(text, m, layout)) << text;
    if (m.size() != 6) continue;
    lines.push_back({std::stoul(m[1], nullptr, 16), std::stoul(m[2], nullptr, 16), std::stoul(m[3]),
                     std::stoul(m[4]), m[5]});
  }
  fclose(file);
  return lines;
}

TEST(Vmallocinfo, HasALinePerBlockByAddressWithItsGuardPage) {
  const auto before = read_vmallocinfo();
  const std::vector<std::size_t> sizes = {1, 5 * mib, 3 * page, 2 * mib};
  std::vector<void*> blocks;
  for (std::size_t size : sizes)
    blocks.push_back(take(size));
  const auto lines = read_vmallocinfo();
  EXPECT_EQ(lines.size(), before.size() + blocks.size());
  EXPECT_TRUE(std::is_sorted(lines.begin(), lines.end(),
                             [](const auto& a, const auto& b) { return a.begin < b.begin; }));
  for (std::size_t i = 0; i < blocks.size(); i++) {
    const auto begin = reinterpret_cast<std::uintptr_t>(blocks[i]);
    const auto line =
        std::find_if(lines.begin(), lines.end(), [=](const auto& l) { return l.begin == begin; });
    ASSERT_NE(line, lines.end());
    EXPECT_EQ(line->pages, (sizes[i] + page - 1) / page);
    EXPECT_EQ(line->size, (line->pages + 1) * page);
    EXPECT_EQ(line->end - line->begin, line->size);
    EXPECT_EQ(line->kind, "vmalloc");
  }
  for (void* block : blocks)
    vfree(block);
  EXPECT_EQ(read_vmallocinfo().size(), before.size());
}

TEST(Vmallocinfo, ShowsWhatVmapHasMapped) {
  if (!granted::large_memory_file()) GTEST_SKIP() << "needs memfd_create and no RLIMIT_FSIZE";
  struct page* one = alloc_page(GFP_HIGHUSER);
  ASSERT_TRUE(one && page_zone(one) == ZONE_HIGHMEM);
  struct page* same[3] = {one, one, one};
  void* mapped = vmap(same, 3, VM_MAP, PAGE_KERNEL);
  ASSERT_NE(mapped, nullptr);
  const auto lines = read_vmallocinfo();
  const auto line = std::find_if(lines.begin(), lines.end(), [=](const auto& l) {
    return l.begin == reinterpret_cast<std::uintptr_t>(mapped);
  });
  ASSERT_NE(line, lines.end());
  EXPECT_EQ(line->kind, "vmap");
  EXPECT_EQ(line->pages, 3u);
  vunmap(mapped);
  __free_page(one);
}

}  // namespace
