// Pools over object caches and kmalloc: the public interfaces put together,
// nothing else. Apart from mempool.cpp, so that a pool over functions of a
// program's own needs no caches.
#include <errno.h>

#include <cstdint>

#include "preload/export.h"
#include "quarry/mempool.h"
#include "quarry/slab.h"

namespace {

// The caches set errno, pools do not: that the source has no element is no failure of the pool's.
template <class allocate_fn>
void* keep_errno(allocate_fn allocate) {
  const int before = errno;
  void* element = allocate();
  if (!element) errno = before;
  return element;
}

}  // namespace

QUARRY_EXPORT void* quarry_mempool_alloc_slab(gfp_t gfp, void* pool_data) {
  return keep_errno([=] { return kmem_cache_alloc(static_cast<kmem_cache_t*>(pool_data), gfp); });
}
QUARRY_EXPORT void quarry_mempool_free_slab(void* element, void* pool_data) {
  kmem_cache_free(static_cast<kmem_cache_t*>(pool_data), element);
}

QUARRY_EXPORT void* quarry_mempool_kmalloc(gfp_t gfp, void* pool_data) {
  return keep_errno([=] { return kmalloc(reinterpret_cast<size_t>(pool_data), gfp); });
}
QUARRY_EXPORT void quarry_mempool_kfree(void* element, void*) {
  kfree(element);
}

QUARRY_EXPORT mempool_t* quarry_mempool_create_slab_pool(int min_nr, struct kmem_cache* cache) {
  return mempool_create(min_nr, mempool_alloc_slab, mempool_free_slab, cache);
}
QUARRY_EXPORT mempool_t* quarry_mempool_create_kmalloc_pool(int min_nr, size_t size) {
  // With a size that no kmalloc will ever have, who waits would wait for ever.
  if (size > PTRDIFF_MAX) return nullptr;
  return mempool_create(min_nr, mempool_kmalloc, mempool_kfree, reinterpret_cast<void*>(size));
}
