// What kmalloc means beyond malloc: the gfp flags, and giving back where malloc's free would be too
// free with system calls.
#pragma once

#include "heap/heap.h"
#include "quarry/gfp.h"

namespace quarry {

// At least `size` bytes, aligned to `alignment`, a power of two, as well as malloc's blocks are; in
// memory of a node below node_count() if it can be had, -1 for any. nullptr where memory has ended,
// or none can be had as `gfp` asks.
void* kmalloc_block(std::size_t size, std::size_t alignment, gfp_t gfp, int node = -1);

// `block` and `size` are not null.
void* krealloc_block(void* block, std::size_t size, gfp_t gfp);

// Takes a block back after the inline path found no room for it; nullptr is none.
void kfree_slow(void* block, const void* caller);

}  // namespace quarry
