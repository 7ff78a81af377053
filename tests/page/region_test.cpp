// The region: what lies where, what can be read from the start, and what is had of a small address
// space.
#include "page/region.h"

#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "../preload/child.h"
#include "../smaps.h"
#include "os/file.h"
#include "os/memory.h"
#include "page/free_map.h"
#include "page/zone.h"
#include "started.h"

using namespace page_test;

namespace {

struct extent {
  const char* name;
  const char* begin;
  std::size_t size;
};

class Region : public testing::Test {
 protected:
  void SetUp() override { start_heap(); }
};

TEST_F(Region, ItsPartsFollowOneAnotherWithoutOverlap) {
  const extent parts[] = {
      {"cpu areas", static_cast<char*>(region.cpu_areas), percpu::areas_size(region.cpus)},
      {"class map", reinterpret_cast<char*>(class_map), region.frames.total},
      {"mem_map", reinterpret_cast<char*>(region.frames.map), region.frames.total * sizeof(page)},
      {"free map", region.frames.free_map, free_map::size_for(region.frames.total)},
      {"vm map", reinterpret_cast<char*>(region.vm_units.map),
       region.vm_units.total * sizeof(page)},
      {"frames", frames_base, region.frames.total << page_shift},
      {"vm area", region.vm_units.base, region.vm_units.total << vm_unit_shift}};
  for (std::size_t i = 0; i + 1 < std::size(parts); i++) {
    EXPECT_LE(parts[i].begin + parts[i].size, parts[i + 1].begin)
        << parts[i].name << " reaches into " << parts[i + 1].name;
    EXPECT_EQ(reinterpret_cast<uptr>(parts[i].begin) % page_size, 0u) << parts[i].name;
  }
}

TEST_F(Region, IsMuchLargerThanMemory) {
  rlimit limit;
  getrlimit(RLIMIT_AS, &limit);
  if (limit.rlim_cur != RLIM_INFINITY) GTEST_SKIP() << "needs a process without RLIMIT_AS";
  EXPECT_GE(region.frames.total << page_shift, std::max(tib, 4 * os::physical_memory()));
}

TEST_F(Region, FramesBeginWhereTheLargestBlockIsAligned) {
  EXPECT_EQ(reinterpret_cast<uptr>(frames_base) % (page_size << max_order), 0u);
}

TEST_F(Region, AddressAndMapEntryLeadToOneAnother) {
  for (const frame_space* space : {&region.frames, &region.vm_units}) {
    const std::size_t unit = std::size_t{1} << space->shift;
    for (std::size_t number : {std::size_t{0}, std::size_t{1}, space->total - 1}) {
      page* entry = space->page_at(number);
      char* address = space->address_of(entry);
      EXPECT_EQ(space->number_of(entry), number);
      EXPECT_EQ(address, space->base + number * unit);
      EXPECT_EQ(space->page_of(address), entry);
      EXPECT_EQ(space->page_of(address + unit - 1), entry);
    }
    EXPECT_TRUE(space->contains(space->base));
    EXPECT_FALSE(space->contains(space->base - 1));
    EXPECT_TRUE(space->contains(space->base + (space->total << space->shift) - 1));
    EXPECT_FALSE(space->contains(space->base + (space->total << space->shift)));
  }
}

// free() looks at the class map before it knows whether a frame was ever used.
TEST_F(Region, TheWholeClassMapCanBeReadAndIsZeroBeyondWhatIsCommitted) {
  const std::size_t used = region.committed >> page_shift;
  for (std::size_t frame = used; frame < region.frames.total; frame += region.frames.total / 1024) {
    ASSERT_EQ(class_map[frame], 0) << "frame " << frame;
  }
  EXPECT_EQ(class_map[region.frames.total - 1], 0);
}

TEST_F(Region, CommittedFramesCanBeWrittenAndHaveAMap) {
  bool clean;
  page* head = normal_zone.allocate(1, 1, &clean);
  ASSERT_NE(head, nullptr);
  EXPECT_TRUE(in_frames(region.frames.address_of(head)));
  EXPECT_FALSE(in_frames(frames_base + region.committed));
  EXPECT_FALSE(in_frames(frames_base - 1));
  EXPECT_FALSE(in_frames(nullptr));
  EXPECT_LE(region.committed >> page_shift, region.frames.mapped);
  for (std::size_t i = 0; i < region.frames.mapped; i += 64) {
    [[maybe_unused]] const volatile page_kind kind = region.frames.page_at(i)->kind;
  }
  normal_zone.free(head, 1, clean);
}

// In a child that has so much more address space than it has mapped so far.
preload_test::child_result reserve_within(std::size_t bytes, void (*then)(bool reserved)) {
  return preload_test::run_in_child([=] {
    char line[64] = {};
    os::read_file("/proc/self/statm", line, sizeof line - 1);
    const std::size_t limit = os::parse_decimal(line) * page_size + bytes;
    const rlimit address_space = {limit, limit};
    if (setrlimit(RLIMIT_AS, &address_space) != 0) _exit(9);
    region.frames.mapped = region.vm_units.mapped = 0;
    then(reserve_region(2, 1 * mib));
  });
}

TEST_F(Region, UnderALimitItLeavesTheProgramRoomAndUsesMostOfTheRest) {
  for (std::size_t limit : {64 * mib, 200 * mib, 1 * gib, 3 * gib}) {
    const auto ended = reserve_within(limit, [](bool reserved) {
      if (!reserved) _exit(1);
      if (!commit_map(&region.frames, region.frames.total)) _exit(2);
      if (!os::commit(frames_base, region.frames.total << page_shift)) _exit(3);
      mark(frames_base, region.frames.total, 1);
      if (region.vm_units.total && !commit_map(&region.vm_units, 1)) _exit(4);
      const std::size_t left = os::address_space_left();
      const std::size_t frames = region.frames.total << page_shift;
      if (left < frames / 8 || left > 2 * frames) _exit(5);
    });
    EXPECT_TRUE(ended.succeeded()) << limit / mib << " MiB: status " << ended.status;
  }
}

// As RLIMIT_DATA counts: private memory that may be written to.
std::size_t data_size() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmData:")) return std::stoul(line.substr(7)) * kib;
  }
  abort();
}

TEST_F(Region, CountsForNoLimitOfDataUntilItIsUsed) {
  const auto ended = preload_test::run_in_child([] {
    const std::size_t before = data_size();
    if (!reserve_region(100, percpu::areas_size(100))) _exit(1);
    if (data_size() > before + 1 * mib) _exit(2);
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status << "\n" << ended.errors;
}

// A huge page is 2 MiB.
TEST_F(Region, ThatIsFirstTouchedHasRoomForNoHugePage) {
  const auto ended = reserve_within(3 * gib, [](bool reserved) {
    if (!reserved) _exit(1);
    zone z(&region.frames, &region_backing, zone_kind::normal);
    bool clean;
    if (!z.allocate(1, 1, &clean)) _exit(2);
    if (z.committed_pages() << page_shift >= 2 * mib) _exit(3);
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status << "\n" << ended.errors;
}

// Buddies merge beyond the alignment that a small region has; what they become is no block.
TEST_F(Region, UnderALimitNoBlockIsLargerThanItIsAligned) {
  const auto ended = reserve_within(1 * gib, [](bool reserved) {
    if (!reserved) _exit(1);
    zone z(&region.frames, &region_backing, zone_kind::normal);
    const std::size_t pages = region.alignment >> page_shift;
    const unsigned order = order_of_pages(pages);
    bool clean;
    page* head = z.allocate(2 * pages, 1, &clean);
    if (!head) _exit(2);
    z.free(head, 2 * pages, clean);
    if (z.allocate(2 * pages, 2 * pages, &clean)) _exit(3);
    if (z.allocate_briefly(order + 1, &clean, reserve::use)) _exit(4);
    if (!z.allocate_briefly(order, &clean, reserve::use)) _exit(5);
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status << "\n" << ended.errors;
}

TEST_F(Region, IsRefusedWhereThereIsNoRoomForASmallOne) {
  const auto ended = reserve_within(2 * mib, [](bool reserved) { _exit(reserved ? 1 : 0); });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status << "\n" << ended.errors;
}

// Else it would be in every core dump from then on, and be made of more mappings.
TEST_F(Region, StaysOutOfCoreDumpsWhereACommitIsRefused) {
  const auto ended = preload_test::run_in_child([] {
    char* last = frames_base + (region.frames.total << page_shift) - 16 * mib;
    if (!has_flag(last, "dd")) _exit(1);
    // Not 0, which the kernel takes for no limit below the hard one (mm/mmap.c, may_expand_vm).
    const rlimit none = {page_size, RLIM_INFINITY};
    const rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_DATA, &none);
    if (commit_part(last + mib, mib)) _exit(2);
    setrlimit(RLIMIT_DATA, &all);
    if (!has_flag(last, "dd")) _exit(3);
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status << ended.errors;
}

}  // namespace
