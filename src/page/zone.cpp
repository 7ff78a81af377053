#include "page/zone.h"

#include <algorithm>

#include "os/memory.h"

namespace quarry {

constinit zone normal_zone;

namespace {

// The region is committed in steps of at least this, and of an eighth of what is committed, so
// that a growing heap asks the system ever less often. Committed is not resident.
constexpr std::size_t smallest_step = 2 * mib;

// From this order on, a purged block's own map entries (64 bytes per page, so whole pages of them)
// are given back as well.
constexpr unsigned map_purge_order = 7;

std::size_t committed_pages() {
  return region.committed.load(std::memory_order_relaxed) >> page_shift;
}

// Only the head of a free block has anything in its map entry, so all the map's pages that hold
// nothing but its tails may read as zero.
void purge_map(page* head) {
  const auto tails = align_up(reinterpret_cast<uptr>(head + 1), page_size);
  const auto end = reinterpret_cast<uptr>(head + (std::size_t{1} << head->order));
  os::purge(reinterpret_cast<void*>(tails), end - tails);
}

// True if the block reads as zero now.
bool purge_block(page* head) {
  if (!os::purge(region.frames.address_of(head), page_size << head->order)) return false;
  if (head->order >= map_purge_order) purge_map(head);
  return true;
}

}  // namespace

void zone::publish_figures() {
  const std::size_t free_pages = buddy_.free_units() + isolated_;
  used_.store(committed_pages() - free_pages, std::memory_order_relaxed);
  dirty_.store(buddy_.dirty_units(), std::memory_order_relaxed);
}

bool zone::commit_to(std::size_t end) {
  if (end > region.frames.total || !commit_map(&region.frames, end)) return false;
  const std::size_t begin = committed_pages();
  if (!os::commit(frames_base + (begin << page_shift), (end - begin) << page_shift)) return false;
  // A free() that sees the new bound must see the maps behind it: commit_map came first, and a
  // pointer into the new frames reaches another thread only through a later release.
  region.committed.store(end << page_shift, std::memory_order_release);
  buddy_.give(begin, end - begin, true);
  return true;
}

// Commits enough for a block of that order behind what is committed.
bool zone::grow(unsigned order) {
  const std::size_t begin = committed_pages();
  const std::size_t block = std::size_t{1} << order;
  const std::size_t needed = align_up(align_up(begin, block) + block, smallest_step >> page_shift);
  const std::size_t generous = align_up(begin + std::max(begin / 8, smallest_step >> page_shift),
                                        smallest_step >> page_shift);
  if (generous > needed && commit_to(generous)) return true;
  return commit_to(needed) || commit_to(align_up(begin, block) + block);
}

page* zone::take(unsigned order, std::size_t pages, bool* clean) {
  page* head = buddy_.take(order, pages, clean);
  if (!head && grow(order)) head = buddy_.take(order, pages, clean);
  return head;
}

page* zone::allocate(std::size_t pages, std::size_t alignment, bool* clean) {
  const std::size_t block = std::max(pages, alignment);
  if (block > std::size_t{1} << max_order || alignment << page_shift > region.alignment)
    return nullptr;
  const unsigned order = order_of_pages(block);
  os::lock_guard guard(lock_);
  page* head = take(order, pages, clean);
  publish_figures();
  return head;
}

unsigned zone::allocate_blocks(unsigned order, page** heads, unsigned count) {
  os::lock_guard guard(lock_);
  unsigned taken = 0;
  bool clean;
  while (taken < count && (heads[taken] = take(order, std::size_t{1} << order, &clean)))
    taken++;
  publish_figures();
  return taken;
}

void zone::give(page* head, std::size_t pages, bool clean) {
  head->kind = page_kind::none;
  buddy_.give(region.frames.number_of(head), pages, clean);
}

void zone::free(page* head, std::size_t pages, bool clean) {
  os::lock_guard guard(lock_);
  give(head, pages, clean);
  publish_figures();
}

void zone::free_blocks(unsigned order, page* const* heads, unsigned count) {
  os::lock_guard guard(lock_);
  for (unsigned i = 0; i < count; i++)
    give(heads[i], std::size_t{1} << order, false);
  publish_figures();
}

bool zone::extend(page* head, std::size_t pages, std::size_t wanted) {
  os::lock_guard guard(lock_);
  const std::size_t first = region.frames.number_of(head) + pages;
  if (!buddy_.take_range(first, wanted - pages)) return false;
  publish_figures();
  return true;
}

std::size_t zone::purge(std::size_t keep, bool young_too) {
  std::size_t purged = 0;
  for (;;) {
    page* head;
    {
      os::lock_guard guard(lock_);
      if (buddy_.dirty_units() <= keep) return purged;
      head = buddy_.take_dirty(young_too);
      if (!head) return purged;
      // On no list while the lock is open, and no buddy to merge with.
      head->kind = page_kind::cached;
      isolated_ += std::size_t{1} << head->order;
      publish_figures();
    }
    const std::size_t pages = std::size_t{1} << head->order;
    const bool clean = purge_block(head);
    os::lock_guard guard(lock_);
    isolated_ -= pages;
    give(head, pages, clean);
    publish_figures();
    if (!clean) return purged;
    purged += pages;
  }
}

void zone::start_period() {
  os::lock_guard guard(lock_);
  buddy_.start_period();
}

zone_figures zone::figures() {
  os::lock_guard guard(lock_);
  zone_figures f{};
  f.committed_pages = committed_pages();
  f.free_pages = buddy_.free_units() + isolated_;
  f.dirty_pages = buddy_.dirty_units();
  for (unsigned order = 0; order <= max_order; order++)
    f.blocks[order] = buddy_.blocks(order);
  return f;
}

}  // namespace quarry
