// Page blocks through the per-CPU lists.
#include "page/page_alloc.h"

#include <deque>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "page/reclaim.h"
#include "started.h"

using namespace page_test;

namespace {

class PageAlloc : public testing::Test {
 protected:
  void SetUp() override {
    start_heap();
    reclaim_everything();
    used_before = normal_zone.used_pages();
  }
  void TearDown() override {
    reclaim_everything();
    EXPECT_EQ(listed_pages(), 0u);
    EXPECT_EQ(normal_zone.used_pages(), used_before) << "pages were lost";
  }

  std::size_t used_before = 0;
  bool clean = false;
};

TEST_F(PageAlloc, BlocksOfEveryOrderAreAlignedToTheirSizeAndApart) {
  for (unsigned order = 0; order <= 12; order++) {
    std::set<page*> heads;
    for (int i = 0; i < 20; i++) {
      page* head = alloc_pages(order, &clean);
      ASSERT_NE(head, nullptr);
      char* memory = region.frames.address_of(head);
      EXPECT_EQ(reinterpret_cast<uptr>(memory) % (page_size << order), 0u);
      EXPECT_TRUE(heads.insert(head).second);
      mark(memory, std::size_t{1} << order, region.frames.number_of(head) << 32);
    }
    for (page* head : heads) {
      EXPECT_TRUE(is_marked(region.frames.address_of(head), std::size_t{1} << order,
                            region.frames.number_of(head) << 32));
      free_pages(head, order);
    }
  }
}

TEST_F(PageAlloc, FreedBlocksOfSmallOrdersWaitOnTheListsAsFreeOnes) {
  for (unsigned order = 0; order <= max_listed_order; order++) {
    std::vector<page*> heads;
    for (int i = 0; i < 8; i++)
      heads.push_back(alloc_pages(order, &clean));
    for (page* head : heads)
      free_pages(head, order);
    EXPECT_GT(listed_pages(), 0u) << "order " << order;
    reclaim_everything();
    EXPECT_EQ(listed_pages(), 0u);
  }
}

// A clean block that was listed and never used is clean wherever it goes.
TEST_F(PageAlloc, ListedBlocksAreCleanUntilTheyHaveBeenUsed) {
  for (unsigned order = 0; order <= max_listed_order; order++) {
    std::vector<page*> heads;
    std::size_t dirty = 0;
    for (int i = 0; i < 1000; i++) {
      heads.push_back(alloc_pages(order, &clean));
      ASSERT_TRUE(!clean || is_zero(region.frames.address_of(heads.back()), page_size << order));
      dirty += !clean;
    }
    EXPECT_EQ(dirty, 0u) << "order " << order << ", after everything was given back";
    const std::size_t dirty_before = normal_zone.dirty_pages();
    percpu::drain(false, [](unsigned index, void** blocks, unsigned count) {
      drain_page_list(index, blocks, count);
    });
    EXPECT_EQ(normal_zone.dirty_pages(), dirty_before) << "order " << order;
    for (page* head : heads)
      free_pages(head, order);
    page* head = alloc_pages(order, &clean);
    EXPECT_FALSE(clean) << "order " << order;
    free_pages(head, order);
    reclaim_everything();
  }
}

TEST_F(PageAlloc, ListsHoldABoundedPartOfWhatIsFreed) {
  for (unsigned order = 0; order <= max_listed_order; order++) {
    std::vector<page*> heads;
    for (int i = 0; i < 4000; i++)
      heads.push_back(alloc_pages(order, &clean));
    for (page* head : heads)
      free_pages(head, order);
    EXPECT_LE(listed_pages() << page_shift, 2 * mib * region.cpus) << "order " << order;
    reclaim_everything();
  }
}

TEST_F(PageAlloc, RunsAreOfAnyLengthAndTheirTailsCanBeFreed) {
  page* head = alloc_run(1000, 1, &clean);
  ASSERT_NE(head, nullptr);
  mark(region.frames.address_of(head), 1000, 5);
  free_run(head + 600, 400, false);
  EXPECT_TRUE(is_marked(region.frames.address_of(head), 600, 5));
  EXPECT_EQ(normal_zone.used_pages(), used_before + 600);
  free_run(head, 600, false);
}

// Blocks pass between threads by way of a common queue; whoever takes one up finds it as it was
// left.
TEST_F(PageAlloc, ThreadsMayFreeWhatOthersAllocated) {
  struct block {
    page* head;
    unsigned order;
    u64 mark;
  };
  std::mutex mutex;
  std::deque<block> queue;
  std::atomic<unsigned> wrong{0};
  const auto release = [&](const block& b) {
    wrong += !is_marked(region.frames.address_of(b.head), std::size_t{1} << b.order, b.mark);
    free_pages(b.head, b.order);
  };
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 8; t++) {
    threads.emplace_back([&, t] {
      std::minstd_rand random(t + 1);
      for (u64 i = 0; i < 20'000; i++) {
        const unsigned order = random() % (max_listed_order + 1);
        bool clean;
        const block made = {alloc_pages(order, &clean), order, u64{t} << 56 | i << 16};
        mark(region.frames.address_of(made.head), std::size_t{1} << order, made.mark);
        block old;
        {
          const std::lock_guard guard(mutex);
          queue.push_back(made);
          if (queue.size() < 500) continue;
          old = queue.front();
          queue.pop_front();
        }
        release(old);
        if (i % 5000 == 0) reclaim_everything();
      }
    });
  }
  for (std::thread& t : threads)
    t.join();
  for (const block& b : queue)
    release(b);
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
