// Lock: making_lock, taken before a zone's, while the zone is made.
#include "page/dma.h"

#include "os/memory.h"

namespace quarry {

namespace {

constexpr std::size_t frames = dma_size >> page_shift;
constexpr std::size_t huge_pages = os::huge_page_size >> page_shift;

constinit os::lock making_lock;
constinit bool has_failed QUARRY_GUARDED_BY(making_lock) = false;
constinit std::atomic<bool> is_made{false};  // set under making_lock, after the space
constinit frame_space space{};               // written under making_lock, before that
constinit u8 classes[frames]{};              // the space's

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

bool keep_dma(frame_space*, std::size_t, std::size_t) {
  return false;
}

constexpr zone_backing dma_backing = {commit_dma, keep_dma, huge_pages};
constinit zone the_zone{&space, &dma_backing, zone_kind::dma};

bool make() {
  constexpr std::size_t map_size = frames * sizeof(page);
  void* memory = os::reserve_below(dma_end, dma_size);
  if (!memory) return false;
  void* map = os::reserve(map_size);
  if (!map) {
    os::release(memory, dma_size);
    return false;
  }
  space = {static_cast<char*>(memory), static_cast<page*>(map), frames, 0, page_shift, classes};
  the_zone.keep_reserve();
  return true;
}

}  // namespace

zone* make_dma_zone() {
  if (zone* z = dma_zone()) return z;
  os::lock_guard guard(making_lock);
  if (is_made.load(std::memory_order_relaxed)) return &the_zone;
  if (has_failed) return nullptr;
  has_failed = !make();
  if (has_failed) return nullptr;
  is_made.store(true, std::memory_order_release);
  return &the_zone;
}

zone* dma_zone() {
  // Pairs with the release above: the space is seen.
  return is_made.load(std::memory_order_acquire) ? &the_zone : nullptr;
}

void acquire_dma() QUARRY_NO_ANALYSIS {
  making_lock.acquire();
}
void release_dma() QUARRY_NO_ANALYSIS {
  making_lock.release();
}

void retire_dma_in_child() {
  if (dma_zone()) the_zone.retire(false);
}

}  // namespace quarry
