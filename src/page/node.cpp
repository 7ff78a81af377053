#include "page/node.h"

#include <algorithm>
#include <memory>

#include "base/room.h"
#include "os/cpu.h"
#include "os/memory.h"

namespace quarry {

constinit unsigned nodes = 1;

namespace {

// All written by start_nodes().
constinit unsigned machine_nodes = 1;
constinit std::size_t part = SIZE_MAX;  // frames of each node; the last one's are more
constinit frame_space spaces[max_nodes - 1]{};

bool commit_on_node(frame_space* space, std::size_t first, std::size_t pages) {
  if (!region_backing.commit(space, first, pages)) return false;
  const auto node = static_cast<unsigned>(space - spaces) + 1;
  if (node < machine_nodes) {
    os::prefer_node(space->base + (first << page_shift), pages << page_shift, node);
  }
  return true;
}

bool purge_on_node(frame_space* space, std::size_t first, std::size_t pages) {
  return region_backing.purge(space, first, pages);
}

constexpr zone_backing node_backing = {commit_on_node, purge_on_node, 2 * mib >> page_shift, true};

// Made where there is more than one node.
QUARRY_SPARSE constinit room<zone> others[max_nodes - 1]{};

}  // namespace

void start_nodes(unsigned count) {
  const std::size_t total = region.frames.total;
  // What is mapped of a node's frames, which is in steps, are its own.
  const std::size_t step = std::max(region.alignment >> page_shift, map_step);
  const std::size_t each = align_down(total / count, step);
  if (count == 1 || each == 0) return;
  // Pages of all nodes are looked up in the one map, so all of it can be read from now on.
  if (!os::make_readable(region.frames.map, align_up(total * sizeof(page), page_size))) return;
  machine_nodes = os::possible_nodes();
  part = each;
  normal_zone.limit_to(part);
  for (unsigned node = 1; node < count; node++) {
    const std::size_t first = node * part;
    const std::size_t frames = node + 1 < count ? part : total - first;
    spaces[node - 1] = {frames_base + (first << page_shift),
                        region.frames.map + first,
                        frames,
                        0,
                        page_shift,
                        class_map + first};
    std::construct_at(&others[node - 1].object, &spaces[node - 1], &node_backing, zone_kind::normal,
                      node);
  }
  region.committed.store(total << page_shift, std::memory_order_release);
  nodes = count;
}

zone* normal_zone_of(unsigned node) {
  return node == 0 ? &normal_zone : &others[node - 1].object;
}

unsigned local_node_of_many() {
  return (machine_nodes > 1 ? os::current_node() : os::current_cpu()) % nodes;
}

unsigned node_of_frame(const page* p) {
  return std::min(static_cast<unsigned>(region.frames.number_of(p) / part), nodes - 1);
}

}  // namespace quarry
