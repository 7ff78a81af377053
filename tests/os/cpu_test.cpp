// Processors and the rseq area that glibc registers (glibc manual, "Restartable Sequences").
#include "os/cpu.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "../preload/child.h"
#include "os/auxv.h"

extern "C" {
extern const std::ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));
}

using namespace quarry;

namespace {

constexpr unsigned signature = 0x53053053;  // sys/rseq.h, x86
constexpr std::ptrdiff_t cpu_id_offset = 4, rseq_cs_offset = 8, mm_cid_offset = 24;

char* thread_pointer() {
  return static_cast<char*>(__builtin_thread_pointer());
}

std::vector<unsigned> allowed_cpus() {
  cpu_set_t set;
  EXPECT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  std::vector<unsigned> cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

// In a thread of its own, so that the test's affinity stays.
template <class body_fn>
void on_cpu(unsigned cpu, body_fn body) {
  std::thread([&] {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    ASSERT_EQ(sched_setaffinity(0, sizeof set, &set), 0);
    body();
  }).join();
}

// rseq(2) answers EBUSY to a second registration of just the area that is registered, and EINVAL
// to any other address or size.
bool is_registered(char* area) {
  for (unsigned size = 32; size <= 256; size++) {
    if (syscall(SYS_rseq, area, size, 0, signature) == -1 && errno == EBUSY) return true;
  }
  return false;
}

TEST(Auxv, AnEntryThatIsNotThereIsZeroAndLeavesErrnoAlone) {
  errno = 77;
  EXPECT_EQ(os::auxv(987'654), 0u);
  EXPECT_EQ(errno, 77);
  EXPECT_EQ(os::auxv(AT_PAGESZ), page_size);
}

TEST(Cpu, EveryOneThatTheProcessMayUseIsPossible) {
  EXPECT_GT(os::possible_cpus(), allowed_cpus().back());
  EXPECT_GE(os::possible_cpus(), static_cast<unsigned>(sysconf(_SC_NPROCESSORS_CONF)));
  EXPECT_GE(os::cpu_bound(), os::possible_cpus());
  EXPECT_LE(os::cpu_bound(), 8192u);
}

TEST(Cpu, AsManyAreKnownToBePossibleWithoutSysfs) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, for chroot(2)";
  const unsigned possible = os::possible_cpus();
  const auto ended = preload_test::run_in_child([&] {
    if (chroot("/proc/self/fd") != 0) _exit(1);
    const unsigned without = os::possible_cpus();
    _exit(without >= possible && without <= 8192 ? 0 : 2);
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status;
}

TEST(Cpu, TheCurrentOneIsWhereTheThreadWasPut) {
  for (unsigned cpu : allowed_cpus()) {
    on_cpu(cpu, [cpu] { EXPECT_EQ(os::current_cpu(), cpu); });
  }
}

TEST(Rseq, IsFoundWhereGlibcRegisteredIt) {
  os::rseq_location location;
  const bool registered = &__rseq_size != nullptr && __rseq_size != 0;
  ASSERT_EQ(os::find_rseq(&location), registered);
  if (!registered) GTEST_SKIP() << "needs glibc >= 2.35 with rseq";
  EXPECT_EQ(location.cs, __rseq_offset + rseq_cs_offset);
  EXPECT_TRUE(location.index == __rseq_offset + mm_cid_offset ||
              location.index == __rseq_offset + cpu_id_offset);
  EXPECT_TRUE(is_registered(thread_pointer() + location.cs - rseq_cs_offset));
  EXPECT_FALSE(is_registered(thread_pointer() + location.cs - rseq_cs_offset + 32));
}

TEST(Rseq, EachThreadsIndexIsBelowThePossibleCpus) {
  os::rseq_location location;
  if (!os::find_rseq(&location)) GTEST_SKIP() << "needs glibc >= 2.35 with rseq";
  for (unsigned cpu : allowed_cpus()) {
    on_cpu(cpu, [&] {
      EXPECT_TRUE(is_registered(thread_pointer() + location.cs - rseq_cs_offset));
      const auto* index = reinterpret_cast<const volatile u32*>(thread_pointer() + location.index);
      EXPECT_LT(*index, os::possible_cpus());
      if (location.index == __rseq_offset + cpu_id_offset) {
        EXPECT_EQ(*index, cpu);
      }
    });
  }
}

TEST(Rseq, IsNotFoundWhereGlibcWasToldNotToRegisterIt) {
  const char* tunable = "glibc.pthread.rseq=0";
  if (const char* set = getenv("GLIBC_TUNABLES"); set && std::string(set) == tunable) {
    os::rseq_location location;
    EXPECT_FALSE(os::find_rseq(&location));
    return;
  }
  const auto ended = preload_test::run_in_child([&] {
    setenv("GLIBC_TUNABLES", tunable, 1);
    const auto* self = testing::UnitTest::GetInstance()->current_test_info();
    const std::string filter =
        std::string("--gtest_filter=") + self->test_suite_name() + "." + self->name();
    execl("/proc/self/exe", "cpu_test", filter.c_str(), nullptr);
    _exit(127);
  });
  EXPECT_TRUE(ended.succeeded()) << ended.errors;
}

TEST(Rseq, RunningSequencesCanBeRestartedOnceThatIsRegistered) {
  if (!os::register_restart()) GTEST_SKIP() << "needs Linux >= 5.10 with rseq";
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop)
      std::this_thread::yield();
  });
  EXPECT_TRUE(os::restart_sequences());
  stop = true;
  other.join();
}

}  // namespace
