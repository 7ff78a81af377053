// Memory goes back to the system: at once when asked, and by the helper thread in an idle program.
#include "page/reclaim.h"

#include <dirent.h>
#include <unistd.h>

#include "../preload/child.h"
#include "../smaps.h"
#include "os/thread.h"
#include "page/page_alloc.h"
#include "page/zone.h"
#include "started.h"

using namespace page_test;

namespace {

constexpr std::size_t run_pages = 128 * mib >> page_shift;

unsigned threads_of_this_process() {
  DIR* tasks = opendir("/proc/self/task");
  unsigned count = 0;
  while (const dirent* entry = readdir(tasks))
    count += entry->d_name[0] != '.';
  closedir(tasks);
  return count;
}

// Takes 128 MiB and writes to them.
char* take_much() {
  bool clean;
  page* head = alloc_run(run_pages, run_pages, &clean);
  EXPECT_NE(head, nullptr);
  char* memory = region.frames.address_of(head);
  mark(memory, run_pages, 1);
  EXPECT_EQ(resident_pages(memory, run_pages << page_shift), run_pages);
  return memory;
}

// Frees what it takes, and tells where that is.
char* free_much() {
  char* memory = take_much();
  free_run(region.frames.page_of(memory), run_pages, false);
  return memory;
}

// The test's time limit ends what would never come.
template <class condition_fn>
void wait_until(condition_fn condition) {
  while (!condition())
    os::sleep_ms(10);
}

class Reclaim : public testing::Test {
 protected:
  void SetUp() override { start_heap(helper_thread::on); }
  void TearDown() override {
    wait_until([] { return threads_of_this_process() == threads_before; });
  }

  static unsigned threads_before;
};
unsigned Reclaim::threads_before = threads_of_this_process();

// Frees 128 MiB that were written but for the first page of each 2 MiB.
char* free_in_parts() {
  char* memory = take_much();
  page* head = region.frames.page_of(memory);
  constexpr std::size_t huge_pages = 2 * mib >> page_shift;
  for (std::size_t i = 0; i < run_pages; i += huge_pages)
    normal_zone.free(head + i + 1, huge_pages - 1, false);
  return memory;
}

TEST_F(Reclaim, WhatWentBackDoesNotReturnAsHugePages) {
  if (access("/sys/kernel/mm/transparent_hugepage", F_OK) != 0) GTEST_SKIP() << "needs huge pages";
  char* memory = free_in_parts();
  EXPECT_TRUE(reclaim_everything());
  EXPECT_EQ(resident_pages(memory, run_pages << page_shift), run_pages * page_size / (2 * mib));
  EXPECT_TRUE(has_flag(memory, "nh")) << smaps_field(memory, "VmFlags");
}

TEST_F(Reclaim, EverythingGoesBackAtOnceWhenAsked) {
  char* memory = free_much();
  EXPECT_TRUE(reclaim_everything());
  EXPECT_EQ(resident_pages(memory, run_pages << page_shift), 0u);
  EXPECT_EQ(normal_zone.dirty_pages(), 0u);
  EXPECT_FALSE(reclaim_everything()) << "there was nothing more to give";
}

TEST_F(Reclaim, SoMuchMayStayAsIsToBeKept) {
  reclaim_everything();
  bool clean;
  page* head = alloc_run(256, 256, &clean);
  char* memory = region.frames.address_of(head);
  mark(memory, 256, 1);
  free_run(head, 256, false);
  EXPECT_FALSE(reclaim_everything(1 * mib));
  EXPECT_EQ(resident_pages(memory, 1 * mib), 256u);
  EXPECT_TRUE(reclaim_everything());
  EXPECT_EQ(resident_pages(memory, 1 * mib), 0u);
}

TEST_F(Reclaim, MuchFreeMemoryGoesBackInAnIdleProgramAndTheHelperEnds) {
  char* memory = free_much();
  wait_until([&] { return resident_pages(memory, run_pages << page_shift) < run_pages / 8; });
  wait_until([] { return threads_of_this_process() == threads_before; });
}

TEST_F(Reclaim, PartsOfHugePagesGoBackTooWhileTheyAreMuch) {
  char* memory = free_in_parts();
  reclaim_if_much_is_free();
  wait_until([&] { return resident_pages(memory, run_pages << page_shift) < run_pages / 8; });
}

// Frees 128 MiB. Whether all of them are still in memory after 300 ms, in which the program takes
// other pages.
bool stay_while_at_work() {
  char* memory = free_much();
  std::vector<page*> taken;
  for (int i = 0; i < 30; i++) {
    os::sleep_ms(10);
    bool clean;
    taken.push_back(alloc_run(256, 256, &clean));
  }
  const bool stayed = resident_pages(memory, run_pages << page_shift) == run_pages;
  for (page* head : taken)
    free_run(head, 256, false);
  return stayed;
}

TEST_F(Reclaim, WhatIsSoonNeededAgainStaysLongerButNotInAnIdleProgram) {
  wait_until(stay_while_at_work);
  wait_until([] { return normal_zone.dirty_pages() < run_pages / 8; });
}

// The helper sees none of it to spare while the program is at work, and must not have ended by
// then.
TEST_F(Reclaim, WhatAProgramNeededInEveryPeriodGoesBackWhenItRests) {
  constexpr std::size_t pages = 32 * mib >> page_shift;
  for (int times = 12; times <= 30; times++) {
    for (int i = 0; i < times; i++) {
      bool clean;
      page* head = alloc_run(pages, pages, &clean);
      mark(region.frames.address_of(head), pages, 1);
      free_run(head, pages, false);
      os::sleep_ms(20);
    }
    wait_until([] { return normal_zone.dirty_pages() < pages / 8; });
  }
}

TEST_F(Reclaim, LittleFreeMemoryIsNotWorthAThread) {
  reclaim_everything();
  wait_until([] { return threads_of_this_process() == threads_before; });
  bool clean;
  page* head = alloc_run(256, 1, &clean);
  mark(region.frames.address_of(head), 256, 1);
  free_run(head, 256, false);
  EXPECT_EQ(threads_of_this_process(), threads_before);
}

TEST_F(Reclaim, ObjectsInArraysOfAnIdleProgramGoBackAsWell) {
  std::vector<void*> blocks;
  for (int i = 0; i < 200'000; i++)
    blocks.push_back(std::memset(allocate(512), 1, 512));
  const std::size_t used = normal_zone.used_pages();
  for (void* block : blocks)
    release(block, "free");
  wait_until([&] { return normal_zone.used_pages() < used / 8; });
}

TEST_F(Reclaim, AForkChildHasAHelperOfItsOwn) {
  free_much();
  const auto ended = preload_test::run_in_child([] {
    char* memory = free_much();
    wait_until([&] { return resident_pages(memory, run_pages << page_shift) < run_pages / 8; });
  });
  EXPECT_TRUE(ended.succeeded());
}

}  // namespace
