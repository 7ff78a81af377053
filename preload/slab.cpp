// The kernel's slab interface (quarry/slab.h): checks arguments, sets errno, and leaves the rest to
// slab/ and heap/. The definitions carry the kernel's names; the header gives them their symbols,
// quarry_*.
#include "quarry/slab.h"

#include <errno.h>

#include <algorithm>
#include <climits>

#include "heap/kmalloc.h"
#include "os/fatal.h"
#include "page/node.h"
#include "preload/export.h"
#include "preload/fail.h"
#include "quarry/stats.h"
#include "slab/dedicated.h"

QUARRY_NEEDS(quarry_process_hooks);

namespace {

using namespace quarry;

// The same descriptors under the public name.
quarry::kmem_cache* from(kmem_cache_t* cache) {
  return reinterpret_cast<quarry::kmem_cache*>(cache);
}

QUARRY_NOINLINE void* alloc_slow(kmem_cache_t* cache, gfp_t gfp, const void* caller) {
  return or_enomem(allocate_object(from(cache), gfp, caller));
}

QUARRY_NOINLINE void free_slow(kmem_cache_t* cache, void* object, const void* caller) {
  if (object) free_object(from(cache), object, "kmem_cache_free", caller);
}

QUARRY_NOINLINE void* kmalloc_slow_or_enomem(std::size_t size, gfp_t gfp) {
  return or_enomem(kmalloc_block(size, 1, gfp));
}

bool is_node(int node) {
  return start() && static_cast<unsigned>(node) < node_count();
}

int error_number(cache_error error) {
  return error == cache_error::invalid ? EINVAL : ENOMEM;
}

}  // namespace

QUARRY_EXPORT kmem_cache_t* kmem_cache_create(const char* name, std::size_t size, std::size_t align,
                                              unsigned long flags, object_fn ctor, object_fn dtor) {
  cache_error error = cache_error::no_memory;
  quarry::kmem_cache* cache =
      start() ? create_cache(name, size, align, flags, ctor, dtor, &error) : nullptr;
  if (!cache) {
    if (flags & SLAB_PANIC) {
      text line;
      line << "quarry: kmem_cache_create(\"" << (name ? name : "") << "\"): SLAB_PANIC: "
           << (error == cache_error::invalid ? "invalid argument" : "no memory");
      os::die(&line);
    }
    errno = error_number(error);
  }
  return reinterpret_cast<kmem_cache_t*>(cache);
}

QUARRY_EXPORT int kmem_cache_destroy(kmem_cache_t* cache) {
  return cache ? static_cast<int>(std::min<std::size_t>(destroy_cache(from(cache)), INT_MAX)) : 0;
}

QUARRY_EXPORT void* kmem_cache_alloc(kmem_cache_t* cache, gfp_t gfp) {
  if (!(gfp & __GFP_ZERO)) [[likely]] {
    if (void* object = from(cache)->try_allocate()) [[likely]]
      return object;
  }
  return alloc_slow(cache, gfp, __builtin_return_address(0));
}

QUARRY_EXPORT void* kmem_cache_zalloc(kmem_cache_t* cache, gfp_t gfp) {
  return alloc_slow(cache, gfp | __GFP_ZERO, __builtin_return_address(0));
}

QUARRY_EXPORT void* kmem_cache_alloc_node(kmem_cache_t* cache, gfp_t gfp, int node) {
  const void* caller = __builtin_return_address(0);
  if (node < 0) return alloc_slow(cache, gfp, caller);
  if (!is_node(node)) return fail(EINVAL);
  return or_enomem(allocate_object_on(from(cache), gfp, static_cast<unsigned>(node), caller));
}

QUARRY_EXPORT void kmem_cache_free(kmem_cache_t* cache, void* object) {
  if (from(cache)->try_free(object)) [[likely]]
    return;
  free_slow(cache, object, __builtin_return_address(0));
}

QUARRY_EXPORT int kmem_cache_alloc_bulk(kmem_cache_t* cache, gfp_t gfp, std::size_t count,
                                        void** objects) {
  const void* caller = __builtin_return_address(0);
  if (count <= INT_MAX && allocate_objects(from(cache), gfp, objects, count, caller) == count) {
    return static_cast<int>(count);
  }
  errno = ENOMEM;
  return 0;
}

QUARRY_EXPORT void kmem_cache_free_bulk(kmem_cache_t* cache, std::size_t count, void** objects) {
  free_objects(from(cache), objects, count, __builtin_return_address(0));
}

QUARRY_EXPORT int kmem_cache_shrink(kmem_cache_t* cache) {
  return shrink_cache(from(cache)) ? 0 : 1;
}

QUARRY_EXPORT unsigned int kmem_cache_size(kmem_cache_t* cache) {
  return from(cache)->layout().size;
}

QUARRY_EXPORT const char* kmem_cache_name(kmem_cache_t* cache) {
  return from(cache)->name();
}

QUARRY_EXPORT void* kmalloc(std::size_t size, gfp_t gfp) {
  if (!(gfp & (__GFP_ZERO | __GFP_DMA))) [[likely]] {
    if (void* block = try_allocate(size)) [[likely]]
      return block;
  }
  return kmalloc_slow_or_enomem(size, gfp);
}

QUARRY_EXPORT void* kzalloc(std::size_t size, gfp_t gfp) {
  return kmalloc_slow_or_enomem(size, gfp | __GFP_ZERO);
}

QUARRY_EXPORT void* kmalloc_array(std::size_t count, std::size_t size, gfp_t gfp) {
  std::size_t bytes;
  if (!checked_multiply(count, size, &bytes)) return fail(ENOMEM);
  return kmalloc(bytes, gfp);
}

QUARRY_EXPORT void* kcalloc(std::size_t count, std::size_t size, gfp_t gfp) {
  return kmalloc_array(count, size, gfp | __GFP_ZERO);
}

QUARRY_EXPORT void* kmalloc_node(std::size_t size, gfp_t gfp, int node) {
  if (node < 0) return kmalloc(size, gfp);
  if (!is_node(node)) return fail(EINVAL);
  return or_enomem(kmalloc_block(size, 1, gfp, node));
}

QUARRY_EXPORT void* kmalloc_align(std::size_t size, std::size_t align, gfp_t gfp) {
  if (!is_power_of_two(align)) return fail(EINVAL);
  return or_enomem(align > gib ? nullptr : kmalloc_block(size, align, gfp));
}

QUARRY_EXPORT void* kvmalloc(std::size_t size, gfp_t gfp) {
  return kmalloc(size, gfp);
}

QUARRY_EXPORT void* krealloc(const void* block, std::size_t size, gfp_t gfp) {
  if (!block) return kmalloc(size, gfp);
  if (size == 0) {
    kfree(block);
    return nullptr;
  }
  return or_enomem(krealloc_block(const_cast<void*>(block), size, gfp));
}

QUARRY_EXPORT void kfree(const void* block) {
  if (try_release(const_cast<void*>(block), free_limit)) [[likely]]
    return;
  kfree_slow(const_cast<void*>(block), __builtin_return_address(0));
}

QUARRY_EXPORT void kvfree(const void* block) {
  kfree(block);
}

QUARRY_EXPORT std::size_t ksize(const void* block) {
  return block ? usable_size(block, "ksize") : 0;
}

QUARRY_EXPORT int quarry_slab_tune(const char* name, unsigned limit, unsigned batchcount,
                                   unsigned shared) {
  const cache_error error =
      start() ? tune_caches(name, {limit, batchcount, shared}) : cache_error::no_memory;
  if (error == cache_error::none) return 0;
  errno = error_number(error);
  return -1;
}
