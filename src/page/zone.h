// ZONE_NORMAL: the frames of the region behind one lock. Blocks are runs of whole pages; what a
// power of two has too much goes back at once.
#pragma once

#include "os/lock.h"
#include "page/buddy.h"

namespace quarry {

struct zone_figures {
  std::size_t committed_pages;
  std::size_t free_pages;
  std::size_t dirty_pages;  // free and in memory, as far as is known
  std::size_t blocks[max_order + 1];
};

class zone {
 public:
  // A run of `pages` pages whose first is a multiple of `alignment` pages (a power of two).
  // nullptr for more than 2^max_order pages or the region's own alignment, and where the region or
  // the system has no more. `clean`: it reads as zero. The head's kind is the caller's to set.
  page* allocate(std::size_t pages, std::size_t alignment, bool* clean) QUARRY_EXCLUDES(lock_);

  // Up to `count` blocks of 2^order pages under one locking. Returns how many.
  unsigned allocate_blocks(unsigned order, page** heads, unsigned count) QUARRY_EXCLUDES(lock_);

  // A run, or the end of one, becomes free. Its heads' kind is reset here.
  void free(page* head, std::size_t pages, bool clean) QUARRY_EXCLUDES(lock_);
  void free_blocks(unsigned order, page* const* heads, unsigned count) QUARRY_EXCLUDES(lock_);

  // Takes the pages right behind a run of `pages` pages, until it has `wanted`. False if one of
  // them is in use; nothing has changed then.
  bool extend(page* head, std::size_t pages, std::size_t wanted) QUARRY_EXCLUDES(lock_);

  // Gives dirty memory back to the system until at most `keep` pages of it are left: what was free
  // for a whole period, or all of it. Returns the pages given back.
  std::size_t purge(std::size_t keep, bool young_too) QUARRY_EXCLUDES(lock_);
  void start_period() QUARRY_EXCLUDES(lock_);

  // Pages in use or on per-CPU lists, and dirty pages; a glance without the lock.
  std::size_t used_pages() const { return used_.load(std::memory_order_relaxed); }
  std::size_t dirty_pages() const { return dirty_.load(std::memory_order_relaxed); }

  zone_figures figures() QUARRY_EXCLUDES(lock_);

  void acquire() QUARRY_ACQUIRE(lock_) { lock_.acquire(); }
  void release() QUARRY_RELEASE(lock_) { lock_.release(); }

 private:
  page* take(unsigned order, std::size_t pages, bool* clean) QUARRY_REQUIRES(lock_);
  bool grow(unsigned order) QUARRY_REQUIRES(lock_);
  bool commit_to(std::size_t end) QUARRY_REQUIRES(lock_);
  void give(page* head, std::size_t pages, bool clean) QUARRY_REQUIRES(lock_);
  void publish_figures() QUARRY_REQUIRES(lock_);

  os::lock lock_;
  buddy buddy_ QUARRY_GUARDED_BY(lock_){&region.frames};
  std::size_t isolated_ QUARRY_GUARDED_BY(lock_) = 0;  // pages being purged: on no list, in no use
  std::atomic<std::size_t> used_{0};                   // written under lock_, read anywhere
  std::atomic<std::size_t> dirty_{0};                  // written under lock_, read anywhere
};

QUARRY_HIDDEN extern zone normal_zone;

}  // namespace quarry
