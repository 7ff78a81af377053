// The zones together: which there are, which one a page or an address is of, and in what order a
// request goes through them (kernel: zonelist).
#pragma once

#include "page/node.h"

namespace quarry {

// The zone that a map entry belongs to; nullptr if it is none. In line where malloc's zone is the
// only one of its kind: every use of a page block asks.
zone* zone_of_slow(const page* p);
inline zone* zone_of(const page* p) {
  const auto offset = reinterpret_cast<uptr>(p) - reinterpret_cast<uptr>(region.frames.map);
  const std::size_t pages = region.committed.load(std::memory_order_relaxed) >> page_shift;
  const bool in_region = offset < pages * sizeof(page) && offset % sizeof(page) == 0;
  return in_region && node_count() == 1 ? &normal_zone : zone_of_slow(p);
}

// The map entry of the frame that an address lies in; nullptr where no zone has it.
page* page_at_address(const void* address);

// Where the slab may be that an address lies in: ZONE_NORMAL's frames or ZONE_DMA's; nullptr where
// neither has the address.
const frame_space* slab_space_of(const void* address);

// The class byte of its frame, 0 where there is no slab.
inline unsigned class_at(const void* address) {
  if (in_frames(address)) return *class_of_frame(address);
  const frame_space* space = slab_space_of(address);
  return space ? *space->class_of(space->page_of(address)) : 0;
}

// From the first request by gfp flags on, the zones keep pages ready (see zone.h).
void keep_reserves();

// Where a request may be served, in that order, and pages of each zone that are not for it: they
// are kept for requests that can be served there alone (kernel: lowmem_reserve).
struct zone_list {
  static constexpr unsigned most = max_nodes + 2;
  zone* zones[most];
  std::size_t protect[most];
  unsigned count;

  void add(zone* z, std::size_t protected_pages = 0);
};

// From the highest zone down to the lowest; ZONE_NORMAL of that node before those of others. With
// `may_make` the highest is made if it does not exist yet.
zone_list zones_for(zone_kind highest, zone_kind lowest, unsigned node, bool may_make);

// Pages of `z` that are kept from requests which would rather have a page of `wanted`.
std::size_t protection_of(const zone* z, zone_kind wanted);

// All that exist, by node, from the lowest to the highest.
zone_list all_zones();

template <class visit_fn>
void for_each_zone(visit_fn visit) {
  const zone_list all = all_zones();
  for (unsigned i = 0; i < all.count; i++)
    visit(all.zones[i]);
}

// For the fork handlers.
void acquire_zones();
void release_zones();

}  // namespace quarry
