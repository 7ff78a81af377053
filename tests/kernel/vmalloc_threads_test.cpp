// Blocks of vmalloc that threads make, resize and free side by side, and fork children beside them:
// each block stays its owner's, with its contents.
#include <quarry/page.h>
#include <quarry/vmalloc.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "../preload/child.h"
#include "../survival/content.h"

using survival::block;

namespace {

constexpr std::size_t slots = 4;
constexpr std::size_t largest_doublings = 12;  // of a page: 16 MiB

// What one thread or child holds, changed by a random step at a time.
class holder {
 public:
  explicit holder(std::uint64_t seed) : random_(seed) {}

  // A name for what went wrong, or nullptr.
  const char* step() {
    block& b = blocks_[random_.below(slots)];
    if (!b.bytes) return take(b);
    switch (random_.below(4)) {
      case 0:
        return give_back(b);
      case 1:
        return look_up(b);
      default:
        return resize(b);
    }
  }

  const char* finish() {
    for (block& b : blocks_) {
      if (!b.bytes) continue;
      if (const char* error = give_back(b)) return error;
    }
    return nullptr;
  }

 private:
  // From a page to 16 MiB, the large ones seldom, since each page of them is written to.
  std::size_t some_size() {
    const std::size_t doublings =
        std::min(random_.below(largest_doublings + 1), random_.below(largest_doublings + 1));
    const std::size_t most = PAGE_SIZE << doublings;
    return most - random_.below(most / 2);
  }

  const char* take(block& b) {
    b.size = some_size();
    b.bytes = static_cast<unsigned char*>(vmalloc(b.size));
    if (!b.bytes) return "vmalloc is NULL";
    for (std::size_t at = 0; at < b.size; at += PAGE_SIZE)
      if (b.bytes[at] != 0) return "a new block is not zero";
    mark(b);
    return nullptr;
  }

  const char* resize(block& b) {
    const std::size_t old_size = b.size;
    b.size = some_size();
    b.bytes = static_cast<unsigned char*>(vrealloc(b.bytes, b.size, GFP_KERNEL));
    if (!b.bytes) return "vrealloc is NULL";
    if (!whole(b, std::min(old_size, b.size))) return "vrealloc has lost contents";
    mark(b);
    return nullptr;
  }

  const char* look_up(const block& b) {
    unsigned char* at = b.bytes + random_.below(b.size);
    struct page* page = vmalloc_to_page(at);
    if (!page) return "a block has no page";
    auto* begin = static_cast<unsigned char*>(page_address(page));
    if (at < begin || at - begin >= static_cast<std::ptrdiff_t>(PAGE_SIZE)) return "wrong page";
    return whole(b) ? nullptr : "a block was written to by another";
  }

  const char* give_back(block& b) {
    if (!whole(b)) return "a block was written to by another";
    vfree(b.bytes);
    b = {};
    return nullptr;
  }

  void mark(block& b) {
    b.seed = random_.next();
    fill(b);
  }

  survival::generator random_;
  block blocks_[slots];
};

// A child begins with the blocks that the forking thread held, and must find them whole.
void live_as_a_child(holder parents, std::uint64_t seed) {
  holder own(seed);
  for (int i = 0; i < 8; i++) {
    for (holder* h : {&parents, &own}) {
      if (const char* error = h->step()) {
        fprintf(stderr, "%s\n", error);
        _exit(1);
      }
    }
  }
  if (parents.finish() || own.finish()) _exit(2);
}

TEST(VmallocThreads, AndForkChildrenKeepEachTheirOwnBlocks) {
  std::atomic<const char*> first_error{nullptr};
  std::atomic<bool> ended{false};
  const auto note = [&](const char* error) {
    if (error) first_error = error;
    return !error;
  };
  std::vector<std::thread> threads;
  for (std::uint64_t seed = 1; seed <= 3; seed++) {
    threads.emplace_back([&, seed] {
      holder mine(seed);
      while (!ended && note(mine.step())) {
      }
      if (!first_error) note(mine.finish());
    });
  }
  holder mine(5);
  for (std::uint64_t i = 0; i < 10 && !first_error; i++) {
    for (int steps = 0; steps < 5; steps++)
      note(mine.step());
    const auto child = preload_test::run_in_child([&] { live_as_a_child(mine, 100 + i); });
    EXPECT_TRUE(child.succeeded()) << "status " << child.status << ": " << child.errors;
  }
  ended = true;
  for (std::thread& thread : threads)
    thread.join();
  if (!first_error) note(mine.finish());
  EXPECT_EQ(first_error.load(), nullptr) << first_error.load();
}

// Whatever the threads that are not in the child were about to do.
TEST(VmallocThreads, ForkChildrenMakeAndResizeBlocks) {
  std::atomic<bool> ended{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; t++) {
    threads.emplace_back([&] {
      while (!ended)
        vfree(vmalloc(PAGE_SIZE));
    });
  }
  unsigned failed = 0;
  for (int i = 0; i < 100 && !failed; i++) {
    const auto child = preload_test::run_in_child([] {
      void* one = vmalloc(PAGE_SIZE);
      one = vrealloc(one, 4 << 20, GFP_KERNEL);
      _exit(one && vmalloc_to_page(one) ? 0 : 1);
    });
    failed += !child.succeeded();
  }
  EXPECT_EQ(failed, 0u);
  ended = true;
  for (std::thread& thread : threads)
    thread.join();
}

}  // namespace
