// Where free units lie behind each other, whatever blocks they are of: a bit per unit, and above
// the bits the lengths of the runs in every 256 units and in every sheet of 16384, so that the
// lowest run of a given length is found without reading all bits. The page allocator of Go's
// runtime finds its runs in such a tree; here what has changed is counted only when somebody asks.
//
// No lock: that of the space's allocator covers it.
#pragma once

#include "page/region.h"

namespace quarry {

// Of some units behind each other: how many are free from the first on, in the longest run among
// them, and up to the last.
struct free_runs {
  u32 first;
  u32 longest;
  u32 last;
};

class free_map {
 public:
  static constexpr std::size_t none = SIZE_MAX;

  explicit constexpr free_map(frame_space* space) : space_(space) {}

  // What the space's `free_map` takes for so many units, in bytes, from the begin of a page on;
  // start() and grow_to() commit it.
  static std::size_t size_for(std::size_t units);

  // Starts with no unit free. False where the space has no place for the map or the system refuses.
  bool start();
  bool is_kept() const { return sheets_ != 0; }

  // Before units below `end` are free that had no map entries as it was started. False where the
  // system refuses. Nothing, as the next two, where the map is not kept.
  bool grow_to(std::size_t end);

  // Units [first, first + count) are free from now on, or are no longer.
  void set(std::size_t first, std::size_t count) { change(first, count, true); }
  void clear(std::size_t first, std::size_t count) { change(first, count, false); }

  // The first of the lowest `count` free units behind each other, or none. The map is kept, here
  // and below, and count not 0.
  std::size_t lowest(std::size_t count);

  // The first of the free units that end before unit `end`; `end` where the one before it is not.
  // Nothing from `end` on has been free yet.
  std::size_t begin_of_run(std::size_t end);

 private:
  struct sheet;

  free_runs* runs_of_sheets() const { return reinterpret_cast<free_runs*>(space_->free_map); }
  sheet* sheets() const;
  bool commit_to(std::size_t sheets);
  void change(std::size_t first, std::size_t count, bool free);
  free_runs runs_of_sheet(std::size_t number);

  frame_space* const space_;
  std::size_t sheets_ = 0;  // that are committed
};

}  // namespace quarry
