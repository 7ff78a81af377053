#include "mempool/mempool.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "os/fatal.h"
#include "os/futex.h"
#include "page/page_alloc.h"

namespace quarry {

namespace {

constexpr u64 magic = 0x6d656d706f6f6c00;  // "mempool"

// The source may have elements again without anybody telling the pool, so waiters ask it so often.
// The kernel's five seconds are long for a program; each time all that is cached is given back.
constexpr unsigned wait_ms = 1000;

// A freed element is compared with so many that lie on top of the reserve: the usual double free,
// at a price that does not grow with the reserve.
constexpr std::size_t compared = 64;

constinit os::lock pools_lock;
constinit list<mempool> pools QUARRY_GUARDED_BY(pools_lock);

constexpr std::size_t inline_capacity = (page_size - sizeof(mempool)) / sizeof(void*);

void* take_pages(std::size_t bytes) {
  bool clean;
  page* head = alloc_run(bytes_to_pages(bytes), 1, &clean);
  if (!head) return nullptr;
  head->kind = page_kind::none;  // so that free() takes it for no block of the program's
  return region.frames.address_of(head);
}

void give_pages(void* address, std::size_t bytes) {
  free_run(region.frames.page_of(address), bytes_to_pages(bytes), false);
}

}  // namespace

mempool::mempool(const pool_source& source)
    : magic_(magic),
      source_(source),
      capacity_(inline_capacity),
      elements_(reinterpret_cast<void**>(this + 1)) {}

bool mempool::is_inline(void* const* elements) const {
  return elements == reinterpret_cast<void* const*>(this + 1);
}

void mempool::free_array(void** elements, std::size_t capacity) const {
  if (!is_inline(elements)) give_pages(elements, capacity * sizeof(void*));
}

mempool* mempool::create(std::size_t minimum, const pool_source& source) {
  void* place = take_pages(page_size);
  if (!place) return nullptr;
  mempool* pool = new (place) mempool(source);
  {
    os::lock_guard guard(pools_lock);
    pools.push_back(pool);
  }
  if (pool->resize(minimum, GFP_KERNEL) && pool->current() == minimum) return pool;
  pool->destroy();
  return nullptr;
}

mempool* mempool::at(void* address, const char* call) {
  // A pool begins a page, and the pages of committed frames can be read.
  const bool possible = in_frames(address) && offset_of(address) % page_size == 0;
  mempool* pool = static_cast<mempool*>(address);
  if (!possible || pool->magic_ != magic) os::die(call, address, "not a pool, or destroyed");
  return pool;
}

void mempool::destroy() QUARRY_NO_ANALYSIS {
  if (first()) os::die("mempool_destroy", this, "threads wait for an element of the pool");
  if (current() + unfilled_ < minimum()) {
    os::die("mempool_destroy", this, "elements of the pool are in use");
  }
  {
    os::lock_guard guard(pools_lock);
    pools.remove(this);
  }
  set_minimum(0, nullptr);
  drain();
  free_array(elements_, capacity_);
  magic_ = 0;
  give_pages(this, page_size);
}

void* mempool::allocate(gfp_t gfp) {
  if (gfp & __GFP_ZERO) {
    os::die("mempool_alloc", this, "__GFP_ZERO: elements in reserve are as they were freed");
  }
  // NOFAIL would keep the caller in the source while elements come back to the pool. NORETRY: the
  // reserve is nearer than what reclaim would bring. The kernel takes __GFP_WAIT away as well; here
  // a heap grows only for those who may wait, and the reserve is for when it cannot grow.
  const gfp_t wanted = (gfp & ~__GFP_NOFAIL) | __GFP_NOWARN;
  if (void* element = source_.allocate(wanted | __GFP_NORETRY, source_.data)) return element;
  if (void* element = take()) return element;
  return gfp & __GFP_WAIT ? wait(wanted) : nullptr;
}

void* mempool::pop() {
  const std::size_t left = current() - 1;
  current_.store(left, std::memory_order_relaxed);
  return elements_[left];
}

// An element of the reserve, if it has one.
void* mempool::take() {
  os::lock_guard guard(lock_);
  return current() > 0 ? pop() : nullptr;
}

// An element that the reserve has beyond its minimum.
void* mempool::take_surplus() {
  os::lock_guard guard(lock_);
  return current() > minimum() ? pop() : nullptr;
}

QUARRY_NOINLINE void* mempool::wait(gfp_t gfp) {
  waiter self;
  for (;;) {
    if (void* element = join(&self)) return element;
    // Pairs with the fence in free(): what went to the source before anybody could know of this
    // waiter is seen here. The place in the queue is kept meanwhile.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (void* element = source_.allocate(gfp, source_.data)) {
      leave(&self);
      return element;
    }
    os::futex_wait(&self.news, waiter::none, wait_ms);
    // Pairs with the release in keep(): the element is seen.
    if (self.news.load(std::memory_order_acquire) == waiter::given) return self.element;
  }
}

// Puts the caller at the end of the queue, unless it stands there already; or returns the element
// that there is for it.
void* mempool::join(waiter* self) {
  os::lock_guard guard(lock_);
  if (self->news.load(std::memory_order_relaxed) == waiter::given) return self->element;
  self->news.store(waiter::none, std::memory_order_relaxed);
  if (current()) {
    unqueue(self);
    return pop();
  }
  if (!first()) {
    first_.store(self, std::memory_order_relaxed);
    return nullptr;
  }
  waiter* last = first();
  while (last != self && last->next)
    last = last->next;
  if (last != self) last->next = self;
  return nullptr;
}

void mempool::unqueue(waiter* self) {
  if (first() == self) {
    first_.store(self->next, std::memory_order_relaxed);
    return;
  }
  for (waiter* w = first(); w; w = w->next) {
    if (w->next == self) w->next = self->next;
  }
}

// The caller has an element from elsewhere; one that was handed over meanwhile goes to the next.
void mempool::leave(waiter* self) {
  bool was_given;
  {
    os::lock_guard guard(lock_);
    was_given = self->news.load(std::memory_order_relaxed) == waiter::given;
    if (!was_given) unqueue(self);
  }
  if (was_given) return free(self->element);
  // The source may have more, and have been the news for this one alone.
  if (first()) point_to_source();
}

void mempool::free(void* element) {
  // Without the lock, as in the kernel: if the element came from the reserve, this thread has seen
  // the count go down, and if others have taken elements since, they will free those in turn.
  if (current() < minimum() || first()) {
    if (keep(element)) return;
  }
  give_to_source(element);
}

void mempool::give_to_source(void* element) {
  source_.free(element, source_.data);
  // Pairs with the fence in wait(): who queued meanwhile and found the source empty is seen here.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (first()) point_to_source();
}

// Has the first waiter ask the source again.
QUARRY_NOINLINE void mempool::point_to_source() {
  waiter* told;
  {
    os::lock_guard guard(lock_);
    told = first();
    if (!told) return;
    told->news.store(waiter::ask_again, std::memory_order_relaxed);
  }
  os::futex_wake(&told->news);
}

// Gives the element to a waiter, or puts it in reserve. False if nobody wants it.
bool mempool::keep(void* element) {
  waiter* served;
  bool was_told;  // of the source: that is for the next one then
  {
    os::lock_guard guard(lock_);
    served = first();
    if (!served) {
      const std::size_t n = current();
      if (n >= minimum()) return false;
      for (std::size_t i = n - std::min(n, compared); i < n; i++) {
        if (elements_[i] == element) os::die("mempool_free", element, "already free");
      }
      elements_[n] = element;
      current_.store(n + 1, std::memory_order_relaxed);
      return true;
    }
    first_.store(served->next, std::memory_order_relaxed);
    served->element = element;
    was_told = served->news.load(std::memory_order_relaxed) == waiter::ask_again;
    // Pairs with the acquire in wait(). From here on the waiter may be gone.
    served->news.store(waiter::given, std::memory_order_release);
  }
  os::futex_wake(&served->news);
  if (was_told) point_to_source();
  return true;
}

bool mempool::resize(std::size_t minimum, gfp_t gfp) {
  void** larger = nullptr;
  if (!set_minimum(minimum, nullptr)) {
    larger = static_cast<void**>(take_pages(minimum * sizeof(void*)));
    if (!larger) return false;
    set_minimum(minimum, larger);
  }
  drain();
  fill(gfp);
  return true;
}

// False if the array is too small and there is no larger one; which is freed if another thread was
// faster.
bool mempool::set_minimum(std::size_t minimum, void** larger) {
  void** unused = larger;
  std::size_t unused_capacity = minimum;
  {
    os::lock_guard guard(lock_);
    if (minimum > capacity_) {
      if (!larger) return false;
      std::memcpy(larger, elements_, current() * sizeof(void*));
      unused = std::exchange(elements_, larger);
      unused_capacity = std::exchange(capacity_, minimum);
    }
    minimum_.store(minimum, std::memory_order_relaxed);
    unfilled_ = std::min(unfilled_, minimum);
  }
  if (unused) free_array(unused, unused_capacity);
  return true;
}

// The minimum is looked at anew for each: another thread may have raised it meanwhile.
void mempool::drain() {
  while (void* element = take_surplus())
    give_to_source(element);
}

void mempool::fill(gfp_t gfp) {
  while (current() < minimum()) {
    void* element = source_.allocate(gfp, source_.data);
    if (!element) {
      os::lock_guard guard(lock_);
      unfilled_ = minimum() - std::min(current(), minimum());
      return;
    }
    if (!keep(element)) give_to_source(element);
  }
}

void mempool::acquire_all() QUARRY_NO_ANALYSIS {
  pools_lock.acquire();
  pools.for_each([](mempool* pool) QUARRY_NO_ANALYSIS { pool->lock_.acquire(); });
}

void mempool::release_all() QUARRY_NO_ANALYSIS {
  pools.for_each([](mempool* pool) QUARRY_NO_ANALYSIS { pool->lock_.release(); });
  pools_lock.release();
}

// The threads that waited are not in the child.
void mempool::release_all_in_child() QUARRY_NO_ANALYSIS {
  pools.for_each([](mempool* pool) { pool->first_.store(nullptr, std::memory_order_relaxed); });
  release_all();
}

}  // namespace quarry
