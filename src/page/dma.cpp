#include "page/dma.h"

#include "os/memory.h"
#include "page/late_zone.h"

namespace quarry {

namespace {

constexpr std::size_t frames = dma_size >> page_shift;
constexpr std::size_t huge_pages = os::huge_page_size >> page_shift;

constinit frame_space space{};                 // written as the zone is made
QUARRY_SPARSE constinit u8 classes[frames]{};  // the space's

bool commit_locked(char* begin, std::size_t bytes) {
  return os::commit(begin, bytes) && os::lock_memory(begin, bytes);
}

// From one multiple of a huge page to the next.
bool commit_dma(frame_space*, std::size_t first, std::size_t pages) {
  const std::size_t end = first + pages;
  for (std::size_t at = first; at < end;) {
    char* begin = space.base + (at << page_shift);
    const std::size_t next = align_down(at, huge_pages) + huge_pages;
    const std::size_t piece = (next < end ? next : end) - at;
    const bool huge = piece == huge_pages && os::commit_huge_page(begin);
    if (!huge && !commit_locked(begin, piece << page_shift)) {
      os::decommit(space.base + (first << page_shift), (at + piece - first) << page_shift);
      return false;
    }
    at += piece;
  }
  return true;
}

constexpr zone_backing dma_backing = {commit_dma, nullptr, huge_pages, false};
QUARRY_SPARSE constinit room<zone> the_zone{};

bool prepare() {
  constexpr std::size_t map_size = frames * sizeof(page);
  void* memory = os::reserve_below(dma_end, dma_size);
  if (!memory) return false;
  void* map = os::reserve(map_size);
  if (!map) {
    os::release(memory, dma_size);
    return false;
  }
  space = {static_cast<char*>(memory), static_cast<page*>(map), frames, 0, page_shift, classes};
  return true;
}

constinit late_zone dma{&the_zone, &space, &dma_backing, zone_kind::dma, prepare};

}  // namespace

zone* make_dma_zone() {
  return dma.make();
}

zone* dma_zone() {
  return dma.get();
}

void acquire_dma() QUARRY_NO_ANALYSIS {
  dma.acquire();
}
void release_dma() QUARRY_NO_ANALYSIS {
  dma.release();
}

void retire_dma_in_child() {
  if (zone* z = dma_zone()) z->retire(false);
}

}  // namespace quarry
