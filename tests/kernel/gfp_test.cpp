// What the gfp flags promise: the atomic ones never make a system call, keep or use the reserve,
// and failures are told unless they are not to be.
#include "quarry/gfp.h"

#include <malloc.h>
#include <signal.h>
#include <sys/time.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "../preload/child.h"
#include "../seccomp.h"
#include "quarry/page.h"

using preload_test::child_result;
using preload_test::run_in_child;
using seccomp_test::enter_silence;

namespace {

// Fixed room, so that counting does not allocate.
struct page* held[1 << 16];

unsigned take_all(gfp_t gfp, unsigned order) {
  unsigned count = 0;
  while (count < std::size(held) && (held[count] = alloc_pages(gfp, order)))
    ++count;
  return count;
}

class Silent : public testing::TestWithParam<gfp_t> {
 protected:
  // Exits with what `body` returns, or dies of the first system call in it.
  static child_result run(int (*body)(gfp_t)) {
    return run_in_child([=] {
      const gfp_t gfp = GetParam();
      // Pages are committed by somebody who may do so, and the reserve is kept from then on.
      __free_pages(alloc_pages(GFP_KERNEL, 0), 0);
      for (unsigned order = 0; order < 4; ++order)
        __free_pages(alloc_pages(GFP_KERNEL, order), order);
      if (!enter_silence()) _exit(99);
      _exit(body(gfp));
    });
  }
};

TEST_P(Silent, AllocatingAndFreeingMakeNoSystemCall) {
  const child_result result = run([](gfp_t gfp) {
    for (int round = 0; round < 1000; ++round) {
      for (unsigned order = 0; order < 6; ++order) {
        struct page* page = alloc_pages(gfp, order);
        if (!page) return 1;
        memset(page_address(page), 1, PAGE_SIZE << order);
        __free_pages(page, order);
      }
      const unsigned long zeroed = get_zeroed_page(gfp);
      if (!zeroed || *reinterpret_cast<long*>(zeroed) != 0) return 2;
      free_page(zeroed);
    }
    return 0;
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

TEST_P(Silent, TakingAllThereIsEndsInNullAndEverythingCanBeFreed) {
  const child_result result = run([](gfp_t gfp) {
    for (int round = 0; round < 3; ++round) {
      const unsigned count = take_all(gfp, 0);
      if (count == 0 || count == std::size(held)) return 1;
      for (unsigned i = 0; i < count; ++i)
        memset(page_address(held[i]), 1, PAGE_SIZE);
      for (unsigned i = 0; i < count; ++i)
        put_page(held[i]);
      if (take_all(gfp, 0) < count * 9 / 10) return 2;
      for (unsigned i = 0; held[i]; ++i)
        put_page(held[i]);
    }
    return 0;
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

TEST_P(Silent, ExactBlocksAndReferencesMakeNoSystemCall) {
  const child_result result = run([](gfp_t gfp) {
    void* block = alloc_pages_exact(5 * PAGE_SIZE, gfp | __GFP_ZERO);
    if (!block) return 1;
    struct page* page = virt_to_page(block);
    get_page(page);
    put_page(page);
    free_pages_exact(block, 5 * PAGE_SIZE);
    return page_count(page);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

INSTANTIATE_TEST_SUITE_P(Flags, Silent,
                         testing::Values(GFP_ATOMIC, GFP_NOWAIT, GFP_ATOMIC | __GFP_ZERO,
                                         GFP_ATOMIC | __GFP_NOFAIL, GFP_NOWAIT | __GFP_NOWARN));

TEST(Gfp, TheFilterOfTheseTestsKills) {
  const child_result result = run_in_child([] {
    enter_silence();
    getppid();
  });
  EXPECT_TRUE(WIFSIGNALED(result.status) && WTERMSIG(result.status) == SIGSYS);
}

TEST(Gfp, AtomicFindsPagesBelowTheMinWatermarkWhereNowaitFindsNone) {
  const child_result result = run_in_child([] {
    __free_pages(alloc_pages(GFP_KERNEL, 0), 0);
    take_all(GFP_NOWAIT, 0);
    const unsigned more = take_all(GFP_ATOMIC, 0);
    const unsigned after = take_all(GFP_NOWAIT, 0);
    _exit(more < 8 ? 1 : after != 0 ? 2 : 0);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

TEST(Gfp, WhoMayWaitHasTheZoneGrowAndRestoresTheReserve) {
  const child_result result = run_in_child([] {
    __free_pages(alloc_pages(GFP_KERNEL, 0), 0);
    take_all(GFP_ATOMIC, 0);
    if (alloc_page(GFP_ATOMIC)) _exit(1);
    if (!alloc_page(GFP_KERNEL)) _exit(2);
    if (!alloc_page(GFP_ATOMIC)) _exit(3);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

// Every page block that a limited process can have, and one more.
child_result exhaust_and_ask(gfp_t gfp) {
  return run_in_child([=] {
    setenv("QUARRY_TEST_GFP", std::to_string(gfp).c_str(), 1);
    const rlimit address_space = {200 << 20, 200 << 20};
    setrlimit(RLIMIT_AS, &address_space);
    execl("/proc/self/exe", "kernel_gfp_test", "--exhaust", nullptr);
    _exit(127);
  });
}

TEST(Gfp, AFailureIsReportedInALineUnlessItIsNotToBe) {
  const child_result loud = exhaust_and_ask(GFP_KERNEL);
  EXPECT_EQ(WEXITSTATUS(loud.status), 7) << loud.errors;
  EXPECT_EQ(loud.lines(), 1) << loud.errors;
  EXPECT_EQ(loud.errors, "quarry: page allocation failure: order:9, mode:0x10\n");
  for (gfp_t quiet : {GFP_KERNEL | __GFP_NOWARN, GFP_ATOMIC, GFP_NOWAIT}) {
    const child_result result = exhaust_and_ask(quiet);
    EXPECT_EQ(WEXITSTATUS(result.status), 7);
    EXPECT_EQ(result.errors, "");
  }
}

TEST(Gfp, WhatMustNotFailWaitsUntilThereIsMemory) {
  const child_result result = exhaust_and_ask(GFP_KERNEL | __GFP_NOFAIL);
  EXPECT_EQ(WEXITSTATUS(result.status), 8) << result.errors;
  EXPECT_EQ(result.errors, "");
}

// A free block is on no list while another thread gives its memory back to the system.
TEST(Gfp, ABlockThatGoesBackToTheSystemCanBeHadMeanwhile) {
  const child_result result = run_in_child([] {
    const rlimit address_space = {200 << 20, 200 << 20};
    setrlimit(RLIMIT_AS, &address_space);
    execl("/proc/self/exe", "kernel_gfp_test", "--while-trimming", nullptr);
    _exit(127);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
}

// All there is but one block of that order, which is freed, trimmed by another thread and taken.
int take_while_trimming() {
  constexpr unsigned order = 12;
  const unsigned count = take_all(GFP_KERNEL | __GFP_NOWARN, order);
  if (count == 0) return 1;
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop)
      malloc_trim(0);
  });
  struct page* page = held[count - 1];
  unsigned failed = 0;
  for (unsigned round = 0; round < 200; ++round) {
    memset(page_address(page), 1, PAGE_SIZE << order);
    __free_pages(page, order);
    usleep(round * 10);
    page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);
    for (; !page; page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order))
      failed++;
  }
  stop = true;
  other.join();
  return failed ? 2 : 0;
}

int exhaust() {
  const gfp_t gfp = static_cast<gfp_t>(atoi(getenv("QUARRY_TEST_GFP")));
  const unsigned count = take_all(GFP_KERNEL | __GFP_NOWARN, 9);
  if (count < 10) return 1;
  static std::atomic<bool> freed{false};
  std::thread helper;
  if (gfp & __GFP_NOFAIL) {
    helper = std::thread([=] {
      usleep(100'000);
      freed = true;
      for (unsigned i = 0; i < count; ++i)
        put_page(held[i]);
    });
  }
  struct page* page = alloc_pages(gfp, 9);
  const int status = page ? (freed ? 8 : 2) : 7;
  if (helper.joinable()) helper.join();
  return status;
}

// A signal that comes while the same thread is inside the allocator, lock or not.
std::atomic<unsigned> taken_in_handler{0};
std::atomic<unsigned> handled{0};
void allocate_in_handler(int) {
  handled++;
  for (unsigned order = 0; order < 5; ++order) {
    struct page* page = alloc_pages(GFP_ATOMIC, order);
    if (!page) continue;
    *static_cast<unsigned*>(page_address(page)) = order;
    put_page(page);
    taken_in_handler++;
  }
}

TEST(Gfp, AtomicBlocksCanBeHadInASignalHandler) {
  struct sigaction action = {};
  action.sa_handler = allocate_in_handler;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  const itimerval often = {{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &often, nullptr);
  for (int i = 0; handled < 300 || i < 100'000; ++i) {
    const unsigned order = i % 6;
    struct page* page = alloc_pages(i % 2 ? GFP_KERNEL : GFP_ATOMIC, order);
    if (page) __free_pages(page, order);
  }
  const itimerval never = {};
  setitimer(ITIMER_REAL, &never, nullptr);
  EXPECT_GT(taken_in_handler, handled);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && !strcmp(argv[1], "--exhaust")) return exhaust();
  if (argc == 2 && !strcmp(argv[1], "--while-trimming")) return take_while_trimming();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
