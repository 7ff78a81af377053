// Nodes: ZONE_NORMAL of each is an equal part of the region's frames. One, unless QUARRY_CONF asks
// for more (nodes:N); a node that the machine has not is simulated: its memory comes from anywhere,
// and CPUs belong to nodes in turn. ZONE_DMA and ZONE_HIGHMEM are of node 0. Malloc's own memory is
// too.
#pragma once

#include "page/zone.h"

namespace quarry {

inline constexpr unsigned max_nodes = 8;

// Once, after reserve_region and before the first page. There is one where the region is too small.
void start_nodes(unsigned count);

QUARRY_HIDDEN extern unsigned nodes;  // written by start_nodes()
inline unsigned node_count() {
  return nodes;
}

// ZONE_NORMAL of a node below node_count().
zone* normal_zone_of(unsigned node);

// The node of the CPU that the caller runs on.
unsigned local_node_of_many();
inline unsigned local_node() {
  return nodes == 1 ? 0 : local_node_of_many();
}

// Which node's part of the region a page lies in.
unsigned node_of_frame(const page* p);

}  // namespace quarry
