// Pages by gfp flags (quarry/gfp.h): what may be done to get them, and from which zone. Below the
// page blocks of the program (page/block.h), and for slabs whose owner may not wait.
#pragma once

#include "page/zone.h"
#include "quarry/gfp.h"

namespace quarry {

// Between two attempts of a request that must not fail.
inline constexpr unsigned retry_ms = 1;

// A block of 2^order pages, aligned to its size; its head's kind is the caller's to set. nullptr
// where there is none under the flags. `clean`: it reads as zero. With __GFP_ZERO it does anyway.
//
// From that node rather than from others; below node_count(). Zones below `lowest` are not asked.
//
// Without __GFP_WAIT: no system call, no waiting; from a signal handler too.
page* get_free_pages(gfp_t gfp, unsigned order, unsigned node, bool* clean,
                     zone_kind lowest = zone_kind::dma);

// Takes it back to its zone. `may_wait`: system calls are allowed.
void put_free_pages(zone* z, page* head, unsigned order, bool may_wait);

// The same for any number of pages; aligned to the power of two that is not below it.
page* get_free_run(gfp_t gfp, std::size_t pages, unsigned node, bool* clean, zone_kind lowest);
void put_free_run(zone* z, page* head, std::size_t pages, bool may_wait);

}  // namespace quarry
