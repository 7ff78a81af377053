// The areas that the arrays lie in: address space until a CPU is used, memory from then on. Each
// test starts the layer in a child, where no CPU has been used yet.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <thread>

#include "../preload/child.h"
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

TEST(Areas, AreCommittedUpToTheLastCpuThatWasUsed) {
  const auto ended = preload_test::run_in_child([] {
    start_arrays();
    const unsigned index = new_index(8, 100);
    if (percpu::has_arrays() || !is_without_array(index)) _exit(1);
    if (can_be_written(area_at(0))) _exit(2);
    for (unsigned cpu : allowed_cpus()) {
      put_on_cpu(0, cpu);
      const unsigned used = percpu::current();
      if (!percpu::grow(index, percpu::miss::empty) || !is_usable(index)) _exit(3);
      if (!can_be_written(area_at(used + 1) - 1)) _exit(4);
      if (used + 1 < percpu::area_count && can_be_written(area_at(used + 1))) _exit(5);
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
    if (percpu::grow(index, percpu::miss::full) == 0 || !is_usable(index)) _exit(3);
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
