#include "slab/cache.h"

#include <algorithm>

#include "os/fatal.h"
#include "page/page_alloc.h"
#include "page/reclaim.h"
#include "percpu/array.h"

namespace quarry {

constinit kmem_cache general_caches[class_count];

namespace {

// Bytes that one cache may hold per CPU and in its shared array, and that move at a time.
constexpr std::size_t array_bytes = 4 * mib;
constexpr std::size_t shared_bytes = 128 * kib;
constexpr std::size_t batch_bytes = 32 * kib;
constexpr std::size_t max_shared = 512;

// One empty slab per cache stays for the next request, unless it is larger than this.
constexpr std::size_t largest_kept_slab = 32 * kib;

constexpr unsigned shared_limit_for(std::size_t size) {
  return static_cast<unsigned>(std::min(shared_bytes / size, max_shared));
}

}  // namespace

void kmem_cache::create(unsigned number, std::size_t object_size, void** shared) {
  shape_ = shape_for(object_size);
  number_ = static_cast<u16>(number);
  batchcount_ = static_cast<u16>(std::clamp<std::size_t>(batch_bytes / object_size, 1, max_batch));
  shared_limit_ = static_cast<u16>(shared_limit_for(object_size));
  shared_ = shared;
  kept_empty_ = (std::size_t{shape_.pages} << page_shift) <= largest_kept_slab ? 1 : 0;
  percpu::declare(number, object_size, batchcount_,
                  static_cast<unsigned>(array_bytes / object_size));
}

void* kmem_cache::allocate(bool* clean) {
  if (clean) *clean = false;
  const unsigned room = percpu::grow(number_, percpu::miss::empty);
  const unsigned wanted = std::min<unsigned>(batchcount_, room / 2 + 1);
  void* objects[max_batch];
  const unsigned taken = take_batch(objects, wanted, clean);
  if (!taken) return nullptr;
  // The last one is the lowest address: it goes to the caller, the next lowest ends on top.
  const unsigned listed = percpu::push_batch(number_, objects, taken - 1);
  if (listed < taken - 1) give_batch(objects + listed, taken - 1 - listed, true);
  return objects[taken - 1];
}

void kmem_cache::free(void* object) {
  // Without an array of its own on this CPU the class is not busy enough for the shared one either.
  const bool share = percpu::grow(number_, percpu::miss::full) != 0;
  if (percpu::push(number_, object)) return;
  void* objects[max_batch + 1];
  const unsigned taken = percpu::pop_batch(number_, objects, batchcount_);
  if (percpu::push(number_, object)) {
    if (taken) give_batch(objects, taken, share);
    return;
  }
  objects[taken] = object;
  give_batch(objects, taken + 1, share);
}

unsigned kmem_cache::take_shared(void** objects, unsigned count) {
  const unsigned taken = std::min<unsigned>(count, shared_count_);
  shared_count_ = static_cast<u16>(shared_count_ - taken);
  std::copy_n(shared_ + shared_count_, taken, objects);
  return taken;
}

page* kmem_cache::slab_with_free_objects() {
  if (page* slab = partial_.front()) return slab;
  page* slab = empty_.pop_front();
  if (!slab) return nullptr;
  empty_count_--;
  partial_.push_front(slab);
  return slab;
}

// The lowest address of each slab comes last, to be handed out first.
unsigned kmem_cache::take_from_slabs(void** objects, unsigned count) {
  unsigned taken = 0;
  while (taken < count) {
    page* slab = slab_with_free_objects();
    if (!slab) break;
    char* base = region.frames.address_of(slab);
    const unsigned got = std::min(count - taken, shape_.objects - slab->count);
    void** next = objects + taken + got;
    index_of(slab, shape_).take_lowest(got, [&](unsigned number) {
      *--next = base + std::size_t{number} * shape_.object_size;
      __builtin_prefetch(*next, 1);
    });
    slab->count += got;
    taken += got;
    if (slab->count == shape_.objects) partial_.remove(slab);
  }
  objects_out_ += taken;
  return taken;
}

unsigned kmem_cache::take_batch(void** objects, unsigned count, bool* clean) {
  {
    os::lock_guard guard(lock_);
    if (const unsigned taken = take_shared(objects, count)) return taken;
    if (const unsigned taken = take_from_slabs(objects, count)) return taken;
  }
  page* slab = new_slab(clean);
  if (!slab) return 0;
  os::lock_guard guard(lock_);
  slabs_++;
  empty_count_++;
  empty_.push_front(slab);
  return take_from_slabs(objects, count);
}

page* kmem_cache::new_slab(bool* clean) {
  bool run_is_clean = false;
  page* head =
      shape_.single ? alloc_run(shape_.pages, 1, &run_is_clean) : alloc_pages(shape_.order);
  if (!head) return nullptr;
  populate_slab(head, shape_, number_, static_cast<u8>(number_));
  if (clean) *clean = run_is_clean;
  return head;
}

// Objects whose bits share a word of their slab's index have come back; puts the slab on the list
// where it now belongs.
QUARRY_ALWAYS_INLINE void kmem_cache::store(const returned_word& r) {
  *r.word = r.bits;
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

// Each object's slab is likely to be a cache miss of its own, unless it is its neighbour's.
static void prefetch_slabs(const slab_shape& shape, void** objects, unsigned count) {
  page* last = nullptr;
  for (unsigned i = 0; i < count; i++) {
    page* slab = slab_of(objects[i], shape);
    if (slab != last) __builtin_prefetch(slab, 1);
    last = slab;
  }
}

// Returns how many came back: all, or those before the first that is wrong. Objects that follow
// each other are often neighbours, and a word read right after it was stored is a stall; so the
// word last changed is stored when another one is needed.
unsigned kmem_cache::return_to_slabs(void** objects, unsigned count) {
  const slab_shape shape = shape_;
  prefetch_slabs(shape, objects, count);
  returned_word open{};
  unsigned i = 0;
  for (; i < count; i++) {
    page* slab = slab_of(objects[i], shape);
    const u32 number = number_at(shape, static_cast<u32>(offset_of(objects[i])) & shape.mask);
    if (number >= shape.objects) break;
    u64* word = &slab->words[number / 64];
    if (word != open.word) {
      if (slab->kind != page_kind::slab || slab->tag != number_) break;
      if (open.word) store(open);
      open = {slab, word, *word, 0};
    }
    const u64 bit = u64{1} << (number % 64);
    if (open.bits & bit) break;
    open.bits |= bit;
    open.objects++;
  }
  if (open.word) store(open);
  objects_out_ -= i;
  return i;
}

void kmem_cache::give_batch(void** objects, unsigned count, bool share) {
  list<page> surplus;
  unsigned done;
  {
    os::lock_guard guard(lock_);
    const unsigned shared = share ? std::min<unsigned>(count, shared_limit_ - shared_count_) : 0;
    std::copy_n(objects, shared, shared_ + shared_count_);
    shared_count_ = static_cast<u16>(shared_count_ + shared);
    done = shared + return_to_slabs(objects + shared, count - shared);
    take_empty(&surplus, kept_empty_);
  }
  if (done < count) report(objects[done], "free");
  release_slabs(&surplus, false);
}

void kmem_cache::free_to_slabs(void** objects, unsigned count) {
  list<page> empty;
  unsigned done;
  {
    os::lock_guard guard(lock_);
    done = return_to_slabs(objects, count);
    take_empty(&empty, 0);
  }
  if (done < count) report(objects[done], "free");
  release_slabs(&empty, true);
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
  void* objects[max_shared];
  unsigned count = 0;
  {
    os::lock_guard guard(lock_);
    if (!idle_only || shared_count_ == shared_seen_) count = take_shared(objects, shared_count_);
    shared_seen_ = shared_count_;
  }
  free_to_slabs(objects, count);
}

void kmem_cache::take_empty(list<page>* taken, unsigned keep) {
  while (empty_count_ > keep) {
    taken->push_front(empty_.pop_front());
    empty_count_--;
    slabs_--;
  }
}

void kmem_cache::release_slabs(list<page>* slabs, bool to_zone) {
  while (page* slab = slabs->pop_front()) {
    dissolve_slab(slab, shape_);
    if (to_zone) {
      normal_zone.free(slab, shape_.pages, false);
    } else if (shape_.single) {
      free_run(slab, shape_.pages, false);
    } else {
      free_pages(slab, shape_.order);
    }
  }
}

std::size_t kmem_cache::check(const void* object, const char* call) {
  const object_error error = error_of(slab_of(object, shape_), shape_, number_, object);
  if (error != object_error::none) report(object, call);
  return shape_.object_size;
}

void kmem_cache::report(const void* object, const char* call) {
  page* slab = slab_of(object, shape_);
  // A single object's slab begins at the last frame before the address that is no tail.
  while (shape_.single && slab->kind == page_kind::none)
    slab--;
  // It was a slab's when the class map brought the object here, and an object in use keeps its
  // slab.
  if (slab->kind != page_kind::slab || slab->tag != number_) {
    os::die(call, object, "already free");
  }
  const char* base = region.frames.address_of(slab);
  const auto offset = static_cast<std::size_t>(static_cast<const char*>(object) - base);
  const std::size_t number = offset / shape_.object_size;
  if (number >= shape_.objects) os::die(call, object, "not a block of this allocator");
  const char* begin = base + number * shape_.object_size;
  if (begin != object) os::die(call, object, "inside a block that begins at", begin);
  os::die(call, object, "already free");
}

cache_figures kmem_cache::figures() {
  os::lock_guard guard(lock_);
  return {slabs_, objects_out_, shared_count_, empty_count_};
}

namespace {

// The general caches' shared arrays, one behind the other.
constexpr std::size_t shared_total = [] {
  std::size_t total = 0;
  for (unsigned c = 1; c < class_count; c++)
    total += shared_limit_for(bytes_of_class(c));
  return total;
}();
constinit void* shared_storage[shared_total]{};

void release_drained(unsigned index, void** objects, unsigned count) {
  if (!drain_page_list(index, objects, count)) general_caches[index].free_to_slabs(objects, count);
}

}  // namespace

void start_general_caches() {
  void** shared = shared_storage;
  for (unsigned c = 1; c < class_count; c++) {
    general_caches[c].create(c, bytes_of_class(c), shared);
    shared += general_caches[c].shared_limit();
  }
}

void shrink_all(bool idle_only) {
  percpu::drain(idle_only, release_drained);
  for (unsigned c = 1; c < class_count; c++)
    general_caches[c].shrink(idle_only);
}

}  // namespace quarry
