// A dedicated cache is made, tuned and destroyed.
#include <utility>

#include "slab/cache.h"

namespace quarry {

void kmem_cache::create(unsigned number, const cache_spec& spec) {
  os::lock_guard guard(lock_);
  shape_ = spec.shape;
  layout_ = spec.layout;
  name_ = spec.name;
  ctor_ = spec.ctor;
  dtor_ = spec.dtor;
  number_ = static_cast<u16>(number);
  const bool own_byte = number < percpu::index_count;
  class_byte_ = own_byte ? number : shape_.single ? shared_single_byte : shared_byte + shape_.order;
  alignment_order_ =
      static_cast<u8>(order_of_pages(std::max<std::size_t>(spec.alignment >> page_shift, 1)));
  set_sizes(shape_.object_size, {});
  if (has_arrays_ && percpu::use_sequences) {
    inline_index_ = number_;
    const bool in_region = shape_.space == &region.frames;
    inline_limit_ = own_byte && in_region ? region.frames.total << page_shift : 0;
  }
}

bool kmem_cache::close(list<page>* slabs) {
  void* wrong;
  {
    os::lock_guard guard(lock_);
    wrong = return_shared(shared_.count());
    if (!wrong && objects_out_ != 0) return false;
    take_empty(slabs, 0);
    inline_index_ = 0;
    inline_limit_ = 0;
  }
  if (wrong) report(wrong, flush_call());
  return true;
}

void kmem_cache::finish(list<page>* slabs) {
  release_slabs(slabs, true);
  pointer_room shared;
  const char* name;
  {
    os::lock_guard guard(lock_);
    shared = shared_.start(0, 0, {});
    name = std::exchange(name_, nullptr);
  }
  free_pointers(shared);
  free_general(const_cast<char*>(name));
}

cache_tunables kmem_cache::tunables() const {
  return {percpu::limit_of(number_), batchcount(), shared_.limit() / batchcount()};
}

pointer_room kmem_cache::tune(const cache_tunables& wanted, pointer_room shared) {
  void* wrong;
  pointer_room before;
  empty_shared();
  {
    os::lock_guard guard(lock_);
    wrong = return_shared(shared_.count());
    before = shared_.start(shared.count, 0, shared);
    batchcount_.store(static_cast<u16>(wanted.batchcount), std::memory_order_relaxed);
  }
  if (wrong) report(wrong, flush_call());
  percpu::declare(number_, shape_.object_size, moved(), wanted.limit);
  percpu::drain_index(number_, release_drained);
  return before;
}

}  // namespace quarry
