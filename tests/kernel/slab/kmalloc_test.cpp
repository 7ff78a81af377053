// The kmalloc family, and that its blocks are malloc's.
#include <malloc.h>
#include <quarry/slab.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "../../preload/child.h"
#include "slabinfo.h"

using namespace kernel_test;

namespace {

bool is_zero(const void* block, size_t size) {
  const char* bytes = static_cast<const char*>(block);
  for (size_t i = 0; i < size; i++) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

// The compiler may not know that these are allocations.
template <class T>
T opaque(T value) {
  asm volatile("" : "+r"(value));
  return value;
}

class KmallocOf : public testing::TestWithParam<size_t> {};

TEST_P(KmallocOf, ThatSizeGivesABlockThatFreeTakes) {
  const size_t size = GetParam();
  for (int i = 0; i < 4; i++) {
    void* block = kmalloc(size, GFP_KERNEL);
    ASSERT_NE(block, nullptr);
    EXPECT_GE(ksize(block), size);
    EXPECT_EQ(ksize(block), malloc_usable_size(block));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % (size > 8 ? 16 : 8), 0u);
    memset(block, 0xff, size);
    i % 2 ? kfree(block) : free(block);
    void* other = malloc(size);
    i % 2 ? kfree(other) : kvfree(other);
  }
}

TEST_P(KmallocOf, ThatSizeReadsAsZeroWhenAskedFor) {
  const size_t size = GetParam();
  for (int i = 0; i < 3; i++) {
    void* blocks[] = {kzalloc(size, GFP_KERNEL), kcalloc(1, size, GFP_KERNEL),
                      kmalloc(size, GFP_KERNEL | __GFP_ZERO)};
    for (void* block : blocks) {
      ASSERT_NE(block, nullptr);
      EXPECT_TRUE(is_zero(block, size));
      memset(block, 0xff, size);
      kfree(block);
    }
  }
}

TEST_P(KmallocOf, ThatSizeGrowsAndShrinksWithItsContents) {
  const size_t size = GetParam();
  for (gfp_t gfp : {GFP_KERNEL, GFP_NOWAIT}) {
    auto* block = static_cast<char*>(kmalloc(size + 2, GFP_KERNEL));
    block[0] = 'a';
    block[size + 1] = 'z';
    auto* grown = static_cast<char*>(krealloc(block, 2 * size + 100, gfp));
    if (!grown) {
      EXPECT_EQ(gfp, GFP_NOWAIT);
      grown = block;
    }
    EXPECT_EQ(grown[0], 'a');
    EXPECT_EQ(grown[size + 1], 'z');
    auto* shrunk = static_cast<char*>(krealloc(grown, size / 2 + 1, gfp));
    EXPECT_EQ(shrunk[0], 'a');
    kfree(shrunk);
  }
}

TEST_P(KmallocOf, ThatSizeStaysWhereItIsWhileItFitsAndLittleLiesWaste) {
  for (gfp_t gfp : {GFP_KERNEL, GFP_ATOMIC}) {
    void* block = kmalloc(GetParam(), gfp);
    if (!block) continue;
    const size_t fits = ksize(block);
    for (size_t wanted : {fits, fits - fits / 4})
      EXPECT_EQ(krealloc(block, wanted, GFP_KERNEL), block) << fits << " to " << wanted;
    kfree(block);
  }
}

TEST_P(KmallocOf, ThatSizeGainsZeros) {
  const size_t size = GetParam();
  void* block = kzalloc(size, GFP_KERNEL);
  const size_t old_size = ksize(block);
  memset(block, 1, old_size);
  auto* grown = static_cast<char*>(krealloc(block, 3 * old_size, GFP_KERNEL | __GFP_ZERO));
  EXPECT_EQ(grown[old_size - 1], 1);
  EXPECT_TRUE(is_zero(grown + old_size, 2 * old_size));
  kfree(grown);
}

// As the kernel's slabs do, with the flag in every call: also what a block gains where it is.
TEST_P(KmallocOf, ThatSizeGainsZerosStepByStep) {
  for (const gfp_t gfp : {GFP_KERNEL | __GFP_ZERO, GFP_ATOMIC | __GFP_ZERO}) {
    size_t size = GetParam() + 1;
    auto* block = static_cast<char*>(kmalloc(size, GFP_KERNEL));
    memset(block, 0xee, ksize(block));
    kfree(block);
    block = static_cast<char*>(kmalloc(size, gfp));
    for (int step = 0; block && step < 40; step++) {
      memset(block, 0xee, size);
      const size_t next = step % 8 == 7 ? size / 2 + 1 : size + size / 9 + 1;
      auto* grown = static_cast<char*>(krealloc(block, next, gfp));
      if (!grown) break;  // what has not been had before is not to be had without waiting
      block = grown;
      if (next > size) {
        ASSERT_TRUE(is_zero(block + size, next - size)) << size << " to " << next;
      }
      size = next;
    }
    kfree(block);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, KmallocOf,
                         testing::Values(0, 1, 8, 32, 100, 1024, 1025, 4096, 100'000, 131'072,
                                         1 << 20, 3 << 20));

TEST(Kmalloc, AlignsToWhatIsAskedFor) {
  for (size_t align : {1, 8, 16, 64, 512, 4096, 65'536}) {
    for (size_t size : {0, 1, 40, 1000, 5000, 200'000}) {
      void* block = kmalloc_align(size, align, GFP_KERNEL);
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % align, 0u);
      kfree(block);
    }
  }
  errno = 0;
  EXPECT_EQ(kmalloc_align(8, 24, GFP_KERNEL), nullptr);
  EXPECT_EQ(errno, EINVAL);
}

TEST(Krealloc, ToTheImpossibleIsRefusedAndLeavesTheBlockAsItWas) {
  for (size_t size : {100, 100'000, 3 << 20}) {
    char* block = static_cast<char*>(kmalloc(size, GFP_KERNEL));
    block[size - 1] = 7;
    for (gfp_t gfp : {GFP_KERNEL, GFP_KERNEL | __GFP_NOFAIL, GFP_KERNEL | __GFP_NORETRY}) {
      errno = 0;
      EXPECT_EQ(krealloc(block, opaque(SIZE_MAX - 5), gfp), nullptr);
      EXPECT_EQ(errno, ENOMEM);
    }
    EXPECT_EQ(block[size - 1], 7);
    kfree(block);
  }
}

TEST(Kmalloc, PowersOfTwoAreAlignedToThemselves) {
  for (size_t size = 8; size <= 4096; size *= 2) {
    void* block = kmalloc(size, GFP_KERNEL);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % size, 0u);
    kfree(block);
  }
}

TEST(Kmalloc, RefusesWhatDoesNotFit) {
  for (gfp_t gfp : {GFP_KERNEL, GFP_ATOMIC}) {
    for (size_t size : {SIZE_MAX, SIZE_MAX / 2, size_t{1} << 60}) {
      errno = 0;
      EXPECT_EQ(kmalloc(opaque(size), gfp), nullptr);
      EXPECT_EQ(errno, ENOMEM);
    }
    errno = 0;
    EXPECT_EQ(kmalloc_array(SIZE_MAX / 8, opaque(9), gfp), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    EXPECT_EQ(kcalloc(opaque(SIZE_MAX), 2, gfp), nullptr);
  }
  void* block = kmalloc(100, GFP_KERNEL);
  EXPECT_EQ(krealloc(block, opaque(SIZE_MAX), GFP_KERNEL), nullptr);
  kfree(block);
}

TEST(Kmalloc, WithoutRetryServesAnySize) {
  for (size_t size = 1; size < 6'000'000; size += size / 2 + 1) {
    char* block = static_cast<char*>(kzalloc(size, GFP_KERNEL | __GFP_NORETRY));
    ASSERT_NE(block, nullptr) << size;
    EXPECT_TRUE(is_zero(block, size));
    memset(block, 1, size);
    block = static_cast<char*>(krealloc(block, size * 2, GFP_KERNEL | __GFP_NORETRY));
    ASSERT_NE(block, nullptr) << size;
    EXPECT_EQ(block[size - 1], 1);
    kfree(block);
  }
}

// Nor is what it has ahead of its size, which each call would write once more.
TEST(Kmalloc, WhatALargeBlockGainsIsNotTouched) {
  const auto resident_pages = [] {
    size_t all = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> all >> resident;
    return resident;
  };
  size_t size = size_t{5} << 28;
  void* block = kvmalloc(size, GFP_KERNEL | __GFP_ZERO);
  ASSERT_NE(block, nullptr);
  const size_t before = resident_pages();
  for (int step = 0; step < 20; step++)
    ASSERT_NE(block = krealloc(block, size += 5000, GFP_KERNEL | __GFP_ZERO), nullptr);
  EXPECT_LE(resident_pages(), before + 1000);
  kvfree(block);
}

TEST(Kmalloc, WhatALargeBlockLosesIsZeroWhenItGrowsAgain) {
  constexpr size_t large = size_t{5} << 28, less = large - (64 << 20) + 100;
  char* block = static_cast<char*>(kvmalloc(large, GFP_KERNEL | __GFP_ZERO));
  ASSERT_NE(block, nullptr);
  for (size_t at : {less - 1, less, less + 5000, large - 1})
    block[at] = 1;
  block = static_cast<char*>(krealloc(block, less, GFP_KERNEL | __GFP_ZERO));
  block = static_cast<char*>(krealloc(block, large, GFP_KERNEL | __GFP_ZERO));
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(block[less - 1], 1);
  EXPECT_TRUE(is_zero(block + less, large - less));
  kvfree(block);
}

TEST(Kmalloc, WithoutRetryTakesNoMoreThanItsPages) {
  for (size_t size : {40'000, 300'000, 700'000}) {
    malloc_trim(0);
    const size_t before = mallinfo2().uordblks;
    kfree(kmalloc(size, GFP_KERNEL | __GFP_NORETRY));
    malloc_trim(0);
    EXPECT_EQ(mallinfo2().uordblks, before) << size;
  }
}

TEST(Kmalloc, WithoutRetryServesMoreThanTheLargestBlockOfPages) {
  constexpr size_t size = size_t{2} << 30;
  for (const gfp_t gfp : {GFP_KERNEL, GFP_KERNEL | __GFP_NORETRY, GFP_KERNEL | __GFP_NOFAIL}) {
    char* block = static_cast<char*>(kvmalloc(size, gfp));
    ASSERT_NE(block, nullptr) << gfp;
    block[size - 1] = 1;
    kvfree(block);
  }
}

// In a child, since the limit is for the whole process.
TEST(Kmalloc, GivesBackWhatIsCachedBeforeItFailsButNotWithoutRetry) {
  constexpr size_t too_much = size_t{512} << 20;
  kmem_cache_t* cache = kmem_cache_create("idle", 200, 0, 0, nullptr, nullptr);
  const cache_guard guard{cache};
  const auto result = preload_test::run_in_child([=] {
    void* objects[300];
    if (kmem_cache_alloc_bulk(cache, GFP_KERNEL, 300, objects) != 300) _exit(1);
    kmem_cache_free_bulk(cache, 300, objects);
    const rlimit limit = {size_t{256} << 20, RLIM_INFINITY};
    setrlimit(RLIMIT_DATA, &limit);
    if (kmalloc(too_much, GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)) _exit(2);
    if (read_slabinfo()["idle"].slabs == 0) _exit(3);
    if (kmalloc(too_much, GFP_KERNEL | __GFP_NOWARN)) _exit(4);
    if (read_slabinfo()["idle"].slabs != 0) _exit(5);
  });
  EXPECT_TRUE(result.succeeded()) << result.status << result.errors;
}

TEST(Kmalloc, NullIsNoBlock) {
  kfree(nullptr);
  kvfree(nullptr);
  EXPECT_EQ(ksize(nullptr), 0u);
  void* block = krealloc(nullptr, 100, GFP_KERNEL);
  EXPECT_GE(ksize(block), 100u);
  EXPECT_EQ(krealloc(block, 0, GFP_KERNEL), nullptr);
}

TEST(Kmalloc, LargeBlocksCanBeHadAtAnySize) {
  auto* block = static_cast<char*>(kvmalloc(size_t{3} << 30, GFP_KERNEL));
  ASSERT_NE(block, nullptr);
  block[0] = block[(size_t{3} << 30) - 1] = 1;
  kvfree(block);
}

TEST(Kmalloc, IsListedUnderTheKernelsNames) {
  std::vector<void*> blocks(100);
  for (size_t size : {32, 64, 128, 131'072}) {
    for (void*& block : blocks)
      block = kmalloc(size, GFP_KERNEL);
    EXPECT_GE(read_slabinfo()["size-" + std::to_string(size)].active_objects, 100u);
    for (void* block : blocks)
      kfree(block);
  }
}

TEST(Kmalloc, WrongUseIsNamed) {
  EXPECT_TRUE(
      preload_test::dies_with_one_line([] { kfree(opaque(reinterpret_cast<void*>(0x10))); },
                                       "quarry: kfree\\(0x10\\): not a block of this allocator"));
  EXPECT_TRUE(
      preload_test::dies_with_one_line([] { ksize(opaque(reinterpret_cast<void*>(0x10))); },
                                       "quarry: ksize\\(0x10\\): not a block of this allocator"));
}

}  // namespace
