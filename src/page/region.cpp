#include "page/region.h"

#include <algorithm>

#include "os/memory.h"
#include "page/free_map.h"

namespace quarry {

constinit region_layout region{};
QUARRY_HOT constinit char* frames_base = nullptr;
QUARRY_HOT constinit u8* class_map = nullptr;

namespace {

constexpr std::size_t smallest_region = 8 * mib;

struct sizes {
  std::size_t frames;  // bytes
  std::size_t vm;      // bytes
  std::size_t
      alignment;  // of the frames' base, so that a block's natural alignment is its address's

  std::size_t class_map() const { return align_up(frames >> page_shift, page_size); }
  std::size_t mem_map() const { return (frames >> page_shift) * sizeof(page); }
  std::size_t free_map() const { return free_map::size_for(frames >> page_shift); }
  std::size_t vm_map() const { return align_up((vm >> vm_unit_shift) * sizeof(page), page_size); }
  std::size_t maps() const { return class_map() + mem_map() + free_map() + vm_map(); }
};

sizes sizes_for(std::size_t frames, std::size_t vm) {
  frames = align_down(frames, vm_unit);
  const std::size_t widest = std::size_t{1} << (max_order + page_shift);
  // An eighth of a small region is the most that alignment may waste.
  const std::size_t alignment = std::max(vm_unit, std::min(widest, std::bit_floor(frames / 8)));
  return {frames, align_down(vm, vm_unit), alignment};
}

// The sizes to try first. Under RLIMIT_AS the program needs room beside the heap, for its stacks
// and libraries: a quarter of what is left.
sizes wanted_sizes() {
  const std::size_t left = os::address_space_left();
  if (left != SIZE_MAX) return sizes_for(left / 16 * 11, left / 16);
  const std::size_t bytes = std::max(tib, std::bit_ceil(os::physical_memory()) * 4);
  return sizes_for(bytes, bytes);
}

void lay_out(char* memory, const sizes& s, unsigned cpus, std::size_t cpu_areas_size) {
  region.cpus = cpus;
  region.alignment = s.alignment;
  region.cpu_areas = memory;
  char* maps = memory + cpu_areas_size;
  class_map = reinterpret_cast<u8*>(maps);
  auto* mem_map = reinterpret_cast<page*>(maps + s.class_map());
  char* free_map = maps + s.class_map() + s.mem_map();
  auto* vm_map = reinterpret_cast<page*>(free_map + s.free_map());
  const auto end_of_maps = reinterpret_cast<uptr>(maps) + s.maps();
  frames_base = reinterpret_cast<char*>(align_up(end_of_maps, s.alignment));
  region.frames = {frames_base, mem_map, s.frames >> page_shift, 0, page_shift,
                   class_map,   free_map};
  region.vm_units = {frames_base + s.frames, vm_map, s.vm >> vm_unit_shift, 0,
                     vm_unit_shift,          nullptr};
}

}  // namespace

bool reserve_region(unsigned cpus, std::size_t cpu_areas_size) {
  for (sizes s = wanted_sizes(); s.frames >= smallest_region;
       s = sizes_for(s.frames / 2, s.vm / 2)) {
    const std::size_t total = cpu_areas_size + s.maps() + s.alignment + s.frames + s.vm;
    auto* memory = static_cast<char*>(os::reserve(total));
    if (!memory) continue;
    lay_out(memory, s, cpus, cpu_areas_size);
    region.size = total;
    return os::make_readable(memory, cpu_areas_size + s.class_map());
  }
  return false;
}

bool commit_part(void* address, std::size_t size) {
  if (os::commit(address, size)) return true;
  // At the limit of mappings that is possible only if it takes no new one: it must not differ from
  // what is committed before it in anything but the access that it is to get.
  if (os::may_map_more()) return false;
  os::let_be_dumped(region.cpu_areas, region.size);
  return os::commit(address, size);
}

bool commit_map(frame_space* space, std::size_t units) {
  if (units <= space->mapped) return true;
  const std::size_t mapped = std::min(align_up(units, map_step), space->total);
  const auto bytes_of = [](std::size_t n) { return align_up(n * sizeof(page), page_size); };
  const std::size_t done = bytes_of(space->mapped);
  if (!commit_part(reinterpret_cast<char*>(space->map) + done, bytes_of(mapped) - done))
    return false;
  if (region.frames.has(space->map)) {
    const std::size_t first = region.frames.number_of(space->map);
    const std::size_t begin = align_down(first + space->mapped, page_size);
    const std::size_t end = align_up(first + mapped, page_size);
    if (!commit_part(class_map + begin, end - begin)) return false;
  }
  space->mapped = mapped;
  return true;
}

}  // namespace quarry
