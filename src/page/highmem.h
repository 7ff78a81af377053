// ZONE_HIGHMEM: pages of a memory file. They have no address until kmap or vmap gives them one; a
// page may have several, and another process may map the file too.
//
// In the map of its space a page has, in its words, the address that kmap gave it and how many
// times it was asked for. In place of an address the space begins where no program can have one, so
// that page numbers do not meet those of other zones.
//
// A fork child has the file in common with its parent. So what was in use stays in use by both, as
// shared memory does, and the zone hands out nothing in the child any more.
#pragma once

#include "page/zone.h"

namespace quarry {

// The zone, made at the first call; nullptr where the system has no memory files. May make system
// calls and wait.
zone* make_highmem_zone();

// The zone if it has been made.
zone* highmem_zone();

// kmap: the page's address, the same one until it has been unmapped as many times. nullptr where
// the system has no more mappings (vm.max_map_count), or the file was closed. Any thread.
void* map_page(page* p);
// kunmap: dies in the name of `call` where the page is not mapped.
void unmap_page(page* p, const char* call);
// The address now, nullptr while it has none.
void* mapped_address(const page* p);

// vmap: `count` pages of the zone one behind another, in any order and as often as wanted. nullptr
// if one of them is of another zone, or where the system refuses.
void* map_pages(page* const* pages, unsigned count, bool writable);
// vunmap: takes the address from map_pages; dies in the name of `call` on any other.
void unmap_pages(void* address, const char* call);

// The page that map_pages() mapped where the address lies; nullptr if none.
page* mapped_page(const void* address);

// Dies if a page of a block that is to be freed is still mapped by kmap.
void check_unmapped(const page* head, unsigned order, const char* call);

// Makes a block read as zero. False where the system refuses.
bool zero_highmem(page* head, unsigned order);

// The file's descriptor, -1 where there is none; and where in it a page lies, in bytes.
int highmem_descriptor();
std::size_t highmem_offset(const page* p);

// For the fork handlers.
void acquire_highmem();
void release_highmem();
void close_highmem_in_child();

}  // namespace quarry
