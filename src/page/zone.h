// A zone: the frames of a frame_space behind one lock, with what stands behind them (zone_backing).
// Blocks are runs of whole pages; what a power of two has too much goes back at once.
//
// Watermarks (Linux 2.6, mm/page_alloc.c): once somebody has asked for pages that must be had
// without a system call, the zone keeps some ready. Below `low`, whoever may make system calls has
// the zone grow, as the kernel wakes kswapd; what is below `min` is for __GFP_HIGH, and for malloc
// when nothing else is left.
#pragma once

#include "os/lock.h"
#include "page/buddy.h"

namespace quarry {

enum class zone_kind : u8 { dma, normal, highmem };

// What a zone is made of. Frames are given as numbers [first, first + pages) in the space.
struct zone_backing {
  // Makes fresh frames usable: they read as zero. Their map entries are committed. Under the
  // zone's lock. False, and nothing has happened, where the system refuses.
  bool (*commit)(frame_space* space, std::size_t first, std::size_t pages);
  // Gives the memory of a free block back: it reads as zero afterwards. False where it stays. Null
  // where none ever goes back.
  bool (*purge)(frame_space* space, std::size_t first, std::size_t pages);
  std::size_t step;  // pages that are committed at a time, if not more
  // Memory of the process alone: that of a large zone may be huge pages, with the option `huge`,
  // and several parts of it go back at a time.
  bool is_anonymous;
};

// Gives back the map of a free block that was purged, if that is pages, as from so many of its own
// on: only its head has anything in its map entry, so those that hold nothing but its tails may
// read as zero.
inline constexpr std::size_t map_purge_pages = 1 << 7;
void purge_map(page* head, std::size_t pages);

// Pages whose memory is to go back; if they are in use fewer than map_purge_pages, so that their
// map entries stay as they are.
struct page_range {
  static constexpr unsigned most = 128;  // at a time
  page* first;
  u32 pages;
  bool is_gone;  // else it stays
};

// What is purged.
enum class purge_depth : u8 {
  whole,       // what was free for a whole period, but no part of a huge page that was asked for
  unused,      // what was free for a whole period
  everything,  // all that is free
};

struct watermarks {
  std::size_t min;
  std::size_t low;
  std::size_t high;
};

// The kernel's rule: 4 * sqrt(KiB) KiB, at most 64 MiB; low and high are a quarter and a half more.
watermarks watermarks_for(std::size_t committed_pages);

// How deep a request may go into the zone's reserve.
enum class reserve : u8 {
  keep,    // leaves the pages below min
  urgent,  // __GFP_HIGH: leaves half of them
  atomic,  // GFP_ATOMIC: leaves three eighths
  use,     // leaves nothing: malloc, when all else failed
};

struct zone_figures {
  std::size_t committed_pages;
  std::size_t spanned_pages;  // that it may come to have
  std::size_t free_pages;
  std::size_t dirty_pages;  // free and in memory, as far as is known
  watermarks marks;
  std::size_t blocks[max_order + 1];
};

class zone {
 public:
  constexpr zone(frame_space* space, const zone_backing* backing, zone_kind kind, unsigned node = 0)
      : kind_(kind),
        node_(static_cast<u8>(node)),
        space_(space),
        backing_(backing),
        buddy_(space) {}

  zone_kind kind() const { return kind_; }
  unsigned node() const { return node_; }
  const frame_space& space() const { return *space_; }

  // Before the first allocation: the zone ends so many pages from the beginning of its space.
  void limit_to(std::size_t pages) { limit_ = pages; }

  // A run of `pages` pages whose first is a multiple of `alignment` pages (a power of two).
  // nullptr for more than 2^max_order pages or the region's own alignment, and where the space or
  // the system has no more. `clean`: it reads as zero. The head's kind is the caller's to set.
  // `protect`: pages that stay beyond the reserve, for requests that can be had of this zone alone.
  page* allocate(std::size_t pages, std::size_t alignment, bool* clean,
                 reserve depth = reserve::use, std::size_t protect = 0) QUARRY_EXCLUDES(lock_);

  // A run behind all that is in use, for a block that goes on growing: extend() has the zone grow
  // with it. nullptr as well where the space has no free map, and where more lies free before that
  // place than is in use: who takes such blocks and frees the older ones would go on and on.
  page* allocate_last(std::size_t pages, bool* clean) QUARRY_EXCLUDES(lock_);

  // A run at the begin of a free block of `room` pages (or the next power of two), for a block that
  // is likely to grow to so many. nullptr where no such block has been in memory, at least in part,
  // or too little is free for the reserve.
  page* allocate_with_room(std::size_t pages, std::size_t room) QUARRY_EXCLUDES(lock_);

  // Up to `count` blocks of 2^order pages under one locking. Returns how many. A head's count is 0
  // if its block is clean.
  unsigned allocate_blocks(unsigned order, page** heads, unsigned count,
                           reserve depth = reserve::use) QUARRY_EXCLUDES(lock_);

  // A block of what is committed, without a system call and without waiting: nullptr as well where
  // the lock cannot be had at once.
  page* allocate_briefly(unsigned order, bool* clean, reserve depth, std::size_t protect = 0)
      QUARRY_EXCLUDES(lock_);

  // A run, or the end of one, becomes free. Its heads' kind is reset here. Of several blocks those
  // whose head's count is 0 are clean.
  void free(page* head, std::size_t pages, bool clean) QUARRY_EXCLUDES(lock_);
  void free_blocks(unsigned order, page* const* heads, unsigned count) QUARRY_EXCLUDES(lock_);

  // A block becomes free, without a system call and without waiting: where the lock cannot be had
  // at once, when the zone is next asked for pages, purged or counted.
  void free_briefly(page* head, unsigned order) QUARRY_EXCLUDES(lock_);

  // Takes the pages right behind a run of `pages` pages, until it has `wanted`. False if one of
  // them is in use, or too few would be left for the reserve; the run has not changed then. If the
  // zone `may_grow`, it does where the run is the last thing in it.
  bool extend(page* head, std::size_t pages, std::size_t wanted, bool may_grow)
      QUARRY_EXCLUDES(lock_);

  // Gives dirty memory back to the system until at most `keep` pages of it are left, or, unless it
  // is to be everything, of what nobody needed since the last start_period(). Returns the dirty
  // pages given back. By one thread at a time (reclaim_lock).
  std::size_t purge(std::size_t keep, purge_depth depth) QUARRY_EXCLUDES(lock_);
  void start_period() QUARRY_EXCLUDES(lock_);

  // Gives the memory of pages back, which then read as zero: nobody else uses them meanwhile. Where
  // the system refuses again and again it is not asked for the last ones. By one thread at a time
  // (reclaim_lock).
  void trim(page_range* ranges, unsigned count);

  // Whether the page may be a part of a huge page that was asked for.
  bool may_be_huge(const page* p) const;

  // From now on the zone keeps a reserve. Until then its watermarks are 0.
  void keep_reserve() { keeps_reserve_.store(true, std::memory_order_relaxed); }

  // For a fork child where the parent's memory is not the child's to hand out: what the zone has
  // now is never handed out again. It may still grow, unless it is closed.
  void retire(bool close) QUARRY_EXCLUDES(lock_);

  // Pages in use or on per-CPU lists, dirty pages, those of them that nobody needed in this period,
  // and pages committed; a glance without the lock.
  std::size_t used_pages() const { return used_.load(std::memory_order_relaxed); }
  std::size_t dirty_pages() const { return dirty_.load(std::memory_order_relaxed); }
  std::size_t unneeded_pages() const { return unneeded_.load(std::memory_order_relaxed); }
  std::size_t committed_pages() const { return committed_.load(std::memory_order_relaxed); }

  zone_figures figures() QUARRY_EXCLUDES(lock_);

  void acquire() QUARRY_ACQUIRE(lock_) { lock_.acquire(); }
  void release() QUARRY_RELEASE(lock_) { lock_.release(); }

 private:
  std::size_t limit() const { return limit_ ? limit_ : space_->total; }
  watermarks marks() const;
  std::size_t floor_of(reserve depth) const;
  // A run that is asked for: at its place, or of a block of 2^order pages where it has none.
  struct run_shape {
    std::size_t pages;
    unsigned order;
    std::size_t place;  // see buddy::place_for()
  };
  page* take(const run_shape& run, bool* clean, std::size_t floor) QUARRY_REQUIRES(lock_);
  bool grow(const run_shape& run, std::size_t free) QUARRY_REQUIRES(lock_);
  bool grow_to(std::size_t end) QUARRY_REQUIRES(lock_);
  bool commit_to(std::size_t end) QUARRY_REQUIRES(lock_);
  void keep_hole_open(std::size_t first, std::size_t pages);
  unsigned trim_at_once(const page_range* ranges, unsigned count) const;
  page* isolate(std::size_t keep, bool all, unsigned least) QUARRY_REQUIRES(lock_);
  unsigned isolate_some(std::size_t keep, bool all, unsigned least, page_range* blocks)
      QUARRY_EXCLUDES(lock_);
  std::size_t put_back(const page_range* blocks, unsigned count) QUARRY_EXCLUDES(lock_);
  void put_back(list<page>* refused) QUARRY_EXCLUDES(lock_);
  std::size_t purge_halves(page* block, unsigned* refusals, list<page>* refused);
  static page* halve(page* head);
  void give(page* head, std::size_t pages, bool clean) QUARRY_REQUIRES(lock_);
  void take_deferred() QUARRY_REQUIRES(lock_);
  void publish_figures() QUARRY_REQUIRES(lock_);

  const zone_kind kind_;
  const u8 node_;
  std::size_t limit_ = 0;  // written at start-up; 0 is the end of the space
  frame_space* const space_;
  const zone_backing* const backing_;
  std::size_t small_ =
      0;  // frames below refuse huge pages; purge() and trim() alone read and write it

  os::lock lock_;
  buddy buddy_ QUARRY_GUARDED_BY(lock_);
  std::size_t isolated_ QUARRY_GUARDED_BY(lock_) = 0;  // pages being purged: on no list, in no use
  std::size_t retired_ QUARRY_GUARDED_BY(lock_) = 0;   // frames below are not handed out again
  bool closed_ QUARRY_GUARDED_BY(lock_) = false;
  std::atomic<std::size_t> committed_{0};  // written under lock_, read anywhere
  std::atomic<std::size_t> used_{0};       // likewise
  std::atomic<std::size_t> dirty_{0};      // likewise
  // Of the dirty pages of this period, so many that nobody needed; less what was purged of them.
  std::atomic<std::size_t> unneeded_{0};  // likewise
  std::atomic<bool> keeps_reserve_{false};
  // Blocks that were freed while the lock was taken, chained through their links. Anybody adds,
  // take_deferred() takes all.
  std::atomic<page*> deferred_{nullptr};
};

// ZONE_NORMAL of node 0: the region's frames. What malloc uses.
QUARRY_HIDDEN extern zone normal_zone;
QUARRY_HIDDEN extern const zone_backing region_backing;

}  // namespace quarry
