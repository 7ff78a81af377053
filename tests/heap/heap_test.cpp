// The heap beside a model over random calls: no block overlaps another, each keeps its contents
// until it is released, and everything comes back in the end.
#include "heap/heap.h"

#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "../page/started.h"
#include "../preload/child.h"
#include "observe/figures.h"

using namespace page_test;
using preload_test::dies_with_one_line;

namespace {

// A block's contents follow from a number; each byte from its place.
struct contents {
  std::size_t size;
  u8 seed;

  u8 at(std::size_t i) const { return static_cast<u8>(seed + i * 31 + (i >> 8)); }
};

// Large blocks are checked at both ends and here and there.
template <class visit_fn>
void for_some_bytes(std::size_t size, visit_fn visit) {
  const std::size_t step = size <= 4096 ? 1 : size / 500;
  for (std::size_t i = 0; i < size; i += step)
    visit(i);
  if (size) visit(size - 1);
}

void fill(void* block, contents c) {
  for_some_bytes(c.size, [&](std::size_t i) { static_cast<u8*>(block)[i] = c.at(i); });
}

bool is_filled(const void* block, contents c) {
  bool same = true;
  for_some_bytes(c.size,
                 [&](std::size_t i) { same &= static_cast<const u8*>(block)[i] == c.at(i); });
  return same;
}

class model {
 public:
  explicit model(unsigned seed) : random_(seed) {}
  ~model() {
    while (!blocks_.empty())
      free_block();
  }

  void step() {
    const auto action = random_() % 20;
    if (action < 6 || blocks_.empty()) return allocate_block();
    if (action < 8) return resize_block();
    free_block();
    if (action < 12 && live_bytes_ < 64 * mib) allocate_block(), allocate_block();
  }

 private:
  using block = std::map<char*, contents>::iterator;

  std::size_t random_size() {
    const unsigned bits = random_() % 23;
    return random_() % (std::size_t{1} << bits);
  }

  void add(void* memory, std::size_t size, std::size_t alignment) {
    auto* begin = static_cast<char*>(memory);
    ASSERT_NE(begin, nullptr);
    ASSERT_EQ(reinterpret_cast<uptr>(begin) % alignment, 0u);
    const std::size_t usable = usable_size(begin, "test");
    ASSERT_GE(usable, size);
    const contents c = {usable, static_cast<u8>(random_())};
    const auto [at, fresh] = blocks_.try_emplace(begin, c);
    ASSERT_TRUE(fresh) << "handed out twice";
    const auto next = std::next(at);
    ASSERT_TRUE(next == blocks_.end() || begin + usable <= next->first) << "overlap";
    if (at != blocks_.begin()) {
      const auto before = std::prev(at);
      ASSERT_LE(before->first + before->second.size, begin) << "overlap";
    }
    fill(begin, c);
    live_bytes_ += usable;
  }

  void allocate_block() {
    const std::size_t size = random_size();
    switch (random_() % 4) {
      case 0: {
        void* memory = allocate_zeroed(size);
        ASSERT_TRUE(is_zero(memory, size)) << size << " bytes";
        return add(memory, size, size > 8 ? 16 : 8);
      }
      case 1: {
        const std::size_t alignment = std::size_t{1} << random_() % 18;
        return add(allocate_aligned(alignment, size), size, alignment);
      }
      default:
        return add(allocate(size), size, size > 8 ? 16 : 8);
    }
  }

  block any_block() {
    return std::next(blocks_.begin(), static_cast<long>(random_() % blocks_.size()));
  }

  void remove(block at) {
    live_bytes_ -= at->second.size;
    blocks_.erase(at);
  }

  void free_block() {
    const block at = any_block();
    char* const memory = at->first;
    ASSERT_TRUE(is_filled(memory, at->second)) << "somebody else wrote there";
    remove(at);
    release(memory, "free");
  }

  void resize_block() {
    const block at = any_block();
    const contents old = at->second;
    char* const memory = at->first;
    const std::size_t size = std::max<std::size_t>(random_size(), 1);
    remove(at);
    void* resized = reallocate(memory, size);
    ASSERT_NE(resized, nullptr);
    // What for_some_bytes visited of the old contents, as far as it is still there.
    bool same = true;
    for_some_bytes(old.size, [&](std::size_t i) {
      same &= i >= size || static_cast<u8*>(resized)[i] == old.at(i);
    });
    ASSERT_TRUE(same) << old.size << " to " << size << " bytes";
    add(resized, size, 8);
  }

  std::minstd_rand random_;
  std::map<char*, contents> blocks_;
  std::size_t live_bytes_ = 0;
};

class Heap : public testing::Test {
 protected:
  void SetUp() override {
    start_heap();
    trim(0);
    before = take_figures();
  }
  void TearDown() override {
    trim(0);
    const heap_figures after = take_figures();
    EXPECT_EQ(after.small_in_use, before.small_in_use);
    EXPECT_EQ(after.runs_in_use, before.runs_in_use);
    EXPECT_EQ(after.vm_bytes, before.vm_bytes);
    EXPECT_EQ(after.vm_blocks, before.vm_blocks);
  }

  heap_figures before{};
};

TEST_F(Heap, AgreesWithAModelOverRandomCalls) {
  for (unsigned seed = 1; seed <= 3; seed++) {
    model m(seed);
    for (int i = 0; i < 10'000 && !HasFatalFailure(); i++) {
      m.step();
      if (i % 2000 == 0) trim(0);
    }
  }
}

TEST_F(Heap, AgreesWithTheModelInEachOfManyThreads) {
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 6; t++) {
    threads.emplace_back([t] {
      model m(100 + t);
      for (int i = 0; i < 3000 && !HasFatalFailure(); i++)
        m.step();
    });
  }
  for (std::thread& t : threads)
    t.join();
}

TEST_F(Heap, ABlockIsAtLeastAsLargeAsAskedForAndWastesLittle) {
  for (std::size_t size = 0; size <= 3 * mib; size += size / 50 + 1) {
    void* block = allocate(size);
    ASSERT_NE(block, nullptr);
    const std::size_t usable = usable_size(block, "test");
    EXPECT_GE(usable, size);
    EXPECT_LE(usable, std::max<std::size_t>(size + 15, size + size / 7)) << size;
    std::memset(block, 0xa5, usable);
    release(block, "free");
  }
}

TEST_F(Heap, EveryAlignmentUpToTheLargestBlockIsKept) {
  for (std::size_t alignment = 1; alignment <= 1 * gib; alignment *= 2) {
    for (std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{100}, 40 * kib, 300 * kib}) {
      void* block = allocate_aligned(alignment, size);
      ASSERT_NE(block, nullptr) << size << " aligned to " << alignment;
      EXPECT_EQ(reinterpret_cast<uptr>(block) % alignment, 0u);
      EXPECT_GE(usable_size(block, "test"), size);
      release(block, "free");
    }
  }
}

TEST_F(Heap, ReusedMemoryIsZeroWhenZeroedIsAskedFor) {
  for (std::size_t size : {1 * kib, 20 * kib, 64 * kib, 200 * kib, 1 * mib, 10 * mib}) {
    for (int round = 0; round < 20; round++) {
      void* dirty = allocate(size);
      std::memset(dirty, 0xff, size);
      release(dirty, "free");
      if (round % 5 == 0) trim(0);
      void* zeroed = allocate_zeroed(size);
      ASSERT_TRUE(is_zero(zeroed, size)) << size;
      std::memset(zeroed, 0xff, size);
      release(zeroed, "free");
    }
  }
}

TEST_F(Heap, ImpossibleSizesAreRefusedAndLeaveTheBlockAsItWas) {
  void* block = allocate(1000);
  const contents c = {1000, 3};
  fill(block, c);
  for (std::size_t size : {SIZE_MAX, SIZE_MAX - page_size, std::size_t{PTRDIFF_MAX} + 1,
                           std::size_t{PTRDIFF_MAX}, PTRDIFF_MAX - page_size}) {
    EXPECT_EQ(allocate(size), nullptr);
    EXPECT_EQ(allocate_zeroed(size), nullptr);
    EXPECT_EQ(allocate_aligned(64, size), nullptr);
    EXPECT_EQ(allocate_aligned(64 * kib, size), nullptr);
    EXPECT_EQ(reallocate(block, size), nullptr);
  }
  EXPECT_TRUE(is_filled(block, c));
  release(block, "free");
}

void take_and_give_back(std::size_t size, std::size_t count, int turns) {
  std::vector<void*> blocks(count);
  for (int turn = 0; turn < turns; turn++) {
    for (void*& block : blocks)
      block = allocate(size);
    for (void* block : blocks)
      release(block, "free");
  }
}

std::size_t capacity_for(std::size_t size) {
  return percpu::figures_of(compute_class(size)).capacity;
}

// The CPUs' arrays have a budget, of which the first size takes nearly all; as the heap grows what
// is idle is drained anyway.
TEST_F(Heap, ASizeThatIsUsedAfterAnotherHasArraysAsLarge) {
  release(allocate(64 * mib), "free");
  take_and_give_back(16 * kib, 250, 2000);
  ASSERT_GE(capacity_for(16 * kib), 200u);
  take_and_give_back(32 * kib, 100, 2000);
  EXPECT_GE(capacity_for(32 * kib), 100u);
}

TEST_F(Heap, ReleasingNothingDoesNothing) {
  release(nullptr, "free");
}

std::string line(const char* call, const void* address, const std::string& reason) {
  char begin[64];
  snprintf(begin, sizeof begin, "quarry: %s\\(%p\\): ", call, address);
  return begin + reason;
}

TEST_F(Heap, WhatIsNoBlockIsNamedAndEndsTheProcess) {
  int on_the_stack = 0;
  const char* const none = "not a block of this allocator";
  EXPECT_TRUE(dies_with_one_line([&] { release(&on_the_stack, "free"); },
                                 line("free", &on_the_stack, none)));
  EXPECT_TRUE(dies_with_one_line([&] { usable_size(&on_the_stack, "malloc_usable_size"); },
                                 line("malloc_usable_size", &on_the_stack, none)));
  EXPECT_TRUE(dies_with_one_line([&] { (void)reallocate(&on_the_stack, 10); },
                                 line("realloc", &on_the_stack, none)));
}

// Of a vmalloc block that has gone nothing is left to know it by.
const char* const freed = "already free(, or not a block of this allocator)?";

TEST_F(Heap, InsideAndFreedBlocksOfEverySizeAreNamedAtTheLatestByATrim) {
  for (std::size_t size : {std::size_t{8}, 1 * kib, 20 * kib, 100 * kib, 1 * mib, 3 * gib}) {
    SCOPED_TRACE(size);
    char* block = static_cast<char*>(allocate(size));
    ASSERT_NE(block, nullptr);
    char begin[40];
    snprintf(begin, sizeof begin, "%p", static_cast<void*>(block));
    EXPECT_TRUE(dies_with_one_line(
        [&] {
          release(block + size / 2, "free");
          trim(0);
        },
        line("free", block + size / 2, std::string("inside a block that begins at ") + begin)));
    EXPECT_TRUE(dies_with_one_line(
        [&] {
          release(block, "free");
          release(block, "free");
          trim(0);
        },
        line("free", block, freed)));
    release(block, "free");
  }
}

TEST_F(Heap, AFreeBlockIsNamedAsSuchBehindAnotherThatGrows) {
  constexpr std::size_t size = 2 * mib;
  char* first = static_cast<char*>(allocate(size));
  char* second = static_cast<char*>(allocate(size));
  char* third = static_cast<char*>(allocate(size));
  ASSERT_EQ(second, first + size);
  ASSERT_EQ(third, second + size);
  release(third, "free");
  release(second, "free");
  ASSERT_EQ(reallocate(first, size + 100 * kib), first);
  EXPECT_TRUE(
      dies_with_one_line([&] { release(third, "free"); }, line("free", third, "already free")));
  ASSERT_EQ(reallocate(first, size + 200 * kib), first);
  EXPECT_TRUE(
      dies_with_one_line([&] { release(third, "free"); }, line("free", third, "already free")));
  release(first, "free");
}

}  // namespace
