// A program that knows Quarry by its pages alone forks while another thread is in the middle of
// taking some: the child finds no lock held by a thread that it does not have.

#include <pthread.h>
#include <quarry/page.h>

#include "check.h"

enum { order = 9, forks = 500, patience_seconds = 20 };

static void take_and_free(void) {
  struct page* block = alloc_pages(GFP_KERNEL, order);
  CHECK(block);
  __free_pages(block, order);
}

static void* keep_busy(void* nothing) {
  for (;;)
    take_and_free();
  return nothing;
}

int main(void) {
  pthread_t thread;
  CHECK(pthread_create(&thread, NULL, keep_busy, NULL) == 0);
  for (int i = 0; i < forks; i++) {
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
      alarm(patience_seconds);  // to end it, should it wait for ever
      take_and_free();
      _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  return 0;
}
