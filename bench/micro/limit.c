/*
 * The least that a preloaded malloc can cost: free pushes a pointer on a bare array of the thread,
 * malloc pops it; no size, no check. Where the array is empty, a block is cut from one reserved
 * mapping, all of one size but for the first few that are larger.
 *
 * It serves one micro row in a process of its own and nothing else: what is popped for a larger
 * request runs into its neighbours, which does no harm where the row has one such block and writes
 * its first byte alone. The array cannot overflow: no more blocks are cut than it can hold.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/* A block is more than a row of 1000 blocks, or the report of its figures, takes at once; and a
 * line more, so that the blocks do not share one cache set. */
enum { most_blocks = 2048, spacing = 16 * 1024 + 64, huge_page = 2 << 20 };

static const size_t region_size = (size_t)most_blocks * spacing;

static _Thread_local struct {
  size_t count;
  void* blocks[most_blocks];
} stack __attribute__((tls_model("initial-exec")));

static char* region;
static size_t cut; /* Bytes of the region so far. */

/* In huge pages, so that blocks at such a distance do not cost a miss of the TLB each, and all
 * there before the clock runs. */
static void reserve(void) {
  char* mapping = mmap(NULL, region_size + huge_page, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return;
  region = mapping + (-(uintptr_t)mapping & (huge_page - 1));
  madvise(region, region_size, MADV_HUGEPAGE);
  for (size_t at = 0; at < region_size; at += 4096)
    ((volatile char*)region)[at] = 0;
}

__attribute__((noinline, cold)) static void* cut_block(size_t size) {
  if (region == NULL) reserve(); /* By the loader or a constructor, while there is one thread. */
  const size_t bytes = size > spacing ? (size + 63) & -64ul : spacing;
  const size_t begin = __atomic_fetch_add(&cut, bytes, __ATOMIC_RELAXED);
  if (region != NULL && begin + bytes <= region_size) return region + begin;
  errno = ENOMEM;
  return NULL;
}

void* malloc(size_t size) {
  if (__builtin_expect(stack.count == 0, 0)) return cut_block(size);
  return stack.blocks[--stack.count];
}

void free(void* block) {
  if (block != NULL) stack.blocks[stack.count++] = block;
}

void* calloc(size_t count, size_t size) {
  void* block = malloc(count * size);
  return block != NULL ? memset(block, 0, count * size) : NULL;
}

void* realloc(void* block, size_t size) {
  return block != NULL ? block : malloc(size);
}

/* operator new and delete, which would otherwise pay for a second call. */
void* _Znwm(size_t size) __attribute__((alias("malloc")));
void _ZdlPv(void* block) __attribute__((alias("free")));
void _ZdlPvm(void* block, size_t size);

void _ZdlPvm(void* block, size_t size) {
  (void)size;
  free(block);
}
