// Threads come and go by the thousand, hand blocks to one another, and leave nothing behind.
#include <gtest/gtest.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <thread>

#include "content.h"
#include "program.h"

namespace survival {
namespace {

// Slots through which threads that never meet exchange blocks.
struct exchange {
  static constexpr int slots = 128;
  std::atomic<block*> slot[slots] = {};
  std::atomic<int> broken{0};
  std::atomic<std::uint64_t> seed{0};
};

void* short_life(void* argument) {
  auto* through = static_cast<exchange*>(argument);
  const std::uint64_t seed = through->seed.fetch_add(1, std::memory_order_relaxed) * 1000;
  generator random(seed);
  through->broken += !small_sizes_work(seed);
  for (int i = 0; i < 8; ++i) {
    auto* mine = static_cast<block*>(malloc(sizeof(block)));
    *mine = take(random.size_up_to(32 << 10), seed + i);
    block* other = through->slot[random.below(exchange::slots)].exchange(mine);
    if (other != nullptr) {
      through->broken += !give_back(*other);
      free(other);
    }
  }
  return nullptr;
}

TEST(Threads, TenThousandShortLivesOfWhich64AtATimeHandBlocksOn) {
  constexpr int lives = 10000;
  constexpr int at_a_time = 64;
  exchange through;
  std::deque<pthread_t> alive;
  for (int i = 0; i < lives; ++i) {
    if (alive.size() == at_a_time) {
      pthread_join(alive.front(), nullptr);
      alive.pop_front();
    }
    pthread_t thread;
    ASSERT_EQ(pthread_create(&thread, nullptr, short_life, &through), 0) << i;
    alive.push_back(thread);
  }
  for (pthread_t thread : alive) {
    pthread_join(thread, nullptr);
  }
  for (auto& slot : through.slot) {
    if (block* last = slot.load()) {
      through.broken += !give_back(*last);
      free(last);
    }
  }
  EXPECT_EQ(through.broken, 0);
}

TEST(Threads, DetachedOnesEndWhileOthersAllocate) {
  constexpr int lives = 2000;
  std::atomic<int> good{0};
  std::atomic<int> ended{0};
  for (int i = 0; i < lives; ++i) {
    while (i - ended > 50) {
      std::this_thread::yield();
    }
    std::thread([&, i] {
      good += small_sizes_work(i);
      ++ended;
    }).detach();
  }
  while (ended < lives) {
    std::this_thread::yield();
  }
  EXPECT_EQ(good, lives);
}

// One thread only takes, the other only gives back: every block crosses over.
TEST(Threads, ProducerAndConsumerNeverShareARole) {
  constexpr int count = 300000;
  std::mutex lock;
  std::deque<block> queue;
  std::atomic<bool> done{false};
  int broken = 0;
  std::thread consumer([&] {
    for (;;) {
      std::deque<block> batch;
      const bool last = done;
      {
        std::lock_guard<std::mutex> held(lock);
        batch.swap(queue);
      }
      for (block& b : batch) {
        broken += !give_back(b);
      }
      if (last) {
        return;
      }
    }
  });
  generator random(1);
  for (int i = 0; i < count; ++i) {
    const block b = take(random.size_up_to(64 << 10), i);
    std::lock_guard<std::mutex> held(lock);
    queue.push_back(b);
  }
  done = true;
  consumer.join();
  EXPECT_EQ(broken, 0);
}

// A heap that grows, shrinks and is trimmed, in a thread with the smallest stack that there is.
TEST(Threads, TheSmallestStackIsLargeEnough) {
  const auto body = [](void*) -> void* {
    static void* blocks[40'000];
    for (int round = 0; round < 3; ++round) {
      std::size_t size = 100;
      for (void*& each : blocks)
        each = malloc(size = size * 37 % 6011 + 1);
      for (void* each : blocks)
        free(each);
      malloc_trim(0);
    }
    return nullptr;
  };
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN), 0);
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, &attributes, body, nullptr), 0);
  pthread_attr_destroy(&attributes);
  pthread_join(thread, nullptr);
}

// Memory per idle thread: what a thread that has allocated and freed costs beyond one that never
// did.
TEST(Threads, AThousandIdleOnesKeepNoMemory) {
  const outcome without = run_program("idle_threads_program", {"1000", "0"});
  const outcome with = run_program("idle_threads_program", {"1000", "1"});
  ASSERT_EQ(without.ending, "exit 0");
  ASSERT_EQ(with.ending, "exit 0");
  const double each = (std::stod(with.output) - std::stod(without.output)) / 1000;
  RecordProperty("bytes_per_idle_thread", std::to_string(each));
  EXPECT_LT(each, 8 << 10);
}

}  // namespace
}  // namespace survival
