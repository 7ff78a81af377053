// Objects of dedicated caches, once the inline paths have found nothing to do or something wrong.
#include <algorithm>
#include <cstring>

#include "os/fatal.h"
#include "os/thread.h"
#include "page/gfp.h"
#include "page/node.h"
#include "slab/dedicated.h"

namespace quarry {

namespace {

[[noreturn]] void refuse(kmem_cache* cache, const char* call, const char* reason) {
  text line;
  line << "quarry: " << call << '(';
  line.address(cache) << "): " << reason;
  if (cache->name()) line << ", cache \"" << *cache << '"';
  os::die(&line);
}

[[noreturn]] void report_foreign(kmem_cache* cache, const void* object, const char* call) {
  text line;
  line << "quarry: " << call << '(';
  line.address(object) << "): not an object of cache \"" << *cache << '"';
  if (const kmem_cache* other = cache_of(object)) line << " but of \"" << *other << '"';
  os::die(&line);
}

void check_use(kmem_cache* cache, gfp_t gfp) {
  if (!cache->name()) refuse(cache, "kmem_cache_alloc", "the cache was destroyed");
  if ((gfp & __GFP_ZERO) && cache->has_constructor()) {
    refuse(cache, "kmem_cache_alloc", "__GFP_ZERO would undo the constructor");
  }
}

void check_owner(kmem_cache* cache, const void* object, const char* call) {
  if (!cache->name()) refuse(cache, call, "the cache was destroyed");
  if (cache_of(object) != cache) report_foreign(cache, object, call);
}

void* try_once(kmem_cache* cache, gfp_t gfp, unsigned node, const void* caller) {
  if (cache->has_checks()) return cache->allocate_checked(gfp, node, caller);
  if (!(gfp & __GFP_WAIT)) return cache->allocate_briefly(gfp);
  if (node != kmem_cache::any_node) return cache->allocate_on(node, gfp);
  if (void* object = percpu::pop(cache->number())) return object;
  return cache->allocate(nullptr, gfp);
}

void* take(kmem_cache* cache, gfp_t gfp, unsigned node, const void* caller) {
  constexpr gfp_t insists = __GFP_NOFAIL | __GFP_WAIT;
  void* object;
  while (!(object = try_once(cache, gfp, node, caller)) && (gfp & insists) == insists)
    os::sleep_ms(retry_ms);
  if (object && (gfp & __GFP_ZERO)) std::memset(object, 0, cache->layout().size);
  return object;
}

}  // namespace

void* allocate_object(kmem_cache* cache, gfp_t gfp, const void* caller) {
  check_use(cache, gfp);
  return take(cache, gfp, kmem_cache::any_node, caller);
}

void* allocate_object_on(kmem_cache* cache, gfp_t gfp, unsigned node, const void* caller) {
  check_use(cache, gfp);
  return take(cache, gfp, node_count() == 1 ? kmem_cache::any_node : node, caller);
}

void free_object(kmem_cache* cache, void* object, const char* call, const void* caller) {
  check_owner(cache, object, call);
  put_object(cache, object, call, caller, true);
}

void put_object(kmem_cache* cache, void* object, const char* call, const void* caller,
                bool quietly) {
  if (!cache->has_arrays()) return cache->free_checked(object, call, caller);
  if (percpu::is_last_in(cache->number(), object)) examine_object(cache, object, call);
  if (!percpu::push(cache->number(), object)) cache->free(object, quietly);
}

std::size_t allocate_objects(kmem_cache* cache, gfp_t gfp, void** objects, std::size_t count,
                             const void* caller) {
  check_use(cache, gfp);
  const bool many = !cache->has_checks() && !(gfp & (__GFP_ZERO | __GFP_NOFAIL));
  std::size_t taken = many ? cache->allocate_many(gfp, objects, count) : 0;
  while (!many && taken < count &&
         (objects[taken] = take(cache, gfp, kmem_cache::any_node, caller)))
    taken++;
  if (taken == count) return count;
  if (gfp & __GFP_WAIT || cache->has_checks()) {
    free_objects(cache, objects, taken, caller);
  } else {
    std::for_each(objects, objects + taken, [=](void* object) { cache->free_briefly(object); });
  }
  return 0;
}

void free_objects(kmem_cache* cache, void** objects, std::size_t count, const void* caller) {
  constexpr char call[] = "kmem_cache_free_bulk";
  for (std::size_t i = 0; i < count; i++)
    check_owner(cache, objects[i], call);
  if (cache->has_arrays()) return cache->free_many(objects, count);
  for (std::size_t i = 0; i < count; i++)
    cache->free_checked(objects[i], call, caller);
}

}  // namespace quarry
