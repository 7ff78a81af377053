// An object that is costly to construct: kept in its constructed state by a cache with a
// constructor, or made anew in memory of malloc each time.
#include <pthread.h>
#include <quarry/slab.h>

#include <cstdlib>

#include "compare.h"

namespace {

// The least there is to construct.
struct mutex {
  pthread_mutex_t lock;
  char data[88];

  void construct() { pthread_mutex_init(&lock, nullptr); }
  void destroy() { pthread_mutex_destroy(&lock); }
};

// One of a kind that has to be asked for.
struct recursive_mutex : mutex {
  void construct() {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &kind);
    pthread_mutexattr_destroy(&kind);
  }
};

// 4 KiB that have to be computed: the table of the CRC of RFC 1952, for ten bits at a time.
struct mutex_and_table : mutex {
  std::uint32_t entries[1024];

  void construct() {
    mutex::construct();
    for (std::uint32_t i = 0; i < 1024; i++) {
      std::uint32_t entry = i;
      for (int bit = 0; bit < 10; bit++)
        entry = entry & 1 ? 0xedb88320u ^ (entry >> 1) : entry >> 1;
      entries[i] = entry;
    }
  }
};

// 4 KiB that have to be zero.
struct mutex_and_zeroes : mutex {
  char bytes[4096];

  void construct() {
    mutex::construct();
    std::fill(std::begin(bytes), std::end(bytes), 0);
  }
};

template <class T>
void construct(void* object, kmem_cache_t*, unsigned long) {
  static_cast<T*>(object)->construct();
}

template <class T>
void destroy(void* object, kmem_cache_t*, unsigned long) {
  static_cast<T*>(object)->destroy();
}

template <class T>
void constructed(benchmark::State& state) {
  constexpr std::size_t operations = sizeof(T) > 1024 ? 50 : 2000;
  kmem_cache_t* cache =
      kmem_cache_create("constructed", sizeof(T), 0, SLAB_PANIC, construct<T>, destroy<T>);
  const auto kept = [=] {
    for (std::size_t i = 0; i < operations; i++) {
      void* object = kmem_cache_alloc(cache, GFP_KERNEL);
      benchmark::DoNotOptimize(object);
      kmem_cache_free(cache, object);
    }
  };
  const auto made = [] {
    for (std::size_t i = 0; i < operations; i++) {
      auto* object = static_cast<T*>(std::malloc(sizeof(T)));
      object->construct();
      benchmark::DoNotOptimize(object);
      benchmark::ClobberMemory();
      object->destroy();
      std::free(object);
    }
  };
  compare::run(state, operations, kept, made);
  kmem_cache_destroy(cache);
}

BENCHMARK_TEMPLATE(constructed, mutex)->Apply(compare::settings);
BENCHMARK_TEMPLATE(constructed, recursive_mutex)->Apply(compare::settings);
BENCHMARK_TEMPLATE(constructed, mutex_and_zeroes)->Apply(compare::settings);
BENCHMARK_TEMPLATE(constructed, mutex_and_table)->Apply(compare::settings);

}  // namespace
