// kmem_cache: the slabs of one kind of object and the shared array in front of them. The per-CPU
// arrays (percpu/array.h, under the cache's number) stand before both.
//
// Lock: one per cache, covering its shared array, its slab lists and its slabs. Memory is taken
// from and given to the page layer with the lock open.
#pragma once

#include "os/lock.h"
#include "slab/size_class.h"
#include "slab/slab.h"

namespace quarry {

// What a cache holds, for statistics.
struct cache_figures {
  std::size_t slabs;
  std::size_t objects_out;     // of their slabs: in use or in arrays
  std::size_t shared_objects;  // in the shared array
  std::size_t empty_slabs;
};

class alignas(cache_line) kmem_cache {
 public:
  // Once, before use. `number` is the cache's index among the per-CPU arrays and its class byte;
  // `shared` has room for the shared array, shared_limit() pointers.
  void create(unsigned number, std::size_t object_size, void** shared);

  const slab_shape& shape() const { return shape_; }
  unsigned batchcount() const { return batchcount_; }
  unsigned shared_limit() const { return shared_limit_; }

  // An object after the CPU's array was found empty: refills it by a batch. nullptr when memory has
  // ended. `clean`, unless null, tells whether the object is known to read as zero.
  void* allocate(bool* clean = nullptr);

  // Takes an object after the CPU's array was found full: flushes a batch of it. Dies on an object
  // of the batch that is not in use.
  void free(void* object);

  // Objects that left an array for good: to their slabs, and empty slabs to the zone.
  void free_to_slabs(void** objects, unsigned count) QUARRY_EXCLUDES(lock_);

  // Takes a slab of one object, which is in use, out of the cache: its pages are the caller's.
  page* detach(void* object) QUARRY_EXCLUDES(lock_);

  // Empties the shared array, if it is as it was at the last call or at once, and releases empty
  // slabs.
  void shrink(bool idle_only) QUARRY_EXCLUDES(lock_);

  // The object's size if it is one in use, as far as its slab knows (objects in arrays pass). Dies
  // in the name of `call` otherwise. Takes no lock: what it reads of an object in use does not
  // change.
  std::size_t check(const void* object, const char* call);

  cache_figures figures() QUARRY_EXCLUDES(lock_);

  void acquire() QUARRY_ACQUIRE(lock_) { lock_.acquire(); }
  void release() QUARRY_RELEASE(lock_) { lock_.release(); }

 private:
  static constexpr unsigned max_batch = 128;

  // A word of a slab's index that objects are being returned to.
  struct returned_word {
    page* slab;
    u64* word;
    u64 bits;
    u32 objects;
  };

  unsigned take_batch(void** objects, unsigned count, bool* clean) QUARRY_EXCLUDES(lock_);
  unsigned take_shared(void** objects, unsigned count) QUARRY_REQUIRES(lock_);
  unsigned take_from_slabs(void** objects, unsigned count) QUARRY_REQUIRES(lock_);
  page* new_slab(bool* clean) QUARRY_EXCLUDES(lock_);
  void give_batch(void** objects, unsigned count, bool share) QUARRY_EXCLUDES(lock_);
  page* slab_with_free_objects() QUARRY_REQUIRES(lock_);
  void store(const returned_word& r) QUARRY_REQUIRES(lock_);
  unsigned return_to_slabs(void** objects, unsigned count) QUARRY_REQUIRES(lock_);
  void take_empty(list<page>* taken, unsigned keep) QUARRY_REQUIRES(lock_);
  void release_slabs(list<page>* slabs, bool to_zone) QUARRY_EXCLUDES(lock_);
  [[noreturn]] void report(const void* object, const char* call);

  slab_shape shape_{};       // written by create()
  u16 number_ = 0;           // likewise
  u16 batchcount_ = 0;       // likewise: objects that move between the arrays at a time
  u16 shared_limit_ = 0;     // likewise
  u16 kept_empty_ = 0;       // likewise: empty slabs that stay
  void** shared_ = nullptr;  // likewise; what it points to is covered by the lock

  os::lock lock_;
  u16 shared_count_ QUARRY_GUARDED_BY(lock_) = 0;
  u16 shared_seen_ QUARRY_GUARDED_BY(lock_) = 0;  // at the last shrink
  u32 empty_count_ QUARRY_GUARDED_BY(lock_) = 0;
  std::size_t slabs_ QUARRY_GUARDED_BY(lock_) = 0;
  std::size_t objects_out_ QUARRY_GUARDED_BY(lock_) = 0;
  list<page> partial_ QUARRY_GUARDED_BY(lock_);  // some objects in use, some free
  list<page> empty_ QUARRY_GUARDED_BY(lock_);    // no object in use; full slabs are on no list
};

// The general caches, by size class; entry 0 is none.
QUARRY_HIDDEN extern kmem_cache general_caches[class_count];

// Once, after the page layer.
void start_general_caches();

// The slab layer's part of reclaim: drains the per-CPU arrays, shared arrays and empty slabs.
void shrink_all(bool idle_only);

}  // namespace quarry
