// The caches that a program makes, and what can be asked of any cache or object.
//
// A dedicated cache has a number, its index among the per-CPU arrays. Its descriptor comes from the
// general caches the first time that the number is used and stays with it, so that whoever looks at
// a cache that is just being destroyed (reclaim, fork) finds an empty one.
//
// Lock: caches_lock (dedicated.cpp) covers which numbers are in use.
#pragma once

#include "slab/cache.h"

namespace quarry {

// Why there is no cache.
enum class cache_error { none, invalid, no_memory };

// quarry/slab.h: kmem_cache_create.
kmem_cache* create_cache(const char* name, std::size_t size, std::size_t alignment,
                         unsigned long flags, object_fn ctor, object_fn dtor, cache_error* error);

// Returns how many objects are out, 0 if the cache is gone.
std::size_t destroy_cache(kmem_cache* cache);

// Gives back what is not in use. True if no slab is left.
bool shrink_cache(kmem_cache* cache);

// The arrays' limits of all caches of that name, dedicated or general ("size-N").
cache_error tune_caches(const char* name, const cache_tunables& wanted);

// The cache that an address belongs to, if it is in a slab; else nullptr.
kmem_cache* cache_of(const void* address);

// An object of a dedicated cache, and back. `caller`: the code that asked; `call` what it called.
void* allocate_object(kmem_cache* cache, gfp_t gfp, const void* caller);
// In memory of a node, below node_count(), if it can be had.
void* allocate_object_on(kmem_cache* cache, gfp_t gfp, unsigned node, const void* caller);
void free_object(kmem_cache* cache, void* object, const char* call, const void* caller);
// Likewise of any cache, to which the object's address belongs. `quietly`: as kmem_cache::free().
void put_object(kmem_cache* cache, void* object, const char* call, const void* caller,
                bool quietly);
std::size_t allocate_objects(kmem_cache* cache, gfp_t gfp, void** objects, std::size_t count,
                             const void* caller);
void free_objects(kmem_cache* cache, void** objects, std::size_t count, const void* caller);

// The object looks as if it were free. Settles that: takes the cache's objects from all arrays, and
// dies in the name of `call` if it is.
void examine_object(kmem_cache* cache, const void* object, const char* call);

// Takes the objects from the arrays of the caller's CPU to their slabs, and so finds those that are
// wrong there. For the end of the process: it makes no system call, as the arrays of other CPUs
// would take, and waits for nobody, since exit() may have been called by a signal handler that
// interrupted the owner of any lock.
void check_all();

// The cache's name, "size-N" for the general ones.
text& operator<<(text& line, const kmem_cache& cache);

// Calls visit(cache, data) under caches_lock: for the cache at a position below cache_positions(),
// the general ones first, if there is one; or for each that there is.
unsigned cache_positions();
void visit_cache(unsigned position, void (*visit)(kmem_cache* cache, void* data), void* data);
void for_each_cache(void (*visit)(kmem_cache* cache, void* data), void* data);

// For the fork handlers: caches_lock; then, after the per-CPU areas, the locks of all caches.
void acquire_cache_numbers();
void release_cache_numbers();
void acquire_caches();
void release_caches();

}  // namespace quarry
