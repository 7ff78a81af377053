/* Memory pools: so many elements in reserve that a request which may wait cannot fail (Linux 2.6,
   linux/mempool.h). Part of Quarry's public interface; C17 and C++20.

   mempool_alloc takes from the pool's source (an object cache, kmalloc, pages, or functions of your
   own) while that has memory, and from the reserve when it has not. mempool_free fills the reserve
   first. With min_nr elements in reserve, of a size that is enough for one operation each, min_nr
   operations can always make progress, however little memory there is.

   All of it may be called by any thread at any time, but not from a signal handler. A pool that is
   none, or was destroyed, and an element that was freed already, if the pool sees it, end the
   process with a line on standard error that says so. Nothing here sets errno. */
#ifndef QUARRY_MEMPOOL_H
#define QUARRY_MEMPOOL_H

#include <quarry/gfp.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mempool_s mempool_t;

/* Where elements come from: one element, or NULL when there is none under these flags. Must not
   wait for an element of the same pool to be freed. Called without any lock of the pool held. */
typedef void* mempool_alloc_t(gfp_t gfp, void* pool_data);
/* Where elements go that the reserve does not need. */
typedef void mempool_free_t(void* element, void* pool_data);

/* A pool with min_nr elements (0 or more) in reserve, allocated at once by
   alloc_fn(GFP_KERNEL, pool_data). NULL when there is no memory for all of them. May wait. A pool
   takes a page of its own, and from about 500 elements 8 bytes for each. */
mempool_t* mempool_create(int min_nr, mempool_alloc_t* alloc_fn, mempool_free_t* free_fn,
                          void* pool_data) QUARRY_SYMBOL(mempool_create);

/* Changes the size of the reserve to new_min_nr elements (1 or more). A reserve that grows is
   filled by alloc_fn(gfp, pool_data) as far as that has memory, and later by what is freed. 0, or
   -ENOMEM when there is no memory to keep account of so many; the pool is then as it was. May wait.
   The pool must not be destroyed meanwhile; everything else may go on. */
int mempool_resize(mempool_t* pool, int new_min_nr, gfp_t gfp) QUARRY_SYMBOL(mempool_resize);

/* Frees the reserve and the pool. Every element has to have been freed; the process ends if the
   pool sees that one was not, or that a thread waits. NULL is no pool, and fine. May wait if
   free_fn does. */
void mempool_destroy(mempool_t* pool) QUARRY_SYMBOL(mempool_destroy);

/* An element. With __GFP_WAIT (GFP_KERNEL) never NULL: when there is no memory and the reserve is
   empty the caller waits, in turn, for an element to be freed, and looks for memory once a second.
   Without it (GFP_NOWAIT, GFP_ATOMIC) NULL when the reserve is empty, and no system call but for
   what alloc_fn and a contended lock make. __GFP_ZERO is refused: an element of the reserve is as
   it was freed. A thread must not wait for a second element of a pool while all others that could
   free one do the same: use a pool for each, as in the kernel. */
void* mempool_alloc(mempool_t* pool, gfp_t gfp) QUARRY_SYMBOL(mempool_alloc);

/* Takes an element back: for the thread that has waited longest, else for the reserve, else by
   free_fn. NULL is fine. Never waits, unless free_fn does. The pool is in use until it returns. */
void mempool_free(void* element, mempool_t* pool) QUARRY_SYMBOL(mempool_free);

/* Sources for mempool_create, and pools over them. The pool's elements are
     _slab     objects of a cache (pool_data: kmem_cache_t*), constructed if it has a constructor;
               the cache must outlive the pool
     _kmalloc  blocks of `size` bytes (pool_data: the size as a pointer)
     _pages    page blocks of 2^order pages by their struct page (pool_data: the order as a pointer)
 */
struct kmem_cache;
void* mempool_alloc_slab(gfp_t gfp, void* pool_data) QUARRY_SYMBOL(mempool_alloc_slab);
void mempool_free_slab(void* element, void* pool_data) QUARRY_SYMBOL(mempool_free_slab);
void* mempool_kmalloc(gfp_t gfp, void* pool_data) QUARRY_SYMBOL(mempool_kmalloc);
void mempool_kfree(void* element, void* pool_data) QUARRY_SYMBOL(mempool_kfree);
void* mempool_alloc_pages(gfp_t gfp, void* pool_data) QUARRY_SYMBOL(mempool_alloc_pages);
void mempool_free_pages(void* element, void* pool_data) QUARRY_SYMBOL(mempool_free_pages);

/* mempool_create over these. NULL for an order of MAX_ORDER or more, or a size beyond PTRDIFF_MAX,
 * as well. */
mempool_t* mempool_create_slab_pool(int min_nr, struct kmem_cache* cache)
    QUARRY_SYMBOL(mempool_create_slab_pool);
mempool_t* mempool_create_kmalloc_pool(int min_nr, size_t size)
    QUARRY_SYMBOL(mempool_create_kmalloc_pool);
mempool_t* mempool_create_page_pool(int min_nr, int order) QUARRY_SYMBOL(mempool_create_page_pool);

#ifdef __cplusplus
}
#endif

#endif
