// Locks: caches_lock, after reclaim's and before the per-CPU areas'. It is held while a cache's
// arrays are drained, so that nobody else is half way through that; memory is taken, and the
// program's destructors run, without it.
#include "slab/dedicated.h"

#include <cstring>
#include <new>

#include "base/bitmap.h"
#include "os/fatal.h"
#include "os/file.h"
#include "page/dma.h"
#include "page/page_alloc.h"
#include "page/reclaim.h"
#include "page/zones.h"

namespace quarry {

namespace {

static_assert(most_dedicated == KMEM_CACHE_MAX_COUNT);

constinit os::lock caches_lock;

// The descriptors, written once each, under caches_lock; read anywhere.
QUARRY_SPARSE constinit std::atomic<kmem_cache*> descriptors[most_dedicated]{};

// One more than the highest that was ever used. Written under caches_lock, read anywhere.
constinit std::atomic<unsigned> seen{0};

// A bit per number: taken, from the beginning of its creation to the end of its destruction; and
// alive in between. Words of 64.
constinit u64 taken[most_dedicated / 64] QUARRY_GUARDED_BY(caches_lock){};
constinit u64 alive[most_dedicated / 64] QUARRY_GUARDED_BY(caches_lock){};

void set(u64* words, unsigned bit) {
  words[bit / 64] |= u64{1} << (bit % 64);
}
void clear(u64* words, unsigned bit) {
  words[bit / 64] &= ~(u64{1} << (bit % 64));
}
bool test(const u64* words, unsigned bit) {
  return words[bit / 64] >> (bit % 64) & 1;
}

// The lowest that is free; most_dedicated if none is.
unsigned take_number() {
  os::lock_guard guard(caches_lock);
  unsigned word = 0;
  while (word < most_dedicated / 64 && taken[word] == ~u64{0})
    word++;
  if (word == most_dedicated / 64) return most_dedicated;
  const unsigned number = word * 64 + std::countr_one(taken[word]);
  set(taken, number);
  return number;
}

void give_number(unsigned number) {
  os::lock_guard guard(caches_lock);
  clear(taken, number);
}

// The descriptor of a number that the caller has taken.
kmem_cache* descriptor_of(unsigned number) {
  if (kmem_cache* cache = descriptors[number].load(std::memory_order_acquire)) return cache;
  constexpr std::size_t size = bytes_of_class(compute_class(sizeof(kmem_cache)));
  static_assert(size % alignof(kmem_cache) == 0);
  void* memory = allocate_general(size);
  if (!memory) return nullptr;
  std::memset(memory, 0, size);
  auto* cache = new (memory) kmem_cache;
  os::lock_guard guard(caches_lock);
  // Pairs with the acquires: the descriptor is seen whole.
  descriptors[number].store(cache, std::memory_order_release);
  if (number >= seen.load(std::memory_order_relaxed)) {
    seen.store(number + 1, std::memory_order_release);
  }
  return cache;
}

// Of every number that was ever used. One that was just taken may have none yet.
template <class visit_fn>
void for_each_descriptor(visit_fn visit) {
  const unsigned count = seen.load(std::memory_order_acquire);
  for (unsigned i = 0; i < count; i++) {
    if (kmem_cache* cache = descriptors[i].load(std::memory_order_acquire)) visit(cache);
  }
}

kmem_cache* at_number(unsigned number) {
  return descriptors[place_of(number)].load(std::memory_order_acquire);
}

// The alignment that C objects of that size can need, up to a cache line.
std::size_t natural_alignment(std::size_t size) {
  return std::clamp<std::size_t>(size & -size, sizeof(void*), cache_line);
}

// Linux 2.6, mm/slab.c: small objects share a line, evenly.
std::size_t line_alignment(std::size_t size) {
  std::size_t alignment = cache_line;
  while (size <= alignment / 2)
    alignment /= 2;
  return alignment;
}

constexpr unsigned long known_flags = SLAB_HWCACHE_ALIGN | SLAB_PANIC | SLAB_CACHE_DMA |
                                      SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON |
                                      SLAB_STORE_USER;

bool is_valid(const char* name, std::size_t size, std::size_t alignment, unsigned long flags,
              object_fn ctor, object_fn dtor) {
  if (!name || size == 0 || size > KMEM_CACHE_MAX_SIZE) return false;
  if (alignment != 0 && (!is_power_of_two(alignment) || alignment > KMEM_CACHE_MAX_SIZE)) {
    return false;
  }
  return (flags & ~known_flags) == 0 && (ctor || !dtor);
}

char* copy_of(const char* name) {
  const std::size_t size = std::strlen(name) + 1;
  if (size > max_small_size) return nullptr;
  char* copy = static_cast<char*>(allocate_general(size));
  return copy ? static_cast<char*>(std::memcpy(copy, name, size)) : nullptr;
}

// ZONE_DMA's is made where it is asked for; nullptr where it cannot be.
const frame_space* space_for(unsigned long flags) {
  if (!(flags & SLAB_CACHE_DMA)) return &region.frames;
  const zone* dma = make_dma_zone();
  return dma ? &dma->space() : nullptr;
}

cache_spec spec_for(const char* name, std::size_t size, std::size_t alignment, unsigned long flags,
                    const frame_space* space, object_fn ctor, object_fn dtor) {
  alignment = alignment ? std::max(alignment, sizeof(void*)) : natural_alignment(size);
  if (flags & SLAB_HWCACHE_ALIGN) alignment = std::max(alignment, line_alignment(size));
  const object_layout layout = layout_for(size, alignment, flags, ctor != nullptr);
  return {name, layout, shape_for(layout.slot_size, space), alignment, ctor, dtor};
}

kmem_cache* make_cache(const cache_spec& spec) {
  const unsigned number = take_number();
  if (number == most_dedicated) return nullptr;
  kmem_cache* cache = descriptor_of(number);
  if (!cache) {
    give_number(number);
    return nullptr;
  }
  cache->create(dedicated_number(number), spec);
  os::lock_guard guard(caches_lock);
  set(alive, number);
  return cache;
}

struct objects_out {
  static constexpr unsigned most = 8;
  std::size_t count;
  const void* first[most];
  unsigned found;
};

// One line: how many objects are out of the cache, and where the first are.
void print_objects_out(kmem_cache* cache, const objects_out& out) {
  text line;
  line << "quarry: kmem_cache_destroy(";
  line.address(cache) << "): " << u64{out.count} << " objects of cache \"" << *cache
                      << "\" are in use:";
  for (unsigned i = 0; i < out.found; i++)
    (line << ' ').address(out.first[i]);
  if (out.found == 1) {
    describe_users(&line, static_cast<const char*>(out.first[0]) - cache->layout().left,
                   cache->layout());
  }
  if (out.found < out.count) line << " ...";
  line << '\n';
  os::write_all(2, line.view());
}

}  // namespace

kmem_cache* create_cache(const char* name, std::size_t size, std::size_t alignment,
                         unsigned long flags, object_fn ctor, object_fn dtor, cache_error* error) {
  *error = cache_error::invalid;
  if (!is_valid(name, size, alignment, flags, ctor, dtor)) return nullptr;
  *error = cache_error::no_memory;
  const frame_space* space = space_for(flags);
  char* copy = space ? copy_of(name) : nullptr;
  if (!copy) return nullptr;
  kmem_cache* cache = make_cache(spec_for(copy, size, alignment, flags, space, ctor, dtor));
  if (!cache) {
    free_general(copy);
    return nullptr;
  }
  *error = cache_error::none;
  return cache;
}

std::size_t destroy_cache(kmem_cache* cache) {
  const unsigned number = place_of(cache->number());
  list<page> slabs;
  objects_out out{};
  bool closed;
  // Who shrinks all caches may have slabs of this one in hand, and who trims them objects.
  acquire_reclaim();
  {
    os::lock_guard guard(caches_lock);
    if (!test(alive, number))
      os::die("kmem_cache_destroy", cache, "the cache was destroyed already");
    percpu::drain_index(cache->number(), release_drained);
    closed = cache->close(&slabs);
    if (closed) clear(alive, number);
  }
  if (!closed) out.count = cache->find_objects(out.first, objects_out::most, &out.found);
  release_reclaim();
  if (!closed) {
    print_objects_out(cache, out);
    return std::max<std::size_t>(out.count, 1);
  }
  cache->finish(&slabs);
  give_number(number);
  return 0;
}

bool shrink_cache(kmem_cache* cache) {
  list<page> empty;
  acquire_reclaim();  // as above
  {
    os::lock_guard guard(caches_lock);
    if (!test(alive, place_of(cache->number())))
      os::die("kmem_cache_shrink", cache, "the cache was destroyed already");
    percpu::drain_index(cache->number(), release_drained);
  }
  cache->shrink(false);
  const bool is_empty = cache->take_all_empty(&empty);
  release_reclaim();
  cache->release_slabs(&empty, true);
  return is_empty;
}

text& operator<<(text& line, const kmem_cache& cache) {
  if (cache.is_dedicated()) return line << cache.name();
  return line << "size-" << u64{cache.layout().size};
}

unsigned cache_positions() {
  return class_count + seen.load(std::memory_order_acquire);
}

void visit_cache(unsigned position, void (*visit)(kmem_cache* cache, void* data), void* data) {
  os::lock_guard guard(caches_lock);
  if (position < class_count) {
    if (position != 0) visit(&general_caches[position], data);
  } else if (test(alive, position - class_count)) {
    visit(descriptors[position - class_count].load(std::memory_order_relaxed), data);
  }
}

void for_each_cache(void (*visit)(kmem_cache* cache, void* data), void* data) {
  for (unsigned i = 0; i < cache_positions(); i++)
    visit_cache(i, visit, data);
}

namespace {

struct tuning {
  std::string_view name;
  cache_tunables wanted;
  pointer_room shared;  // for one cache; taken by the first that comes
  bool found;           // one that still needs an array
};

bool has_name(const kmem_cache& cache, std::string_view name) {
  text own;
  own << cache;
  return cache.is_dedicated() ? name == cache.name() : name == own.view();
}

void tune_one(kmem_cache* cache, void* data) {
  auto* t = static_cast<tuning*>(data);
  const cache_tunables now = cache->tunables();
  if (!cache->has_arrays() || !has_name(*cache, t->name)) return;
  const bool done = cache->is_tuned() && now.limit == t->wanted.limit &&
                    now.batchcount == t->wanted.batchcount && now.shared == t->wanted.shared;
  if (done || t->found) return;
  t->found = true;
  t->shared = cache->tune(t->wanted, t->shared);
}

void find_one(kmem_cache* cache, void* data) {
  auto* t = static_cast<tuning*>(data);
  t->found |= cache->has_arrays() && has_name(*cache, t->name);
}

}  // namespace

// Memory is not taken under caches_lock, so each cache of the name is tuned in a round of its own.
cache_error tune_caches(const char* name, const cache_tunables& wanted) {
  if (!name || wanted.batchcount < 1 || wanted.batchcount > wanted.limit ||
      wanted.limit > percpu::max_limit ||
      wanted.shared > shared_array::max_limit / wanted.batchcount) {
    return cache_error::invalid;
  }
  tuning t = {name, wanted, {}, false};
  for_each_cache(find_one, &t);
  if (!t.found) return cache_error::invalid;
  while (t.found) {
    const unsigned objects = wanted.shared * wanted.batchcount;
    t.shared = allocate_pointers(objects);
    if (t.shared.count != objects) return cache_error::no_memory;
    t.found = false;
    for_each_cache(tune_one, &t);
    free_pointers(t.shared);
  }
  return cache_error::none;
}

namespace {

// Of an array's index, which is no page list's.
kmem_cache* cache_at(unsigned index) {
  return index < class_count ? &general_caches[index] : at_number(index);
}

void keep_drained(unsigned index, void** objects, unsigned count) {
  cache_at(index)->keep_in_slabs(objects, count);
}

}  // namespace

void release_drained(unsigned index, void** objects, unsigned count) {
  const bool is_page_list =
      index >= class_count && index < percpu::index_count && drain_page_list(index, objects, count);
  if (!is_page_list) cache_at(index)->free_to_slabs(objects, count);
}

void examine_object(kmem_cache* cache, const void* object, const char* call) {
  {
    os::lock_guard guard(caches_lock);
    percpu::drain_index(cache->number(), keep_drained);
  }
  cache->keep_in_slabs(nullptr, 0);
  cache->check_in_slab(object, call);
}

namespace {

void check_own_array(unsigned index) {
  constexpr unsigned batch = 128;
  void* objects[batch];
  // Others on this CPU may go on filling the array.
  for (unsigned done = 0; done < percpu::max_limit; done += batch) {
    unsigned taken = 0;
    while (taken < batch && (objects[taken] = percpu::pop_briefly(index)))
      taken++;
    if (taken) cache_at(index)->keep_in_slabs_briefly(objects, taken);
    if (taken < batch) return;
  }
}

}  // namespace

void check_all() {
  // Not to touch the areas of a program that has not allocated.
  if (!percpu::has_arrays()) return;
  for (unsigned c = 1; c < class_count; c++)
    check_own_array(c);
  for_each_descriptor([](kmem_cache* cache) { check_own_array(cache->number()); });
}

void shrink_all(bool idle_only) {
  percpu::drain(idle_only, release_drained);
  for (unsigned c = 1; c < class_count; c++)
    general_caches[c].shrink(idle_only);
  for_each_descriptor([=](kmem_cache* cache) { cache->shrink(idle_only); });
}

trimmed trim_all(trim_depth depth) {
  static constinit u64 looks = 0;  // under reclaim_lock
  trim_look look = {++looks, depth, {}, 0};
  for (unsigned c = 1; c < class_count; c++)
    general_caches[c].trim(&look);
  for_each_descriptor([&](kmem_cache* cache) { cache->trim(&look); });
  return look.result;
}

kmem_cache* cache_of(const void* address) {
  const unsigned byte = class_at(address);
  if (byte < shared_byte) return byte ? &general_caches[byte] : nullptr;
  if (byte >= first_own_byte) return at_number(byte);
  const frame_space& space = *slab_space_of(address);
  page* slab = space.page_of(address);
  if (byte != shared_single_byte) {
    const std::size_t order = byte - shared_byte;
    slab = space.page_at(space.number_of(slab) >> order << order);
  } else {
    while (slab->kind == page_kind::none)
      slab--;
  }
  return at_number(slab->tag);
}

void acquire_cache_numbers() QUARRY_NO_ANALYSIS {
  caches_lock.acquire();
}

void release_cache_numbers() QUARRY_NO_ANALYSIS {
  caches_lock.release();
}

void acquire_caches() QUARRY_NO_ANALYSIS {
  for (unsigned c = 1; c < class_count; c++)
    general_caches[c].acquire();
  for_each_descriptor([](kmem_cache* cache) QUARRY_NO_ANALYSIS { cache->acquire(); });
}

void release_caches() QUARRY_NO_ANALYSIS {
  for_each_descriptor([](kmem_cache* cache) QUARRY_NO_ANALYSIS { cache->release(); });
  for (unsigned c = class_count - 1; c >= 1; c--)
    general_caches[c].release();
}

}  // namespace quarry
