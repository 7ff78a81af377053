// The buddy allocator (Knowlton 1965; Linux 2.6 mm/page_alloc.c): free blocks of 2^order units,
// aligned to their size, split on the way down and merged with their buddy on the way up.
//
// A free block is clean if all of it is known to read as zero and to take no memory, else dirty.
// How many of its units were dirty when they were freed is kept with it, for the accounts: exact
// while blocks merge, a guess (the lower part) once they are split again. Dirty blocks have two
// ages, so that only what lay unused for a while is given back: see start_period().
//
// No lock: the owner's covers it.
#pragma once

#include "page/free_map.h"

namespace quarry {

// Which list a free block is on.
enum class free_list : u16 { clean, dirty_a, dirty_b };
inline constexpr unsigned free_list_count = 3;

class buddy {
 public:
  explicit constexpr buddy(frame_space* space) : space_(space), map_(space) {}

  // The first `count` units of a block of 2^order; the rest stays free. nullptr if there is no such
  // block. Dirty ones first, the most recently freed before older ones: what is in memory is used
  // again before more is taken. Among those what lies low rather than what is small, so that small
  // requests leave room for large ones. `clean` tells which it was.
  page* take(unsigned order, std::size_t count, bool* clean);

  // Likewise, but of dirty blocks alone.
  page* take_in_memory(unsigned order, std::size_t count);

  // Units [first, first + count) become free. Their map entries are committed, and no head among
  // them is of a kind but `none` and that of the caller's own block.
  void give(std::size_t first, std::size_t count, bool clean);

  // For a block that grows: takes all of [first, first + count) if all of it is free; changes
  // nothing otherwise. What is left of the last free block there stays ahead of the block in one
  // piece, for the next time, until anything else is asked for.
  bool extend(std::size_t first, std::size_t count);

  // Where `count` units that are free behind each other are to be taken, whatever blocks they are
  // of: at the lowest place there is, or else from where what is free at unit `end` begins, as soon
  // as more is free behind it, where nothing has been yet. For large requests: aligned blocks of
  // the next power of two are hard to find between others, and each leaves a gap. `none` where the
  // space has no free map or the system no memory for it; the first time it visits all free blocks.
  static constexpr std::size_t none = free_map::none;
  std::size_t place_for(std::size_t count, std::size_t end);

  // From where what is free at unit `end` begins, where nothing has been yet; or `none` likewise.
  std::size_t last_place(std::size_t end);

  // Before units below `end` are given for the first time. False where the system refuses memory.
  bool prepare_for(std::size_t end) { return map_.grow_to(end); }

  // Units [first, first + count), all of which are free.
  page* take_at(std::size_t first, std::size_t count, bool* clean);

  // Dirty blocks that are freed from now on are young; those that were young become old, and those
  // that were old and are still there young again.
  void start_period() {
    young_ = young_ == free_list::dirty_a ? free_list::dirty_b : free_list::dirty_a;
  }

  // The largest dirty block, of 2^least units at least, an old one only unless `young_too`; nullptr
  // where there is none.
  page* take_dirty(bool young_too, unsigned least = 0);

  // Units that are free, those of them that are dirty as far as is known, and blocks of one order.
  std::size_t free_units() const { return free_units_ + ahead_.count; }
  std::size_t dirty_units() const { return dirty_units_ + ahead_.as.dirty; }
  std::size_t blocks(unsigned order);

 private:
  static constexpr unsigned orders = max_order + 1;

  free_list old() const {
    return young_ == free_list::dirty_a ? free_list::dirty_b : free_list::dirty_a;
  }
  // What give_block and insert are told of a block.
  struct state {
    free_list where;
    std::size_t dirty;  // units
  };

  struct growth {
    std::size_t begin;  // of what was taken
    std::size_t first;  // of what is still free
    std::size_t count;
    state as;
  };

  void settle();
  page* lowest_front(free_list where, unsigned order) const;
  page* cut(free_list where, unsigned order, std::size_t count);
  void insert(std::size_t number, unsigned order, state s);
  state remove(page* head);
  void give_block(std::size_t number, unsigned order, state s);
  template <class visit_fn>
  static void for_each_block(std::size_t first, std::size_t count, state s, visit_fn visit);
  void give_in(std::size_t first, std::size_t count, state s);
  void keep_in(std::size_t first, std::size_t count, state s);
  free_list merged(free_list a, free_list b) const;
  bool is_free_at(std::size_t number, std::size_t limit) const;
  bool is_free(std::size_t first, std::size_t count) const;
  bool has_map();

  frame_space* space_;
  free_list young_ = free_list::dirty_a;
  list<page> lists_[free_list_count][orders];
  u32 nonempty_[free_list_count] = {};  // a bit per order
  std::size_t free_units_ = 0;          // on the lists
  std::size_t dirty_units_ = 0;
  free_map map_;  // of what is on the lists, and of ahead_ from its begin on
  // Of the block that grew last: what it grew by, [begin, first), which is still free in the map,
  // and what is free ahead of it, on no list. The first unit of that is a head of the kind
  // `cached`, so that wrong use of what was there is still seen to be of free memory. Neither: all
  // settled.
  growth ahead_{};
};

}  // namespace quarry
