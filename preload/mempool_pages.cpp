// Pools over page blocks: the public interfaces put together, nothing else. Apart from mempool.cpp,
// so that a pool over functions of a program's own needs no page blocks.
#include "preload/export.h"
#include "quarry/mempool.h"
#include "quarry/page.h"

namespace {

unsigned order_in(void* pool_data) {
  return static_cast<unsigned>(reinterpret_cast<size_t>(pool_data));
}

}  // namespace

QUARRY_EXPORT void* quarry_mempool_alloc_pages(gfp_t gfp, void* pool_data) {
  return alloc_pages(gfp, order_in(pool_data));
}
QUARRY_EXPORT void quarry_mempool_free_pages(void* element, void* pool_data) {
  __free_pages(static_cast<struct page*>(element), order_in(pool_data));
}

QUARRY_EXPORT mempool_t* quarry_mempool_create_page_pool(int min_nr, int order) {
  if (order < 0 || order >= MAX_ORDER) return nullptr;
  return mempool_create(min_nr, mempool_alloc_pages, mempool_free_pages,
                        reinterpret_cast<void*>(static_cast<size_t>(order)));
}
