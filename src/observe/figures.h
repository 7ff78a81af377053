// What the whole heap holds, in bytes. Taken without stopping anybody: exact when nothing else
// runs.
#pragma once

#include "base/types.h"

namespace quarry {

struct heap_figures {
  std::size_t committed;     // of the region's frames
  std::size_t vm_blocks;     // vmalloc blocks
  std::size_t vm_bytes;      // in them
  std::size_t small_in_use;  // objects that the program holds, but for ZONE_DMA's
  std::size_t small_cached;  // objects in per-CPU and shared arrays
  std::size_t small_free;    // objects free in their slabs
  std::size_t slab_pages;    // bytes of pages in slabs and of pointers to their objects
  std::size_t runs_in_use;   // large blocks in runs of pages
  std::size_t free_pages;    // bytes of free pages, in the zone and on the per-CPU lists
  std::size_t dirty_pages;   // of these, bytes that may still be resident
};

heap_figures take_figures();

}  // namespace quarry
