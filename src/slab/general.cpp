// The general caches, which serve malloc.
#include "os/memory.h"
#include "slab/cache.h"

namespace quarry {

constinit kmem_cache general_caches[class_count];

namespace {

// Their shared arrays, one behind the other.
constexpr std::size_t shared_total = [] {
  std::size_t total = 0;
  for (unsigned c = 1; c < class_count; c++)
    total += shared_limit_for(bytes_of_class(c));
  return total;
}();
QUARRY_SPARSE constinit void* shared_storage[shared_total]{};

}  // namespace

void populate_general_caches() {
  const uptr begin = align_down(reinterpret_cast<uptr>(general_caches), page_size);
  const uptr end = align_up(reinterpret_cast<uptr>(general_caches + class_count), page_size);
  os::populate(reinterpret_cast<void*>(begin), end - begin);
}

void start_general_caches() {
  void** shared = shared_storage;
  for (unsigned c = 1; c < class_count; c++) {
    const std::size_t limit = shared_limit_for(bytes_of_class(c));
    general_caches[c].create(c, bytes_of_class(c), limit ? shared : nullptr);
    shared += limit;
  }
}

void* allocate_general(std::size_t size) {
  const unsigned c = compute_class(size);
  if (void* block = percpu::pop(c)) return block;
  return general_caches[c].allocate();
}

void free_general(void* block) {
  auto** array = static_cast<void**>(block);
  if (!block || (array >= shared_storage && array < shared_storage + shared_total)) return;
  const unsigned c = *class_of_frame(block);
  if (!percpu::push(c, block)) general_caches[c].free(block);
}

}  // namespace quarry
