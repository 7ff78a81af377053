// What kmalloc means beyond malloc: the gfp flags, and giving back where malloc's free would be too
// free with system calls.
#pragma once

#include "heap/heap.h"
#include "quarry/gfp.h"

namespace quarry {

// At least `size` bytes, aligned to `alignment`, a power of two, as well as malloc's blocks are.
// nullptr where memory has ended, or none can be had as `gfp` asks.
void* kmalloc_block(std::size_t size, std::size_t alignment, gfp_t gfp);

// kmalloc_block() after the inline path found nothing.
void* kmalloc_slow(std::size_t size, gfp_t gfp);

// `block` and `size` are not null.
void* krealloc_block(void* block, std::size_t size, gfp_t gfp);

// Takes a block back after the inline path found no room for it; nullptr is none.
void kfree_slow(void* block, const void* caller);

}  // namespace quarry
