/* C++ over the kernel's interfaces: a resource for std::pmr, an allocator for containers, caches of
   objects, and owners that give back what they hold. Part of Quarry's public interface; C++20,
   header-only, with exceptions: where memory has ended std::bad_alloc is thrown.

   All of it may be used by any thread that may wait, but not from a signal handler; one owner by
   one thread at a time, as any std::unique_ptr. */
#ifndef QUARRY_RESOURCE_HPP
#define QUARRY_RESOURCE_HPP

#include <quarry/mempool.h>
#include <quarry/page.h>
#include <quarry/slab.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <new>
#include <system_error>
#include <type_traits>
#include <utility>

namespace quarry {

namespace detail {

// kmalloc aligns to 16, but to 8 for sizes up to 8.
inline void* allocate(std::size_t bytes, std::size_t alignment) {
  const bool suits = alignment <= 8 || (alignment <= 16 && bytes > 8);
  void* block = suits ? kmalloc(bytes, GFP_KERNEL) : kmalloc_align(bytes, alignment, GFP_KERNEL);
  if (!block) throw std::bad_alloc();
  return block;
}

class heap_resource final : public std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    return detail::allocate(bytes, alignment);  // not the member of that name
  }
  void do_deallocate(void* block, std::size_t, std::size_t) override { kfree(block); }
  // Shared objects that hide their symbols have a resource each, all of the same heap.
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
#ifdef __cpp_rtti
    return dynamic_cast<const heap_resource*>(&other) != nullptr;
#else
    return this == &other;
#endif
  }
};

template <class owner>
owner owned(typename owner::pointer made, typename owner::deleter_type give_back = {}) {
  if (!made) throw std::bad_alloc();
  return owner(made, give_back);
}

}  // namespace detail

// Quarry's heap for std::pmr: bytes with any alignment up to 1 GiB. One resource, never destroyed:
// containers may outlive main(). Equal to any other of this function's, in other shared objects.
inline std::pmr::memory_resource* memory_resource() noexcept {
  alignas(detail::heap_resource) static std::byte place[sizeof(detail::heap_resource)];
  static std::pmr::memory_resource* const resource = new (place) detail::heap_resource;
  return resource;
}

// Quarry's heap for containers: std::vector<int, quarry::allocator<int>>. Stateless; all are equal.
// Counts objects of T, which may be over-aligned; std::bad_array_new_length for more of them than
// PTRDIFF_MAX bytes.
template <class T>
struct allocator {
  using value_type = T;

  allocator() = default;
  template <class U>
  allocator(const allocator<U>&) noexcept {}

  [[nodiscard]] T* allocate(std::size_t count) {
    if (count > PTRDIFF_MAX / sizeof(T)) throw std::bad_array_new_length();
    return static_cast<T*>(detail::allocate(count * sizeof(T), alignof(T)));
  }
  void deallocate(T* block, std::size_t) noexcept { kfree(block); }

  template <class U>
  bool operator==(const allocator<U>&) const noexcept {
    return true;
  }
};

// Owners of one cache, pool or page block each.
//
// A cache of which objects are in use cannot be destroyed: it stays, with a line on standard error
// (kmem_cache_destroy).
struct cache_deleter {
  void operator()(kmem_cache_t* cache) const noexcept { kmem_cache_destroy(cache); }
};
using unique_cache = std::unique_ptr<kmem_cache_t, cache_deleter>;

struct pool_deleter {
  void operator()(mempool_t* pool) const noexcept { mempool_destroy(pool); }
};
using unique_pool = std::unique_ptr<mempool_t, pool_deleter>;

struct pages_deleter {
  unsigned order = 0;
  void operator()(struct page* block) const noexcept { __free_pages(block, order); }
};
using unique_pages = std::unique_ptr<struct page, pages_deleter>;

// kmem_cache_create: size and alignment in bytes. Throws std::system_error with EINVAL for
// arguments that it refuses.
inline unique_cache make_cache(const char* name, std::size_t size, std::size_t align = 0,
                               unsigned long flags = 0,
                               void (*ctor)(void*, kmem_cache_t*, unsigned long) = nullptr,
                               void (*dtor)(void*, kmem_cache_t*, unsigned long) = nullptr) {
  unique_cache cache(kmem_cache_create(name, size, align, flags, ctor, dtor));
  if (!cache && errno == EINVAL) {
    throw std::system_error(EINVAL, std::generic_category(), "quarry::make_cache");
  }
  if (!cache) throw std::bad_alloc();
  return cache;
}

// mempool_create and its siblings: min_nr elements in reserve, of `size` bytes or 2^order pages.
// What a pool takes from must outlive it, and every element be given back before it goes.
// std::bad_alloc for a size or an order that there cannot be, as well.
inline unique_pool make_pool(int min_nr, mempool_alloc_t* alloc_fn, mempool_free_t* free_fn,
                             void* pool_data = nullptr) {
  return detail::owned<unique_pool>(mempool_create(min_nr, alloc_fn, free_fn, pool_data));
}
inline unique_pool make_slab_pool(int min_nr, kmem_cache_t* cache) {
  return detail::owned<unique_pool>(mempool_create_slab_pool(min_nr, cache));
}
inline unique_pool make_kmalloc_pool(int min_nr, std::size_t size) {
  return detail::owned<unique_pool>(mempool_create_kmalloc_pool(min_nr, size));
}
inline unique_pool make_page_pool(int min_nr, unsigned order) {
  return detail::owned<unique_pool>(mempool_create_page_pool(min_nr, static_cast<int>(order)));
}

// A block of 2^order pages, or std::bad_alloc where the flags do not allow to find one. Its memory
// is at page_address(block.get()), with __GFP_HIGHMEM at kmap(block.get()). Its owner has one
// reference.
inline unique_pages make_pages(unsigned order, gfp_t gfp = GFP_KERNEL) {
  return detail::owned<unique_pages>(alloc_pages(gfp, order), pages_deleter{order});
}

// Objects of one type from a cache of their own. Each is constructed when it is made and destroyed
// when it is given back. The cache outlives its objects.
template <class T>
class object_cache {
 public:
  // Gives one object back; what make() returns holds it.
  struct deleter {
    kmem_cache_t* cache = nullptr;
    void operator()(T* object) const noexcept {
      std::destroy_at(object);
      kmem_cache_free(cache, object);
    }
  };
  using owner = std::unique_ptr<T, deleter>;

  // Name and flags as for kmem_cache_create, and errors as of make_cache.
  explicit object_cache(const char* name, unsigned long flags = 0)
      : cache_(make_cache(name, sizeof(T), alignof(T), flags)) {}

  // An object that is given back when its owner goes. Throws std::bad_alloc, or what T's
  // constructor throws: then the memory is the cache's again.
  template <class... arguments>
  [[nodiscard]] owner make(arguments&&... with) {
    return owner(construct(std::forward<arguments>(with)...), deleter{get()});
  }

  // The same without an owner, to be given to destroy().
  template <class... arguments>
  [[nodiscard]] T* construct(arguments&&... with) {
    struct raw_deleter {
      kmem_cache_t* cache;
      void operator()(void* memory) const noexcept { kmem_cache_free(cache, memory); }
    };
    std::unique_ptr<void, raw_deleter> memory(kmem_cache_alloc(get(), GFP_KERNEL), {get()});
    if (!memory) throw std::bad_alloc();
    T* object = ::new (memory.get()) T(std::forward<arguments>(with)...);
    static_cast<void>(memory.release());
    return object;
  }
  void destroy(T* object) noexcept {
    if (object) deleter{get()}(object);
  }

  kmem_cache_t* get() const noexcept { return cache_.get(); }

 private:
  unique_cache cache_;
};

// Objects that keep their state: constructed when a slab is populated and destroyed when it goes
// back, not at each use. For types whose construction is what costs (a mutex, a table). Who gives
// one back leaves it as a new user expects it. The cache outlives its objects.
template <class T>
class constructed_cache {
  static_assert(std::is_nothrow_default_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "slabs are populated where nothing can catch");

 public:
  struct deleter {
    kmem_cache_t* cache = nullptr;
    void operator()(T* object) const noexcept { kmem_cache_free(cache, object); }
  };
  using owner = std::unique_ptr<T, deleter>;

  // As object_cache's.
  explicit constructed_cache(const char* name, unsigned long flags = 0)
      : cache_(make_cache(name, sizeof(T), alignof(T), flags, construct, destroy)) {}

  // An object that goes back to the cache, in the state it is then in, when its owner goes.
  [[nodiscard]] owner take() {
    return detail::owned<owner>(static_cast<T*>(kmem_cache_alloc(get(), GFP_KERNEL)),
                                deleter{get()});
  }

  kmem_cache_t* get() const noexcept { return cache_.get(); }

 private:
  static void construct(void* object, kmem_cache_t*, unsigned long) noexcept { ::new (object) T(); }
  static void destroy(void* object, kmem_cache_t*, unsigned long) noexcept {
    std::destroy_at(static_cast<T*>(object));
  }

  unique_cache cache_;
};

}  // namespace quarry

#endif
