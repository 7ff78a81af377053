#include "heap/kmalloc.h"

#include <algorithm>
#include <cstring>

#include "heap/vmalloc.h"
#include "os/thread.h"
#include "page/block.h"
#include "page/zones.h"
#include "slab/dedicated.h"
#include "slab/dma_caches.h"

namespace quarry {

namespace {

struct request {
  std::size_t size;  // > 0
  std::size_t alignment;
  gfp_t gfp;
  unsigned node;
};

// All of a block reads as zero, not just what was asked for, so that krealloc can say the same of
// what a block gains without being moved.
void* zero_if_asked(void* block, const request& r) {
  if (!block || !(r.gfp & __GFP_ZERO)) return block;
  return std::memset(block, 0, usable_size(block, "kmalloc"));
}

std::size_t whole_block(std::size_t size) {
  return size <= max_small_size ? bytes_of_class(compute_class(size)) : align_up(size, page_size);
}

// `old_size` bytes of the block were there before it came to have `size` or more. What a block of
// vmalloc gained is fresh from the system.
void zero_behind(char* block, std::size_t old_size, std::size_t size, bool may_wait) {
  const std::size_t begin = std::min(old_size, size);
  const std::size_t end = usable_size(block, "krealloc");
  if (region.vm_units.contains(block)) {
    if (begin < old_size) vmalloc_clear(block + begin, block + std::min(end, old_size), may_wait);
  } else {
    std::memset(block + begin, 0, end - begin);
  }
}

void* allocate_as_malloc(const request& r) {
  if (r.alignment != 1) return zero_if_asked(allocate_aligned(r.alignment, r.size), r);
  return r.gfp & __GFP_ZERO ? allocate_zeroed(whole_block(r.size)) : allocate(r.size);
}

// A block of pages: free() knows it by its page.
void* allocate_pages(const request& r) {
  const std::size_t size = std::max(r.size, r.alignment);
  if (size > page_size << max_order) return nullptr;
  const unsigned node = r.node == kmem_cache::any_node ? local_node() : r.node;
  page* head = alloc_block(r.gfp & ~__GFP_HIGHMEM, order_of_pages(bytes_to_pages(size)), node);
  return head ? zone_of(head)->space().address_of(head) : nullptr;
}

void* allocate_dma(const request& r) {
  const std::size_t size = std::max(r.size, r.alignment);
  if (size > max_dma_size) return allocate_pages(r);
  kmem_cache* cache = dma_cache_for(size, r.gfp & __GFP_WAIT);
  if (!cache) return nullptr;
  const gfp_t gfp = r.gfp & ~(__GFP_ZERO | __GFP_NOFAIL);
  return zero_if_asked(allocate_object(cache, gfp, __builtin_return_address(0)), r);
}

// An object of a general cache that malloc's own path does not serve: it must not wait, nor try
// twice, or is to be of a node.
void* take_object(unsigned size_class, const request& r) {
  kmem_cache& cache = general_caches[size_class];
  if (!(r.gfp & __GFP_WAIT)) return cache.allocate_briefly(r.gfp);
  if (r.node != kmem_cache::any_node) return cache.allocate_on(r.node, r.gfp);
  void* object = percpu::pop(size_class);
  return object ? object : cache.allocate(nullptr, r.gfp);
}

void* allocate_particular(const request& r) {
  // As allocate_aligned(): an object is as aligned as its size.
  const std::size_t size = align_up(r.size, r.alignment);
  // No zone has that in one piece, so neither node nor patience makes a difference.
  if (size > page_size << max_order && r.gfp & __GFP_WAIT) return allocate_as_malloc(r);
  if (r.alignment > page_size || size > max_small_size) return allocate_pages(r);
  const unsigned size_class = compute_class(size);
  // Blocks of their own pages may become runs, which are node 0's.
  const bool single = general_caches[size_class].shape().single;
  if (single && r.node != kmem_cache::any_node) return allocate_pages(r);
  return zero_if_asked(take_object(size_class, r), r);
}

void* try_once(const request& r) {
  if (r.gfp & __GFP_DMA) return allocate_dma(r);
  const bool particular = !(r.gfp & __GFP_WAIT) || r.gfp & __GFP_NORETRY;
  if (particular || r.node != kmem_cache::any_node) return allocate_particular(r);
  return allocate_as_malloc(r);
}

// Whether the block can be given back without a system call.
bool can_go_briefly(const void* block) {
  if (const kmem_cache* cache = cache_of(block)) return !cache->has_checks();
  const page* head = block_at(block);
  return head && !(head->tag & __GFP_WAIT);
}

void free_moved(void* block, bool may_wait) {
  kmem_cache* cache = may_wait ? nullptr : cache_of(block);
  if (cache) return cache->free_briefly(block);
  kfree_slow(block, __builtin_return_address(0));
}

}  // namespace

void* kmalloc_block(std::size_t size, std::size_t alignment, gfp_t gfp, int node) {
  if (size > PTRDIFF_MAX || !start()) return nullptr;
  const bool any = node < 0 || node_count() == 1;
  const request r = {std::max<std::size_t>(size, 1), alignment, gfp,
                     any ? kmem_cache::any_node : static_cast<unsigned>(node)};
  constexpr gfp_t insists = __GFP_NOFAIL | __GFP_WAIT;
  void* block;
  while (!(block = try_once(r)) && (gfp & insists) == insists)
    os::sleep_ms(retry_ms);
  return block;
}

void* krealloc_block(void* block, std::size_t size, gfp_t gfp) {
  const std::size_t old_size = usable_size(block, "krealloc");
  if (size > PTRDIFF_MAX) return nullptr;
  void* moved = block;
  constexpr gfp_t particular = __GFP_DMA | __GFP_NORETRY;
  if (gfp & __GFP_WAIT && !(gfp & particular)) {
    while (!(moved = reallocate(block, size)) && (gfp & __GFP_NOFAIL))
      os::sleep_ms(retry_ms);
  } else if (size > old_size) {
    const bool may_wait = gfp & __GFP_WAIT;
    if (!may_wait && !can_go_briefly(block)) return nullptr;
    moved = kmalloc_block(size, 1, gfp & ~__GFP_ZERO);
    if (!moved) return nullptr;
    std::memcpy(moved, block, old_size);
    free_moved(block, may_wait);
  }
  if (moved && gfp & __GFP_ZERO) {
    zero_behind(static_cast<char*>(moved), old_size, size, gfp & __GFP_WAIT);
  }
  return moved;
}

void kfree_slow(void* block, const void* caller) {
  kmem_cache* cache = block ? cache_of(block) : nullptr;
  if (!cache) return release_slow(block, "kfree");
  put_object(cache, block, "kfree", caller, true);
}

}  // namespace quarry
