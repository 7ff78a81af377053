// migration_program MILLISECONDS: threads allocate from the first moment of a process while they
// are moved from one CPU to another. The program is short, so that most of it is the time in which
// arrays get their first slots; what a migration may not do then is make a request fail.
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>

#include "busy_threads.h"
#include "proc.h"

namespace {

constexpr int workers = 8;
std::atomic<pid_t> ids[workers];
std::atomic<bool> stopping{false};
std::atomic<int> failures{0};

void fail(const char* what) {
  if (failures.fetch_add(1) == 0) {
    fprintf(stderr, "%s\n", what);
  }
}

// Takes enough of one size at a time to need new slabs.
void take_a_batch(survival::generator& random) {
  constexpr int count = 64;
  const std::size_t size = 1 + random.below(2000);
  survival::block batch[count];
  for (survival::block& b : batch) {
    b = survival::take(size, random.next());
    if (b.bytes == nullptr) {
      fail("a small request was refused");
    }
  }
  for (survival::block& b : batch) {
    if (b.bytes != nullptr && !survival::give_back(b)) {
      fail("a block was broken");
    }
  }
}

void* allocate(void* argument) {
  const auto number = reinterpret_cast<std::uintptr_t>(argument);
  ids[number] = static_cast<pid_t>(syscall(SYS_gettid));
  survival::generator random(number * getpid());
  survival::churn mine(random.next(), 64 << 10);
  while (!stopping.load(std::memory_order_relaxed)) {
    take_a_batch(random);
    if (!mine.step()) {
      fail("a request was refused, or a block was broken");
    }
  }
  return nullptr;
}

// Between the first two CPUs that the process may use.
void move_threads(const cpu_set_t& allowed) {
  static int turn = 0;
  ++turn;
  for (int i = 0; i < workers; ++i) {
    cpu_set_t one;
    CPU_ZERO(&one);
    int wanted = (turn + i) % 2;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &allowed) && wanted-- == 0) {
        CPU_SET(cpu, &one);
        break;
      }
    }
    if (const pid_t id = ids[i].load()) {
      sched_setaffinity(id, sizeof one, &one);
    }
  }
}

}  // namespace

int main(int, char** arguments) {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  const double until = survival::seconds_now() + atoi(arguments[1]) / 1000.0;
  pthread_t threads[workers];
  for (std::uintptr_t i = 0; i < workers; ++i) {
    pthread_create(&threads[i], nullptr, allocate, reinterpret_cast<void*>(i));
  }
  while (survival::seconds_now() < until) {
    move_threads(allowed);
    usleep(50);
  }
  stopping = true;
  for (pthread_t thread : threads) {
    pthread_join(thread, nullptr);
  }
  return failures == 0 ? 0 : 1;
}
