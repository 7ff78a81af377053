#include "page/buddy.h"

#include <algorithm>

namespace quarry {

namespace {

constexpr unsigned index_of(free_list where) { return static_cast<unsigned>(where); }
free_list list_of(const page* head) { return static_cast<free_list>(head->tag); }

}  // namespace

void buddy::insert(std::size_t number, unsigned order, free_list where) {
  page* head = space_->page_at(number);
  head->kind = page_kind::free_block;
  head->order = static_cast<u8>(order);
  head->tag = static_cast<u16>(where);
  lists_[index_of(where)][order].push_front(head);
  nonempty_[index_of(where)] |= u32{1} << order;
  units_[index_of(where)] += std::size_t{1} << order;
}

void buddy::remove(page* head) {
  const unsigned where = head->tag;
  list<page>& blocks = lists_[where][head->order];
  blocks.remove(head);
  if (blocks.empty()) nonempty_[where] &= ~(u32{1} << head->order);
  units_[where] -= std::size_t{1} << head->order;
  head->kind = page_kind::none;
}

page* buddy::take(unsigned order, bool* clean) {
  for (free_list where : {young_, old(), free_list::clean}) {
    const u32 fitting = nonempty_[index_of(where)] >> order << order;
    if (!fitting) continue;
    const unsigned found = std::countr_zero(fitting);
    page* head = lists_[index_of(where)][found].front();
    remove(head);
    const std::size_t number = space_->number_of(head);
    for (unsigned o = found; o-- > order;) insert(number + (std::size_t{1} << o), o, where);
    *clean = where == free_list::clean;
    return head;
  }
  return nullptr;
}

// Two dirty buddies become one as old as the older: memory that lies unused is not made young
// again by a busy neighbour.
free_list buddy::merged(free_list a, free_list b) const { return a == b ? a : old(); }

void buddy::give_block(std::size_t number, unsigned order, free_list where) {
  while (order < max_order) {
    const std::size_t other = number ^ (std::size_t{1} << order);
    if (other >= space_->mapped) break;
    page* neighbour = space_->page_at(other);
    if (neighbour->kind != page_kind::free_block || neighbour->order != order) break;
    if ((list_of(neighbour) == free_list::clean) != (where == free_list::clean)) break;
    where = merged(where, list_of(neighbour));
    remove(neighbour);
    space_->page_at(number)->kind = page_kind::none;
    number = std::min(number, other);
    order++;
  }
  insert(number, order, where);
}

void buddy::give_in(std::size_t first, std::size_t count, free_list where) {
  while (count) {
    const unsigned aligned = first ? std::countr_zero(first) : max_order;
    const unsigned order = std::min({aligned, floor_log2(count), max_order});
    give_block(first, order, where);
    first += std::size_t{1} << order;
    count -= std::size_t{1} << order;
  }
}

void buddy::give(std::size_t first, std::size_t count, bool clean) {
  give_in(first, count, clean ? free_list::clean : young_);
}

bool buddy::is_free_at(std::size_t number, std::size_t limit) const {
  return number < limit && space_->page_at(number)->kind == page_kind::free_block;
}

bool buddy::take_range(std::size_t first, std::size_t count) {
  const std::size_t end = first + count;
  if (end > space_->mapped) return false;
  for (std::size_t n = first; n < end; n += std::size_t{1} << space_->page_at(n)->order) {
    if (!is_free_at(n, end)) return false;
  }
  for (std::size_t n = first; n < end;) {
    page* head = space_->page_at(n);
    const free_list where = list_of(head);
    remove(head);
    n += std::size_t{1} << head->order;
    if (n > end) give_in(end, n - end, where);
  }
  return true;
}

page* buddy::take_dirty(bool young_too) {
  for (free_list where : {old(), young_}) {
    if (where == young_ && !young_too) break;
    if (!nonempty_[index_of(where)]) continue;
    const unsigned order = floor_log2(nonempty_[index_of(where)]);
    page* head = lists_[index_of(where)][order].front();
    remove(head);
    return head;
  }
  return nullptr;
}

std::size_t buddy::blocks(unsigned order) const {
  std::size_t count = 0;
  for (const auto& lists : lists_) lists[order].for_each([&](page*) { count++; });
  return count;
}

}  // namespace quarry
