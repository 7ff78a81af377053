// Page blocks: what the layers above ask for. Per-CPU lists stand in front of the zone for small
// orders; when memory ends, what is cached anywhere is given back before a request fails.
#pragma once

#include "page/zone.h"

namespace quarry {

// Blocks of up to 2^max_listed_order pages go through the per-CPU lists.
inline constexpr unsigned max_listed_order = 3;

// Once, after percpu::start and reserve_region.
void start_page_lists();

// A block of 2^order pages, aligned to its size. nullptr when memory has ended.
page* alloc_pages(unsigned order);
void free_pages(page* head, unsigned order);

// A part of alloc_pages, for orders up to max_listed_order: a block from this CPU's list, without a
// system call and without waiting if `briefly`.
page* pop_listed(unsigned order, bool briefly);

// A run of any number of pages. alignment is in pages, a power of two. nullptr when memory has
// ended.
page* alloc_run(std::size_t pages, std::size_t alignment, bool* clean);
void free_run(page* head, std::size_t pages, bool clean);

// The per-CPU lists' part of percpu::drain: true if the index is one of theirs.
bool drain_page_list(unsigned index, void** blocks, unsigned count);

// Pages on all per-CPU lists together.
std::size_t listed_pages();

}  // namespace quarry
