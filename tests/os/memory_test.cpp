// Address space and the memory behind it, checked by what the kernel says of it (mincore(2)).
#include "os/memory.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "../granted.h"
#include "../preload/child.h"
#include "../seccomp.h"
#include "../smaps.h"
#include "base/bits.h"
#include "kernel.h"
#include "os/file.h"

using namespace quarry;
using preload_test::run_in_child;

namespace {

constexpr std::size_t size = 16 * page_size;

std::size_t resident_pages(void* address, std::size_t bytes) {
  std::vector<unsigned char> pages(bytes / page_size);
  EXPECT_EQ(mincore(address, bytes, pages.data()), 0);
  return static_cast<std::size_t>(
      std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return p & 1; }));
}

bool reads_as(const char* memory, std::size_t bytes, char value) {
  return std::all_of(memory, memory + bytes, [=](char c) { return c == value; });
}

// A reservation that ends with the test.
class OsMemory : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(memory = static_cast<char*>(os::reserve(size)), nullptr); }
  void TearDown() override { os::release(memory, size); }

  static bool faults(const std::function<void()>& access) {
    return !run_in_child(access).succeeded();
  }
  bool read_faults() {
    return faults([this] { (void)*static_cast<volatile char*>(memory); });
  }
  bool write_faults() {
    return faults([this] { *static_cast<volatile char*>(memory) = 1; });
  }

  char* memory = nullptr;
};

TEST_F(OsMemory, AReservationIsAlignedAndCanNotBeTouched) {
  EXPECT_EQ(reinterpret_cast<uptr>(memory) % page_size, 0u);
  EXPECT_TRUE(read_faults());
  EXPECT_TRUE(write_faults());
}

TEST_F(OsMemory, ManyTimesThePhysicalMemoryCanBeReserved) {
  const std::size_t much = std::max<std::size_t>(4 * tib, 8 * os::physical_memory());
  void* reserved = os::reserve(much);
  ASSERT_NE(reserved, nullptr);
  os::release(reserved, much);
}

TEST_F(OsMemory, CommittedMemoryIsZeroWritableAndNotThereUntilTouched) {
  ASSERT_TRUE(os::commit(memory, size));
  EXPECT_EQ(resident_pages(memory, size), 0u);
  EXPECT_TRUE(reads_as(memory, size, 0));
  std::memset(memory, 7, size);
  EXPECT_EQ(resident_pages(memory, size), size / page_size);
}

TEST_F(OsMemory, CommittingAPartLeavesTheRestReserved) {
  ASSERT_TRUE(os::commit(memory + size / 2, size / 2));
  memory[size / 2] = 1;
  EXPECT_TRUE(read_faults());
}

TEST_F(OsMemory, ReadableMemoryReadsAsZeroAndCanNotBeWritten) {
  ASSERT_TRUE(os::make_readable(memory, size));
  EXPECT_TRUE(reads_as(memory, size, 0));
  EXPECT_TRUE(write_faults());
}

TEST_F(OsMemory, PopulatedMemoryIsThereBeforeItIsTouched) {
  if (!knows_populate()) GTEST_SKIP() << "needs Linux 5.14 (MADV_POPULATE_WRITE)";
  ASSERT_TRUE(os::commit(memory, size));
  memory[page_size] = 7;
  os::populate(memory, size / 2);
  EXPECT_EQ(resident_pages(memory, size), size / 2 / page_size);
  EXPECT_EQ(memory[page_size], 7);
  memory[page_size] = 0;
  EXPECT_TRUE(reads_as(memory, size, 0));
}

// Each in a process of its own, which then does without.
TEST_F(OsMemory, WhatCanNotBePopulatedStaysAsItIs) {
  EXPECT_TRUE(run_in_child([this] {
                os::populate(memory, size);
                if (!os::commit(memory, size) || !reads_as(memory, size, 0)) _exit(1);
                memory[0] = 7;
                os::populate(memory, size);
                if (memory[0] != 7 || !reads_as(memory + 1, size - 1, 0)) _exit(1);
              }).succeeded());
}

TEST_F(OsMemory, APopulateThatIsRefusedIsNotTriedAgain) {
  ASSERT_TRUE(os::commit(memory, size));
  const auto result = run_in_child([this] {
    using namespace seccomp_test;
    if (!refuse(SYS_madvise)) _exit(2);
    os::populate(memory, size);
    if (!filter_calls(SYS_madvise, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW)) _exit(1);
    os::populate(memory, size);
    if (!reads_as(memory, size, 0)) _exit(1);
  });
  if (WIFEXITED(result.status) && WEXITSTATUS(result.status) == 2)
    GTEST_SKIP() << "needs seccomp filters";
  EXPECT_TRUE(result.succeeded()) << "status " << result.status;
}

TEST_F(OsMemory, PurgedMemoryIsGoneReadsAsZeroAndStaysCommitted) {
  ASSERT_TRUE(os::commit(memory, size));
  std::memset(memory, 7, size);
  ASSERT_TRUE(os::purge(memory, size / 2));
  EXPECT_EQ(resident_pages(memory, size), size / 2 / page_size);
  EXPECT_TRUE(reads_as(memory, size / 2, 0));
  EXPECT_TRUE(reads_as(memory + size / 2, size / 2, 7));
  memory[0] = 1;
}

// Two huge pages, the first of which is in memory. Its mapping has no other.
class OsHugePage : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(memory = static_cast<char*>(os::reserve_below(tib, 2 * os::huge_page_size)), nullptr);
    ASSERT_TRUE(os::commit(memory, 2 * os::huge_page_size));
    os::prefer_huge_pages(memory, 2 * os::huge_page_size);
    memory[0] = 7;
    if (huge_bytes() == 0) {
      ASSERT_FALSE(granted::huge_page()) << "what is preferred does not come";
      GTEST_SKIP() << "needs transparent_hugepage/enabled at madvise or always, and 2 MiB in one";
    }
  }
  void TearDown() override { os::release(memory, 2 * os::huge_page_size); }

  std::size_t huge_bytes() const { return std::stoul(smaps_field(memory, "AnonHugePages")) * kib; }
  static std::size_t pages_cut_up() {
    std::ifstream counters("/proc/vmstat");
    std::string name;
    for (std::size_t value; counters >> name >> value;)
      if (name == "thp_split_page") return value;
    return 0;
  }

  char* memory = nullptr;
};

TEST_F(OsHugePage, ComesAsAWholeWhereItIsPreferred) {
  EXPECT_EQ(huge_bytes(), os::huge_page_size);
  EXPECT_EQ(resident_pages(memory, os::huge_page_size), os::huge_page_size / page_size);
}

TEST_F(OsHugePage, DoesNotComeWherePagesAreToBeKeptSmall) {
  os::keep_pages_small(memory, 2 * os::huge_page_size);
  memory[os::huge_page_size] = 7;
  EXPECT_EQ(resident_pages(memory + os::huge_page_size, os::huge_page_size), 1u);
}

TEST_F(OsHugePage, IsCutUpWhereAPartIsPurged) {
  const std::size_t before = pages_cut_up();
  constexpr std::size_t half = os::huge_page_size / 2;
  ASSERT_TRUE(os::purge_in_part(memory + half, half));
  EXPECT_EQ(huge_bytes(), 0u);
  EXPECT_EQ(resident_pages(memory, os::huge_page_size), half / page_size);
  EXPECT_EQ(memory[0], 7);
  EXPECT_TRUE(reads_as(memory + half, half, 0));
  EXPECT_GT(pages_cut_up(), before) << "the system keeps what was given back";
}

TEST_F(OsMemory, LockedMemoryIsNotPurgedAndKeepsItsContents) {
  ASSERT_TRUE(os::commit(memory, size));
  std::memset(memory, 7, size);
  // Not libc's mlock(), which AddressSanitizer makes do nothing.
  if (syscall(SYS_mlock, memory, size) != 0)
    GTEST_SKIP() << "needs RLIMIT_MEMLOCK of " << size << " bytes";
  EXPECT_FALSE(os::purge(memory, size));
  EXPECT_FALSE(os::purge_in_part(memory, size));
  EXPECT_TRUE(reads_as(memory, size, 7));
}

// The ranges are every other two of its pages.
class OsRanges : public OsMemory {
 protected:
  void SetUp() override {
    OsMemory::SetUp();
    os::find_purge_each();
    ASSERT_TRUE(os::commit(memory, size));
    std::memset(memory, 7, size);
    for (unsigned i = 0; i < count; i++)
      ranges[i] = {memory + 4 * i * page_size, 2 * page_size};
  }
  static constexpr unsigned count = size / page_size / 4;
  iovec ranges[count];
};

TEST_F(OsRanges, ArePurgedAtOnceUpToTheFirstThatIsLocked) {
  void* locked = ranges[2].iov_base;
  if (syscall(SYS_mlock, locked, page_size) != 0) GTEST_SKIP() << "needs RLIMIT_MEMLOCK";
  const unsigned gone = os::purge_each(ranges, count);
  syscall(SYS_munlock, locked, page_size);
  iovec probe = {memory + 2 * page_size, page_size};
  constexpr int self = -10000;  // linux/pidfd.h, PIDFD_SELF_THREAD
  if (syscall(SYS_process_madvise, self, &probe, 1, MADV_DONTNEED, 0) < 0)
    GTEST_SKIP() << "needs process_madvise(2) of the caller's own memory";
  EXPECT_EQ(gone, 2u);
  for (unsigned i = 0; i < count; i++)
    EXPECT_TRUE(reads_as(memory + 4 * i * page_size, 2 * page_size, i < gone ? 0 : 7)) << i;
  EXPECT_EQ(os::purge_each(ranges, count), count);
  EXPECT_EQ(resident_pages(memory, size), size / page_size - 2 * count - 1);
}

TEST_F(OsRanges, AreNotPurgedAtOnceUnderAFilter) {
  const auto result = run_in_child([this] {
    using namespace seccomp_test;
    if (!filter_calls(SYS_process_madvise, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW)) _exit(2);
    if (os::purge_each(ranges, count) != 0 || !reads_as(memory, size, 7)) _exit(1);
  });
  if (WIFEXITED(result.status) && WEXITSTATUS(result.status) == 2)
    GTEST_SKIP() << "needs seccomp filters";
  EXPECT_TRUE(result.succeeded()) << "status " << result.status;
}

TEST_F(OsMemory, DecommittedMemoryIsABareReservationAgain) {
  ASSERT_TRUE(os::commit(memory, size));
  std::memset(memory, 7, size);
  EXPECT_TRUE(os::decommit(memory, size));
  EXPECT_TRUE(read_faults());
  ASSERT_TRUE(os::commit(memory, size));
  EXPECT_TRUE(reads_as(memory, size, 0));
}

// Neither may the reservation be mapped, which would count as locked, nor locked memory be purged.
TEST_F(OsMemory, LockedMemoryIsDecommittedBeyondTheLimitToo) {
  ASSERT_TRUE(os::commit(memory, size));
  std::memset(memory, 7, size);
  const auto ended = run_in_child([&] {
    const rlimit little = {page_size, page_size};
    if (setrlimit(RLIMIT_MEMLOCK, &little) != 0) _exit(1);
    if (geteuid() == 0 && syscall(SYS_setresuid, 65534, 65534, 65534) != 0) _exit(2);
    // Not libc's, which AddressSanitizer makes do nothing.
    if (syscall(SYS_mlockall, MCL_FUTURE) != 0) _exit(3);
    if (os::reserve(size)) _exit(4);
    if (!os::decommit(memory, size)) _exit(5);
    if (!os::commit(memory, size) || !reads_as(memory, size, 0)) _exit(6);
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status << "\n" << ended.errors;
}

TEST_F(OsMemory, ReleasedMemoryIsNoLongerMapped) {
  os::release(memory + size / 2, size / 2);
  unsigned char page;
  EXPECT_EQ(mincore(memory, page_size, &page), 0);
  EXPECT_EQ(mincore(memory + size / 2, page_size, &page), -1);
}

TEST_F(OsMemory, MovedPagesAreAtTheirNewPlaceAndLeaveZeroBehind) {
  constexpr std::size_t half = size / 2;
  ASSERT_TRUE(os::commit(memory, half));
  for (std::size_t i = 0; i < half; i++)
    memory[i] = static_cast<char>(i * 7);
  ASSERT_TRUE(os::move_pages(memory, memory + half, half));
  EXPECT_EQ(resident_pages(memory, half), 0u);
  EXPECT_EQ(resident_pages(memory + half, half), half / page_size);
  for (std::size_t i = 0; i < half; i++)
    ASSERT_EQ(memory[half + i], static_cast<char>(i * 7));
  EXPECT_TRUE(reads_as(memory, half, 0));
  memory[0] = 1;
  EXPECT_NE(memory[half], 1);
}

// mremap(2) unmaps the target before it finds that a limit does not allow the move. What is then
// mapped there by another thread must not be taken for the target.
TEST_F(OsMemory, TheTargetOfAMoveThatFailsIsStillReserved) {
  constexpr std::size_t half = size / 2;
  ASSERT_TRUE(os::commit(memory, half));
  const auto ended = run_in_child([&] {
    const rlimit nothing_more = {0, 0};
    if (setrlimit(RLIMIT_DATA, &nothing_more) != 0) _exit(1);
    if (os::move_pages(memory, memory + half, half)) _exit(2);
    unsigned char resident[half / page_size];
    if (mincore(memory + half, half, resident) != 0) _exit(3);
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status;
}

// Whether a debugger's core dump has the page.
bool is_dumped(const void* address) {
  return !has_flag(address, "dd");
}

TEST_F(OsMemory, CoreDumpsHaveWhatIsCommittedAlone) {
  EXPECT_FALSE(is_dumped(memory));
  ASSERT_TRUE(os::commit(memory, size / 2));
  EXPECT_TRUE(is_dumped(memory));
  EXPECT_FALSE(is_dumped(memory + size / 2));
  ASSERT_TRUE(os::move_pages(memory, memory + size / 2, size / 4));
  EXPECT_TRUE(is_dumped(memory));
  EXPECT_TRUE(is_dumped(memory + size / 2));
  ASSERT_TRUE(os::decommit(memory, size));
  EXPECT_FALSE(is_dumped(memory));
  EXPECT_FALSE(is_dumped(memory + size / 2));
}

TEST_F(OsMemory, WhatFailsSaysSoAndLeavesErrnoAlone) {
  os::release(memory, size);
  errno = EXDEV;
  EXPECT_FALSE(os::commit(memory, size));
  EXPECT_FALSE(os::make_readable(memory, size));
  EXPECT_FALSE(os::purge(memory, size));
  EXPECT_EQ(os::reserve(SIZE_MAX / 2 + 1), nullptr);
  EXPECT_EQ(errno, EXDEV);
  memory = static_cast<char*>(os::reserve(size));
}

TEST(OsLimits, PhysicalMemoryIsWhatTheSystemSays) {
  const auto pages = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES));
  EXPECT_EQ(os::physical_memory(), pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
}

TEST(OsLimits, WithoutALimitOfAddressSpaceAllOfItIsLeft) {
  rlimit limit;
  getrlimit(RLIMIT_AS, &limit);
  if (limit.rlim_cur != RLIM_INFINITY) GTEST_SKIP() << "needs a process without RLIMIT_AS";
  EXPECT_EQ(os::address_space_left(), SIZE_MAX);
}

TEST(OsLimits, UnderALimitOfAddressSpaceWhatIsLeftCanBeReservedAndNoMore) {
  const auto ended = run_in_child([] {
    char line[64] = {};
    os::read_file("/proc/self/statm", line, sizeof line - 1);
    const std::size_t mapped = os::parse_decimal(line) * page_size;
    const rlimit limit = {mapped + gib, mapped + gib};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(1);
    const std::size_t left = align_down(os::address_space_left(), page_size);
    if (left < gib - 64 * mib || left > gib) _exit(2);
    if (os::reserve(left + mib) != nullptr) _exit(3);
    if (os::reserve(left - mib) == nullptr) _exit(4);
    if (os::address_space_left() > 2 * mib) _exit(5);
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status << "\n" << ended.errors;
}

}  // namespace
