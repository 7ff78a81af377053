// idle_threads_program COUNT ALLOCATE: starts threads one after the other, each of which allocates
// and frees (unless ALLOCATE is 0) and then sleeps; prints by how many bytes they made the process
// grow.
#include <pthread.h>
#include <semaphore.h>

#include <vector>

#include "content.h"
#include "proc.h"

namespace {

bool allocating = false;
bool good = true;
sem_t finished;

// The same stack is touched whether the thread allocates or not, so that it cancels out.
[[gnu::noinline]] void touch_stack() {
  volatile unsigned char stack[32 << 10];
  for (std::size_t i = 0; i < sizeof stack; i += 512) {
    stack[i] = 1;
  }
}

void* work_and_sleep(void*) {
  touch_stack();
  if (allocating) {
    for (int i = 0; i < 20; ++i) {
      good &= survival::small_sizes_work(i);
    }
  }
  sem_post(&finished);
  for (;;) {
    pause();
  }
}

}  // namespace

int main(int, char** arguments) {
  const int count = atoi(arguments[1]);
  allocating = atoi(arguments[2]) != 0;
  sem_init(&finished, 0, 0);
  // Grown to its full size by a first round, so that the threads alone make the difference.
  for (int i = 0; i < 1000; ++i) {
    good &= survival::small_sizes_work(i);
  }
  std::vector<pthread_t> threads(count);
  pthread_attr_t small_stack;
  pthread_attr_init(&small_stack);
  pthread_attr_setstacksize(&small_stack, 256 << 10);
  const std::size_t before = survival::resident_bytes();
  for (pthread_t& thread : threads) {
    if (pthread_create(&thread, &small_stack, work_and_sleep, nullptr) != 0) {
      return 2;
    }
    sem_wait(&finished);
  }
  survival::sleep_milliseconds(1000);
  const std::size_t after = survival::resident_bytes();
  printf("%lld\n", static_cast<long long>(after) - static_cast<long long>(before));
  fflush(stdout);
  _exit(good ? 0 : 1);
}
