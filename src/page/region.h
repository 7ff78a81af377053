// The region: one reservation of address space that holds everything.
//
//   per-CPU areas | class map | mem_map | free map | vmalloc map | frames | vmalloc area
//
// The frames are ZONE_NORMAL, or the nodes' parts of it.
// The class map has a byte per frame that free() reads first: the size class of the slab that the
// frame belongs to, 0 for everything else; all of it can be read from the start. mem_map has a page
// per frame; the free map leads to free ones behind each other (page/free_map.h). It all is
// reserved at start-up and committed as it is needed; the pages of frames below `committed` can be
// read.
#pragma once

#include <atomic>

#include "base/bits.h"
#include "page/page.h"

namespace quarry {

// Address space cut into equal units, each with its entry in a map.
struct frame_space {
  char* base;         // written at start-up
  page* map;          // written at start-up
  std::size_t total;  // units reserved, written at start-up
  // Units whose map entries are committed; under the lock of the owning allocator. Read without it
  // for messages about wrong use and for addresses of blocks in use, which are below any value.
  std::size_t mapped;
  unsigned shift;  // log2 of a unit's bytes, written at start-up
  // A byte per unit where there are slabs: the class of the one that it belongs to, 0 for none.
  // Written by who makes the slab; the pointer at start-up.
  u8* classes;
  // For page/free_map.h, where runs are looked for; written at start-up.
  char* free_map = nullptr;

  std::size_t offset_of(const void* address) const {
    return static_cast<std::size_t>(static_cast<const char*>(address) - base);
  }
  page* page_at(std::size_t number) const { return map + number; }
  std::size_t number_of(const page* p) const { return static_cast<std::size_t>(p - map); }
  char* address_of(const page* p) const { return base + (number_of(p) << shift); }
  page* page_of(const void* address) const { return map + (offset_of(address) >> shift); }
  u8* class_of(const page* p) const { return classes + number_of(p); }
  // The words of a slab's tails are its free-object index, so that their kind is anything.
  bool is_in_slab(const page* p) const { return classes && *class_of(p) != 0; }
  // Whether the entry is one of the map's.
  bool has(const page* p) const {
    return reinterpret_cast<uptr>(p) - reinterpret_cast<uptr>(map) < total * sizeof(page);
  }
  bool contains(const void* address) const {
    return reinterpret_cast<uptr>(address) - reinterpret_cast<uptr>(base) < total << shift;
  }
};

struct region_layout {
  // Bytes from the base whose map entries can be read; grows under the zone's lock, after them.
  // With several nodes it is all of them from the start.
  std::atomic<std::size_t> committed;
  frame_space frames;    // units of a page
  frame_space vm_units;  // units of vm_unit bytes
  // The rest is written at start-up. Of the frames' base, in bytes; a block is aligned to its size
  // up to this.
  std::size_t alignment;
  void* cpu_areas;  // the region's begin
  std::size_t size;
  unsigned cpus;
};

inline constexpr unsigned vm_unit_shift = 21;
inline constexpr std::size_t vm_unit = std::size_t{1} << vm_unit_shift;

// A buddy block is at most 2^max_order units: 1 GiB of frames.
inline constexpr unsigned max_order = 18;

QUARRY_HIDDEN extern region_layout region;

// Where the frames begin, and their class map; written at start-up. By themselves, since every
// free() reads them and a field of a struct costs an instruction to address.
QUARRY_HIDDEN extern char* frames_base;
QUARRY_HIDDEN extern u8* class_map;

// Reserves the region: for the frames and for the vmalloc area each the larger of 1 TiB and four
// times physical memory (rounded up to a power of two), less where RLIMIT_AS or the address space
// says so. False where not even a small one can be had. Once.
bool reserve_region(unsigned cpus, std::size_t cpu_areas_size);

// Commits a part of the region.
bool commit_part(void* address, std::size_t size);

// Maps are committed for so many units at a time: 64 MiB of frames, 1 MiB of mem_map.
inline constexpr std::size_t map_step = 16 * 1024;

// Commits the map entries of units [0, units). Under the lock of the space's allocator.
bool commit_map(frame_space* space, std::size_t units);

// True for an address in committed frames.
inline bool in_frames(const void* address) {
  return reinterpret_cast<uptr>(address) - reinterpret_cast<uptr>(frames_base) <
         region.committed.load(std::memory_order_relaxed);
}

inline std::size_t offset_of(const void* address) {
  return static_cast<std::size_t>(static_cast<const char*>(address) - frames_base);
}

inline u8* class_of_frame(const void* address) {
  return class_map + (offset_of(address) >> page_shift);
}

}  // namespace quarry
