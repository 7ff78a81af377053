/* A malloc under which a program of one thread takes three times as long: from time to time it
 * spins for twice the time since it last did so. */
#include <stddef.h>
#include <time.h>

void* __libc_malloc(size_t);

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void* malloc(size_t size) {
  static long calls;
  static double since;
  if (++calls % 64 == 0) {
    const double time = now();
    if (since != 0)
      while (now() - time < 2 * (time - since))
        continue;
    since = now();
  }
  return __libc_malloc(size);
}
