// The general caches of ZONE_DMA, which serve kmalloc with GFP_DMA: powers of two, named as the
// kernel's, "size-32(DMA)". Each is made when it is first asked for.
#pragma once

#include "slab/cache.h"

namespace quarry {

// Larger requests are blocks of pages.
inline constexpr std::size_t max_dma_size = 16 * kib;

// The cache for objects of `size` <= max_dma_size bytes, which are aligned to their size's power of
// two. nullptr where there is none and none can be made, or `may_make` forbids it, since that makes
// system calls.
kmem_cache* dma_cache_for(std::size_t size, bool may_make);

// A child's copies of ZONE_DMA's pages are not what they were (page/dma.h): it makes caches anew.
void retire_dma_caches_in_child();

}  // namespace quarry
