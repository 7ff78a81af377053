// Objects from slabs through the shared array, and back. The checks are in cache_checks.cpp, what
// is particular to callers that may not wait in cache_briefly.cpp.
#include "slab/cache.h"

#include <algorithm>

#include "os/memory.h"
#include "os/options.h"
#include "page/gfp.h"
#include "page/page_alloc.h"
#include "page/reclaim.h"
#include "page/zones.h"

namespace quarry {

namespace {

// Bytes that one cache may hold per CPU, and in its shared array.
constexpr std::size_t array_bytes = 4 * mib;

// One empty slab per cache stays for the next request, unless it is larger than this.
constexpr std::size_t largest_kept_slab = 32 * kib;

// And so many of a cache with checks, so that a write to an object that was given back is still
// seen.
constexpr unsigned kept_for_checks = 8;

// How far ahead of the objects that are handed out a new slab's pages are brought into memory: one
// system call for several pages costs less than a page fault for each. So many pages, or as many as
// this share of what is in use: a small heap has only what it touches. Not for objects that may
// leave pages of theirs untouched.
constexpr std::size_t most_ahead = 4;
constexpr std::size_t ahead_share = 512;
constexpr std::size_t largest_populated_object = page_size;

}  // namespace

void kmem_cache::set_sizes(std::size_t object_size, pointer_room shared) {
  has_arrays_ = !layout_.checks && os::is_default(os::option::checks);
  const std::size_t batch = has_arrays_ ? batch_for(object_size) : 1;
  const std::size_t shared_limit = has_arrays_ ? shared_limit_for(object_size) : 0;
  const std::size_t limit = has_arrays_ ? array_bytes / object_size : 0;
  const std::size_t most_shared = std::min<std::size_t>(limit, shared_array::max_limit);
  batchcount_.store(static_cast<u16>(batch), std::memory_order_relaxed);
  shared_.start(static_cast<unsigned>(shared_limit), static_cast<unsigned>(most_shared),
                has_arrays_ ? shared : pointer_room{});
  await_spare(true);
  percpu::declare(number_, object_size, moved(), static_cast<unsigned>(limit));
}

unsigned kmem_cache::kept_empty() const {
  if (layout_.checks) return kept_for_checks;
  return (std::size_t{shape_.pages} << page_shift) <= largest_kept_slab ? 1 : 0;
}

void kmem_cache::create(unsigned number, std::size_t object_size) {
  os::lock_guard guard(lock_);
  shape_ = shape_for(object_size);
  layout_.size = layout_.red_end = layout_.slot_size = static_cast<u32>(object_size);
  number_ = static_cast<u16>(number);
  class_byte_ = number;
  set_sizes(object_size, first_pointers(number));
}

void* kmem_cache::allocate(bool* clean, gfp_t gfp) {
  if (clean) *clean = false;
  const unsigned room = percpu::grow(number_, percpu::miss::empty, release_drained);
  const unsigned most = moved();
  if (room > most) {
    if (const unsigned wanted = wanted_shared_room()) give_shared_room(wanted);
  }
  // Who asks gets the new slab's object, not one that another thread has put in front of it.
  const unsigned wanted = clean ? 1 : std::min(most, room / 2 + 1);
  void* objects[max_batch];
  const unsigned taken = take_batch(objects, wanted, gfp, clean);
  if (!taken) return nullptr;
  // The last one is the lowest address: it goes to the caller, the next lowest ends on top.
  const unsigned listed = percpu::push_batch(number_, objects, taken - 1);
  if (const unsigned left = taken - 1 - listed) {
    // Who asks for an object may hold a lock that a destructor takes.
    if (dtor_)
      free_to_slabs(objects + listed, left);
    else
      give_batch(objects + listed, left, true, false);
  }
  return objects[taken - 1];
}

void kmem_cache::free(void* object, bool quietly) {
  bool share = true;
  if (!quietly || percpu::note_miss(number_, percpu::miss::full)) {
    // Without an array of its own on this CPU the class is not busy enough for the shared one
    // either.
    const auto release = quietly ? nullptr : release_drained;
    share = percpu::grow(number_, percpu::miss::full, release) != 0;
    if (percpu::push(number_, object)) return;
  }
  void* objects[max_batch + 1];
  const unsigned taken = percpu::pop_batch(number_, objects, moved());
  if (percpu::push(number_, object)) {
    if (taken) give_batch(objects, taken, share, quietly);
    return;
  }
  objects[taken] = object;
  give_batch(objects, taken + 1, share, quietly);
}

// Dedicated caches have none until the first CPU's array has grown: there may be thousands of them,
// and few are that busy.
void kmem_cache::give_shared_room(unsigned objects) {
  const pointer_room made = allocate_pointers(objects);
  pointer_room unused;
  {
    os::lock_guard guard(lock_);
    unused = shared_.move_to(made);
    if (!made.begin) shared_.stay();
  }
  free_pointers(unused);
}

page* kmem_cache::slab_with_free_objects() {
  if (page* slab = partial_.front()) return slab;
  page* slab = empty_.front();
  if (slab) start_on_empty(slab);
  return slab;
}

void kmem_cache::start_on_empty(page* slab) {
  empty_.remove(slab);
  empty_count_--;
  partial_.push_front(slab);
}

// The lowest address of each slab comes last, to be handed out first.
unsigned kmem_cache::take_from_slabs(void** objects, unsigned count) {
  unsigned taken = 0;
  while (taken < count) {
    page* slab = slab_with_free_objects();
    if (!slab) break;
    const unsigned got = std::min(count - taken, shape_.objects - slab->count);
    take_from(slab, objects + taken, got);
    taken += got;
  }
  await_spare(false);
  return taken;
}

// Of a partial slab that has so many.
void kmem_cache::take_from(page* slab, void** objects, unsigned count) {
  char* base = shape_.space->address_of(slab);
  void** next = objects + count;
  index_of(slab, shape_).take_lowest(count, [&](unsigned number) {
    *--next = base + std::size_t{number} * shape_.object_size;
    __builtin_prefetch(*next, 1);
  });
  slab->count += count;
  slab->words[use_word] = 0;
  objects_out_ += count;
  if (slab->count == shape_.objects) partial_.remove(slab);
  if (slab != untouched_) return;
  const auto end =
      static_cast<std::size_t>(static_cast<char*>(*objects) - base) + shape_.object_size;
  untouched_used_ = std::max(untouched_used_, static_cast<u16>(bytes_to_pages(end)));
}

void kmem_cache::watch_untouched(page* slab) {
  const bool is_touched = layout_.checks || ctor_;
  untouched_ = shape_.object_size <= largest_populated_object && !is_touched ? slab : nullptr;
  untouched_used_ = untouched_done_ = 0;
}

// What is to be brought into memory, after the lock was released, for the objects that were taken.
kmem_cache::byte_range kmem_cache::claim_untouched() {
  const std::size_t begin = untouched_done_;
  if (!untouched_ || untouched_used_ <= begin) return {};
  const std::size_t ahead = std::min(normal_zone.used_pages() / ahead_share, most_ahead);
  const std::size_t wanted = std::max<std::size_t>(untouched_used_, begin + ahead);
  const std::size_t end = std::min<std::size_t>(wanted, shape_.pages);
  untouched_done_ = static_cast<u16>(end);
  if (end - begin < 2 || ahead < 2) return {};
  char* base = shape_.space->address_of(untouched_);
  return {base + (begin << page_shift), (end - begin) << page_shift};
}

unsigned kmem_cache::take_batch(void** objects, unsigned count, gfp_t gfp, bool* clean) {
  unsigned taken;
  byte_range untouched{};
  {
    os::lock_guard guard(lock_);
    taken = shared_.take(objects, count);
    if (!taken && (taken = take_from_slabs(objects, count))) {
      shared_.note_missing(taken);
      untouched = claim_untouched();
    }
  }
  if (!taken) {
    bool pages_are_clean;
    page* slab = new_slab(gfp, 0, &pages_are_clean);
    if (!slab) {
      // Others may have given some back meanwhile, and so has who trimmed the slabs.
      os::lock_guard guard(lock_);
      return take_from_slabs(objects, count);
    }
    if (clean) *clean = pages_are_clean;
    os::lock_guard guard(lock_);
    add_slab(slab);
    if (pages_are_clean) watch_untouched(slab);
    taken = take_from_slabs(objects, count);
    untouched = claim_untouched();
  }
  if (untouched.size) os::populate(untouched.begin, untouched.size);
  return taken;
}

void kmem_cache::add_slab(page* slab) {
  slabs_++;
  empty_count_++;
  empty_.push_front(slab);
}

// Where the slabs of all caches get their pages.
page* kmem_cache::new_pages(gfp_t gfp, unsigned node, bool* clean) {
  *clean = false;
  const bool in_region = shape_.space == &region.frames;
  const bool asks_much = gfp & __GFP_NORETRY || !(gfp & __GFP_WAIT) || node != 0 || !in_region;
  if (asks_much) [[unlikely]] {
    constexpr gfp_t meant = __GFP_WAIT | __GFP_HIGH | __GFP_NORETRY | __GFP_NOWARN;
    const gfp_t how = (gfp & meant) | (in_region ? 0 : __GFP_DMA);
    return get_free_run(how, shape_.pages, node, clean,
                        in_region ? zone_kind::normal : zone_kind::dma);
  }
  if (shape_.single) return alloc_run(shape_.pages, std::size_t{1} << alignment_order_, clean);
  return alloc_pages(shape_.order, clean);
}

page* kmem_cache::new_slab(gfp_t gfp, unsigned node, bool* clean) {
  bool pages_are_clean;
  page* head = new_pages(gfp, node, &pages_are_clean);
  if (!head) return nullptr;
  make_slab(head, shape_, number_, static_cast<u8>(class_byte_));
  if (layout_.checks || ctor_) construct(head, gfp);
  if (clean) *clean = pages_are_clean;
  return head;
}

void kmem_cache::construct(page* slab, gfp_t gfp) {
  const unsigned long atomic = gfp & __GFP_WAIT ? 0 : SLAB_CTOR_ATOMIC;
  char* slot = shape_.space->address_of(slab);
  for (u32 i = 0; i < shape_.objects; i++, slot += shape_.object_size) {
    if (layout_.checks) paint_new(slot, layout_);
    if (ctor_) ctor_(slot + layout_.left, handle(), SLAB_CTOR_CONSTRUCTOR | atomic);
  }
}

void kmem_cache::destruct(page* slab) {
  char* slot = shape_.space->address_of(slab);
  for (u32 i = 0; i < shape_.objects; i++, slot += shape_.object_size) {
    if (layout_.checks) check_free(slot, layout_, name_, "kmem_cache_shrink");
    if (dtor_) dtor_(slot + layout_.left, handle(), 0);
  }
}

// Objects whose bits share a word of their slab's index have come back; puts the slab on the list
// where it now belongs.
QUARRY_ALWAYS_INLINE void kmem_cache::store(const returned_word& r) {
  *r.word = r.bits;
  r.slab->words[use_word] = 0;
  const u32 before = r.slab->count;
  const u32 in_use = r.slab->count = before - r.objects;
  const bool was_full = before == shape_.objects;
  if (in_use == 0) {
    if (!was_full) partial_.remove(r.slab);
    empty_.push_front(r.slab);
    empty_count_++;
  } else if (was_full) {
    partial_.push_back(r.slab);
  }
}

// Returns how many came back: all, or those before the first that is wrong. Objects that follow
// each other are often neighbours, and a word read right after it was stored is a stall; so the
// word last changed is stored when another one is needed.
unsigned kmem_cache::return_to_slabs(void** objects, unsigned count) {
  const slab_shape shape = shape_;
  returned_word open{};
  unsigned i = 0;
  for (; i < count; i++) {
    page* slab = slab_of(objects[i], shape);
    const u32 number =
        number_at(shape, static_cast<u32>(shape.space->offset_of(objects[i])) & shape.mask);
    if (number >= shape.objects) break;
    u64* word = index_words(slab) + number / 64;
    if (word != open.word) {
      if (slab->kind != page_kind::slab || slab->tag != number_) break;
      if (open.objects) store(open);
      open = {slab, word, *word, 0};
    }
    const u64 bit = u64{1} << (number % 64);
    if (open.bits & bit) break;
    open.bits |= bit;
    open.objects++;
  }
  if (open.objects) store(open);
  objects_out_ -= i;
  return i;
}

void kmem_cache::give_batch(void** objects, unsigned count, bool share, bool quietly) {
  list<page> surplus;
  unsigned done;
  bool is_much_spare;
  {
    os::lock_guard guard(lock_);
    const unsigned shared = share ? shared_.give(objects, count) : 0;
    done = shared + return_to_slabs(objects + shared, count - shared);
    take_empty(&surplus, kept_empty());
    is_much_spare = can_be_trimmed() && spare() > awaited_spare_;
  }
  if (done < count) report(objects[done], flush_call());
  if (is_much_spare) [[unlikely]]
    reclaim_soon();
  if (surplus.empty()) return;
  release_slabs(&surplus, quietly);
  if (quietly) reclaim_if_much_is_free();
}

void kmem_cache::free_to_slabs(void** objects, unsigned count) {
  list<page> empty;
  unsigned done;
  {
    os::lock_guard guard(lock_);
    done = return_to_slabs(objects, count);
    if (!dtor_) take_empty(&empty, 0);
  }
  if (done < count) report(objects[done], flush_call());
  release_slabs(&empty, true);
}

void kmem_cache::keep_in_slabs(void** objects, unsigned count) {
  void* wrong;
  {
    os::lock_guard guard(lock_);
    wrong = take_back(objects, count);
  }
  if (wrong) report(wrong, flush_call());
}

void kmem_cache::keep_in_slabs_briefly(void** objects, unsigned count) {
  if (!lock_.acquire_briefly()) return;
  void* wrong = take_back(objects, count);
  lock_.release_briefly();
  if (wrong) report(wrong, flush_call());
}

// Returns one that cannot have been the cache's, if there is any.
void* kmem_cache::take_back(void** objects, unsigned count) {
  const unsigned done = return_to_slabs(objects, count);
  return done < count ? objects[done] : return_shared(shared_.count());
}

page* kmem_cache::detach(void* object) {
  page* slab = slab_of(object, shape_);
  {
    os::lock_guard guard(lock_);
    slabs_--;
    objects_out_--;
  }
  dissolve_slab(slab, shape_);
  return slab;
}

void kmem_cache::shrink(bool idle_only) {
  bool is_idle;
  {
    os::lock_guard guard(lock_);
    is_idle = shared_.look();
  }
  if (is_idle || !idle_only) empty_shared();
  free_to_slabs(nullptr, 0);
}

// Returns an object that cannot have been one of the cache's, if there is any.
void* kmem_cache::return_shared(unsigned count) {
  void** objects = shared_.last(count);
  const unsigned done = return_to_slabs(objects, count);
  shared_.drop(count);
  return done < count ? objects[done] : nullptr;
}

// After it was emptied. Without arrays it may be a descriptor that is not made yet.
pointer_room kmem_cache::start_shared_again() {
  shared_.look();
  if (!has_arrays_ || shared_.count()) return {};
  return shared_.start_again(shared_limit_for(shape_.object_size), first_pointers(number_));
}

// In steps, since others may be waiting for objects; what they give meanwhile may stay.
void kmem_cache::empty_shared() {
  constexpr unsigned most = 1024;
  for (unsigned left = shared_array::max_limit; left != 0;) {
    void* wrong;
    pointer_room unused;
    {
      os::lock_guard guard(lock_);
      const unsigned count = std::min({left, most, shared_.count()});
      wrong = return_shared(count);
      left = shared_.count() ? left - count : 0;
      if (!left) unused = start_shared_again();
    }
    if (wrong) report(wrong, flush_call());
    free_pointers(unused);
  }
}

bool kmem_cache::take_all_empty(list<page>* slabs) {
  os::lock_guard guard(lock_);
  take_empty(slabs, 0);
  return slabs_ == 0;
}

void kmem_cache::take_empty(list<page>* taken, unsigned keep) {
  while (empty_count_ > keep) {
    page* slab = empty_.pop_front();
    if (slab == untouched_) untouched_ = nullptr;
    taken->push_front(slab);
    empty_count_--;
    slabs_--;
  }
}

void kmem_cache::release_slabs(list<page>* slabs, bool to_zone) {
  while (page* slab = slabs->pop_front()) {
    if (layout_.checks || dtor_) destruct(slab);
    dissolve_slab(slab, shape_);
    free_pages_of(slab, to_zone);
  }
}

void kmem_cache::free_pages_of(page* slab, bool to_zone) {
  zone* z = zone_of(slab);
  if (to_zone || z != &normal_zone) {
    z->free(slab, shape_.pages, false);
  } else if (shape_.single) {
    free_run(slab, shape_.pages, false);
  } else {
    free_pages(slab, shape_.order);
  }
}

cache_figures kmem_cache::figures() {
  os::lock_guard guard(lock_);
  return {slabs_, objects_out_, shared_.count(), shared_.pages(), empty_count_};
}

}  // namespace quarry
