// What malloc means, without the names: sizes to caches, large blocks to runs of pages, blocks that
// grow to vmalloc.
//
//   size <= 32 KiB       class from a table, this CPU's array     inline, here
//   size <= 1 MiB        class by arithmetic, this CPU's array    likewise
//   larger               a run of pages                           heap.cpp
//   larger than 1 GiB, or grown by realloc and not to be extended in place: vmalloc
//
// Nothing here sets errno or throws: nullptr means that memory has ended or the size is impossible.
// All of it may be called at any time by any thread, the first call from the loader included.
#pragma once

#include "page/region.h"
#include "percpu/array.h"
#include "slab/size_class.h"

namespace quarry {

// What the fast paths serve: sizes up to max_table_size, sizes up to max_small_size, and addresses
// up to so many bytes from the region's base. All 0 before start-up, and for good in the fallback
// mode of the per-CPU layer. Written by start(), last of all; there is no second thread yet, since
// making one allocates.
QUARRY_HIDDEN extern std::size_t table_limit;
QUARRY_HIDDEN extern std::size_t array_limit;
QUARRY_HIDDEN extern std::size_t free_limit;

// An object from this CPU's array if the size is small and there is one; else nullptr, and
// allocate_slow() is to be asked. Apart from it so that callers may end in a jump to theirs.
QUARRY_ALWAYS_INLINE void* try_allocate(std::size_t size) {
#if QUARRY_HAS_SEQUENCES
  // Size 0 wraps around and takes the slow path, as does everything while the limits are 0.
  if (size - 1 < table_limit) [[likely]] {
    return percpu::sequence::pop(table_class(size));
  }
  if (size - 1 < array_limit) return percpu::sequence::pop(stepped_class(size));
#endif
  return nullptr;
}

void* allocate_slow(std::size_t size);

// At least `size` bytes, aligned to 16 (to 8 for sizes up to 8); a unique block for size 0.
QUARRY_ALWAYS_INLINE void* allocate(std::size_t size) {
  if (void* object = try_allocate(size)) [[likely]]
    return object;
  return allocate_slow(size);
}

// Puts a small block on this CPU's array; false where it is no small block, where there is no room,
// and where it is there already as the last one in. `limit` is free_limit, or 0 for false.
QUARRY_ALWAYS_INLINE bool try_release(void* block, std::size_t limit) {
#if QUARRY_HAS_SEQUENCES
  const std::size_t offset = reinterpret_cast<uptr>(block) - reinterpret_cast<uptr>(frames_base);
  if (offset < limit) [[likely]] {
    // Class 0, which is no class, has an array that is always full.
    const unsigned size_class = class_map[offset >> page_shift];
    return percpu::sequence::push_another(size_class, block);
  }
#else
  (void)block, (void)limit;
#endif
  return false;
}

void release_slow(void* block, const char* call);

// Takes a block back; nullptr is none. Dies on anything else that is not a block in use, and names
// `call` in the message: at once, but for a pointer into a small block and a small block that
// is free already, though not the last one that was freed of its class; those are seen when the
// batch that they are in is flushed, or at exit; with the option `checks` at once, too.
QUARRY_ALWAYS_INLINE void release(void* block, const char* call) {
  if (try_release(block, free_limit)) [[likely]]
    return;
  release_slow(block, call);
}

// Zeroed memory for `size` bytes.
void* allocate_zeroed(std::size_t size);

void* allocate_aligned_slow(std::size_t alignment, std::size_t size);

// `alignment` is a power of two of at most 1 GiB.
QUARRY_ALWAYS_INLINE void* allocate_aligned(std::size_t alignment, std::size_t size) {
  // A slab begins on a page, so its objects are as aligned as their size is, and every class is a
  // multiple of each power of two that divides a size it is the class of.
  if (alignment <= page_size && size - 1 < PTRDIFF_MAX) [[likely]]
    return allocate(align_up(size, alignment));
  return allocate_aligned_slow(alignment, size);
}

// The block with its contents, up to the smaller of both sizes, at its old place or a new one.
// nullptr, and the block as it was, when memory has ended. `block` and `size` are not null.
void* reallocate(void* block, std::size_t size);

// How many bytes of the block may be written. Dies, naming `call`, if it is no block in use.
std::size_t usable_size(const void* block, const char* call);

// Gives free memory back to the system, all but `keep` bytes. True if there was any.
bool trim(std::size_t keep);

// Brings the allocator up, once; allocation does so by itself. False where no address space could
// be had: every allocation then fails.
bool start();

// Around fork(2), in that order: between the first and one of the others all locks are held, or
// nobody else is there to take one.
void prepare_fork();
void after_fork_in_parent();
void after_fork_in_child();

}  // namespace quarry
