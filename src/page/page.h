// struct page: what is known of a page frame (mem_map), and of a unit of the vmalloc area.
//
// The head of a block, its first frame, says what the block is; of the others (tails) the kind is
// none and the rest means nothing, except in a slab, whose free-object index runs on from the head
// through the tails' words.
#pragma once

#include "base/list.h"
#include "base/types.h"

namespace quarry {

enum class page_kind : u8 {
  none,        // a tail, or a frame never used
  free_block,  // head of a free buddy block
  cached,   // head of free frames on no list of the zone's: on a per-CPU page list, being purged,
            // ahead of a block that grew, or waiting for the zone's lock
  slab,     // head of a slab
  run,      // head of an allocated run of pages
  block,    // head of a page block of the program's (page/block.h)
  vm_area,  // head of a vmalloc block (in the vmalloc area's map alone)
  vm_map,   // head of a slot that pages of ZONE_HIGHMEM are mapped in (likewise)
};

struct alignas(cache_line) page {
  list_node link;  // on a free list, or on a list of the block's owner
  page_kind kind;
  u8 order;      // free_block, cached, slab, block, vm_area, vm_map: log2 of the frames
  u16 tag;       // free_block: its free list; slab: its cache; block: its flags; run: 1 if it has
                 // grown
  u32 count;     // run: frames; slab: objects not in the index, so in use; block: references;
                 // free_block: dirty frames; cached on a per-CPU list: 0 if the block is clean;
                 // vm_map: pages that are mapped
  u64 words[5];  // slab: when it was used, and the first words of the index; vm_area: bytes
                 // committed; in ZONE_HIGHMEM
                 // see page/highmem.h
};
static_assert(sizeof(page) == cache_line);

}  // namespace quarry
