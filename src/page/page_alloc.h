// Page blocks: what the layers above ask for. Per-CPU lists stand in front of the zone for small
// orders; when memory ends, what is cached anywhere is given back before a request fails.
#pragma once

#include "page/zone.h"
#include "percpu/array.h"

namespace quarry {

// Blocks of up to 2^max_listed_order pages go through the per-CPU lists.
inline constexpr unsigned max_listed_order = 3;

// The lists' indices among the per-CPU arrays. Size classes, which share the index space because
// free() takes the class byte for an index, stay below.
inline constexpr unsigned first_list_index = percpu::index_count - 1 - max_listed_order;

// A block that goes on a per-CPU list; a clean one was never written to since it came from the
// zone.
inline void note_listed(page* head, unsigned order, bool clean) {
  head->kind = page_kind::cached;
  head->order = static_cast<u8>(order);
  head->count = !clean;
}

// The fast paths of a page block: from and to this CPU's list, if there are sequences. Neither
// makes a system call or waits.
QUARRY_ALWAYS_INLINE page* try_listed(unsigned order) {
#if QUARRY_HAS_SEQUENCES
  if (percpu::use_sequences) {
    if (void* block = percpu::sequence::pop(first_list_index + order))
      return region.frames.page_of(block);
  }
#endif
  return nullptr;
}

QUARRY_ALWAYS_INLINE bool try_list(page* head, unsigned order) {
#if QUARRY_HAS_SEQUENCES
  if (percpu::use_sequences) {
    note_listed(head, order, false);
    return percpu::sequence::push(first_list_index + order, region.frames.address_of(head));
  }
#endif
  return false;
}

// Once, after percpu::start and reserve_region.
void start_page_lists();

// A block of 2^order pages, aligned to its size. nullptr when memory has ended. `clean`: it reads
// as zero and takes no memory yet.
page* alloc_pages(unsigned order, bool* clean);
void free_pages(page* head, unsigned order);

// The parts of alloc_pages, for orders up to max_listed_order: a block from this CPU's list,
// without a system call and without waiting if `briefly`; and one from the zone with a batch for
// the list.
page* pop_listed(unsigned order, bool briefly);
page* refill_listed(unsigned order, reserve depth);

// Frees a block of 2^order pages without a system call and without waiting.
void free_pages_briefly(page* head, unsigned order);

// A run of any number of pages. alignment is in pages, a power of two. nullptr when memory has
// ended.
page* alloc_run(std::size_t pages, std::size_t alignment, bool* clean);

// For blocks that grow (zone.h): a run behind all others, one with room behind it, and the pages
// behind a run. Where these cannot be had nothing is reclaimed for them.
page* alloc_last_run(std::size_t pages, bool* clean);
page* alloc_run_with_room(std::size_t pages, std::size_t room);
bool extend_run(page* head, std::size_t pages, std::size_t wanted, bool may_grow);

void free_run(page* head, std::size_t pages, bool clean);

// The per-CPU lists' part of percpu::drain: true if the index is one of theirs.
bool drain_page_list(unsigned index, void** blocks, unsigned count);

// Pages on all per-CPU lists together.
std::size_t listed_pages();

}  // namespace quarry
