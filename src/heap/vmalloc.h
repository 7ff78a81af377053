// What vmalloc and vrealloc mean: the vmalloc area of the page layer, with a second try when memory
// is short, and the gfp flags.
#pragma once

#include "heap/heap.h"
#include "quarry/gfp.h"

namespace quarry {

// A zeroed block with a mapping of its own. nullptr for size 0, and when memory or address space
// has ended.
void* vmalloc_block(std::size_t size);

// The block grows or shrinks, and may move unless __GFP_WAIT is missing: then it may just shrink,
// and keeps its pages. With __GFP_ZERO what it has beyond `size` is zero. nullptr, and the block as
// it was, when memory has ended; size 0 frees it. Dies, naming `call`, if no block begins there.
void* vrealloc_block(void* block, std::size_t size, gfp_t gfp, const char* call);

// Makes a part of a block read as zero. With `may_wait` whole pages are given back rather than
// written, so that what was never touched stays so.
void vmalloc_clear(char* begin, char* end, bool may_wait);

}  // namespace quarry
