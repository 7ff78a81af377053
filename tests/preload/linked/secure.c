// The program of set_uid_test.cpp: allocates, and says by its exit status whether the kernel runs
// it in secure mode (getauxval(3), AT_SECURE).

#include <stdlib.h>
#include <sys/auxv.h>

int main(void) {
  void* volatile block = malloc(100);
  if (!block) return 1;
  free(block);
  return getauxval(AT_SECURE) ? 11 : 10;
}
