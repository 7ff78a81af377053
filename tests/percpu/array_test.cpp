// What the arrays do for a single thread: order, room, limits, draining, figures.
#include "percpu/array.h"

#include <sys/resource.h>

#include <algorithm>
#include <thread>

#include "../preload/child.h"
#include "../seccomp.h"
#include "arrays.h"

using namespace percpu_test;

namespace {

using objects = std::vector<void*>;

void* object(std::size_t number) {
  return reinterpret_cast<void*>(number * 8);
}

objects numbered(std::size_t first, std::size_t last) {
  objects all;
  for (std::size_t n = first; n <= last; n++)
    all.push_back(object(n));
  return all;
}

objects reversed(objects all) {
  std::reverse(all.begin(), all.end());
  return all;
}

objects pop_all(unsigned index) {
  objects all;
  while (void* popped = percpu::pop(index))
    all.push_back(popped);
  return all;
}

unsigned push_all(unsigned index, const objects& all) {
  unsigned pushed = 0;
  while (pushed < all.size() && percpu::push(index, all[pushed]))
    pushed++;
  return pushed;
}

objects drained[percpu::index_count];
void collect(unsigned index, void** first, unsigned count) {
  drained[index].insert(drained[index].end(), first, first + count);
}

unsigned area_in_use() {
#if QUARRY_HAS_SEQUENCES
  if (percpu::use_sequences) return percpu::sequence::current();
#endif
  return percpu::locked::current();
}

class Array : public testing::Test {
 protected:
  void SetUp() override {
    start_arrays();
    put_on_cpu(0, allowed_cpus().front());
    for (objects& d : drained)
      d.clear();
  }
  void TearDown() override {
    percpu::drain(false, discard);
    last_index = 0;
  }

  // What `body` returns when it ran over the same arrays from begin to end, and no sequence of its
  // was interrupted: the kernel may change a thread's mm_cid or preempt it at any time, though it
  // seldom does.
  template <class body_fn>
  static auto undisturbed(body_fn body) {
    for (;;) {
      percpu::drain(false, discard);
      const unsigned area = area_in_use();
      const long switches = preemptions();
      const auto result = body();
      if (area_in_use() == area && preemptions() == switches) return result;
    }
  }

 private:
  static long preemptions() {
    rusage usage{};
    EXPECT_EQ(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_nivcsw;
  }
};

TEST_F(Array, UsesSequencesWhereTheyAreAllowedAndThereAreAny) {
  os::rseq_location location;
  const bool can = QUARRY_HAS_SEQUENCES && os::find_rseq(&location) && os::register_restart();
  EXPECT_EQ(percpu::use_sequences, can && os::is_default(os::option::rseq));
}

TEST_F(Array, UntouchedIsEmptyAndFull) {
  const unsigned index = new_index(8, 100);
  void* one = object(1);
  EXPECT_EQ(percpu::pop(index), nullptr);
  EXPECT_FALSE(percpu::push(index, one));
  EXPECT_EQ(percpu::pop_batch(index, &one, 1), 0u);
  EXPECT_EQ(percpu::push_batch(index, &one, 1), 0u);
  EXPECT_EQ(one, object(1));
}

TEST_F(Array, OfIndexZeroIsAlwaysEmptyAndFull) {
  grow_fully(new_index(8, 100));
  EXPECT_EQ(percpu::pop(0), nullptr);
  EXPECT_FALSE(percpu::push(0, object(1)));
}

TEST_F(Array, LastInIsFirstOut) {
  const unsigned index = new_index(8, 100);
  const auto popped = undisturbed([&] {
    grow_fully(index);
    push_all(index, numbered(1, 60));
    objects some = {percpu::pop(index), percpu::pop(index)};
    percpu::push(index, object(61));
    const objects rest = pop_all(index);
    some.insert(some.end(), rest.begin(), rest.end());
    return some;
  });
  objects expected = {object(60), object(59), object(61)};
  for (std::size_t n = 58; n >= 1; n--)
    expected.push_back(object(n));
  EXPECT_EQ(popped, expected);
}

TEST_F(Array, BatchesComeFromTheTopInTheOrderInWhichTheyWentIn) {
  const unsigned index = new_index(8, 100);
  const auto popped = undisturbed([&] {
    grow_fully(index);
    const objects all = numbered(1, 20);
    percpu::push_batch(index, all.data(), 20);
    objects some(25);
    const unsigned first = percpu::pop_batch(index, some.data(), 5);
    some[first] = percpu::pop(index);
    some.resize(first + 1 + percpu::pop_batch(index, some.data() + first + 1, 19));
    return some;
  });
  objects expected = numbered(16, 20);
  expected.push_back(object(15));
  for (std::size_t n = 1; n <= 14; n++)
    expected.push_back(object(n));
  EXPECT_EQ(popped, expected);
}

TEST_F(Array, ABatchOfNoneChangesNothing) {
  const unsigned index = new_index(8, 100);
  const auto popped = undisturbed([&] {
    grow_fully(index);
    push_all(index, numbered(1, 3));
    EXPECT_EQ(percpu::push_batch(index, nullptr, 0), 0u);
    EXPECT_EQ(percpu::pop_batch(index, nullptr, 0), 0u);
    return pop_all(index);
  });
  EXPECT_EQ(popped, reversed(numbered(1, 3)));
}

TEST_F(Array, ABatchGoesInAsFarAsThereIsRoom) {
  const unsigned index = new_index(8, 31);
  const auto pushed = undisturbed([&] {
    grow_fully(index);
    const objects all = numbered(1, 50);
    const unsigned first = percpu::push_batch(index, all.data(), 20);
    const unsigned second = percpu::push_batch(index, all.data() + 20, 30);
    return std::vector<unsigned>{first, second};
  });
  EXPECT_EQ(pushed, (std::vector<unsigned>{20, 11}));
}

TEST_F(Array, GrowsToItsLimitAndNeverAbove) {
  for (unsigned limit : {1u, 2u, 3u, 5u, 7u, 42u, 100u, 255u, 300u, 1000u}) {
    const unsigned index = new_index(8, limit);
    const objects all = numbered(1, 3000);
    const auto sizes = undisturbed([&] {
      const unsigned capacity = grow_fully(index);
      const unsigned pushed = push_all(index, all);
      const percpu::array_figures figures = percpu::figures_of(index);
      return std::vector<std::size_t>{capacity, pushed, figures.capacity, figures.objects};
    });
    EXPECT_EQ(sizes, std::vector<std::size_t>(4, percpu::limit_of(index)));
    EXPECT_EQ(percpu::limit_of(index), limit);
  }
}

TEST_F(Array, ALimitAboveTheLargestRangeIsCutToIt) {
  const unsigned index = new_index(8, 60'000);
  const auto capacity = undisturbed([&] { return grow_fully(index); });
  EXPECT_EQ(capacity, (1u << percpu::max_range_order) - 1);
  EXPECT_EQ(percpu::limit_of(index), capacity);
}

TEST_F(Array, NeverShrinksAndKeepsItsObjectsInOrderWhileItGrows) {
  const unsigned index = new_index(8, 500);
  const auto popped = undisturbed([&] {
    std::size_t next = 1;
    unsigned capacity = 0;
    for (int misses = 0; misses < 300; misses++) {
      const unsigned now =
          percpu::grow(index, misses % 2 ? percpu::miss::full : percpu::miss::empty);
      EXPECT_GE(now, capacity);
      capacity = now;
      while (percpu::push(index, object(next)))
        next++;
    }
    return pop_all(index);
  });
  EXPECT_EQ(popped, reversed(numbered(1, 500)));
}

// Unless the thread moves to another area meanwhile, hence several tries.
TEST_F(Array, GrowsWithoutStoppingTheOtherCpus) {
  const unsigned index = new_index(8, 500);
  const auto grows = [&] {
    return preload_test::run_in_child([&] {
      const bool refused = seccomp_test::refuse(SYS_membarrier);
      if (!refused || grow_fully(index) != percpu::limit_of(index)) abort();
    });
  };
  bool grew = false;
  for (int tries = 0; tries < 10 && !grew; tries++)
    grew = grows().succeeded();
  EXPECT_TRUE(grew);
}

TEST_F(Array, LargeObjectsStopGrowingAtTheBudgetOfTheCpu) {
  constexpr std::size_t bytes = 16 * kib;
  constexpr unsigned limit = 255;
  std::vector<unsigned> indices;
  for (int i = 0; i < 20; i++)
    indices.push_back(new_index(bytes, limit));
  const auto held = undisturbed([&] {
    std::size_t sum = 0;
    for (unsigned index : indices)
      sum += bytes * grow_fully(index);
    return sum;
  });
  EXPECT_LE(held, 20 * limit * bytes / 8) << "without a budget it would be eight times that";
  EXPECT_GE(held, 1 * mib);
  // What a drain takes back is there for the next.
  const auto first = undisturbed([&] { return grow_fully(indices.front()); });
  const auto last = undisturbed([&] { return grow_fully(indices.back()); });
  EXPECT_EQ(first, last);
  EXPECT_GT(first, limit / 4);
}

// `wanting` misses at its ends in turn, and `busy` is used in between. Returns how far it grew.
unsigned insist(unsigned wanting, unsigned busy, unsigned misses) {
  unsigned capacity = 0;
  for (unsigned i = 0; i < misses; i++) {
    const auto side = i % 2 ? percpu::miss::full : percpu::miss::empty;
    capacity = percpu::grow(wanting, side, collect);
    i / 700 % 2 ? void(percpu::pop(busy)) : void(percpu::push(busy, object(i + 1)));
  }
  return capacity;
}

TEST_F(Array, WhereTheBudgetStandsInTheWayIdleOnesMakeRoom) {
  constexpr std::size_t bytes = 64 * kib;
  const unsigned idle = new_index(bytes, 31), busy = new_index(8, 1023);
  const unsigned others = new_index(16 * kib, 127), wanting = new_index(32 * kib, 63);
  const auto all = undisturbed([&] {
    for (objects& d : drained)
      d.clear();
    // What `idle` and `others` hold leaves too little for `wanting`.
    push_all(others, objects(grow_fully(others), object(1)));
    push_all(idle, objects(grow_fully(idle), object(2)));
    grow_fully(busy);
    const unsigned at_first = insist(wanting, busy, 500);
    const std::size_t early = drained[idle].size() + drained[others].size();
    push_all(wanting, numbered(1, 5));
    const unsigned then = insist(wanting, busy, 5000);
    const std::size_t in_use = drained[busy].size() + drained[wanting].size();
    return std::vector<std::size_t>{at_first, early, then, in_use};
  });
  EXPECT_LT(all[0], 63u) << "there was no lack of room";
  EXPECT_EQ(all[1], 0u) << "they were drained at once";
  EXPECT_EQ(all[2], 63u);
  EXPECT_EQ(all[3], 0u) << "one in use was drained";
  EXPECT_GT(drained[idle].size(), 0u);
}

TEST_F(Array, WhereThatIsOfNoHelpIdleOnesAreDrainedEverMoreSeldom) {
  const unsigned some = new_index(16 * kib, 255), others = new_index(16 * kib, 255);
  const unsigned idle = new_index(8, 15);
  const unsigned drains = undisturbed([&] {
    drained[idle].clear();
    unsigned count = 0;
    for (unsigned i = 0; i < 40'000; i++) {
      if (percpu::figures_of(idle).objects == 0) {
        count++;
        push_all(idle, objects(grow_fully(idle), object(1)));
      }
      const auto side = i % 2 ? percpu::miss::full : percpu::miss::empty;
      percpu::grow(some, side, collect);
      percpu::grow(others, side, collect);
    }
    return count;
  });
  EXPECT_GT(drains, 2u) << "they were never drained";
  EXPECT_LT(drains, 12u) << "80000 refusals";
}

TEST_F(Array, WhereRestartsAreRefusedIdleOnesKeepTheirRoom) {
  const unsigned idle = new_index(16 * kib, 255), busy = new_index(8, 1023);
  const unsigned wanting = new_index(32 * kib, 63);
  const auto ended = preload_test::run_in_child([&] {
    grow_fully(idle);
    push_all(idle, numbered(1, 5));
    if (!seccomp_test::refuse(SYS_membarrier)) _exit(1);
    insist(wanting, busy, 5000);
    if (percpu::use_sequences && pop_all(idle) != reversed(numbered(1, 5))) _exit(2);
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status << "\n" << ended.errors;
}

// 80 indices of up to 1023 objects are more than the area has slots. In a child, since slots once
// cut into ranges of one size stay so.
TEST_F(Array, WithoutRoomInTheAreaKeepsWhatItHas) {
  const auto ended = preload_test::run_in_child([] {
    std::vector<unsigned> pushed;
    const unsigned wrong = undisturbed([&] {
      pushed.clear();
      for (unsigned index = 1; index <= 80; index++) {
        percpu::declare(index, 1, 1023, 1023);
        unsigned count = 0;
        for (int misses = 0; misses < 500; misses++) {
          percpu::grow(index, misses % 2 ? percpu::miss::full : percpu::miss::empty);
          // Not each time: to run undisturbed it must be short.
          if (misses % 100 == 99) count += push_all(index, numbered(count + 1, 1023));
        }
        pushed.push_back(count);
      }
      unsigned differ = 0;
      for (unsigned index = 1; index <= 80; index++) {
        differ += pop_all(index) != reversed(numbered(1, pushed[index - 1]));
      }
      return differ;
    });
    if (wrong != 0) _exit(1);
    if (pushed.front() != 1023 || pushed.back() == 1023) _exit(2);
    // What a drain takes back is there for the next.
    if (undisturbed([] { return grow_fully(80); }) != 1023) _exit(3);
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status << "\n" << ended.errors;
}

TEST_F(Array, DrainingHandsOutEveryObjectOnceAndLeavesTheArrayUntouched) {
  const unsigned some = new_index(8, 100), others = new_index(64, 100);
  grow_fully(some);
  grow_fully(others);
  percpu::push_batch(some, numbered(1, 20).data(), 20);
  percpu::push_batch(others, numbered(101, 107).data(), 7);
  percpu::drain(false, collect);
  std::sort(drained[some].begin(), drained[some].end());
  std::sort(drained[others].begin(), drained[others].end());
  EXPECT_EQ(drained[some], numbered(1, 20));
  EXPECT_EQ(drained[others], numbered(101, 107));
  EXPECT_EQ(percpu::pop(some), nullptr);
  EXPECT_FALSE(percpu::push(some, object(1)));
  EXPECT_EQ(percpu::figures_of(some).capacity, 0u);
  percpu::drain(false, collect);
  EXPECT_EQ(drained[some].size(), 20u);
}

TEST_F(Array, DrainingIdleOnesLeavesThoseThatChangedSinceTheLastTime) {
  const unsigned idle = new_index(8, 100), busy = new_index(8, 100);
  const auto sizes = undisturbed([&] {
    grow_fully(idle);
    grow_fully(busy);
    push_all(idle, numbered(1, 10));
    push_all(busy, numbered(101, 110));
    for (objects& d : drained)
      d.clear();
    percpu::drain(true, collect);
    const std::size_t at_first = drained[idle].size() + drained[busy].size();
    percpu::pop(busy);
    percpu::drain(true, collect);
    const std::size_t then = drained[busy].size();
    const std::size_t of_idle = drained[idle].size();
    percpu::drain(true, collect);
    return std::vector<std::size_t>{at_first, then, of_idle, drained[busy].size()};
  });
  EXPECT_EQ(sizes, (std::vector<std::size_t>{0, 0, 10, 9}));
}

TEST_F(Array, DrainingReachesTheArraysOfEveryCpu) {
  const unsigned index = new_index(8, 100);
  std::size_t next = 1;
  for (unsigned cpu : allowed_cpus()) {
    std::thread([&] {
      put_on_cpu(0, cpu);
      grow_fully(index);
      for (int i = 0; i < 5 && percpu::push(index, object(next)); i++)
        next++;
    }).join();
  }
  EXPECT_EQ(percpu::figures_of(index).objects, next - 1);
  percpu::drain(false, collect);
  std::sort(drained[index].begin(), drained[index].end());
  EXPECT_EQ(drained[index], numbered(1, next - 1));
}

// fork(2) copies whatever state a lock is in; the child has to find all of them open.
TEST_F(Array, AllLocksAreTakenForAForkAndOpenAfterIt) {
  const unsigned index = new_index(8, 100);
  percpu::grow(index, percpu::miss::empty);
  percpu::acquire_all();
  std::thread([&] {
    EXPECT_EQ(percpu::grow(index, percpu::miss::full), 1u) << "got past a lock";
  }).join();
  percpu::release_all();
  EXPECT_GT(percpu::grow(index, percpu::miss::full), 1u);
  percpu::drain(false, collect);
}

}  // namespace
