#include "page/zone.h"

#include <algorithm>

#include "os/memory.h"
#include "os/options.h"

namespace quarry {

constinit zone normal_zone{&region.frames, &region_backing, zone_kind::normal};

namespace {

// The region is committed in steps of at least this, and of an eighth of what is committed, so
// that a growing heap asks the system ever less often. Committed is not resident; but where huge
// pages come unasked, the first touch of 2 MiB that are committed makes all of them so.
constexpr std::size_t region_step = 1 * mib >> page_shift;

constexpr std::size_t most_reserve = 64 * mib;

// With the option `huge` a zone of so many pages grows by huge ones from there on. Not sooner,
// since the last of them is seldom in use as a whole, which is a 32nd of the memory.
constexpr std::size_t least_grown_huge = 64 * mib >> page_shift;
constexpr std::size_t huge_pages = os::huge_page_size >> page_shift;

// The first frame that may be part of a huge page that was asked for.
std::size_t huge_from() {
  return os::is_default(os::option::huge) ? SIZE_MAX : least_grown_huge;
}

// So many refusals end a purge: where the system refuses all, it is not asked for each block. And
// the order of a block that is not halved to find what is refused in it.
constexpr unsigned most_refusals = 64;
constexpr unsigned smallest_refused = 4;

// Free blocks that go back at once have so many pages, but for the last one: nobody else gets them
// meanwhile.
constexpr u32 most_pages_at_once = 2 * mib >> page_shift;

// From so many pages on a run lies where it fits, on no power of two; below, a block that grows
// would find the next pages taken more often than a few pages are worth.
constexpr std::size_t least_as_it_fits = 32 * kib >> page_shift;

}  // namespace

void purge_map(page* head, std::size_t pages) {
  if (pages < map_purge_pages) return;
  const auto tails = align_up(reinterpret_cast<uptr>(head + 1), page_size);
  const auto end = reinterpret_cast<uptr>(head + pages);
  os::purge(reinterpret_cast<void*>(tails), end - tails);
}

namespace {

bool commit_region(frame_space* space, std::size_t first, std::size_t pages) {
  char* begin = space->base + (first << page_shift);
  if (!commit_part(begin, pages << page_shift)) return false;
  const std::size_t huge = std::max(first, huge_from());
  if (huge < first + pages)
    os::prefer_huge_pages(space->base + (huge << page_shift), (first + pages - huge) << page_shift);
  // A free() that sees the new bound must see the maps behind it: they were committed before, and a
  // pointer into the new frames reaches another thread only through a later release.
  const std::size_t end = offset_of(begin) + (pages << page_shift);
  if (end > region.committed.load(std::memory_order_relaxed)) {
    region.committed.store(end, std::memory_order_release);
  }
  return true;
}

bool purge_region(frame_space* space, std::size_t first, std::size_t pages) {
  char* begin = space->base + (first << page_shift);
  const bool is_part = first >= huge_from() && pages < huge_pages;
  if (!(is_part ? os::purge_in_part : os::purge)(begin, pages << page_shift)) return false;
  purge_map(space->page_at(first), pages);
  return true;
}

// Rounded down (Newton).
std::size_t square_root(std::size_t n) {
  std::size_t root = std::size_t{1} << (ceil_log2(n + 1) + 1) / 2;
  for (std::size_t next; (next = (root + n / root) / 2) < root;)
    root = next;
  return root;
}

}  // namespace

constinit const zone_backing region_backing = {commit_region, purge_region, region_step, true};

watermarks watermarks_for(std::size_t committed_pages) {
  if (committed_pages == 0) return {};
  const std::size_t bytes = square_root((committed_pages << page_shift >> 10) * 16) << 10;
  const std::size_t min = std::min(bytes, most_reserve) >> page_shift;
  return {min, min + min / 4, min + min / 2};
}

watermarks zone::marks() const {
  if (!keeps_reserve_.load(std::memory_order_relaxed)) return {};
  return watermarks_for(committed_pages());
}

std::size_t zone::floor_of(reserve depth) const {
  const std::size_t min = marks().min;
  switch (depth) {
    case reserve::keep:
      return min;
    case reserve::urgent:
      return min - min / 2;
    case reserve::atomic:
      return (min - min / 2) - (min - min / 2) / 4;
    case reserve::use:
      break;
  }
  return 0;
}

void zone::publish_figures() {
  const std::size_t free_pages = buddy_.free_units() + isolated_;
  used_.store(committed_pages() - free_pages, std::memory_order_relaxed);
  dirty_.store(buddy_.dirty_units(), std::memory_order_relaxed);
  if (buddy_.dirty_units() < unneeded_pages())
    unneeded_.store(buddy_.dirty_units(), std::memory_order_relaxed);
}

bool zone::commit_to(std::size_t end) {
  if (end > limit() || closed_ || !commit_map(space_, end) || !buddy_.prepare_for(end))
    return false;
  const std::size_t begin = committed_pages();
  if (!backing_->commit(space_, begin, end - begin)) return false;
  committed_.store(end, std::memory_order_relaxed);
  buddy_.give(begin, end - begin, true);
  return true;
}

// Commits what the run lacks at its place, or behind all others, and so much that `free` pages are
// free in all.
bool zone::grow(const run_shape& run, std::size_t free) {
  const std::size_t begin = committed_pages();
  const std::size_t block = std::size_t{1} << run.order;
  const std::size_t missing = free - std::min(free, buddy_.free_units());
  const bool has_place = run.place != buddy::none;
  return grow_to(std::max(begin + missing,
                          has_place ? run.place + run.pages : align_up(begin, block) + block));
}

// Commits at least [committed pages, end), and some more if it can be had.
bool zone::grow_to(std::size_t end) {
  const std::size_t begin = committed_pages();
  const std::size_t step = begin < huge_from() ? backing_->step : huge_pages;
  const std::size_t needed = align_up(end, step);
  const std::size_t generous = align_up(begin + std::max(begin / 8, step), step);
  if (generous > needed && commit_to(generous)) return true;
  return commit_to(needed) || commit_to(end);
}

// Leaves `floor` pages free.
page* zone::take(const run_shape& run, bool* clean, std::size_t floor) {
  const std::size_t low = marks().low;
  const std::size_t least = run.pages + floor;
  if (low > floor && buddy_.free_units() < run.pages + low) grow(run, run.pages + low);
  if (buddy_.free_units() < least) grow(run, least);
  if (buddy_.free_units() < least) return nullptr;
  if (run.place != buddy::none) {
    const std::size_t end = run.place + run.pages;
    if (end > committed_pages() && !grow_to(end)) return nullptr;
    return buddy_.take_at(run.place, run.pages, clean);
  }
  page* head = buddy_.take(run.order, run.pages, clean);
  return head || !grow(run, 0) ? head : buddy_.take(run.order, run.pages, clean);
}

page* zone::allocate(std::size_t pages, std::size_t alignment, bool* clean, reserve depth,
                     std::size_t protect) {
  const std::size_t block = std::max(pages, alignment);
  if (block > std::size_t{1} << max_order || alignment << page_shift > region.alignment)
    return nullptr;
  const bool anywhere = alignment == 1 && pages >= least_as_it_fits;
  os::lock_guard guard(lock_);
  take_deferred();
  const std::size_t place = anywhere ? buddy_.place_for(pages, committed_pages()) : buddy::none;
  page* head = take({pages, order_of_pages(block), place}, clean, floor_of(depth) + protect);
  publish_figures();
  return head;
}

page* zone::allocate_last(std::size_t pages, bool* clean) {
  os::lock_guard guard(lock_);
  take_deferred();
  const std::size_t end = committed_pages();
  const std::size_t place = buddy_.last_place(end);
  if (place == buddy::none) return nullptr;
  const std::size_t gaps = buddy_.free_units() - (end - place);
  if (gaps > used_pages()) return nullptr;
  page* head = take({pages, order_of_pages(pages), place}, clean, 0);
  publish_figures();
  return head;
}

page* zone::allocate_with_room(std::size_t pages, std::size_t room) {
  os::lock_guard guard(lock_);
  take_deferred();
  if (buddy_.free_units() < pages + marks().low) return nullptr;
  page* head = buddy_.take_in_memory(order_of_pages(room), pages);
  publish_figures();
  return head;
}

unsigned zone::allocate_blocks(unsigned order, page** heads, unsigned count, reserve depth) {
  os::lock_guard guard(lock_);
  take_deferred();
  unsigned taken = 0;
  bool clean;
  const std::size_t pages = std::size_t{1} << order;
  while (taken < count &&
         (heads[taken] = take({pages, order, buddy::none}, &clean, floor_of(depth))))
    heads[taken++]->count = !clean;
  publish_figures();
  return taken;
}

page* zone::allocate_briefly(unsigned order, bool* clean, reserve depth, std::size_t protect) {
  const std::size_t pages = std::size_t{1} << order;
  if (order > max_order || pages << page_shift > region.alignment) return nullptr;
  if (!lock_.acquire_briefly()) return nullptr;
  take_deferred();
  page* head = nullptr;
  if (buddy_.free_units() >= pages + floor_of(depth) + protect) {
    head = buddy_.take(order, pages, clean);
    publish_figures();
  }
  lock_.release_briefly();
  return head;
}

void zone::give(page* head, std::size_t pages, bool clean) {
  head->kind = page_kind::none;
  const std::size_t first = space_->number_of(head);
  if (first >= retired_) buddy_.give(first, pages, clean);
}

void zone::free(page* head, std::size_t pages, bool clean) {
  os::lock_guard guard(lock_);
  give(head, pages, clean);
  publish_figures();
}

void zone::free_blocks(unsigned order, page* const* heads, unsigned count) {
  os::lock_guard guard(lock_);
  for (unsigned i = 0; i < count; i++)
    give(heads[i], std::size_t{1} << order, heads[i]->count == 0);
  publish_figures();
}

void zone::free_briefly(page* head, unsigned order) {
  if (lock_.acquire_briefly()) {
    give(head, std::size_t{1} << order, false);
    publish_figures();
    lock_.release_briefly();
    return;
  }
  head->kind = page_kind::cached;
  head->order = static_cast<u8>(order);
  page* first = deferred_.load(std::memory_order_relaxed);
  do {
    head->link.next = reinterpret_cast<list_node*>(first);
    // Pairs with the acquire in take_deferred().
  } while (!deferred_.compare_exchange_weak(first, head, std::memory_order_release,
                                            std::memory_order_relaxed));
}

void zone::take_deferred() {
  if (!deferred_.load(std::memory_order_relaxed)) return;
  page* head = deferred_.exchange(nullptr, std::memory_order_acquire);
  while (head) {
    page* next = reinterpret_cast<page*>(head->link.next);
    give(head, std::size_t{1} << head->order, false);
    head = next;
  }
}

void zone::retire(bool close) {
  os::lock_guard guard(lock_);
  take_deferred();
  retired_ = committed_pages();
  closed_ = close;
  bool clean;
  for (unsigned order = max_order + 1; order-- > 0;) {
    while (buddy_.take(order, std::size_t{1} << order, &clean)) {
    }
  }
  publish_figures();
}

bool zone::extend(page* head, std::size_t pages, std::size_t wanted, bool may_grow) {
  os::lock_guard guard(lock_);
  const std::size_t first = space_->number_of(head) + pages;
  const std::size_t missing = wanted - pages;
  take_deferred();
  const std::size_t begin = committed_pages();
  if (may_grow && first + missing > begin && buddy_.last_place(begin) == first)
    grow_to(first + missing + marks().low);
  if (buddy_.free_units() < missing + marks().low) return false;
  if (!buddy_.extend(first, missing)) return false;
  publish_figures();
  return true;
}

// Before a purge. Where huge pages come unasked or were asked for, khugepaged would soon fill the
// holes between pages in use (khugepaged/max_ptes_none: all but one may be missing).
void zone::keep_hole_open(std::size_t first, std::size_t pages) {
  const bool is_hole = first < huge_from() || pages < huge_pages;
  if (!backing_->is_anonymous || !is_hole || first < small_) return;
  small_ = first < huge_from() ? std::min(huge_from(), space_->total) : committed_pages();
  os::keep_pages_small(space_->base, small_ << page_shift);
}

// A dirty block that is on no list while the lock is open, and no buddy to merge with; nullptr
// where no more than `keep` pages would be left to give back.
page* zone::isolate(std::size_t keep, bool all, unsigned least) {
  // All of it: also what counts as clean by mistake, since which part of a block is dirty is a
  // guess.
  const bool is_all = all && keep == 0;
  if (!is_all && (all ? buddy_.dirty_units() : unneeded_pages()) <= keep) return nullptr;
  page* head = buddy_.take_dirty(all, least);
  if (!head) return nullptr;
  head->kind = page_kind::cached;
  const std::size_t unneeded = unneeded_pages();
  unneeded_.store(unneeded - std::min<std::size_t>(unneeded, head->count),
                  std::memory_order_relaxed);
  isolated_ += std::size_t{1} << head->order;
  return head;
}

// Returns how many, none of which is gone yet.
unsigned zone::isolate_some(std::size_t keep, bool all, unsigned least, page_range* blocks) {
  os::lock_guard guard(lock_);
  take_deferred();
  unsigned count = 0;
  for (u32 pages = 0; count < page_range::most && pages < most_pages_at_once; count++) {
    page* head = isolate(keep, all, least);
    if (!head) break;
    blocks[count] = {head, u32{1} << head->order, false};
    pages += blocks[count].pages;
  }
  publish_figures();
  return count;
}

// Those that are gone. Returns how many of their pages were dirty.
std::size_t zone::put_back(const page_range* blocks, unsigned count) {
  os::lock_guard guard(lock_);
  std::size_t dirty = 0;
  for (const page_range* b = blocks; b < blocks + count; b++) {
    if (!b->is_gone) continue;
    dirty += b->first->count;
    isolated_ -= b->pages;
    give(b->first, b->pages, true);
  }
  publish_figures();
  return dirty;
}

// Those that stay dirty.
void zone::put_back(list<page>* refused) {
  os::lock_guard guard(lock_);
  while (page* head = refused->pop_front()) {
    const std::size_t pages = std::size_t{1} << head->order;
    isolated_ -= pages;
    give(head, pages, false);
  }
  publish_figures();
}

// Makes two of an isolated block. Returns the second.
page* zone::halve(page* head) {
  head->order--;
  const u32 pages = u32{1} << head->order;
  page* second = head + pages;
  second->kind = page_kind::cached;
  second->order = head->order;
  second->count = head->count - std::min(head->count, pages);
  head->count = std::min(head->count, pages);
  return second;
}

bool zone::may_be_huge(const page* p) const {
  return backing_->is_anonymous && space_->number_of(p) >= huge_from();
}

// Returns how many, from the first on, are gone.
unsigned zone::trim_at_once(const page_range* ranges, unsigned count) const {
  if (count < 2 || !backing_->is_anonymous) return 0;
  QUARRY_SPARSE static constinit iovec bytes[page_range::most]{};  // under reclaim_lock
  bool any_huge = false;
  for (unsigned i = 0; i < count; i++) {
    bytes[i] = {space_->address_of(ranges[i].first), std::size_t{ranges[i].pages} << page_shift};
    any_huge |= may_be_huge(ranges[i].first);
  }
  return (any_huge ? os::purge_each_in_part : os::purge_each)(bytes, count);
}

void zone::trim(page_range* ranges, unsigned count) {
  for (unsigned i = 0; i < count; i++)
    keep_hole_open(space_->number_of(ranges[i].first), ranges[i].pages);
  unsigned refusals = 0;
  bool at_once = true;
  for (unsigned i = 0; i < count && refusals < most_refusals;) {
    const unsigned gone = at_once ? trim_at_once(ranges + i, count - i) : 0;
    for (const unsigned end = i + gone; i < end; i++) {
      ranges[i].is_gone = true;
      purge_map(ranges[i].first, ranges[i].pages);
    }
    if (i == count) break;
    page_range& next = ranges[i++];
    next.is_gone = backing_->purge(space_, space_->number_of(next.first), next.pages);
    refusals += !next.is_gone;
    if (gone == 0 && next.is_gone) at_once = false;
  }
}

// An isolated block that the system has refused: the program may have locked pages of it. It is
// halved until those are by themselves. Returns the dirty pages given back.
std::size_t zone::purge_halves(page* block, unsigned* refusals, list<page>* refused) {
  page* halves[max_order + 1];  // the first of a size, and one half of each larger one
  unsigned left = 0;
  halves[left++] = block;
  bool is_asked = false;
  std::size_t purged = 0;
  while (left > 0) {
    page* head = halves[--left];
    page_range half = {head, u32{1} << head->order, false};
    if (is_asked && *refusals < most_refusals) trim(&half, 1);
    is_asked = true;
    if (half.is_gone) {
      purged += put_back(&half, 1);
    } else if (++*refusals < most_refusals && head->order > smallest_refused) {
      halves[left++] = halve(head);
      halves[left++] = head;
    } else {
      refused->push_front(head);
    }
  }
  return purged;
}

std::size_t zone::purge(std::size_t keep, purge_depth depth) {
  if (!backing_->purge) return 0;
  const bool is_huge = backing_->is_anonymous && committed_pages() > std::max(small_, huge_from());
  const unsigned least = is_huge && depth == purge_depth::whole ? order_of_pages(huge_pages) : 0;
  list<page> refused;
  unsigned refusals = 0;
  std::size_t purged = 0;
  while (refusals < most_refusals) {
    QUARRY_SPARSE static constinit page_range blocks[page_range::most]{};  // under reclaim_lock
    const unsigned count = isolate_some(keep, depth == purge_depth::everything, least, blocks);
    if (count == 0) break;
    trim(blocks, count);
    purged += put_back(blocks, count);
    for (unsigned i = 0; i < count; i++)
      if (!blocks[i].is_gone) purged += purge_halves(blocks[i].first, &refusals, &refused);
  }
  put_back(&refused);
  return purged;
}

void zone::start_period() {
  os::lock_guard guard(lock_);
  buddy_.start_period();
  unneeded_.store(buddy_.dirty_units(), std::memory_order_relaxed);
}

zone_figures zone::figures() {
  os::lock_guard guard(lock_);
  take_deferred();
  publish_figures();
  zone_figures f{};
  f.committed_pages = committed_pages();
  f.spanned_pages = limit();
  f.marks = marks();
  f.free_pages = buddy_.free_units() + isolated_;
  f.dirty_pages = buddy_.dirty_units();
  for (unsigned order = 0; order <= max_order; order++)
    f.blocks[order] = buddy_.blocks(order);
  return f;
}

}  // namespace quarry
