// The buddy allocator (Knowlton 1965; Linux 2.6 mm/page_alloc.c): free blocks of 2^order units,
// aligned to their size, split on the way down and merged with their buddy on the way up.
//
// Free memory is either clean (reads as zero and takes no memory) or dirty. The two are not merged
// with one another, so that what is known to be clean stays known. Dirty blocks have two ages, so
// that only what lay unused for a while is given back: see start_period().
//
// No lock: the owner's covers it.
#pragma once

#include "page/region.h"

namespace quarry {

// Which list a free block is on.
enum class free_list : u16 { clean, dirty_a, dirty_b };
inline constexpr unsigned free_list_count = 3;

class buddy {
 public:
  explicit constexpr buddy(frame_space* space) : space_(space) {}

  // A block of exactly 2^order units, or nullptr. Dirty ones first, the most recently freed before
  // older ones: what is in memory is used again before more is taken. `clean` tells which it is.
  page* take(unsigned order, bool* clean);

  // Units [first, first + count) become free. Their map entries are committed, and no head among
  // them is of a kind but `none` and that of the caller's own block.
  void give(std::size_t first, std::size_t count, bool clean);

  // Takes all of [first, first + count) if all of it is free; changes nothing otherwise.
  bool take_range(std::size_t first, std::size_t count);

  // Dirty blocks that are freed from now on are young; those that were young become old.
  void start_period() { young_ = young_ == free_list::dirty_a ? free_list::dirty_b : free_list::dirty_a; }

  // The largest dirty block, an old one only unless `young_too`; nullptr where there is none.
  page* take_dirty(bool young_too);

  // Units on the lists, and blocks of one order.
  std::size_t free_units() const { return units_[0] + units_[1] + units_[2]; }
  std::size_t dirty_units() const { return units_[1] + units_[2]; }
  std::size_t blocks(unsigned order) const;

 private:
  static constexpr unsigned orders = max_order + 1;

  free_list old() const {
    return young_ == free_list::dirty_a ? free_list::dirty_b : free_list::dirty_a;
  }
  void insert(std::size_t number, unsigned order, free_list where);
  void remove(page* head);
  void give_block(std::size_t number, unsigned order, free_list where);
  void give_in(std::size_t first, std::size_t count, free_list where);
  free_list merged(free_list a, free_list b) const;
  bool is_free_at(std::size_t number, std::size_t limit) const;

  frame_space* space_;
  free_list young_ = free_list::dirty_a;
  list<page> lists_[free_list_count][orders];
  u32 nonempty_[free_list_count] = {};  // a bit per order
  std::size_t units_[free_list_count] = {};
};

}  // namespace quarry
