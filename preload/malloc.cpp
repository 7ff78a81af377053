// The malloc family under its names: C17 7.22.3, C23 7.24.3, POSIX, the glibc manual 3.2. Checks
// arguments, sets errno, and leaves the rest to heap/.
#include <errno.h>

#include <cstring>

#include "base/bits.h"
#include "heap/heap.h"
#include "preload/export.h"
#include "preload/fail.h"

QUARRY_NEEDS(quarry_process_hooks);

namespace {

using namespace quarry;

// The largest alignment that is served: that of the largest block of pages.
constexpr std::size_t max_alignment = gib;

QUARRY_NOINLINE void* malloc_slow(std::size_t size) {
  return or_enomem(allocate_slow(size));
}

QUARRY_NOINLINE void* calloc_slow(std::size_t bytes) {
  return or_enomem(allocate_zeroed(bytes));
}

QUARRY_ALWAYS_INLINE void* aligned(std::size_t alignment, std::size_t size) {
  if (!is_power_of_two(alignment)) return fail(EINVAL);
  if (alignment > max_alignment) return fail(ENOMEM);
  return or_enomem(allocate_aligned(alignment, size));
}

}  // namespace

QUARRY_EXPORT void* malloc(std::size_t size) {
  if (void* block = try_allocate(size)) [[likely]]
    return block;
  return malloc_slow(size);
}

QUARRY_EXPORT void free(void* block) {
  release(block, "free");
}

QUARRY_EXPORT void* calloc(std::size_t count, std::size_t size) {
  std::size_t bytes;
  if (!checked_multiply(count, size, &bytes)) return fail(ENOMEM);
  if (void* block = try_allocate(bytes)) [[likely]]
    return std::memset(block, 0, bytes);
  return calloc_slow(bytes);
}

// As glibc: realloc(p, 0) frees p and returns null (C17 leaves it open, C23 undefined).
QUARRY_EXPORT void* realloc(void* block, std::size_t size) {
  if (!block) return malloc(size);
  if (size == 0) {
    release(block, "realloc");
    return nullptr;
  }
  return or_enomem(reallocate(block, size));
}

QUARRY_EXPORT void* reallocarray(void* block, std::size_t count, std::size_t size) {
  std::size_t bytes;
  if (!checked_multiply(count, size, &bytes)) return fail(ENOMEM);
  return realloc(block, bytes);
}

// POSIX: errno is not touched, and *result only on success.
QUARRY_EXPORT int posix_memalign(void** result, std::size_t alignment, std::size_t size) {
  if (!is_power_of_two(alignment) || alignment < sizeof(void*)) return EINVAL;
  void* block = alignment <= max_alignment ? allocate_aligned(alignment, size) : nullptr;
  if (!block) return ENOMEM;
  *result = block;
  return 0;
}

QUARRY_EXPORT void* aligned_alloc(std::size_t alignment, std::size_t size) {
  return aligned(alignment, size);
}

// As glibc: what is no power of two counts as the next one.
QUARRY_EXPORT void* memalign(std::size_t alignment, std::size_t size) {
  if (alignment > SIZE_MAX / 2 + 1) return fail(EINVAL);
  return aligned(std::bit_ceil(alignment), size);
}

QUARRY_EXPORT void* valloc(std::size_t size) {
  return aligned(page_size, size);
}

QUARRY_EXPORT void* pvalloc(std::size_t size) {
  if (size > PTRDIFF_MAX) return fail(ENOMEM);
  return aligned(page_size, align_up(size ? size : 1, page_size));
}

QUARRY_EXPORT void cfree(void* block) {
  release(block, "cfree");
}

// C23 7.24.3.4 and 7.24.3.5: the size and alignment are the caller's promise; the address says it
// all.
QUARRY_EXPORT void free_sized(void* block, std::size_t) {
  release(block, "free_sized");
}

QUARRY_EXPORT void free_aligned_sized(void* block, std::size_t, std::size_t) {
  release(block, "free_aligned_sized");
}

QUARRY_EXPORT std::size_t malloc_usable_size(void* block) {
  return block ? usable_size(block, "malloc_usable_size") : 0;
}

QUARRY_EXPORT int malloc_trim(std::size_t pad) {
  return trim(pad);
}

// The names under which glibc exports the same functions to programs that wrap malloc themselves.
#if __has_attribute(copy)
#define QUARRY_ALIAS(name) __attribute__((visibility("default"), alias(#name), copy(name)))
#else
#define QUARRY_ALIAS(name) __attribute__((visibility("default"), alias(#name)))
#endif
extern "C" {
void* __libc_malloc(std::size_t) QUARRY_ALIAS(malloc);
void __libc_free(void*) QUARRY_ALIAS(free);
void* __libc_calloc(std::size_t, std::size_t) QUARRY_ALIAS(calloc);
void* __libc_realloc(void*, std::size_t) QUARRY_ALIAS(realloc);
void* __libc_memalign(std::size_t, std::size_t) QUARRY_ALIAS(memalign);
void* __libc_valloc(std::size_t) QUARRY_ALIAS(valloc);
void* __libc_pvalloc(std::size_t) QUARRY_ALIAS(pvalloc);
void __libc_cfree(void*) QUARRY_ALIAS(cfree);
int __posix_memalign(void**, std::size_t, std::size_t) QUARRY_ALIAS(posix_memalign);
}
