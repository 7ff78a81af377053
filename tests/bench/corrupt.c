/* A malloc that now and then changes a block of the size that bench_workload uses while it lives.
 */
#include <stddef.h>

void* __libc_malloc(size_t);

void* malloc(size_t size) {
  static unsigned char* last;
  static long calls;
  unsigned char* block = __libc_malloc(size);
  if (block != NULL && size >= 100 && size < 200) {
    if (++calls % 1000 == 0) last[50] ^= 1;
    last = block;
  }
  return block;
}
