/* A C program linked with Quarry: are its blocks in Quarry's slabs, and in mallinfo2? */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "slabs.h"

enum { blocks = 100000, block_size = 1000 };

int main(void) {
  static void* block[blocks];
  const unsigned long objects_before = objects_in_slabs();
  const size_t bytes_before = mallinfo2().uordblks;
  for (int i = 0; i < blocks; i++) {
    block[i] = malloc(block_size);
  }
  const size_t bytes = mallinfo2().uordblks - bytes_before;
  const unsigned long objects = objects_in_slabs() - objects_before;
  for (int i = 0; i < blocks; i++) {
    free(block[i]);
  }
  printf("%lu objects, %zu bytes more\n", objects, bytes);
  if (objects < blocks || bytes < (size_t)blocks * block_size) {
    return 1;
  }
  puts("malloc is Quarry's");
  return 0;
}
