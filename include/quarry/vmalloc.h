/* Large blocks with a mapping of their own (Linux, linux/vmalloc.h). Part of Quarry's public
   interface; C17 and C++20.

   A block begins on a page, is a whole number of pages of 4096 bytes long and grows without being
   copied: its pages move. Behind it there is a page that cannot be touched. Each block takes at
   least 2 MiB of addresses, and of the mappings that the system grants a process
   (/proc/sys/vm/max_map_count) up to two, and one more for each time that its pages moved. Memory
   is taken from the system when a page is first touched.

   All of it may be called by any thread that may wait, but not from a signal handler. Blocks may
   also be freed with free() and kvfree(). Nothing here sets errno. */
#ifndef QUARRY_VMALLOC_H
#define QUARRY_VMALLOC_H

#include <quarry/gfp.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A block of at least `size` bytes, rounded up to pages. NULL for size 0 and when memory, addresses
   or mappings have ended. Every page reads as zero until it is written, in both. */
void* vmalloc(size_t size) QUARRY_SYMBOL(vmalloc);
void* vzalloc(size_t size) QUARRY_SYMBOL(vzalloc);

/* The block with its contents, `size` bytes long, at its old place or a new one; growing copies
   nothing, whatever the size, but where the system moves no pages (Linux before 5.7). What is new
   reads as zero if every call for this block, from the first on, had __GFP_ZERO or only grew it. A
   block that shrinks to half gives its memory back. NULL, and the block as it was, when memory has
   ended. vrealloc(NULL, size) is vmalloc(size), and NULL without __GFP_WAIT; vrealloc(p, 0) frees
   the block as vfree does, whatever the flags, and returns NULL. Without __GFP_WAIT only what needs
   no system call is done: sizes that fit into the pages that the block has; with __GFP_ZERO too,
   what it shrinks by is written with zeroes, in memory or not. */
void* vrealloc(const void* block, size_t size, gfp_t gfp) QUARRY_SYMBOL(vrealloc);

/* The page that an address lies in, of a block of this header or of what vmap (quarry/page.h) has
   mapped; NULL for any other address, and where addresses have ended. Of vmap it is the page that
   was mapped there. The page of a block is one by its address alone, until the block moves, shrinks
   or is freed: page_address, page_to_pfn, pfn_to_page, page_zone, page_to_nid (0) and kmap know it,
   but it has no references (page_count is 0): get_page, put_page and the functions that free pages
   end the process. The first call may make a system call. */
struct page;
struct page* vmalloc_to_page(const void* address) QUARRY_SYMBOL(vmalloc_to_page);

/* Frees the block; its memory goes back to the system at once. NULL is fine. Anything that is not
   the beginning of a block of this header ends the process with a line on standard error that says
   what it is. */
void vfree(const void* block) QUARRY_SYMBOL(vfree);

#ifdef __cplusplus
}
#endif

#endif
