// Pools under the kernel's names (quarry/mempool.h).
#include "mempool/mempool.h"

#include <errno.h>

#include "heap/heap.h"
#include "os/fatal.h"
#include "preload/export.h"
#include "quarry/mempool.h"

QUARRY_NEEDS(quarry_process_hooks);

namespace {

using quarry::mempool;

}  // namespace

QUARRY_EXPORT mempool_t* quarry_mempool_create(int min_nr, mempool_alloc_t* alloc_fn,
                                               mempool_free_t* free_fn, void* pool_data) {
  if (min_nr < 0) quarry::os::die("mempool_create", nullptr, "min_nr is negative");
  if (!quarry::start()) return nullptr;
  mempool* pool = mempool::create(static_cast<std::size_t>(min_nr), {alloc_fn, free_fn, pool_data});
  return reinterpret_cast<mempool_t*>(pool);
}

QUARRY_EXPORT int quarry_mempool_resize(mempool_t* pool, int new_min_nr, gfp_t gfp) {
  mempool* p = mempool::at(pool, "mempool_resize");
  if (new_min_nr < 1) quarry::os::die("mempool_resize", pool, "new_min_nr is less than 1");
  return p->resize(static_cast<std::size_t>(new_min_nr), gfp) ? 0 : -ENOMEM;
}

QUARRY_EXPORT void quarry_mempool_destroy(mempool_t* pool) {
  if (pool) mempool::at(pool, "mempool_destroy")->destroy();
}

QUARRY_EXPORT void* quarry_mempool_alloc(mempool_t* pool, gfp_t gfp) {
  return mempool::at(pool, "mempool_alloc")->allocate(gfp);
}

QUARRY_EXPORT void quarry_mempool_free(void* element, mempool_t* pool) {
  if (element) mempool::at(pool, "mempool_free")->free(element);
}
