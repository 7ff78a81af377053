// The zones together: which there are, which one a page or an address is of, and in what order a
// request goes through them (kernel: zonelist).
#pragma once

#include "page/zone.h"

namespace quarry {

// The zone that a map entry belongs to; nullptr if it is none.
zone* zone_of(const page* p);

// The map entry of the frame that an address lies in; nullptr where no zone has it.
page* page_at_address(const void* address);

// From the first request by gfp flags on, the zones keep pages ready (see zone.h).
void keep_reserves();

// Where a request may be served, the zone it is meant for first.
struct zone_list {
  static constexpr unsigned most = 1;
  zone* zones[most];
  unsigned count = 0;
};
zone_list zones_for(zone_kind highest);

}  // namespace quarry
