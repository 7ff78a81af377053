// The areas that the arrays lie in: address space until a CPU is used, memory from then on. Each
// test starts the layer in a child, where no CPU has been used yet.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "../preload/child.h"
#include "../seccomp.h"
#include "arrays.h"

namespace {

using namespace percpu_test;

int some_object;

// As the kernel sees it, which writes nothing where one may not.
bool can_be_written(const void* address) {
  const int zeros = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  const bool done = read(zeros, const_cast<void*>(address), 1) == 1;
  close(zeros);
  return done;
}

const char* area_at(unsigned cpu) {
  return reinterpret_cast<const char*>(percpu::area_of(cpu));
}

bool is_usable(unsigned index) {
  return percpu::push(index, &some_object) && percpu::pop(index) == &some_object;
}

bool is_without_array(unsigned index) {
  return !percpu::push(index, &some_object) && !percpu::push_briefly(index, &some_object) &&
         !percpu::pop(index) && !percpu::pop_briefly(index);
}

TEST(Areas, OfTheCpusThatWereUsedAreCommittedAndNoOthers) {
  const auto ended = preload_test::run_in_child([] {
    start_arrays();
    const unsigned index = new_index(8, 100);
    if (percpu::has_arrays() || !is_without_array(index)) _exit(1);
    if (can_be_written(area_at(0))) _exit(2);
    std::vector<bool> used(percpu::area_count);
    const std::vector<unsigned> cpus = allowed_cpus();
    for (auto cpu = cpus.rbegin(); cpu != cpus.rend(); ++cpu) {
      put_on_cpu(0, *cpu);
      used[percpu::current()] = true;
      if (!percpu::grow(index, percpu::miss::empty) || !is_usable(index)) _exit(3);
      for (unsigned area = 0; area < percpu::area_count; area++) {
        if (can_be_written(area_at(area)) != used[area]) _exit(4);
        if (can_be_written(area_at(area + 1) - 1) != used[area]) _exit(5);
      }
    }
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status;
}

TEST(Areas, WithoutMemoryForOneThereAreNoArraysUntilThereIs) {
  const auto ended = preload_test::run_in_child([] {
    start_arrays();
    const unsigned index = new_index(8, 100);
    rlimit data;
    getrlimit(RLIMIT_DATA, &data);
    const rlimit nothing = {4096, data.rlim_max};  // 0 would stand for the hard limit
    setrlimit(RLIMIT_DATA, &nothing);
    if (percpu::grow(index, percpu::miss::full) != 0 || !is_without_array(index)) _exit(1);
    percpu::drain(false, discard);
    if (!percpu::note_miss(index, percpu::miss::full)) _exit(2);
    setrlimit(RLIMIT_DATA, &data);
    unsigned capacity = 0;
    for (int misses = 0; misses < 10'000 && capacity == 0; misses++)
      capacity = percpu::grow(index, percpu::miss::full);
    if (capacity == 0 || !is_usable(index)) _exit(3);
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status;
}

TEST(Areas, WhereOneWasRefusedTheSystemIsNotAskedAtEachMiss) {
  const auto ended = preload_test::run_in_child([] {
    start_arrays();
    const unsigned index = new_index(8, 100);
    const rlimit nothing = {4096, 4096};
    setrlimit(RLIMIT_DATA, &nothing);
    if (percpu::grow(index, percpu::miss::full) != 0) _exit(1);
    if (!seccomp_test::filter_calls(SYS_mprotect, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW))
      _exit(2);
    for (int misses = 0; misses < 100; misses++)
      if (percpu::grow(index, percpu::miss::full) != 0) _exit(3);
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status;
}

// Or the child would find a lock taken that the forking thread did not know of.
TEST(Areas, NoneIsOpenedDuringAFork) {
  const auto ended = preload_test::run_in_child([] {
    start_arrays();
    const unsigned index = new_index(8, 100);
    percpu::acquire_all();
    unsigned capacity = 1;
    std::thread([&] { capacity = percpu::grow(index, percpu::miss::empty); }).join();
    if (capacity != 0 || percpu::has_arrays()) _exit(1);
    percpu::release_all();
    if (percpu::grow(index, percpu::miss::empty) == 0) _exit(2);
  });
  EXPECT_TRUE(ended.succeeded()) << "status " << ended.status;
}

}  // namespace
