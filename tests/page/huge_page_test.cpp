// With the option `huge` a zone that has grown large takes huge pages, and gives them back as such
// while it can. Of what the kernel makes of that see os/memory_test.cpp: here the mapping's flags
// tell what was asked for.
#include "../preload/child.h"
#include "../smaps.h"
#include "page/zone.h"
#include "started.h"

using namespace page_test;
using preload_test::run_in_child;

namespace {

constexpr std::size_t huge_pages = 2 * mib >> page_shift;
constexpr std::size_t large = 64 * mib >> page_shift;

bool is_known() {
  return access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0;
}

char* frame(std::size_t number) {
  return frames_base + (number << page_shift);
}

// As start_heap(), with one more option, and its first 64 MiB are in use.
void start_large_heap(const char* option) {
  const char* others = getenv("QUARRY_CONF");
  setenv("QUARRY_CONF", (std::string(others ? others : "") + "," + option).c_str(), 1);
  start_heap();
  bool clean;
  [[maybe_unused]] static page* const first = normal_zone.allocate(large, 1, &clean);
}

// A run of so many pages beyond those, all written to.
page* take_beyond(std::size_t pages) {
  bool clean;
  page* head = normal_zone.allocate(pages, large, &clean);
  EXPECT_NE(head, nullptr);
  EXPECT_GE(region.frames.number_of(head), large);
  mark(region.frames.address_of(head), pages, 1);
  return head;
}

std::size_t resident(page* head, std::size_t pages) {
  return resident_pages(region.frames.address_of(head), pages << page_shift);
}

// Before the other tests, since the heap starts in a process of its own.
TEST(NoHugePage, IsAskedForWhereTheOptionIsOff) {
  if (!is_known()) GTEST_SKIP() << "needs huge pages";
  const auto ended = run_in_child([] {
    start_large_heap("huge:off");
    page* head = take_beyond(huge_pages);
    if (has_flag(region.frames.address_of(head), "hg")) _exit(1);
    normal_zone.free(head + 1, 1, false);
    normal_zone.start_period();
    if (normal_zone.purge(0, purge_depth::whole) == 0) _exit(2);
    if (resident(head, huge_pages) != huge_pages - 1) _exit(3);
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status << "\n" << ended.errors;
}

class HugePage : public testing::Test {
 protected:
  void SetUp() override {
    if (!is_known()) GTEST_SKIP() << "needs huge pages";
    start_large_heap("huge:on");
  }
};

TEST_F(HugePage, IsAskedForBeyondTheFirst64MiB) {
  page* head = take_beyond(huge_pages);
  EXPECT_FALSE(has_flag(frame(0), "hg"));
  EXPECT_FALSE(has_flag(frame(large - 1), "hg"));
  EXPECT_TRUE(has_flag(frame(large), "hg"));
  EXPECT_TRUE(has_flag(frame(normal_zone.committed_pages() - 1), "hg"));
  EXPECT_EQ(normal_zone.committed_pages() % huge_pages, 0u);
  normal_zone.free(head, huge_pages, false);
}

TEST_F(HugePage, GoesBackAsAWhole) {
  page* head = take_beyond(2 * huge_pages);
  normal_zone.free(head + 1, 2 * huge_pages - 1, false);
  normal_zone.start_period();
  EXPECT_GE(normal_zone.purge(0, purge_depth::whole), huge_pages);
  EXPECT_EQ(resident(head, huge_pages), huge_pages);
  EXPECT_EQ(resident(head + huge_pages, huge_pages), 0u);
  EXPECT_TRUE(has_flag(frame(large), "hg"));
  normal_zone.free(head, 1, false);
}

TEST_F(HugePage, GoesBackInPartsWhereThatIsWantedAndIsNotAskedForThereAgain) {
  page* head = take_beyond(huge_pages);
  normal_zone.free(head + 1, huge_pages - 1, false);
  normal_zone.start_period();
  EXPECT_GE(normal_zone.purge(0, purge_depth::unused), huge_pages - 1);
  EXPECT_EQ(resident(head, huge_pages), 1u);
  EXPECT_TRUE(is_marked(region.frames.address_of(head), 1, 1));
  const std::size_t end = normal_zone.committed_pages();
  EXPECT_TRUE(has_flag(frame(large), "nh"));
  EXPECT_TRUE(has_flag(frame(end - 1), "nh"));

  // What is smaller goes back there as anywhere from then on, until the zone grows.
  normal_zone.free(head, 1, false);
  page* part = take_beyond(2);
  normal_zone.free(part, 1, false);
  normal_zone.start_period();
  EXPECT_GE(normal_zone.purge(0, purge_depth::whole), 1u);
  EXPECT_EQ(resident(part, 2), 1u);
  bool clean;
  page* rest = normal_zone.allocate(end, 1, &clean);
  ASSERT_NE(rest, nullptr);
  EXPECT_TRUE(has_flag(frame(normal_zone.committed_pages() - 1), "hg"));
  normal_zone.free(rest, end, clean);
  normal_zone.free(part + 1, 1, false);
}

}  // namespace
