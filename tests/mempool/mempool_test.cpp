// Pools over a source that the test turns on and off.
#include "mempool/mempool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <utility>

#include "../page/started.h"
#include "../preload/child.h"

using namespace page_test;
using namespace std::chrono_literals;

namespace {

struct request {
  gfp_t gfp;
  std::thread::id by;
};

// Hands out numbers for addresses, at most `left` of them, and knows which are out.
struct counted_source {
  std::mutex lock;
  std::size_t left = SIZE_MAX;
  std::uintptr_t next = 16;
  std::set<void*> out;
  std::vector<request> asked;
  std::thread::id refused;  // the thread that gets none
  std::function<void()> at_next_free;

  static void* allocate(gfp_t gfp, void* data) {
    auto* self = static_cast<counted_source*>(data);
    std::lock_guard guard(self->lock);
    self->asked.push_back({gfp, std::this_thread::get_id()});
    if (self->left == 0 || std::this_thread::get_id() == self->refused) return nullptr;
    self->left--;
    return *self->out.insert(reinterpret_cast<void*>(self->next += 16)).first;
  }
  static void free(void* element, void* data) {
    auto* self = static_cast<counted_source*>(data);
    std::unique_lock guard(self->lock);
    EXPECT_EQ(self->out.erase(element), 1u) << "freed twice, or no element";
    guard.unlock();
    if (const auto what = std::exchange(self->at_next_free, nullptr)) what();
  }
  void refuse(std::thread::id thread) {
    std::lock_guard guard(lock);
    refused = thread;
  }
  pool_source source() { return {allocate, free, this}; }
};

class Mempool : public testing::Test {
 protected:
  void SetUp() override { start_heap(); }
  void TearDown() override { EXPECT_TRUE(source.out.empty()) << "elements are lost"; }
  mempool* make(std::size_t minimum) { return mempool::create(minimum, source.source()); }
  void end_memory() { source.left = 0; }
  // Who waits asks the source twice, the second time when it stands in the queue.
  void wait_until_queued(const std::thread& waiter) {
    const auto is_by_it = [&](const request& r) { return r.by == waiter.get_id(); };
    for (std::ptrdiff_t times = 0; times < 2;) {
      std::this_thread::sleep_for(5ms);
      std::lock_guard guard(source.lock);
      times = std::count_if(source.asked.begin(), source.asked.end(), is_by_it);
    }
  }
  void memory_again() {
    std::lock_guard guard(source.lock);
    source.left = SIZE_MAX;
  }

  counted_source source;
};

TEST_F(Mempool, TheReserveIsAllocatedAtOnceAndFreedWithThePool) {
  for (std::size_t minimum : {0u, 1u, 7u, 490u, 100'000u}) {
    mempool* pool = make(minimum);
    ASSERT_NE(pool, nullptr);
    EXPECT_EQ(source.out.size(), minimum);
    pool->destroy();
    EXPECT_TRUE(source.out.empty());
  }
}

TEST_F(Mempool, APoolWhoseReserveCannotBeFilledIsNotMade) {
  source.left = 9;
  EXPECT_EQ(make(10), nullptr);
  EXPECT_TRUE(source.out.empty());
}

TEST_F(Mempool, TheReserveIsTouchedOnlyWhenMemoryHasEnded) {
  mempool* pool = make(2);
  void* fresh = pool->allocate(GFP_NOWAIT);
  EXPECT_EQ(source.out.size(), 3u);
  end_memory();
  void* first = pool->allocate(GFP_NOWAIT);
  void* second = pool->allocate(GFP_ATOMIC);
  EXPECT_NE(first, nullptr);
  EXPECT_NE(second, nullptr);
  EXPECT_EQ(pool->allocate(GFP_NOWAIT), nullptr);
  EXPECT_EQ(pool->allocate(GFP_ATOMIC), nullptr);
  pool->free(fresh);
  EXPECT_EQ(source.out.size(), 3u) << "what is freed fills the reserve";
  EXPECT_EQ(pool->allocate(GFP_NOWAIT), fresh);
  for (void* element : {fresh, first, second})
    pool->free(element);
  EXPECT_EQ(source.out.size(), 2u) << "the third goes to the source";
  pool->destroy();
}

TEST_F(Mempool, TheSourceIsAskedGentlyFirstAndNeverToTryForEver) {
  mempool* pool = make(1);
  source.asked.clear();
  end_memory();
  void* element = pool->allocate(GFP_KERNEL | __GFP_NOFAIL);
  ASSERT_EQ(source.asked.size(), 1u) << "the reserve is nearer than reclaim";
  EXPECT_EQ(source.asked[0].gfp, GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
  pool->free(element);
  pool->destroy();
}

TEST_F(Mempool, AWaiterGetsTheElementThatIsFreed) {
  mempool* pool = make(1);
  end_memory();
  void* only = pool->allocate(GFP_KERNEL);
  std::atomic<void*> got{nullptr};
  std::thread waiter([&] { got = pool->allocate(GFP_KERNEL); });
  std::this_thread::sleep_for(50ms);
  EXPECT_EQ(got, nullptr);
  pool->free(only);
  waiter.join();
  EXPECT_EQ(got, only);
  pool->free(only);
  pool->destroy();
}

TEST_F(Mempool, AWaiterGetsMemoryThatBecomesFreeElsewhere) {
  mempool* pool = make(1);
  end_memory();
  void* only = pool->allocate(GFP_KERNEL);
  void* other = nullptr;
  std::thread waiter([&] { other = pool->allocate(GFP_KERNEL); });
  std::this_thread::sleep_for(50ms);
  memory_again();
  waiter.join();
  EXPECT_NE(other, nullptr);
  EXPECT_NE(other, only);
  pool->free(only);
  pool->free(other);
  pool->destroy();
}

TEST_F(Mempool, WaitersAreServedInTheOrderInWhichTheyCame) {
  mempool* pool = make(1);
  end_memory();
  void* only = pool->allocate(GFP_KERNEL);
  std::mutex lock;
  std::vector<int> served;
  std::vector<std::thread> waiters;
  for (int i = 0; i < 5; i++) {
    waiters.emplace_back([&, i] {
      void* element = pool->allocate(GFP_KERNEL);
      {
        std::lock_guard guard(lock);
        served.push_back(i);
      }
      pool->free(element);
    });
    wait_until_queued(waiters.back());
  }
  pool->free(only);
  for (std::thread& waiter : waiters)
    waiter.join();
  EXPECT_EQ(served, (std::vector{0, 1, 2, 3, 4}));
  pool->destroy();
}

TEST_F(Mempool, NobodyWhoComesLaterTakesAnElementFromAWaiter) {
  mempool* pool = make(1);
  end_memory();
  void* only = pool->allocate(GFP_KERNEL);
  std::atomic<bool> has{false};
  std::thread waiter([&] {
    void* element = pool->allocate(GFP_KERNEL);
    has = true;
    pool->free(element);
  });
  wait_until_queued(waiter);
  pool->free(only);
  // Whether or not the waiter runs yet: there is nothing here until it is done.
  void* mine = pool->allocate(GFP_NOWAIT);
  EXPECT_TRUE(mine == nullptr || has);
  if (mine) pool->free(mine);
  waiter.join();
  pool->destroy();
}

TEST_F(Mempool, EachWaiterHasAnElementAsSoonAsSoManyAreFreed) {
  mempool* pool = make(2);
  end_memory();
  void* elements[] = {pool->allocate(GFP_KERNEL), pool->allocate(GFP_KERNEL)};
  std::atomic<bool> looked{false};
  std::vector<std::thread> waiters;
  for (int i = 0; i < 2; i++) {
    waiters.emplace_back([&] {
      void* element = pool->allocate(GFP_KERNEL);
      while (!looked)
        std::this_thread::yield();
      pool->free(element);
    });
  }
  for (const std::thread& waiter : waiters)
    wait_until_queued(waiter);
  for (void* element : elements)
    pool->free(element);
  // Whether or not they run yet.
  EXPECT_EQ(pool->allocate(GFP_NOWAIT), nullptr);
  looked = true;
  for (std::thread& waiter : waiters)
    waiter.join();
  pool->destroy();
}

TEST_F(Mempool, APoolWithoutReserveHandsOnWhatIsFreed) {
  mempool* pool = make(0);
  void* only = pool->allocate(GFP_KERNEL);
  end_memory();
  void* got = nullptr;
  std::thread waiter([&] { got = pool->allocate(GFP_KERNEL); });
  wait_until_queued(waiter);
  pool->free(only);
  memory_again();  // so that it does not wait for ever
  waiter.join();
  EXPECT_EQ(got, only);
  pool->free(got);
  pool->destroy();
}

// The one who frees sees nobody waiting, and the waiter finds nothing in the source: unless one of
// them looks again the waiter sleeps for its whole second.
TEST_F(Mempool, AWaiterIsToldOfWhatGoesToTheSourceWhileItQueues) {
  bool was_told = false;
  for (int attempt = 0; attempt < 3 && !was_told; attempt++) {
    mempool* pool = make(0);
    source.left = 1;
    void* only = pool->allocate(GFP_KERNEL);
    source.asked.clear();
    void* got = nullptr;
    std::thread waiter;
    const auto begin = std::chrono::steady_clock::now();
    source.at_next_free = [&] {
      waiter = std::thread([&] { got = pool->allocate(GFP_KERNEL); });
      wait_until_queued(waiter);
      std::lock_guard guard(source.lock);
      source.left = 1;
    };
    pool->free(only);
    waiter.join();
    was_told = std::chrono::steady_clock::now() - begin < 1s;
    pool->free(got);
    pool->destroy();
  }
  EXPECT_TRUE(was_told);
}

TEST_F(Mempool, AShrunkReserveIsFreedAndAGrownOneFilled) {
  mempool* pool = make(10);
  ASSERT_TRUE(pool->resize(3, GFP_KERNEL));
  EXPECT_EQ(source.out.size(), 3u);
  ASSERT_TRUE(pool->resize(2000, GFP_KERNEL));
  EXPECT_EQ(source.out.size(), 2000u);
  ASSERT_TRUE(pool->resize(40'000, GFP_KERNEL));
  EXPECT_EQ(source.out.size(), 40'000u);
  ASSERT_TRUE(pool->resize(1, GFP_KERNEL));
  EXPECT_EQ(source.out.size(), 1u);
  pool->destroy();
}

TEST_F(Mempool, AReserveThatCouldNotGrowIsFilledByWhatIsFreed) {
  mempool* pool = make(1);
  void* a = pool->allocate(GFP_KERNEL);
  void* b = pool->allocate(GFP_KERNEL);
  end_memory();
  ASSERT_TRUE(pool->resize(4, GFP_KERNEL));
  EXPECT_EQ(source.out.size(), 3u);
  pool->free(a);
  pool->free(b);
  EXPECT_EQ(source.out.size(), 3u);
  for (int i = 0; i < 3; i++)
    EXPECT_NE(pool->allocate(GFP_NOWAIT), nullptr);
  EXPECT_EQ(pool->allocate(GFP_NOWAIT), nullptr);
  for (void* element : std::set<void*>(source.out))
    pool->free(element);
  pool->destroy();
}

TEST_F(Mempool, GrowingServesThoseWhoWait) {
  mempool* pool = make(1);
  end_memory();
  void* only = pool->allocate(GFP_KERNEL);
  void* got = nullptr;
  std::thread waiter([&] { got = pool->allocate(GFP_KERNEL); });
  source.refuse(waiter.get_id());  // so that nothing but the reserve can serve it
  std::this_thread::sleep_for(50ms);
  memory_again();
  ASSERT_TRUE(pool->resize(2, GFP_KERNEL));
  waiter.join();
  EXPECT_NE(got, nullptr);
  pool->free(got);
  pool->free(only);
  pool->destroy();
}

TEST_F(Mempool, ShrinkingStopsAtAMinimumThatWasRaisedMeanwhile) {
  mempool* pool = make(8);
  end_memory();
  source.at_next_free = [&] { ASSERT_TRUE(pool->resize(6, GFP_NOWAIT)); };
  ASSERT_TRUE(pool->resize(1, GFP_NOWAIT));
  std::vector<void*> reserve;
  while (void* element = pool->allocate(GFP_NOWAIT))
    reserve.push_back(element);
  EXPECT_EQ(reserve.size(), 6u);
  for (void* element : reserve)
    pool->free(element);
  pool->destroy();
}

// A model: elements held, elements that the source has out, the reserve as their difference.
TEST_F(Mempool, BehavesAsItsModelThroughRandomCalls) {
  for (unsigned seed = 1; seed <= 20; seed++) {
    std::minstd_rand random(seed);
    std::size_t minimum = random() % 6;
    mempool* pool = make(minimum);
    std::vector<void*> held;
    std::size_t reserve = minimum;
    for (int i = 0; i < 4000; i++) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << ", call " << i);
      const unsigned what = random() % 100;
      if (what < 5) source.left = random() % 8;
      if (what == 5) source.left = SIZE_MAX;
      if (what == 6) {
        const std::size_t wanted = 1 + random() % (random() % 10 ? 20 : 1000);
        const std::size_t left = source.left;
        ASSERT_TRUE(pool->resize(wanted, GFP_NOWAIT));
        const std::size_t missing = wanted - std::min(wanted, reserve);
        reserve = reserve > wanted ? wanted : reserve + std::min(missing, left);
        minimum = wanted;
      } else if (what < 55) {
        const bool more = source.left > 0;
        // May wait only where that ends at once: nobody else would free an element.
        const bool may_wait = (more || reserve) && random() % 2;
        void* element = pool->allocate(may_wait ? GFP_KERNEL : GFP_NOWAIT);
        ASSERT_EQ(element != nullptr, more || reserve);
        if (!more && reserve) reserve--;
        if (element) held.push_back(element);
      } else if (!held.empty()) {
        std::swap(held[random() % held.size()], held.back());
        pool->free(held.back());
        held.pop_back();
        if (reserve < minimum) reserve++;
      }
      ASSERT_EQ(source.out.size(), held.size() + reserve);
      ASSERT_EQ(std::set<void*>(held.begin(), held.end()).size(), held.size());
    }
    for (void* element : held)
      pool->free(element);
    pool->destroy();
    ASSERT_TRUE(source.out.empty());
    source.left = SIZE_MAX;
  }
}

// More threads than elements, resizes and memory that comes and goes: nobody has what another has,
// and everybody comes to an end.
TEST_F(Mempool, ThreadsThatContendAllGetTheirElements) {
  mempool* pool = make(3);
  end_memory();
  std::mutex lock;
  std::set<void*> in_use;
  std::atomic<bool> ended{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; t++) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; i++) {
        void* element = pool->allocate(i % 8 ? GFP_KERNEL : GFP_NOWAIT);
        if (!element) {
          EXPECT_EQ(i % 8, 0) << "who may wait gets one";
          continue;
        }
        {
          std::lock_guard guard(lock);
          EXPECT_TRUE(in_use.insert(element).second);
        }
        if (i % 3 == 0) std::this_thread::yield();
        {
          std::lock_guard guard(lock);
          in_use.erase(element);
        }
        pool->free(element);
      }
    });
  }
  std::thread resizer([&] {
    for (std::size_t i = 0; !ended; i++) {
      pool->resize(1 + i % 5, GFP_NOWAIT);
      std::lock_guard guard(source.lock);
      source.left = i % 4 == 0 ? 1 : 0;
    }
  });
  for (std::thread& thread : threads)
    thread.join();
  ended = true;
  resizer.join();
  memory_again();
  pool->resize(1, GFP_KERNEL);
  pool->destroy();
}

TEST_F(Mempool, AForkChildUsesThePoolAndIsNotKeptByItsParentsWaiters) {
  mempool* pool = make(1);
  end_memory();
  void* only = pool->allocate(GFP_KERNEL);
  std::atomic<void*> got{nullptr};
  std::thread waiter([&] { got = pool->allocate(GFP_KERNEL); });
  std::this_thread::sleep_for(50ms);
  const auto child = preload_test::run_in_child([&] {
    pool->free(only);  // for nobody but the child: the waiter is not in it
    if (pool->allocate(GFP_NOWAIT) != only) _exit(1);
    pool->free(only);
    pool->destroy();
  });
  EXPECT_TRUE(child.succeeded()) << child.errors;
  pool->free(only);
  waiter.join();
  EXPECT_EQ(got, only);
  pool->free(only);
  pool->destroy();
}

// The source has no lock, which a fork child could find held by a thread that it does not have.
TEST_F(Mempool, ForksWhileThreadsUseThePoolLeaveItWholeInTheChild) {
  static std::atomic<std::uintptr_t> left;
  left = 2;
  mempool* pool = mempool::create(2, {[](gfp_t, void*) {
                                        const std::uintptr_t n = left.load();
                                        if (n) left = n - 1;
                                        return reinterpret_cast<void*>(n);
                                      },
                                      [](void*, void*) {}, nullptr});
  ASSERT_NE(pool, nullptr);
  std::atomic<bool> ended{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; t++) {
    threads.emplace_back([&] {
      while (!ended)
        pool->free(pool->allocate(GFP_KERNEL));
    });
  }
  for (int i = 0; i < 100; i++) {
    const auto child = preload_test::run_in_child([&] {
      // Elements that other threads held are lost to the child; the pool is whole.
      while (pool->allocate(GFP_NOWAIT)) {
      }
      for (std::uintptr_t element : {1, 2})
        pool->free(reinterpret_cast<void*>(element));
      pool->destroy();
    });
    ASSERT_TRUE(child.succeeded()) << child.errors;
  }
  ended = true;
  for (std::thread& thread : threads)
    thread.join();
  pool->destroy();
}

TEST_F(Mempool, WrongUseIsNamedInOneLine) {
  mempool* pool = make(2);
  const std::string address = "0x[0-9a-f]+";
  const auto dies = [](const std::function<void()>& body, const std::string& line) {
    EXPECT_TRUE(preload_test::dies_with_one_line(body, line));
  };
  dies([&] { mempool::at(&pool, "mempool_alloc"); },
       "quarry: mempool_alloc\\(" + address + "\\): not a pool, or destroyed");
  dies(
      [&] {
        pool->destroy();
        mempool::at(pool, "mempool_free");
      },
      "quarry: mempool_free\\(" + address + "\\): not a pool, or destroyed");
  dies(
      [&] {
        end_memory();
        void* element = pool->allocate(GFP_KERNEL);
        pool->allocate(GFP_KERNEL);
        pool->free(element);
        pool->free(element);
      },
      "quarry: mempool_free\\(" + address + "\\): already free");
  dies(
      [&] {
        end_memory();
        pool->allocate(GFP_KERNEL);
        pool->destroy();
      },
      "quarry: mempool_destroy\\(" + address + "\\): elements of the pool are in use");
  dies([&] { pool->allocate(GFP_KERNEL | __GFP_ZERO); },
       "quarry: mempool_alloc\\(" + address +
           "\\): __GFP_ZERO: elements in reserve are as they were freed");
  pool->destroy();
}

}  // namespace
