#include "slab/dma_caches.h"

#include "slab/dedicated.h"

namespace quarry {

namespace {

constexpr unsigned least_log2 = 5;
constexpr unsigned cache_count = floor_log2(max_dma_size) - least_log2 + 1;

// Set once each, by whoever makes it first; emptied in a fork child.
constinit std::atomic<kmem_cache*> caches[cache_count]{};

kmem_cache* make_cache(std::size_t size) {
  text name;
  name << "size-" << u64{size} << "(DMA)" << '\0';
  cache_error error;
  return create_cache(name.data(), size, size, SLAB_CACHE_DMA, nullptr, nullptr, &error);
}

}  // namespace

kmem_cache* dma_cache_for(std::size_t size, bool may_make) {
  const unsigned log2 = std::max(size > 1 ? ceil_log2(size) : 0, least_log2);
  std::atomic<kmem_cache*>& entry = caches[log2 - least_log2];
  // Pairs with the exchange: the cache is seen whole.
  kmem_cache* cache = entry.load(std::memory_order_acquire);
  if (cache || !may_make) return cache;
  kmem_cache* made = make_cache(std::size_t{1} << log2);
  if (!made) return nullptr;
  if (entry.compare_exchange_strong(cache, made, std::memory_order_acq_rel,
                                    std::memory_order_acquire)) {
    return made;
  }
  destroy_cache(made);
  return cache;
}

void retire_dma_caches_in_child() {
  for (std::atomic<kmem_cache*>& entry : caches)
    entry.store(nullptr, std::memory_order_relaxed);
}

}  // namespace quarry
