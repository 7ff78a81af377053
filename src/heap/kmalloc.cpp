#include "heap/kmalloc.h"

#include <algorithm>
#include <cstring>

#include "os/thread.h"
#include "slab/dedicated.h"

namespace quarry {

namespace {

// Between two attempts of a request that must not fail.
constexpr unsigned retry_ms = 1;

// Without a system call and without waiting: from the general caches alone.
void* allocate_briefly(std::size_t size, gfp_t gfp) {
  if (size > max_small_size || !start()) return nullptr;
  return general_caches[compute_class(std::max<std::size_t>(size, 1))].allocate_briefly(gfp);
}

void* allocate_waiting(std::size_t size, std::size_t alignment, gfp_t gfp) {
  if (alignment == 1) return gfp & __GFP_ZERO ? allocate_zeroed(size) : allocate(size);
  void* block = allocate_aligned(alignment, size);
  if (block && (gfp & __GFP_ZERO)) std::memset(block, 0, size);
  return block;
}

}  // namespace

void* kmalloc_block(std::size_t size, std::size_t alignment, gfp_t gfp) {
  if (size > PTRDIFF_MAX || (gfp & __GFP_DMA)) return nullptr;
  if (!(gfp & __GFP_WAIT)) {
    if (alignment > page_size) return nullptr;
    void* block = allocate_briefly(align_up(size, alignment), gfp);
    if (block && (gfp & __GFP_ZERO)) std::memset(block, 0, size);
    return block;
  }
  for (;;) {
    void* block = allocate_waiting(size, alignment, gfp);
    if (block || !(gfp & __GFP_NOFAIL)) return block;
    os::sleep_ms(retry_ms);
  }
}

void* kmalloc_slow(std::size_t size, gfp_t gfp) {
  return kmalloc_block(size, 1, gfp);
}

void* krealloc_block(void* block, std::size_t size, gfp_t gfp) {
  const std::size_t old_size = usable_size(block, "krealloc");
  if (size > PTRDIFF_MAX) return nullptr;
  void* moved = block;
  if (gfp & __GFP_WAIT) {
    while (!(moved = reallocate(block, size)) && (gfp & __GFP_NOFAIL))
      os::sleep_ms(retry_ms);
  } else if (size > old_size) {
    moved = kmalloc_block(size, 1, gfp & ~__GFP_ZERO);
    if (!moved) return nullptr;
    std::memcpy(moved, block, old_size);
    kfree_slow(block, __builtin_return_address(0));
  }
  if (moved && (gfp & __GFP_ZERO) && size > old_size) {
    std::memset(static_cast<char*>(moved) + old_size, 0, size - old_size);
  }
  return moved;
}

void kfree_slow(void* block, const void* caller) {
  kmem_cache* cache = block ? cache_of(block) : nullptr;
  if (!cache) return release_slow(block, "kfree");
  if (cache->is_dedicated()) return free_object(cache, block, "kfree", caller);
  if (!percpu::push(cache->number(), block)) cache->free(block, true);
}

}  // namespace quarry
