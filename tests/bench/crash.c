/* A malloc that serves small programs well, and then dies. */
#include <stddef.h>

void* __libc_malloc(size_t);

void* malloc(size_t size) {
  static long calls;
  if (++calls > 100000) *(volatile int*)NULL = 1;
  return __libc_malloc(size);
}
