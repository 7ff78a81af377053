// kmem_cache: the slabs of one kind of object and the shared array in front of them. The per-CPU
// arrays (percpu/array.h, under the cache's number) stand before both.
//
//   general caches    serve malloc, by size class; number and class byte are the class
//   dedicated caches  are made by the program (dedicated.h); their numbers are dynamic indices
//
// Lock: one per cache, covering its shared array, its slab lists and its slabs. Memory is taken
// from and given to the page layer with the lock open, and the program's constructors and
// destructors run with no lock at all.
#pragma once

#include <algorithm>
#include <utility>

#include "os/lock.h"
#include "page/page_alloc.h"
#include "page/reclaim.h"
#include "percpu/array.h"
#include "quarry/slab.h"
#include "slab/debug.h"
#include "slab/shared_array.h"
#include "slab/size_class.h"
#include "slab/slab.h"

namespace quarry {

// What a cache holds, for statistics.
struct cache_figures {
  std::size_t slabs;
  std::size_t objects_out;     // of their slabs: in use or in arrays
  std::size_t shared_objects;  // in the shared array
  std::size_t shared_pages;    // that its pointers take
  std::size_t empty_slabs;
};

// The program's constructor and destructor.
using object_fn = void (*)(void* object, kmem_cache_t* cache, unsigned long flags);

// What a dedicated cache is made of.
struct cache_spec {
  const char* name;  // stays the cache's
  object_layout layout;
  slab_shape shape;
  std::size_t alignment;
  object_fn ctor;
  object_fn dtor;
};

// How a cache's arrays are sized: the columns of slabinfo.
struct cache_tunables {
  unsigned limit;       // of each per-CPU array, in objects
  unsigned batchcount;  // objects that move at a time
  unsigned shared;      // the shared array's limit, in batches
};

// How many objects move between the arrays at a time, unless the cache is tuned: 16 KiB of them, at
// least 8 below 32 KiB, so that what goes from one CPU to another takes a lock for each batch and
// not for each object.
inline constexpr std::size_t max_batch = 128;
constexpr std::size_t batch_for(std::size_t object_size) {
  const std::size_t least = object_size < 32 * kib ? 8 : 1;
  return std::clamp(16 * kib / object_size, least, max_batch);
}

// How many the shared array holds at first: whole batches, 64 KiB of them or at least two below
// 32 KiB.
constexpr std::size_t shared_limit_for(std::size_t object_size) {
  const std::size_t batch = batch_for(object_size);
  const std::size_t least = object_size < 32 * kib ? 2 : 0;
  return std::clamp(64 * kib / object_size / batch, least, std::size_t{4}) * batch;
}

// Class bytes and numbers of dedicated caches. The first have a byte each, which is their number,
// so that free() serves them as it does the general ones. The others share a byte per order of
// their slabs, and one for slabs of single objects: as indices these are never used, so that free()
// takes its slow path; their numbers are dynamic indices.
inline constexpr unsigned shared_byte = 128;
inline constexpr unsigned shared_single_byte = 159;
inline constexpr unsigned first_own_byte = 160;
inline constexpr unsigned own_bytes = first_list_index - first_own_byte;  // above are the pages'
static_assert(class_count <= shared_byte);

// By how many dedicated caches came before.
constexpr unsigned dedicated_number(unsigned n) {
  return n < own_bytes ? first_own_byte + n : percpu::first_dynamic_index + n - own_bytes;
}
constexpr unsigned place_of(unsigned number) {
  return number < percpu::index_count ? number - first_own_byte
                                      : number - percpu::first_dynamic_index + own_bytes;
}
inline constexpr unsigned most_dedicated = percpu::dynamic_count;

// Spare memory of slabs is counted in units of 64 KiB.
inline constexpr unsigned spare_shift = 16;

// Reclaim looks at the slabs of all caches. By one thread at a time (reclaim_lock).
struct trim_look {
  u64 number;  // from 1
  trim_depth depth;
  trimmed result;
  unsigned refusals;  // slabs of which the system refused something
};

class alignas(cache_line) kmem_cache {
 public:
  // A general cache; once, before use.
  void create(unsigned number, std::size_t object_size) QUARRY_EXCLUDES(lock_);

  // A dedicated cache, when it is made, under that number of its own.
  void create(unsigned number, const cache_spec& spec) QUARRY_EXCLUDES(lock_);

  // The end of a dedicated cache whose arrays are drained and that nobody uses, in two steps, so
  // that destructors run without locks. close() takes its slabs, or returns false, and nothing has
  // happened, while objects are out.
  bool close(list<page>* slabs) QUARRY_EXCLUDES(lock_);
  void finish(list<page>* slabs) QUARRY_EXCLUDES(lock_);

  const slab_shape& shape() const { return shape_; }
  const object_layout& layout() const { return layout_; }
  const char* name() const { return name_; }
  unsigned number() const { return number_; }
  bool is_dedicated() const { return number_ >= first_own_byte; }
  bool has_constructor() const { return ctor_ != nullptr; }
  unsigned batchcount() const { return batchcount_.load(std::memory_order_relaxed); }
  // May be read anywhere; once tuned they stay.
  cache_tunables tunables() const QUARRY_NO_ANALYSIS;
  bool is_tuned() const QUARRY_NO_ANALYSIS { return shared_.is_fixed(); }
  // Sets the limits and empties the arrays. `shared` has room for shared * batchcount pointers;
  // returns what it replaces.
  pointer_room tune(const cache_tunables& wanted, pointer_room shared) QUARRY_EXCLUDES(lock_);

  // An object from this CPU's array of a dedicated cache, in a handful of instructions; nullptr
  // where there is none, and allocate() is to be asked.
  QUARRY_ALWAYS_INLINE void* try_allocate() {
#if QUARRY_HAS_SEQUENCES
    if (inline_index_) [[likely]]
      return percpu::sequence::pop(inline_index_);
#endif
    return nullptr;
  }

  // An object back to this CPU's array of a dedicated cache with a class byte of its own. False
  // where it is not one of the cache's or there is no room: free_object() is to be called.
  QUARRY_ALWAYS_INLINE bool try_free(void* object) {
#if QUARRY_HAS_SEQUENCES
    const std::size_t offset = reinterpret_cast<uptr>(object) - reinterpret_cast<uptr>(frames_base);
    if (offset < inline_limit_) [[likely]] {
      const unsigned byte = class_map[offset >> page_shift];
      if (byte == class_byte_) [[likely]]
        return percpu::sequence::push(byte, object);
    }
#endif
    return false;
  }

  // An object after the CPU's array was found empty: refills it by a batch. nullptr when memory has
  // ended. `clean`, unless null, tells whether the object is known to read as zero. `gfp` has
  // __GFP_WAIT.
  void* allocate(bool* clean = nullptr, gfp_t gfp = GFP_KERNEL);

  // As allocate(), without a system call and without waiting.
  void* allocate_briefly(gfp_t gfp);

  // Takes an object after the CPU's array was found full: flushes a batch of it. Dies on an object
  // of the batch that is not in use. `quietly`: without a system call but once in a long while, or
  // where a lock is held for long or much memory is free.
  void free(void* object, bool quietly = false);

  // An object in memory of that node if it can be had, past the arrays. `gfp` has __GFP_WAIT.
  void* allocate_on(unsigned node, gfp_t gfp) QUARRY_EXCLUDES(lock_);

  // Takes an object of a cache without checks back, without a system call; waits for nothing but
  // the cache's lock, should somebody hold it for long. Empty slabs stay.
  void free_briefly(void* object) QUARRY_EXCLUDES(lock_);

  // An object of a cache with checks; and back, for `call`, to one without arrays. `caller`: the
  // code that asked, for messages. `node`: as allocate_on(), or any_node.
  static constexpr unsigned any_node = ~0u;
  void* allocate_checked(gfp_t gfp, unsigned node, const void* caller);
  void free_checked(void* object, const char* call, const void* caller);
  bool has_checks() const {
    return layout_.checks;
  }

  // Not with checks; and with the option `checks` no cache has any, general ones included. What the
  // slabs say of objects is then true at any time.
  bool has_arrays() const {
    return has_arrays_;
  }

  // Many at once, of a cache without checks. Returns how many it took; all go.
  std::size_t allocate_many(gfp_t gfp, void** objects, std::size_t count);
  void free_many(void** objects, std::size_t count);

  // Objects that left an array for good: to their slabs, and empty slabs to the zone unless there
  // is a destructor to be run, since this is called by any thread and under locks.
  void free_to_slabs(void** objects, unsigned count) QUARRY_EXCLUDES(lock_);

  // These and those of the shared array to their slabs, which all stay.
  void keep_in_slabs(void** objects, unsigned count) QUARRY_EXCLUDES(lock_);
  // Likewise, but where the lock is not to be had soon they are lost.
  void keep_in_slabs_briefly(void** objects, unsigned count) QUARRY_EXCLUDES(lock_);

  // Takes a slab of one object, which is in use, out of the cache: its pages are the caller's.
  page* detach(void* object) QUARRY_EXCLUDES(lock_);

  // Empties the shared array, if it is as it was at the last call or at once, and gives up what
  // room it has gained; releases empty slabs as free_to_slabs() does.
  void shrink(bool idle_only) QUARRY_EXCLUDES(lock_);

  // The pages of slabs in which no object is out go back to the system, see cache_trim.cpp.
  void trim(trim_look* look) QUARRY_EXCLUDES(lock_);

  // Takes all empty slabs, which go to release_slabs(); returns whether no other is left.
  bool take_all_empty(list<page>* slabs) QUARRY_EXCLUDES(lock_);
  // Destructors run.
  void release_slabs(list<page>* slabs, bool to_zone) QUARRY_EXCLUDES(lock_);

  // The object's size if it is one in use, as far as its slab knows and this CPU's array, if it is
  // the last one in (others in arrays pass). Dies in the name of `call` otherwise. Takes locks
  // only to settle that; what it reads of an object in use does not change.
  std::size_t check(const void* object, const char* call) {
    if (!is_in_slab(object) || percpu::is_last_in(number_, object)) [[unlikely]]
      settle(object, call);
    return layout_.size;
  }
  void check_in_slab(const void* object, const char* call);  // as its slab knows

  // The first `most` objects that are out, and how many there are: for a cache that nobody uses.
  std::size_t find_objects(const void** objects, unsigned most, unsigned* found)
      QUARRY_EXCLUDES(lock_);

  cache_figures figures() QUARRY_EXCLUDES(lock_);

  void acquire() QUARRY_ACQUIRE(lock_) {
    lock_.acquire();
  }
  void release() QUARRY_RELEASE(lock_) {
    lock_.release();
  }

 private:
  struct byte_range {
    char* begin;
    std::size_t size;
  };

  // Pages of a slab of which all objects are claimed, as if they were out, while they go back.
  struct claim {
    static constexpr unsigned most_ranges = 16;
    page* slab;
    unsigned first;  // of its ranges
    unsigned end;
  };
  // What goes back in one system call, where the system can do that.
  struct claims {
    static constexpr unsigned most_slabs = 32;
    static constexpr u32 most_pages = 1 * mib >> page_shift;  // nobody else gets them meanwhile
    unsigned slabs;
    unsigned ranges;
    u32 pages;
    claim slab[most_slabs];
    page_range range[page_range::most];
    bool are_full() const {
      return slabs == most_slabs || pages >= most_pages ||
             ranges + claim::most_ranges > page_range::most;
    }
  };

  // A word of a slab's index that objects are being returned to.
  struct returned_word {
    page* slab;
    u64* word;
    u64 bits;
    u32 objects;
  };

  void set_sizes(std::size_t object_size, pointer_room shared) QUARRY_REQUIRES(lock_);
  // What moves at a time, whatever batchcount says.
  unsigned moved() const {
    return std::min<unsigned>(batchcount(), max_batch);
  }
  kmem_cache_t* handle() {
    return reinterpret_cast<kmem_cache_t*>(this);
  }
  char* slot_of(const void* object) const {
    return static_cast<char*>(const_cast<void*>(object)) - layout_.left;
  }
  bool is_in_slab(const void* object) const {
    const void* slot = slot_of(object);
    return is_in_use(slab_of(slot, shape_), shape_, number_, slot);
  }
  void settle(const void* object, const char* call);
  unsigned take_batch(void** objects, unsigned count, gfp_t gfp, bool* clean)
      QUARRY_EXCLUDES(lock_);
  unsigned take_from_slabs(void** objects, unsigned count) QUARRY_REQUIRES(lock_);
  void take_from(page* slab, void** objects, unsigned count) QUARRY_REQUIRES(lock_);
  byte_range claim_untouched() QUARRY_REQUIRES(lock_);
  void* take_one(gfp_t gfp, unsigned node) QUARRY_EXCLUDES(lock_);
  void* take_one_briefly(gfp_t gfp) QUARRY_EXCLUDES(lock_);
  void* take_and_list() QUARRY_REQUIRES(lock_);
  void* take_first(page* slab) QUARRY_REQUIRES(lock_);
  page* partial_slab_on(unsigned node) QUARRY_REQUIRES(lock_);
  void start_on_empty(page* slab) QUARRY_REQUIRES(lock_);
  page* new_pages(gfp_t gfp, unsigned node, bool* clean);
  page* new_slab(gfp_t gfp, unsigned node, bool* clean) QUARRY_EXCLUDES(lock_);
  void add_slab(page* slab) QUARRY_REQUIRES(lock_);
  void watch_untouched(page* slab) QUARRY_REQUIRES(lock_);
  void construct(page* slab, gfp_t gfp);
  void destruct(page* slab);
  // How much room is worth to be given to the shared array, or 0; may be asked anywhere.
  unsigned wanted_shared_room() const QUARRY_NO_ANALYSIS {
    return shared_.wanted_room();
  }
  void give_shared_room(unsigned objects) QUARRY_EXCLUDES(lock_);
  void give_batch(void** objects, unsigned count, bool share, bool quietly) QUARRY_EXCLUDES(lock_);
  void* return_shared(unsigned count) QUARRY_REQUIRES(lock_);
  pointer_room start_shared_again() QUARRY_REQUIRES(lock_);
  void empty_shared() QUARRY_EXCLUDES(lock_);
  void* take_back(void** objects, unsigned count) QUARRY_REQUIRES(lock_);
  page* slab_with_free_objects() QUARRY_REQUIRES(lock_);
  // Free objects of slabs that are partly in use; their bytes, and those of all slabs, in units.
  std::size_t spare_objects() const QUARRY_REQUIRES(lock_) {
    return std::size_t{slabs_ - empty_count_} * shape_.objects - objects_out_;
  }
  std::size_t spare() const QUARRY_REQUIRES(lock_) {
    return std::min<std::size_t>(spare_objects() * shape_.object_size >> spare_shift, UINT16_MAX);
  }
  std::size_t units() const QUARRY_REQUIRES(lock_) {
    return std::size_t{slabs_} * shape_.pages >> (spare_shift - page_shift);
  }
  void await_spare(bool after_look) QUARRY_REQUIRES(lock_);
  bool can_be_trimmed() const QUARRY_REQUIRES(lock_) {
    const bool is_kept = layout_.checks || ctor_ || dtor_;
    const bool has_pages = shape_.pages > 1 && shape_.pages < map_purge_pages && !shape_.single;
    return has_pages && !is_kept && shape_.space == &region.frames;
  }
  bool is_worth_a_look(trim_depth depth) const QUARRY_REQUIRES(lock_);
  bool look_at_slabs(trim_look* look, unsigned* left, claims* claimed) QUARRY_REQUIRES(lock_);
  void look_at_slab(page* slab, bool cuts_huge_pages, trim_look* look, claims* claimed)
      QUARRY_REQUIRES(lock_);
  void purge(claims* claimed, trim_look* look) QUARRY_EXCLUDES(lock_);
  void end_claim(const claim& c, const claims& claimed, trim_look* look) QUARRY_EXCLUDES(lock_);
  void move_to_front(page* partial) QUARRY_REQUIRES(lock_) {
    partial_.remove(partial);
    partial_.push_front(partial);
  }
  void claim_unused(page* slab, claims* claimed) QUARRY_REQUIRES(lock_);
  void* unclaim(const claim& c, const claims& claimed) QUARRY_REQUIRES(lock_);
  std::pair<u32, u32> objects_in(u32 first_page, u32 pages) const;
  unsigned kept_empty() const;
  void free_pages_of(page* slab, bool to_zone);
  void store(const returned_word& r) QUARRY_REQUIRES(lock_);
  unsigned return_to_slabs(void** objects, unsigned count) QUARRY_REQUIRES(lock_);
  void take_empty(list<page>* taken, unsigned keep) QUARRY_REQUIRES(lock_);
  const char* flush_call() const {
    return is_dedicated() ? "kmem_cache_free" : "free";
  }
  [[noreturn]] void report(const void* object, const char* call);

  // Written by create().
  slab_shape shape_{};
  u16 number_ = 0;
  // From more spare() than this on reclaim is to look at the slabs.
  u16 awaited_spare_ QUARRY_GUARDED_BY(lock_) = 0;
  // Objects that move between the arrays at a time. Written by create() and under the lock; read
  // anywhere.
  std::atomic<u16> batchcount_{0};

  // Written by create(); all-zero until then, to take no room in the file.
  bool has_arrays_ = false;
  u8 alignment_order_ = 0;  // of slabs

  // Written by create(), the first two to 0 by close(), and what the inline paths read.
  // inline_index_ and inline_limit_ are 0 in the fallback mode of the per-CPU layer and without
  // arrays; the limit also where the class byte is shared. They stand late in their cache line
  // because a load behind a store to the same place in another page waits for it, and what a
  // program has just written is mostly the beginning of an object, which is that of a cache line.
  std::size_t inline_limit_ = 0;  // bytes from the region's base
  u32 inline_index_ = 0;
  u32 class_byte_ = 0;

  // Written by create().
  const char* name_ = nullptr;  // of a dedicated cache; null again after finish()
  object_fn ctor_ = nullptr;
  object_fn dtor_ = nullptr;
  object_layout layout_{};

  os::lock lock_;
  u32 empty_count_ QUARRY_GUARDED_BY(lock_) = 0;
  u32 slabs_ QUARRY_GUARDED_BY(lock_) = 0;
  // Of the untouched slab, from its begin: pages in which objects were handed out, and pages that
  // are in memory by now or were left to page faults.
  u16 untouched_used_ QUARRY_GUARDED_BY(lock_) = 0;
  u16 untouched_done_ QUARRY_GUARDED_BY(lock_) = 0;
  shared_array shared_ QUARRY_GUARDED_BY(lock_);
  std::size_t objects_out_ QUARRY_GUARDED_BY(lock_) = 0;
  list<page> partial_ QUARRY_GUARDED_BY(lock_);  // some objects in use, some free
  list<page> empty_ QUARRY_GUARDED_BY(lock_);    // no object in use; full slabs are on no list
  page* untouched_ QUARRY_GUARDED_BY(lock_) = nullptr;  // the slab made last, if it came clean
};
// A program has memory for all of the general ones from the start.
static_assert(sizeof(kmem_cache) == 3 * cache_line);

// The general caches, by size class; entry 0 is none.
QUARRY_HIDDEN extern kmem_cache general_caches[class_count];

// Brings the caches, to all of which start-up writes, and the variables on their pages into memory
// by one system call, which costs less than a page fault for each page. First of all.
void populate_general_caches();

// Once, after the page layer.
void start_general_caches();

// The slab layer's part of reclaim: drains the per-CPU arrays, shared arrays and empty slabs; and
// gives back pages of slabs that hold no object in use.
void shrink_all(bool idle_only);
trimmed trim_all(trim_depth depth);

// A block from the general caches, for the library's own use: descriptors and names of caches.
void* allocate_general(std::size_t size);
void free_general(void* block);

// Objects that left the per-CPU arrays: the end of percpu::drain.
void release_drained(unsigned index, void** objects, unsigned count);

}  // namespace quarry
