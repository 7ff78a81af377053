#include "page/zones.h"

namespace quarry {

namespace {

bool is_entry_of(const frame_space& space, const page* p) {
  const auto offset = reinterpret_cast<uptr>(p) - reinterpret_cast<uptr>(space.map);
  return space.has(p) && offset % sizeof(page) == 0;
}

}  // namespace

zone* zone_of(const page* p) {
  const bool in_region = is_entry_of(region.frames, p) && in_frames(region.frames.address_of(p));
  return in_region ? &normal_zone : nullptr;
}

page* page_at_address(const void* address) {
  return in_frames(address) ? region.frames.page_of(address) : nullptr;
}

void keep_reserves() {
  normal_zone.keep_reserve();
}

zone_list zones_for(zone_kind) {
  return {{&normal_zone}, 1};
}

}  // namespace quarry
