/* A workload as bench/workloads has them: random blocks of a live set are replaced, and what they
 * hold is read back before. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { live = 1000, smallest = 100, sizes = 100 };

static uint64_t random_state = 1;

static uint64_t next(void) { /* xorshift64 */
  random_state ^= random_state << 13;
  random_state ^= random_state >> 7;
  return random_state ^= random_state << 17;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(int count, char** arguments) {
  static unsigned char* blocks[live];
  static size_t lengths[live];
  const long operations =
      count == 3 && strcmp(arguments[1], "--operations") == 0 ? atol(arguments[2]) : 1000000;
  uint64_t checksum = 0;
  double begin = now();
  for (long i = 0; i < operations; ++i) {
    const size_t slot = next() % live;
    for (size_t at = 0; at < lengths[slot]; ++at)
      checksum = checksum * 31 + blocks[slot][at];
    free(blocks[slot]);
    lengths[slot] = smallest + next() % sizes;
    blocks[slot] = malloc(lengths[slot]);
    if (blocks[slot] == NULL) return 1;
    memset(blocks[slot], (int)(i & 255), lengths[slot]);
  }
  const double seconds = now() - begin;
  printf("operations %ld\nseconds %.6f\noperations_per_second %.0f\n", operations, seconds,
         (double)operations / seconds);
  printf("checksum %016llx\nlive_blocks %d\n", (unsigned long long)checksum, live);
  return 0;
}
