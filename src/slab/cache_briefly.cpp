// Objects for callers that may not make a system call nor wait, or that ask for a node, and many
// objects at once.
#include <algorithm>

#include "page/gfp.h"
#include "page/zones.h"
#include "slab/cache.h"

namespace quarry {

namespace {

// Objects that go to the array at a time.
constexpr unsigned brief_batch = 16;

// How often the lock is tried for a slab that is ready.
constexpr unsigned tries_to_add = 16;

// Partial slabs that are looked at for one of the node.
constexpr unsigned slabs_to_look_at = 64;

}  // namespace

void* kmem_cache::allocate_briefly(gfp_t gfp) {
  if (void* object = percpu::pop_briefly(number_)) return object;
  return take_one_briefly(gfp);
}

// A node is a wish: who may not wait takes what there is.
void* kmem_cache::take_one(gfp_t gfp, unsigned node) {
  if (!(gfp & __GFP_WAIT)) return take_one_briefly(gfp);
  if (node != any_node) return allocate_on(node, gfp);
  void* object;
  return take_batch(&object, 1, gfp, nullptr) ? object : nullptr;
}

void* kmem_cache::allocate_on(unsigned node, gfp_t gfp) {
  {
    os::lock_guard guard(lock_);
    if (page* slab = partial_slab_on(node)) return take_first(slab);
  }
  page* slab = new_slab(gfp, node, nullptr);
  if (!slab) return nullptr;
  os::lock_guard guard(lock_);
  slabs_++;
  partial_.push_front(slab);
  return take_first(slab);
}

void* kmem_cache::take_first(page* slab) {
  void* object;
  take_from(slab, &object, 1);
  return object;
}

page* kmem_cache::partial_slab_on(unsigned node) {
  page* slab = partial_.front();
  for (unsigned i = 0; slab && i < slabs_to_look_at; i++, slab = partial_.after(slab)) {
    if (zone_of(slab)->node() == node) return slab;
  }
  slab = empty_.front();
  if (!slab || zone_of(slab)->node() != node) return nullptr;
  start_on_empty(slab);
  return slab;
}

void* kmem_cache::take_one_briefly(gfp_t gfp) {
  if (!lock_.acquire_briefly()) return nullptr;
  void* object = take_and_list();
  lock_.release_briefly();
  if (object) return object;
  page* slab = new_slab(gfp, 0, nullptr);
  if (!slab) return nullptr;
  for (unsigned i = 0; i < tries_to_add; i++) {
    if (!lock_.acquire_briefly()) continue;
    add_slab(slab);
    object = take_and_list();
    lock_.release_briefly();
    return object;
  }
  if (layout_.checks || dtor_) destruct(slab);
  dissolve_slab(slab, shape_);
  put_free_run(zone_of(slab), slab, shape_.pages, false);
  return nullptr;
}

void kmem_cache::free_briefly(void* object) {
  if (percpu::push_briefly(number_, object)) return;
  bool is_ours;
  if (lock_.acquire_briefly()) {
    is_ours = return_to_slabs(&object, 1) == 1;
    lock_.release_briefly();
  } else {
    os::lock_guard guard(lock_);
    is_ours = return_to_slabs(&object, 1) == 1;
  }
  if (!is_ours) report(object, flush_call());
}

// One object for the caller and some for this CPU's array, which are pushed while the lock is held,
// so that what the array has no room for can go back at once. In fallback a push would take a lock
// that comes before this one.
void* kmem_cache::take_and_list() {
  const unsigned count = percpu::use_sequences && has_arrays_ ? std::min(moved(), brief_batch) : 1;
  void* objects[brief_batch];
  unsigned taken = shared_.take(objects, count);
  if (!taken) taken = take_from_slabs(objects, count);
  if (!taken) return nullptr;
  const unsigned others = taken - 1;
  const unsigned listed = others ? percpu::push_batch(number_, objects, others) : 0;
  const unsigned done = listed + return_to_slabs(objects + listed, others - listed);
  if (done < others) report(objects[done], flush_call());
  return objects[others];
}

std::size_t kmem_cache::allocate_many(gfp_t gfp, void** objects, std::size_t count) {
  constexpr std::size_t most = 1024;  // under one locking
  std::size_t taken = 0;
  const bool may_wait = gfp & __GFP_WAIT;
  while (taken < count) {
    const auto wanted = static_cast<unsigned>(std::min(count - taken, most));
    unsigned got = 0;
    if (may_wait || percpu::use_sequences) {
      got = percpu::pop_batch(number_, objects + taken, wanted);
    }
    if (!got && may_wait) got = take_batch(objects + taken, wanted, gfp, nullptr);
    if (!got && !may_wait) got = (objects[taken] = allocate_briefly(gfp)) ? 1 : 0;
    if (!got) break;
    taken += got;
  }
  return taken;
}

void kmem_cache::free_many(void** objects, std::size_t count) {
  constexpr std::size_t most = 1024;
  for (std::size_t done = 0; done < count;) {
    const auto given = static_cast<unsigned>(std::min(count - done, most));
    const unsigned listed = percpu::push_batch(number_, objects + done, given);
    if (listed < given) {
      if (percpu::note_miss(number_, percpu::miss::full)) {
        percpu::grow(number_, percpu::miss::full);
      }
      give_batch(objects + done + listed, given - listed, true, true);
    }
    done += given;
  }
}

}  // namespace quarry
