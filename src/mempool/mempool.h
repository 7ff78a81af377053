// Pools: elements held in reserve for when memory has ended (Linux 2.6, mm/mempool.c).
//
// An element comes from the pool's source while the source has any, then from the reserve, and when
// that is empty from whoever frees one next: threads that may wait stand in a queue, and a freed
// element is handed to the first of them. So nobody who comes later takes it from a waiter, and
// each gets one in the end.
//
// A pool knows of its source two functions alone, and calls them without holding a lock.
//
// Locks: a pool's own covers its reserve and its queue; pools_lock (mempool.cpp) the list of pools,
// for fork. Order: pools_lock -> a pool's. Nothing else is taken under either.
#pragma once

#include "base/list.h"
#include "os/lock.h"
#include "quarry/gfp.h"

namespace quarry {

// Where a pool's elements come from and go to. `allocate` returns nullptr when there is none.
struct pool_source {
  void* (*allocate)(gfp_t gfp, void* data);
  void (*free)(void* element, void* data);
  void* data;
};

class mempool {
 public:
  // A pool with `minimum` elements in reserve. nullptr when there is no memory for them.
  static mempool* create(std::size_t minimum, const pool_source& source);

  // The pool at an address that a program gave. Dies, naming `call`, if there is none.
  static mempool* at(void* address, const char* call);

  // Frees the reserve and the pool. Dies if elements of the reserve are out, or threads wait.
  void destroy();

  // nullptr only without __GFP_WAIT, when source and reserve are empty.
  void* allocate(gfp_t gfp) QUARRY_EXCLUDES(lock_);

  // To the first waiter, else to the reserve if it is not full, else to the source.
  void free(void* element) QUARRY_EXCLUDES(lock_);

  // Changes how many elements are kept. A reserve that grows is filled as far as the source has
  // elements, and later by what is freed. False, and nothing has changed, when there is no memory
  // for the list of the reserve.
  bool resize(std::size_t minimum, gfp_t gfp) QUARRY_EXCLUDES(lock_);

  // For the fork handlers: all pools.
  static void acquire_all();
  static void release_all();
  static void release_all_in_child();

 private:
  friend class list<mempool>;

  // A thread in the queue, on its own stack.
  struct waiter {
    enum : u32 { none, ask_again, given };
    waiter* next = nullptr;       // under the pool's lock
    void* element = nullptr;      // written under the pool's lock, before `given`
    std::atomic<u32> news{none};  // written under the pool's lock; the futex
  };

  explicit mempool(const pool_source& source);

  void fill(gfp_t gfp) QUARRY_EXCLUDES(lock_);
  bool set_minimum(std::size_t minimum, void** larger) QUARRY_EXCLUDES(lock_);
  void drain() QUARRY_EXCLUDES(lock_);
  bool keep(void* element) QUARRY_EXCLUDES(lock_);
  void* take() QUARRY_EXCLUDES(lock_);
  void* take_surplus() QUARRY_EXCLUDES(lock_);
  void* pop() QUARRY_REQUIRES(lock_);
  void* wait(gfp_t gfp) QUARRY_EXCLUDES(lock_);
  void* join(waiter* self) QUARRY_EXCLUDES(lock_);
  void leave(waiter* self) QUARRY_EXCLUDES(lock_);
  void unqueue(waiter* self) QUARRY_REQUIRES(lock_);
  void point_to_source() QUARRY_EXCLUDES(lock_);
  void give_to_source(void* element) QUARRY_EXCLUDES(lock_);
  waiter* first() const { return first_.load(std::memory_order_relaxed); }
  std::size_t current() const { return current_.load(std::memory_order_relaxed); }
  std::size_t minimum() const { return minimum_.load(std::memory_order_relaxed); }
  bool is_inline(void* const* elements) const;
  void free_array(void** elements, std::size_t capacity) const;

  list_node link;       // under pools_lock
  u64 magic_;           // written when the pool is made and when it is destroyed
  pool_source source_;  // written when the pool is made
  os::lock lock_;
  // Written under lock_; read without it by free(), which looks again under it.
  std::atomic<std::size_t> current_{0};                // elements in reserve
  std::atomic<std::size_t> minimum_{0};                // elements that should be
  std::atomic<waiter*> first_{nullptr};                // of the queue
  std::size_t unfilled_ QUARRY_GUARDED_BY(lock_) = 0;  // at most so many were never put in
  std::size_t capacity_ QUARRY_GUARDED_BY(lock_);      // of the array
  void** elements_ QUARRY_GUARDED_BY(lock_);
  // Room for a small reserve: what the page that the pool lies in has left follows the pool.
};

}  // namespace quarry
