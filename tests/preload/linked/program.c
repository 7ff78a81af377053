// A C program that has Quarry linked in: all sizes, aligned blocks, blocks of the C library,
// threads and fork.

#include <errno.h>
#include <malloc.h>
#include <pthread.h>

#include "check.h"

static void* allocate_in_thread(void* given) {
  void* blocks[1000];
  for (size_t i = 0; i < 1000; ++i) {
    blocks[i] = malloc(i + 1);
    CHECK(blocks[i]);
    memset(blocks[i], (int)i, i + 1);
  }
  for (size_t i = 0; i < 1000; ++i) {
    CHECK(((unsigned char*)blocks[i])[i] == (unsigned char)i);
    free(blocks[i]);
  }
  free(given);
  return malloc(100);
}

// Each thread frees a block of the main thread, which frees one of each.
static void check_threads(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; ++i) {
    CHECK(pthread_create(&threads[i], NULL, allocate_in_thread, malloc(5000)) == 0);
  }
  for (int i = 0; i < 4; ++i) {
    void* returned;
    CHECK(pthread_join(threads[i], &returned) == 0 && returned);
    free(returned);
  }
}

static void check_fork(void) {
  char* block = strdup("from the parent");
  const pid_t child = fork();
  if (child == 0) {
    CHECK(strcmp(block, "from the parent") == 0);
    free(block);
    check_threads();
    _exit(7);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  free(block);
}

static volatile int allocating = 1;

static void* allocate_all_the_time(void* unused) {
  for (size_t size = 1; allocating; size = size * 7 % 99991)
    free(malloc(size));
  return unused;
}

// Each child allocates although a thread that it does not have was inside malloc at the fork. One
// that waits for that thread is ended by the alarm.
static void check_fork_among_threads(void) {
  pthread_t threads[3];
  for (int i = 0; i < 3; ++i)
    CHECK(pthread_create(&threads[i], NULL, allocate_all_the_time, NULL) == 0);
  for (int i = 0; i < 200; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      for (size_t size = 1; size < 1000000; size += size / 2 + 1)
        free(malloc(size));
      _exit(7);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  }
  allocating = 0;
  for (int i = 0; i < 3; ++i)
    CHECK(pthread_join(threads[i], NULL) == 0);
}

static void check_aligned_and_impossible(void) {
  void* block = NULL;
  CHECK(posix_memalign(&block, 4096, 100) == 0 && (uintptr_t)block % 4096 == 0);
  free(block);
  volatile size_t impossible = PTRDIFF_MAX;
  errno = 0;
  CHECK(malloc(impossible) == NULL && errno == ENOMEM);
}

// Blocks that the C library itself allocates and the program frees.
static void check_blocks_of_the_library(void) {
  char* text = NULL;
  size_t size = 0;
  FILE* stream = open_memstream(&text, &size);
  for (int i = 0; i < 10000; ++i)
    fprintf(stream, "%d\n", i);
  CHECK(fclose(stream) == 0 && size == 48890 && malloc_usable_size(text) >= size);
  free(text);
}

int main(void) {
  const int is_quarrys = free_is_quarrys();
  printf("malloc is Quarry's: %s\n", is_quarrys ? "true" : "false");
  CHECK(is_quarrys);
  check_all_sizes();
  check_threads();
  check_fork();
  check_fork_among_threads();
  check_aligned_and_impossible();
  check_blocks_of_the_library();
  return 0;
}
