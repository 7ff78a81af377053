// The free objects that a cache holds for all CPUs together, in front of its slabs: an array of
// pointers (Linux 2.6, mm/slab.c: the `shared` array_cache). Everything under the cache's lock, but
// for what may be read anywhere and memory for the pointers.
//
// What goes on to the slabs for lack of room, and is asked for again before reclaim next looks at
// the cache, had better stayed here: the limit rises by one for each such object, as far as the
// cache allows. A program that frees a hundred thousand objects and takes as many finds most of
// them here the next time.
#pragma once

#include <algorithm>
#include <atomic>

#include "base/types.h"

namespace quarry {

// Memory for so many pointers.
struct pointer_room {
  void** begin = nullptr;
  unsigned count = 0;
};

// In whole pages; nothing where there are none, since nothing is reclaimed for it. Not under a
// cache's lock.
pointer_room allocate_pointers(unsigned count);
// Likewise; first_pointers() stay. By any thread, the reclaim thread included.
void free_pointers(pointer_room room);
// What the general cache of that number has from the start, and may have again.
pointer_room first_pointers(unsigned number);

class shared_array {
 public:
  static constexpr unsigned max_limit = UINT16_MAX;

  // Anywhere: how many objects it may hold, and for how many there is room.
  unsigned limit() const { return limit_.load(std::memory_order_relaxed); }
  unsigned room() const { return room_.load(std::memory_order_relaxed); }

  // Anywhere: room that it is worth to be given, which takes a copy of what it holds; 0 if none.
  unsigned wanted_room() const {
    const unsigned has = room();
    const unsigned may = limit();
    const bool much = has <= may / 2 || may == most_.load(std::memory_order_relaxed);
    return has < may && much ? may : 0;
  }

  // With that limit, which may rise to `most`; at 0 it is fixed. Empty before and after; returns
  // the room that it had.
  pointer_room start(unsigned limit, unsigned most, pointer_room room);

  // As started, if its limit has risen since. Empty.
  pointer_room start_again(unsigned limit, pointer_room room);

  // Goes on with more room, if it is still within the limit. Returns what is left over.
  pointer_room move_to(pointer_room room);

  // Where there is no memory for more: what room it has, if any, is its limit.
  void stay();

  // Anywhere: whether its limit stays.
  bool is_fixed() const { return most_.load(std::memory_order_relaxed) == 0; }

  unsigned count() const { return count_; }
  // Pages that its room takes of the heap.
  std::size_t pages() const;

  // The last `count` of them; drop() when they are gone.
  void** last(unsigned count) { return objects_ + count_ - count; }
  void drop(unsigned count) { count_ = static_cast<u16>(count_ - count); }

  unsigned take(void** objects, unsigned count) {
    const unsigned taken = std::min<unsigned>(count, count_);
    std::copy_n(last(taken), taken, objects);
    drop(taken);
    return taken;
  }

  // Returns for how many there was room; the others go to their slabs.
  unsigned give(void* const* objects, unsigned count) {
    const unsigned given = std::min(count, room() - count_);
    std::copy_n(objects, given, objects_ + count_);
    count_ = static_cast<u16>(count_ + given);
    overflow_ += count - given;
    return given;
  }

  // So many objects were taken from slabs, since there were none here.
  void note_missing(unsigned objects);

  // Whether it holds as many as at the last look, and so was probably left alone.
  bool look();

 private:
  void set_limit(unsigned limit);
  pointer_room exchange(pointer_room room);

  void** objects_ = nullptr;
  u32 overflow_ = 0;  // objects that went to their slabs since the last look and have not come back
  u16 count_ = 0;
  u16 seen_ = 0;  // count at the last look
  std::atomic<u16> limit_{0};
  std::atomic<u16> room_{0};
  std::atomic<u16> most_{0};
};

}  // namespace quarry
