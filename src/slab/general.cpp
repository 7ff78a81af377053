// The general caches, which serve malloc.
#include "os/memory.h"
#include "slab/cache.h"

namespace quarry {

constinit kmem_cache general_caches[class_count];

void populate_general_caches() {
  const uptr begin = align_down(reinterpret_cast<uptr>(general_caches), page_size);
  const uptr end = align_up(reinterpret_cast<uptr>(general_caches + class_count), page_size);
  os::populate(reinterpret_cast<void*>(begin), end - begin);
}

void start_general_caches() {
  for (unsigned c = 1; c < class_count; c++)
    general_caches[c].create(c, bytes_of_class(c));
}

void* allocate_general(std::size_t size) {
  const unsigned c = compute_class(size);
  if (void* block = percpu::pop(c)) return block;
  return general_caches[c].allocate();
}

void free_general(void* block) {
  if (!block) return;
  const unsigned c = *class_of_frame(block);
  if (!percpu::push(c, block)) general_caches[c].free(block);
}

}  // namespace quarry
