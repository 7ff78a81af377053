// A wrong page, address or order is named in one line, and the process ends.
#include <malloc.h>

#include <random>
#include <sstream>
#include <utility>
#include <vector>

#include "../preload/child.h"
#include "quarry/page.h"

using preload_test::dies_with_one_line;

namespace {

std::string hex(const void* p) {
  std::ostringstream text;
  text << p;
  return text.str();
}
std::string line(const std::string& call, const void* p, const std::string& reason) {
  return "quarry: " + call + "\\(" + hex(p) + "\\): " + reason;
}

class WrongPage : public testing::Test {
 protected:
  void SetUp() override {
    page = alloc_pages(GFP_KERNEL, 2);
    memory = static_cast<char*>(page_address(page));
  }
  void TearDown() override { __free_pages(page, 2); }

  struct page* page;
  char* memory;
};

TEST_F(WrongPage, OfAnotherOrderIsNamedWithBoth) {
  const std::string reason = "a block of order 2, not of order 1";
  EXPECT_TRUE(
      dies_with_one_line([&] { __free_pages(page, 1); }, line("__free_pages", page, reason)));
  EXPECT_TRUE(dies_with_one_line([&] { split_page(page, 1); }, line("split_page", page, reason)));
  EXPECT_TRUE(dies_with_one_line([&] { free_pages(reinterpret_cast<unsigned long>(memory), 1); },
                                 line("free_pages", page, reason)));
}

TEST_F(WrongPage, FreedBeforeIsNamed) {
  for (unsigned order : {0, 2, 6, 10}) {
    struct page* other = alloc_pages(GFP_KERNEL, order);
    EXPECT_TRUE(dies_with_one_line(
        [&] {
          __free_pages(other, order);
          __free_pages(other, order);
        },
        line("__free_pages", other, "already free")));
    EXPECT_TRUE(dies_with_one_line(
        [&] {
          put_page(other);
          get_page(other);
        },
        line("get_page", other, "already free")));
    __free_pages(other, order);
  }
}

TEST_F(WrongPage, InsideABlockIsNamedWithItsBegin) {
  struct page* tail = virt_to_page(memory + 2 * PAGE_SIZE);
  const std::string reason = "inside a page block that begins at " + hex(page);
  EXPECT_TRUE(dies_with_one_line([&] { put_page(tail); }, line("put_page", tail, reason)));
  EXPECT_TRUE(dies_with_one_line([&] { get_page(tail); }, line("get_page", tail, reason)));
  EXPECT_TRUE(dies_with_one_line([&] { __free_page(tail); }, line("__free_page", tail, reason)));
}

TEST_F(WrongPage, OfMallocOrOfNobodyIsNamed) {
  for (size_t size : {size_t{10}, size_t{100'000}, size_t{3'000'000}}) {
    void* block = malloc(size);
    struct page* of_malloc = virt_to_page(block);
    EXPECT_TRUE(dies_with_one_line([&] { put_page(of_malloc); },
                                   line("put_page", of_malloc, "not a page block")));
    free(block);
  }
  const std::string foreign = "not a page of this allocator";
  for (void* p : {static_cast<void*>(this), static_cast<void*>(memory), reinterpret_cast<void*>(8),
                  reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(page) + 8)}) {
    auto* wrong = static_cast<struct page*>(p);
    EXPECT_TRUE(dies_with_one_line([&] { put_page(wrong); }, line("put_page", p, foreign)));
    EXPECT_TRUE(
        dies_with_one_line([&] { (void)page_address(wrong); }, line("page_address", p, foreign)));
  }
}

// Which objects of a slab are free must not make one of its pages look like a block: some of each
// slab's are freed, others with every round.
TEST_F(WrongPage, OfMallocsObjectsIsNoBlockWhicheverOfThemAreFree) {
  std::vector<void*> objects(60'000);
  for (void*& object : objects)
    object = malloc(8);
  std::minstd_rand random(1);
  for (int round = 0; round < 40; ++round) {
    for (void*& object : objects)
      if (object && random() % 20 == 0) free(std::exchange(object, nullptr));
    malloc_trim(0);
    for (void* object : objects) {
      if (!object) continue;
      struct page* of_malloc = virt_to_page(object);
      ASSERT_EQ(page_count(of_malloc), 0);
      ASSERT_EQ(page_order(of_malloc), 0u);
    }
  }
  for (void* object : objects)
    free(object);
}

TEST_F(WrongPage, AnAddressThatBeginsNoPageIsNamed) {
  EXPECT_TRUE(
      dies_with_one_line([&] { free_pages(reinterpret_cast<unsigned long>(memory) + 8, 2); },
                         line("free_pages", memory + 8, "not the address of a page")));
  EXPECT_TRUE(dies_with_one_line(
      [] { free_page(0x1000); },
      line("free_page", reinterpret_cast<void*>(0x1000), "not a page of this allocator")));
}

TEST_F(WrongPage, FreeOfAnAddressInsideABlockIsNamed) {
  EXPECT_TRUE(dies_with_one_line([&] { free(memory + 16); },
                                 "quarry: free\\(" + hex(memory + 16) + "\\): .*"));
  EXPECT_TRUE(dies_with_one_line([&] { free(memory + PAGE_SIZE); },
                                 "quarry: free\\(" + hex(memory + PAGE_SIZE) + "\\): .*"));
}

}  // namespace
