// What the linked programs share: a check that ends the program with a line, and the question whose
// malloc this is. In C and C++.
#ifndef QUARRY_TESTS_LINKED_CHECK_H
#define QUARRY_TESTS_LINKED_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                \
    }                                                                         \
  } while (0)

// Quarry names itself when free is used wrongly, which works in a static program too, where no
// loader can be asked. That free is Quarry's and takes what malloc gave shows that malloc is
// Quarry's.
static inline int free_is_quarrys(void) {
  int ends[2];
  char text[200] = "";
  CHECK(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    dup2(ends[1], STDERR_FILENO);
    void* volatile wrong = (void*)(uintptr_t)0x10;
    free(wrong);
    _exit(0);
  }
  close(ends[1]);
  const ssize_t length = read(ends[0], text, sizeof text - 1);
  close(ends[0]);
  waitpid(child, NULL, 0);
  return length > 0 && strncmp(text, "quarry: free(0x10)", 18) == 0;
}

// One block of each size between 1 byte and 100 MB, about half as much again each time.
static inline void check_all_sizes(void) {
  for (size_t size = 1; size < 100000000; size += size / 2 + 1) {
    char* block = (char*)malloc(size);
    CHECK(block);
    memset(block, 0x5a, size);
    block = (char*)realloc(block, 2 * size);
    CHECK(block && block[0] == 0x5a && block[size - 1] == 0x5a);
    char* zeros = (char*)calloc(2, size);
    CHECK(zeros && zeros[0] == 0 && zeros[2 * size - 1] == 0);
    free(block);
    free(zeros);
  }
}

#endif
