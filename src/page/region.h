// The region: one reservation of address space that holds everything.
//
//   per-CPU areas | class map | mem_map | vmalloc map | frames (ZONE_NORMAL) | vmalloc area
//
// The class map has a byte per frame that free() reads first: the size class of the slab that the
// frame belongs to, 0 for everything else. mem_map has a page per frame. All of it is reserved at
// start-up and committed as it is needed; a pointer below `committed` bytes from the base is in a
// frame whose map entries can be read.
#pragma once

#include <atomic>

#include "base/bits.h"
#include "page/page.h"

namespace quarry {

// Address space cut into equal units, each with its entry in a map.
struct frame_space {
  char* base;        // written at start-up
  page* map;         // written at start-up
  std::size_t total; // units reserved, written at start-up
  std::size_t mapped;  // units whose map entries are committed; under the lock of the owning allocator
  unsigned shift;    // log2 of a unit's bytes

  page* page_at(std::size_t number) const { return map + number; }
  std::size_t number_of(const page* p) const { return static_cast<std::size_t>(p - map); }
  char* address_of(const page* p) const { return base + (number_of(p) << shift); }
  page* page_of(const void* address) const {
    return map + (static_cast<std::size_t>(static_cast<const char*>(address) - base) >> shift);
  }
  bool contains(const void* address) const {
    return reinterpret_cast<uptr>(address) - reinterpret_cast<uptr>(base) < total << shift;
  }
};

struct region_layout {
  // What the fast path of free() reads, together. Both sizes are in bytes from the base and grow
  // under the zone's lock, after the maps of the new frames; they are 0 before start-up, and
  // free_bound stays 0 where there is no fast path (the fallback of the per-CPU layer).
  char* base;
  u8* class_map;
  std::atomic<std::size_t> free_bound;
  std::atomic<std::size_t> committed;

  frame_space frames;   // units of a page; frames.base == base
  frame_space vm_units; // units of vm_unit bytes
  void* cpu_areas;
  unsigned cpus;
};

inline constexpr unsigned vm_unit_shift = 21;
inline constexpr std::size_t vm_unit = std::size_t{1} << vm_unit_shift;

// A buddy block is at most 2^max_order units: 1 GiB of frames.
inline constexpr unsigned max_order = 18;

extern region_layout region;

// Reserves the region: the larger of 1 TiB and four times physical memory, less where RLIMIT_AS or the
// address space says so. False where not even a small one can be had. Once.
bool reserve_region(unsigned cpus, std::size_t cpu_areas_size);

// Commits the map entries of units [0, units). Under the lock of the space's allocator.
bool commit_map(frame_space* space, std::size_t units);

// True for an address in committed frames.
inline bool in_frames(const void* address) {
  return reinterpret_cast<uptr>(address) - reinterpret_cast<uptr>(region.base) <
         region.committed.load(std::memory_order_relaxed);
}

inline u8* class_of_frame(const void* address) {
  return region.class_map + (static_cast<std::size_t>(static_cast<const char*>(address) -
                                                      region.base) >> page_shift);
}

}  // namespace quarry
