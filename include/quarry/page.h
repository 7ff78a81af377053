/* Page blocks: runs of 2^order pages of 4096 bytes, aligned to their size, on the same zones that
   serve malloc (Linux 2.6, linux/gfp.h and linux/mm.h). Part of Quarry's public interface; C17 and
   C++20.

   Every block has a reference count, 1 when it is allocated; the free functions and put_page take
   one away, and the last one frees the block. A page, address or order that is not that of a block
   in use ends the process: one line on standard error that names the call, the pointer and what is
   wrong with it, then abort().

   From where these may be called: the allocating functions by what their flags say (quarry/gfp.h):
   with __GFP_WAIT from any thread that may wait, without it from anywhere, signal handlers
   included, and then they make no system call. A block is freed on the terms on which it was
   allocated: freeing one that was allocated without __GFP_WAIT makes no system call either and
   never waits; freeing any other may. All other functions here make no system call unless they say
   so. Nothing here sets errno. */
#ifndef QUARRY_PAGE_H
#define QUARRY_PAGE_H

#include <stddef.h>
#include <sys/types.h>

#include "quarry/gfp.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PAGE_SHIFT 12
#ifndef PAGE_SIZE
#define PAGE_SIZE 4096ul
#endif

/* Orders are below this: the largest block is 2^18 pages, 1 GiB. */
#define MAX_ORDER 19

/* A page frame. What it holds is asked by functions: page_count, page_order, page_zone. */
struct page;

/* A block of 2^order pages, by its first page; contents undefined unless __GFP_ZERO. NULL where
   the flags do not allow to find one, and for an order of MAX_ORDER or more. */
struct page* alloc_pages(gfp_t gfp, unsigned order) QUARRY_SYMBOL(alloc_pages);

/* Nodes of memory: one, or as many as QUARRY_CONF=nodes:N says, with numbers from 0. Where the
   machine has fewer, the others are simulated. alloc_pages serves the node of the CPU that it runs
   on.

   alloc_pages_node: of that node's zones first, then of others'; a negative number is the node of
   this CPU. NULL for a node that is not there. ZONE_DMA and ZONE_HIGHMEM are of node 0. */
struct page* alloc_pages_node(int node, gfp_t gfp, unsigned order) QUARRY_SYMBOL(alloc_pages_node);
int page_to_nid(const struct page* page) QUARRY_SYMBOL(page_to_nid);
int numa_node_id(void) QUARRY_SYMBOL(numa_node_id);
int num_online_nodes(void) QUARRY_SYMBOL(num_online_nodes);

/* alloc_pages of order 0. */
struct page* alloc_page(gfp_t gfp) QUARRY_SYMBOL(alloc_page);

/* The same by the block's address; 0 where there is none. Not for __GFP_HIGHMEM: such a page has no
   address, and the flag is ignored. */
unsigned long __get_free_pages(gfp_t gfp, unsigned order) QUARRY_SYMBOL(__get_free_pages);
unsigned long __get_free_page(gfp_t gfp) QUARRY_SYMBOL(__get_free_page);

/* __get_free_page with __GFP_ZERO. */
unsigned long get_zeroed_page(gfp_t gfp) QUARRY_SYMBOL(get_zeroed_page);

/* As many pages as `size` bytes take, in one piece, aligned to the next power of two. Each is a
   block of order 0 of its own. NULL as alloc_pages, for size 0, and for more than 1 GiB. */
void* alloc_pages_exact(size_t size, gfp_t gfp) QUARRY_SYMBOL(alloc_pages_exact);
/* `size` is the one of the allocation. */
void free_pages_exact(void* address, size_t size) QUARRY_SYMBOL(free_pages_exact);

/* Makes 2^order blocks of order 0 of one block; each has one reference, the first page keeps those
   that the block had. */
void split_page(struct page* page, unsigned order) QUARRY_SYMBOL(split_page);

/* Takes a reference away; the last frees the block. `order` is the one of the allocation.
   free_pages and free_page do nothing for address 0. */
void __free_pages(struct page* page, unsigned order) QUARRY_SYMBOL(__free_pages);
void __free_page(struct page* page) QUARRY_SYMBOL(__free_page);
void free_pages(unsigned long address, unsigned order) QUARRY_SYMBOL(free_pages);
void free_page(unsigned long address) QUARRY_SYMBOL(free_page);

/* One more reference to the block that begins with this page; one less, whatever its order. */
void get_page(struct page* page) QUARRY_SYMBOL(get_page);
void put_page(struct page* page) QUARRY_SYMBOL(put_page);

/* References to the block that begins with this page; 0 for any other page. */
int page_count(const struct page* page) QUARRY_SYMBOL(page_count);

/* The order of the block that begins with this page; 0 for any other page. */
unsigned page_order(const struct page* page) QUARRY_SYMBOL(page_order);

/* The address of a page's memory; NULL for a page of ZONE_HIGHMEM that kmap has not mapped. */
void* page_address(const struct page* page) QUARRY_SYMBOL(page_address);

/* The page that an address lies in, of a page block or of what malloc has up to 1 GiB; NULL where
   Quarry has no page there, and in blocks of vmalloc (see vmalloc_to_page), which malloc's are that
   are larger or grew beyond what was free behind them. With several nodes also a page for addresses
   that are to become memory of theirs. */
struct page* virt_to_page(const void* address) QUARRY_SYMBOL(virt_to_page);

/* Pages by number. Neighbours in a block have neighbouring numbers. A page with an address has that
   address's, shifted by PAGE_SHIFT. pfn_to_page: NULL where there is no such page. */
unsigned long page_to_pfn(const struct page* page) QUARRY_SYMBOL(page_to_pfn);
struct page* pfn_to_page(unsigned long pfn) QUARRY_SYMBOL(pfn_to_page);

/* Pages of ZONE_HIGHMEM get an address by these, which make system calls and may wait.

   kmap: the address of a page, until kunmap was called as often as kmap; NULL where the system has
   no more mappings to give (vm.max_map_count). Any other page has its address anyway. A page must
   not be freed while it is mapped so. */
void* kmap(struct page* page) QUARRY_SYMBOL(kmap);
void kunmap(struct page* page) QUARRY_SYMBOL(kunmap);

/* vmap: `count` pages one behind another at a fresh address, a page as often as wanted, so that
   what is scattered becomes one piece, and a ring of pages goes on at its beginning. NULL for pages
   of another zone (a request for GFP_HIGHUSER may have got one), for none at all, and where the
   system refuses. What is no page of a block in use ends the process. vunmap takes that address;
   the pages stay allocated, and are freed after it. */
typedef unsigned pgprot_t;
#define VM_MAP 0x4ul   /* the only kind there is */
#define PAGE_KERNEL 3u /* to read and write */
#define PAGE_KERNEL_RO 1u
void* vmap(struct page** pages, unsigned count, unsigned long flags, pgprot_t protection)
    QUARRY_SYMBOL(vmap);
void vunmap(const void* address) QUARRY_SYMBOL(vunmap);

/* The file that pages of ZONE_HIGHMEM are of: another process that gets this descriptor (over a
   socket, or by fork) can map the same pages, with mmap and MAP_SHARED. `offset`, unless NULL, is
   where in it the page lies, in bytes; the pages of a block follow one another. The descriptor
   stays Quarry's, and is not to be closed or resized. -1 for a page of another zone, and once the
   program has closed it, which a system call finds out.

   After fork parent and child have the pages that were in use in common, and each counts its own
   references: a page that the parent frees may become another's while the child still has it. The
   child gets no others of this zone: its requests are served by ZONE_NORMAL. */
int quarry_highmem_fd(const struct page* page, off_t* offset);

/* The zone that a page is of. (The kernel's page_zone returns a struct, of which little but this
   could be asked.) */
enum zone_type page_zone(const struct page* page) QUARRY_SYMBOL(page_zone);

#ifdef __cplusplus
}
#endif

#endif
