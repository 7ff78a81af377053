/* Object caches and the kmalloc family (Linux 2.6, linux/slab.h), on the slabs and per-CPU arrays
   that serve malloc. Part of Quarry's public interface; C17 and C++20.

   Sizes are in bytes. Where memory has ended a function returns NULL and sets errno to ENOMEM. gfp
   is GFP_KERNEL or another of quarry/gfp.h: with __GFP_WAIT (GFP_KERNEL, GFP_USER) a call may make
   system calls and wait for a lock; without (GFP_ATOMIC, GFP_NOWAIT) it does neither, and takes
   only what is committed already. With __GFP_NOFAIL as well as __GFP_WAIT it tries until there is
   memory; with __GFP_NORETRY it does not give back what is cached elsewhere to get some. With
   __GFP_DMA, the kmalloc family takes memory of ZONE_DMA; the first block of a size needs
   __GFP_WAIT as well. The others that a function does not name have no effect on it.

   All of it may be called by any thread, under locks of the program's and in a fork child, but not
   from a signal handler. Wrong use ends the process with one line on standard error that names the
   call, the object and the cache. */
#ifndef QUARRY_SLAB_H
#define QUARRY_SLAB_H

#include <quarry/gfp.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A cache: objects of one kind. */
typedef struct kmem_cache kmem_cache_t;

/* For kmem_cache_create. The first two cost nothing. The next three are for finding errors: such a
   cache has no per-CPU arrays, and checks each object as it is taken and given back.
     RED_ZONE            bytes before and behind each object that nobody may write
     POISON              free objects are filled, and nobody may write them; not with a constructor,
                         whose work has to last
     CONSISTENCY_CHECKS  that an object given back is one in use, at once; otherwise that is seen
                         when the batch that it is in goes back to its slab. QUARRY_CONF=checks:on
                         does this for all caches and for malloc
   STORE_USER adds to each message who took the object and who gave it back last, as code addresses,
   and comes with those checks too. */
#define SLAB_HWCACHE_ALIGN 0x00002000ul /* no two objects share a cache line without need */
#define SLAB_PANIC 0x00040000ul         /* if there can be no such cache, abort */
#define SLAB_CACHE_DMA 0x00004000ul     /* objects from ZONE_DMA; a fork child makes a new one */
#define SLAB_CONSISTENCY_CHECKS 0x00000100ul
#define SLAB_RED_ZONE 0x00000400ul
#define SLAB_POISON 0x00000800ul
#define SLAB_STORE_USER 0x00010000ul

/* What a constructor is told in `flags`: that it runs, and that it may not wait, since the caller
   of kmem_cache_alloc may not. A destructor is told 0. */
#define SLAB_CTOR_CONSTRUCTOR 0x001ul
#define SLAB_CTOR_ATOMIC 0x002ul

/* The largest object that a cache may have, and the largest alignment. */
#define KMEM_CACHE_MAX_SIZE ((size_t)32 << 20)

/* The most caches that can be at a time. */
#define KMEM_CACHE_MAX_COUNT 4096

/* Makes a cache of objects of `size` bytes.
     name   is copied; caches may have the same name.
     align  a power of two, or 0 for what a C object of that size can need: the largest power of two
            that divides `size`, from 8 to 64.
     ctor   runs for each object when a slab is populated, not at each allocation: an object that is
            given back is to be in its constructed state, and is given out again as it is. It runs
            in the thread that allocates, holding no lock, and may allocate from other caches.
     dtor   needs a ctor; runs for each object when its slab goes back. Runs in threads of the
            program alone, which free to the cache, shrink it or destroy it: so the slabs of such a
            cache do not go back by themselves.
   May wait. NULL with EINVAL for a name that is NULL, a size of 0 or above KMEM_CACHE_MAX_SIZE, an
   alignment that is no power of two or above that, a dtor without ctor, flags that there are not;
   with ENOMEM when memory or numbers have ended. */
kmem_cache_t* kmem_cache_create(const char* name, size_t size, size_t align, unsigned long flags,
                                void (*ctor)(void* object, kmem_cache_t* cache,
                                             unsigned long flags),
                                void (*dtor)(void* object, kmem_cache_t* cache,
                                             unsigned long flags)) QUARRY_SYMBOL(kmem_cache_create);

/* Destroys a cache of which no object is in use: what it caches goes back, destructors run. May
   wait. If there are objects in use it says on standard error how many and where, returns how many
   (at most INT_MAX), and the cache is as it was. 0 otherwise, and for NULL. Nobody may use the
   cache meanwhile or afterwards. */
int kmem_cache_destroy(kmem_cache_t* cache) QUARRY_SYMBOL(kmem_cache_destroy);

/* An object. gfp: see above; __GFP_ZERO as kmem_cache_zalloc. */
void* kmem_cache_alloc(kmem_cache_t* cache, gfp_t gfp) QUARRY_SYMBOL(kmem_cache_alloc);

/* An object that reads as zero. Aborts if the cache has a constructor, whose work that would undo.
 */
void* kmem_cache_zalloc(kmem_cache_t* cache, gfp_t gfp) QUARRY_SYMBOL(kmem_cache_zalloc);

/* An object, in memory of the node if it can be had and gfp has __GFP_WAIT; a negative number
   stands for any node. NULL and EINVAL for a node that there is not. */
void* kmem_cache_alloc_node(kmem_cache_t* cache, gfp_t gfp, int node)
    QUARRY_SYMBOL(kmem_cache_alloc_node);

/* Gives an object back; NULL is none. Aborts if it is not of that cache. It has no gfp; it waits
   for nothing but a lock that another thread holds for long, and makes a system call once in many
   calls at most: when a CPU that only gives back needs its first array, and when megabytes have
   come free and the helper that returns them to the system is started. free() and kfree() take such
   objects too. */
void kmem_cache_free(kmem_cache_t* cache, void* object) QUARRY_SYMBOL(kmem_cache_free);

/* `count` objects, all or none: returns `count`, or 0, having given back what it had as by
   kmem_cache_free. */
int kmem_cache_alloc_bulk(kmem_cache_t* cache, gfp_t gfp, size_t count, void** objects)
    QUARRY_SYMBOL(kmem_cache_alloc_bulk);
/* Gives `count` objects back, none of which is NULL. As kmem_cache_free. */
void kmem_cache_free_bulk(kmem_cache_t* cache, size_t count, void** objects)
    QUARRY_SYMBOL(kmem_cache_free_bulk);

/* Gives back the slabs of which no object is in use. 0 if none are left, else 1. May wait. */
int kmem_cache_shrink(kmem_cache_t* cache) QUARRY_SYMBOL(kmem_cache_shrink);

/* What kmem_cache_create was told. The name is the cache's own copy. From any context, a signal
   handler included. */
unsigned int kmem_cache_size(kmem_cache_t* cache) QUARRY_SYMBOL(kmem_cache_size);
const char* kmem_cache_name(kmem_cache_t* cache) QUARRY_SYMBOL(kmem_cache_name);

/* Memory of at least `size` bytes, aligned to 16 (to 8 for sizes up to 8), a power of two that is
   no larger than a page to itself. For a size of 0 a block of its own. Up to 1 MiB from the caches
   size-N (with __GFP_DMA to 16 KiB, from size-N(DMA)), larger ones have pages of their own, above
   1 GiB as those of vmalloc. kfree and free take each other's blocks. */
void* kmalloc(size_t size, gfp_t gfp) QUARRY_SYMBOL(kmalloc);
/* The same, reading as zero. */
void* kzalloc(size_t size, gfp_t gfp) QUARRY_SYMBOL(kzalloc);
/* The same for `count` times `size` bytes; NULL and ENOMEM where that is more than a size_t. */
void* kmalloc_array(size_t count, size_t size, gfp_t gfp) QUARRY_SYMBOL(kmalloc_array);
void* kcalloc(size_t count, size_t size, gfp_t gfp) QUARRY_SYMBOL(kcalloc);
/* As kmem_cache_alloc_node. */
void* kmalloc_node(size_t size, gfp_t gfp, int node) QUARRY_SYMBOL(kmalloc_node);
/* Aligned to `align`, a power of two (EINVAL otherwise). */
void* kmalloc_align(size_t size, size_t align, gfp_t gfp) QUARRY_SYMBOL(kmalloc_align);
/* Memory that need not be contiguous in the machine, as none of a process is: kmalloc, up to any
   size. */
void* kvmalloc(size_t size, gfp_t gfp) QUARRY_SYMBOL(kvmalloc);

/* The block with its contents, of at least `size` bytes, at its old place or a new one. NULL as
   block: kmalloc. 0 as size: kfree, and NULL. NULL otherwise, and the block is as it was, where
   memory has ended. With __GFP_ZERO what the block gains reads as zero, if every call had the flag,
   from the one on that made the block. Without __GFP_WAIT a block of pages stays where it is unless
   it was had without it, too; the old block goes back as by kfree. */
void* krealloc(const void* block, size_t size, gfp_t gfp) QUARRY_SYMBOL(krealloc);

/* Takes a block back, or an object of a cache; NULL is none. As kmem_cache_free. */
void kfree(const void* block) QUARRY_SYMBOL(kfree);
void kvfree(const void* block) QUARRY_SYMBOL(kvfree);

/* How many bytes of the block may be written; 0 for NULL. */
size_t ksize(const void* block) QUARRY_SYMBOL(ksize);

#ifdef __cplusplus
}
#endif

#endif
