// fork at any moment, from any thread: the child can allocate, and what it inherited is whole.
#include <gtest/gtest.h>
#include <pthread.h>

#include <chrono>
#include <thread>

#include "busy_threads.h"
#include "locking_library.h"
#include "process.h"
#include "program.h"

namespace survival {
namespace {

void* report_all_sizes(void* result) {
  *static_cast<bool*>(result) = all_sizes_work(11);
  return nullptr;
}

bool works_in_new_thread() {
  bool good = false;
  pthread_t thread;
  return pthread_create(&thread, nullptr, report_all_sizes, &good) == 0 &&
         pthread_join(thread, nullptr) == 0 && good;
}

// Blocks of the forking thread, alive across the fork.
class inheritance {
 public:
  explicit inheritance(std::uint64_t seed) {
    generator random(seed);
    for (block& b : blocks_) {
      b = take(random.size_up_to(100000), random.next());
    }
  }
  bool give_back_all() {
    bool good = true;
    for (block& b : blocks_) {
      good &= give_back(b);
    }
    return good;
  }

 private:
  block blocks_[100];
};

struct fork_storm {
  std::uint64_t seed;
  int bad_children = 0;
  int bad_blocks = 0;
  std::string first_ending{};
};

void* fork_many_times(void* argument) {
  auto* storm = static_cast<fork_storm*>(argument);
  for (int round = 0; round < 100; ++round) {
    inheritance mine(storm->seed + round);
    const pid_t child = start_child([&] {
      return small_sizes_work(round) && mine.give_back_all() && all_sizes_work(round) &&
             (round % 4 != 0 || works_in_new_thread());
    });
    const std::string end = ending(child);
    if (end != "exit 0" && storm->bad_children++ == 0) {
      storm->first_ending = end;
    }
    storm->bad_blocks += !mine.give_back_all();
  }
  return nullptr;
}

TEST(Fork, StormOfForksFromThreeThreadsWhileFourAllocate) {
  busy_threads busy(4);
  fork_storm storms[3] = {{1000}, {2000}, {3000}};
  pthread_t threads[3];
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(pthread_create(&threads[i], nullptr, fork_many_times, &storms[i]), 0);
  }
  for (int i = 0; i < 3; ++i) {
    pthread_join(threads[i], nullptr);
    EXPECT_EQ(storms[i].bad_children, 0) << "first: " << storms[i].first_ending;
    EXPECT_EQ(storms[i].bad_blocks, 0);
  }
  EXPECT_EQ(busy.stop(), 0u);
}

// Each generation allocates, starts threads that allocate, and forks the next one among them.
bool nested(int depth) {
  inheritance mine(depth);
  busy_threads busy(2);
  bool good = small_sizes_work(depth);
  if (depth > 0) {
    good &= ended_well(start_child([&] { return nested(depth - 1); }));
  }
  return good && busy.stop() == 0 && mine.give_back_all() && all_sizes_work(depth);
}

TEST(Fork, NestedFiveDeepWithThreadsInEveryGeneration) {
  for (int round = 0; round < 5; ++round) {
    ASSERT_EQ(ending(start_child([] { return nested(5); })), "exit 0");
  }
}

TEST(Fork, ChildForksManyChildrenOfItsOwn) {
  busy_threads busy(4);
  const pid_t child = start_child([] {
    for (int i = 0; i < 30; ++i) {
      inheritance mine(i);
      if (!ended_well(start_child([&] { return mine.give_back_all() && all_sizes_work(i); })) ||
          !mine.give_back_all()) {
        return false;
      }
    }
    return true;
  });
  EXPECT_EQ(ending(child), "exit 0");
  EXPECT_EQ(busy.stop(), 0u);
}

// The parent has used one CPU alone; what belongs to the others is new to the child.
TEST(Fork, ChildAllocatesOnEveryCpu) {
  cpu_set_t allowed;
  ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  const auto works_on = [](int cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return sched_setaffinity(0, sizeof one, &one) == 0 && small_sizes_work(cpu) &&
           all_sizes_work(cpu);
  };
  const pid_t parent = start_child([&] {
    int first = 0;
    while (!CPU_ISSET(first, &allowed))
      first++;
    if (!works_on(first)) return false;
    return ended_well(start_child([&] {
      bool good = true;
      for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        good &= !CPU_ISSET(cpu, &allowed) || works_on(cpu);
      return good;
    }));
  });
  EXPECT_EQ(ending(parent), "exit 0");
}

// The library's handlers wait for its lock, whose holder may be about to allocate.
TEST(Fork, WhileAThreadAllocatesUnderALockThatALibraryHoldsAcrossForks) {
  const pid_t child = start_child([] {
    std::atomic<bool> is_over{false}, good{true};
    std::thread user([&] {
      while (!is_over) {
        if (!use_library()) good = false;
        // A mutex is not fair: without a pause the forks may wait for it for a minute.
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
    });
    for (int i = 0; i < 100; ++i) {
      if (!ended_well(start_child(use_library))) good = false;
    }
    is_over = true;
    user.join();
    return good.load();
  });
  EXPECT_EQ(ending(child), "exit 0");
}

TEST(Fork, InASignalHandlerOfASingleThread) {
  const outcome result = run_program("handler_fork_program", {});
  EXPECT_EQ(result.ending, "exit 0");
}

// Parent and child write to their own copy; neither may see what the other did.
TEST(Fork, ParentAndChildDoNotDisturbEachOther) {
  churn shared(1, 64 << 10);
  for (int i = 0; i < 5000; ++i) {
    ASSERT_TRUE(shared.step());
  }
  const auto both = [&shared] {
    bool good = true;
    for (int i = 0; i < 50000; ++i) {
      good &= shared.step();
    }
    return good && shared.finish();
  };
  const pid_t child = start_child(both);
  EXPECT_TRUE(both());
  EXPECT_EQ(ending(child), "exit 0");
}

TEST(Fork, HandlersThatAllocateMayBeRegisteredBeforeAndAfterTheAllocatorsOwn) {
  const outcome result = run_program("atfork_program");
  EXPECT_EQ(result.ending, "exit 0");
  EXPECT_EQ(result.output, "");
}

}  // namespace
}  // namespace survival
