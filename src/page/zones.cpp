#include "page/zones.h"

#include "page/dma.h"
#include "page/highmem.h"

namespace quarry {

namespace {

// The kernel's lowmem_reserve_ratio for ZONE_DMA.
constexpr std::size_t dma_reserve_ratio = 256;

bool is_entry_of(const frame_space& space, const page* p) {
  const auto offset = reinterpret_cast<uptr>(p) - reinterpret_cast<uptr>(space.map);
  return space.has(p) && offset % sizeof(page) == 0;
}

// Made zones beside ZONE_NORMAL; their maps are committed for all frames that they have.
bool has_entry(const zone* z, const page* p) {
  return z && is_entry_of(z->space(), p) && z->space().number_of(p) < z->committed_pages();
}

}  // namespace

zone* zone_of_slow(const page* p) {
  if (is_entry_of(region.frames, p)) {
    if (!in_frames(region.frames.address_of(p))) return nullptr;
    return node_count() == 1 ? &normal_zone : normal_zone_of(node_of_frame(p));
  }
  for (zone* z : {dma_zone(), highmem_zone()}) {
    if (has_entry(z, p)) return z;
  }
  return nullptr;
}

page* page_at_address(const void* address) {
  if (in_frames(address)) return region.frames.page_of(address);
  for (const zone* z : {dma_zone(), highmem_zone()}) {
    if (!z || !z->space().contains(address)) continue;
    page* p = z->space().page_of(address);
    if (has_entry(z, p)) return p;
  }
  return nullptr;
}

const frame_space* slab_space_of(const void* address) {
  if (in_frames(address)) return &region.frames;
  const zone* z = dma_zone();
  return z && z->space().contains(address) ? &z->space() : nullptr;
}

void keep_reserves() {
  for (unsigned node = 0; node < node_count(); node++)
    normal_zone_of(node)->keep_reserve();
}

void zone_list::add(zone* z, std::size_t protected_pages) {
  if (!z) return;
  zones[count] = z;
  protect[count++] = protected_pages;
}

std::size_t protection_of(const zone* z, zone_kind wanted) {
  const bool is_kept = z->kind() == zone_kind::dma && wanted != zone_kind::dma;
  return is_kept ? normal_zone.committed_pages() / dma_reserve_ratio : 0;
}

zone_list zones_for(zone_kind highest, zone_kind lowest, unsigned node, bool may_make) {
  zone_list list{};
  if (highest == zone_kind::dma) {
    list.add(may_make ? make_dma_zone() : dma_zone());
    return list;
  }
  if (highest == zone_kind::highmem) list.add(may_make ? make_highmem_zone() : highmem_zone());
  for (unsigned i = 0; i < node_count(); i++)
    list.add(normal_zone_of((node + i) % node_count()));
  // Locked memory is for those who asked for it: others use the zone once it exists.
  zone* dma = lowest == zone_kind::dma ? dma_zone() : nullptr;
  if (dma) list.add(dma, protection_of(dma, highest));
  return list;
}

zone_list all_zones() {
  zone_list list{};
  list.add(dma_zone());
  list.add(&normal_zone);
  list.add(highmem_zone());
  for (unsigned node = 1; node < node_count(); node++)
    list.add(normal_zone_of(node));
  return list;
}

void acquire_zones() QUARRY_NO_ANALYSIS {
  acquire_dma();
  acquire_highmem();
  for_each_zone([](zone* z) QUARRY_NO_ANALYSIS { z->acquire(); });
}

void release_zones() QUARRY_NO_ANALYSIS {
  for_each_zone([](zone* z) QUARRY_NO_ANALYSIS { z->release(); });
  release_highmem();
  release_dma();
}

}  // namespace quarry
