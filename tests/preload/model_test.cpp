// Random calls of the whole family beside a simple model: a map of the live blocks. No block
// overlaps another, and each holds what was written to it until it is freed, by whichever thread.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <thread>

#include "block.h"

using namespace preload_test;

namespace {

using random_engine = std::mt19937_64;

// As many sizes near 10 bytes as near 1 MB.
size_t random_size(random_engine& random, unsigned max_bits) {
  const unsigned bits = random() % (max_bits + 1);
  return random() % (size_t{1} << bits);
}

void* random_allocation(random_engine& random, size_t size) {
  const size_t alignment = size_t{8} << random() % 14;
  switch (random() % 10) {
    case 0:
      return calloc(1, size);
    case 1:
      return realloc(nullptr, size);
    case 2:
      return reallocarray(nullptr, 1, size);
    case 3:
      return aligned_alloc(alignment, size);
    case 4:
      return memalign(alignment, size);
    case 5:
      return size % 2 ? valloc(size) : pvalloc(size);
    case 6: {
      void* block = nullptr;
      return posix_memalign(&block, alignment, size) == 0 ? block : nullptr;
    }
    case 7:
      return operator new(size);
    default:
      return malloc(size);
  }
}

class model {
 public:
  explicit model(unsigned seed) : random_(seed) {}

  size_t live() const { return blocks_.size(); }

  void allocate() {
    const size_t size = random_size(random_, 20);
    insert(random_allocation(random_, size), size);
  }

  void resize() {
    auto [block, old] = take();
    const size_t size = random_size(random_, 22) + 1;
    void* moved = realloc(block, size);
    ASSERT_NE(moved, nullptr);
    ASSERT_TRUE(holds(moved, std::min(old.size, size), old.size, old.seed));
    insert(moved, size);
  }

  void release() {
    auto [block, old] = take();
    ASSERT_TRUE(holds(block, old.size, old.seed)) << block << " of " << old.size;
    free(block);
  }

 private:
  struct contents {
    size_t size;
    unsigned seed;
  };

  void insert(void* block, size_t size) {
    ASSERT_NE(block, nullptr) << size;
    ASSERT_GE(malloc_usable_size(block), size);
    char* const begin = static_cast<char*>(block);
    const size_t length = std::max<size_t>(malloc_usable_size(block), 1);
    const auto next = blocks_.lower_bound(begin);
    if (next != blocks_.end()) {
      ASSERT_LE(begin + length, next->first) << "overlaps the next block";
    }
    if (next != blocks_.begin()) {
      const auto& [other, its] = *std::prev(next);
      ASSERT_LE(other + std::max<size_t>(its.size, 1), begin) << "overlaps the block before";
    }
    const contents mine = {malloc_usable_size(block), static_cast<unsigned>(random_())};
    fill(block, mine.size, mine.seed);
    blocks_.emplace_hint(next, begin, mine);
  }

  // Removes the first live block behind a random address.
  std::pair<void*, contents> take() {
    const auto span = blocks_.rbegin()->first - blocks_.begin()->first + 1;
    const auto chosen = blocks_.lower_bound(blocks_.begin()->first + random_() % span);
    const std::pair<void*, contents> taken = *chosen;
    blocks_.erase(chosen);
    return taken;
  }

  random_engine random_;
  std::map<char*, contents> blocks_;
};

// Grows to many live blocks and back to none, several times.
TEST(LiveBlocks, NeverOverlapAndKeepTheirContents) {
  constexpr size_t most = 1000;
  model blocks(20240607);
  random_engine random(1);
  for (int wave = 0; wave < 4; ++wave) {
    while (blocks.live() < most && !HasFatalFailure()) {
      switch (random() % 8) {
        case 0:
          if (blocks.live()) blocks.release();
          break;
        case 1:
          if (blocks.live()) blocks.resize();
          break;
        default:
          blocks.allocate();
      }
    }
    while (blocks.live() && !HasFatalFailure())
      blocks.release();
  }
}

// A block that says itself what is in it, so that any thread can check it.
struct parcel {
  size_t size;
  unsigned seed;
};

parcel* pack(random_engine& random, void* block, size_t size) {
  auto* made = static_cast<parcel*>(block);
  if (!made) return nullptr;
  *made = {size, static_cast<unsigned>(random())};
  fill(made + 1, size, made->seed);
  return made;
}

bool is_whole(const parcel* p) {
  return holds(p + 1, p->size, p->seed);
}

// One thread: puts new parcels in random places and checks and frees, or resizes, those it finds
// there.
unsigned exchange_parcels(std::array<std::atomic<parcel*>, 256>& places, unsigned seed, int turns) {
  random_engine random(seed);
  unsigned broken = 0;
  for (int i = 0; i < turns; ++i) {
    const size_t size = random_size(random, i % 64 ? 13 : 20);
    parcel* sent = pack(random, random_allocation(random, sizeof(parcel) + size), size);
    broken += !sent;
    parcel* found = places[random() % places.size()].exchange(sent, std::memory_order_acq_rel);
    if (!found) continue;
    broken += !is_whole(found);
    if (random() % 4 == 0) {
      const size_t smaller = found->size / 2;
      const parcel was = *found;
      found = static_cast<parcel*>(realloc(found, sizeof(parcel) + smaller));
      broken += !found || !holds(found + 1, smaller, was.size, was.seed);
    }
    free(found);
  }
  return broken;
}

TEST(LiveBlocks, KeepTheirContentsOnTheWayFromThreadToThread) {
  std::array<std::atomic<parcel*>, 256> places = {};
  std::atomic<unsigned> broken = 0;
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] { broken += exchange_parcels(places, i, 20'000); });
  }
  for (std::thread& thread : threads)
    thread.join();
  for (std::atomic<parcel*>& place : places) {
    parcel* left = place.load();
    broken += left && !is_whole(left);
    free(left);
  }
  EXPECT_EQ(broken, 0u);
}

}  // namespace
