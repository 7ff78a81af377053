#include "page/buddy.h"

#include <algorithm>
#include <utility>

namespace quarry {

namespace {

constexpr unsigned index_of(free_list where) {
  return static_cast<unsigned>(where);
}

constexpr std::size_t units_of(unsigned order) {
  return std::size_t{1} << order;
}

}  // namespace

void buddy::insert(std::size_t number, unsigned order, state s) {
  page* head = space_->page_at(number);
  head->kind = page_kind::free_block;
  head->order = static_cast<u8>(order);
  head->tag = static_cast<u16>(s.where);
  head->count = static_cast<u32>(s.dirty);
  lists_[index_of(s.where)][order].push_front(head);
  nonempty_[index_of(s.where)] |= u32{1} << order;
  free_units_ += units_of(order);
  dirty_units_ += s.dirty;
}

buddy::state buddy::remove(page* head) {
  list<page>& blocks = lists_[head->tag][head->order];
  blocks.remove(head);
  if (blocks.empty()) nonempty_[head->tag] &= ~(u32{1} << head->order);
  free_units_ -= units_of(head->order);
  dirty_units_ -= head->count;
  head->kind = page_kind::none;
  return {static_cast<free_list>(head->tag), head->count};
}

// What is ahead of a block goes to the lists, and what it grew by is no longer free in the map: the
// first step of every operation that looks there.
void buddy::settle() {
  if (ahead_.begin == ahead_.first + ahead_.count) return;
  const growth ahead = std::exchange(ahead_, {});
  map_.clear(ahead.begin, ahead.first - ahead.begin);
  keep_in(ahead.first, ahead.count, ahead.as);
}

// The lowest of the blocks on one list in which they fit that were freed last of their order.
page* buddy::lowest_front(free_list where, unsigned order) const {
  page* lowest = nullptr;
  for (u32 fitting = nonempty_[index_of(where)] >> order << order; fitting;
       fitting &= fitting - 1) {
    page* front = lists_[index_of(where)][std::countr_zero(fitting)].front();
    lowest = lowest ? std::min(lowest, front) : front;
  }
  return lowest;
}

// Nothing is ahead of a block.
page* buddy::cut(free_list where, unsigned order, std::size_t count) {
  page* head = lowest_front(where, order);
  if (!head) return nullptr;
  const unsigned found = head->order;
  const std::size_t number = space_->number_of(head);
  const state s = remove(head);
  map_.clear(number, count);
  // The upper halves are free again; the lower ones, which stay, are taken for the dirty part.
  std::size_t dirty = s.dirty;
  for (unsigned o = found; o-- > order;) {
    const std::size_t lower = std::min(dirty, units_of(o));
    insert(number + units_of(o), o, {where, dirty - lower});
    dirty = lower;
  }
  keep_in(number + count, units_of(order) - count, {where, dirty - std::min(dirty, count)});
  return head;
}

page* buddy::take(unsigned order, std::size_t count, bool* clean) {
  page* head = take_in_memory(order, count);
  *clean = false;
  if (head) return head;
  head = cut(free_list::clean, order, count);
  *clean = head != nullptr;
  return head;
}

page* buddy::take_in_memory(unsigned order, std::size_t count) {
  settle();
  page* head = cut(young_, order, count);
  return head ? head : cut(old(), order, count);
}

// Blocks of different ages become one as old as the older: memory that lies unused is not made
// young again by a busy neighbour. A clean one takes the age of the other.
free_list buddy::merged(free_list a, free_list b) const {
  if (a == b || b == free_list::clean) return a;
  return a == free_list::clean ? b : old();
}

void buddy::give_block(std::size_t number, unsigned order, state s) {
  while (order < max_order) {
    const std::size_t other = number ^ units_of(order);
    if (other >= space_->mapped) break;
    page* neighbour = space_->page_at(other);
    if (neighbour->kind != page_kind::free_block || neighbour->order != order) break;
    const state t = remove(neighbour);
    s = {merged(s.where, t.where), s.dirty + t.dirty};
    space_->page_at(number)->kind = page_kind::none;
    number = std::min(number, other);
    order++;
  }
  insert(number, order, s);
}

// Cuts units into aligned blocks, and calls visit(first, order, state) for each. `s.dirty` counts
// for the first of them.
template <class visit_fn>
void buddy::for_each_block(std::size_t first, std::size_t count, state s, visit_fn visit) {
  while (count) {
    const unsigned aligned = first ? std::countr_zero(first) : max_order;
    const unsigned order = std::min({aligned, floor_log2(count), max_order});
    const std::size_t dirty = std::min(s.dirty, units_of(order));
    visit(first, order, state{s.where, dirty});
    s.dirty -= dirty;
    first += units_of(order);
    count -= units_of(order);
  }
}

void buddy::give_in(std::size_t first, std::size_t count, state s) {
  for_each_block(first, count, s,
                 [&](auto number, auto order, auto of) { give_block(number, order, of); });
}

// As give_in, for the end of a block that was free: nothing there has a buddy to merge with.
void buddy::keep_in(std::size_t first, std::size_t count, state s) {
  for_each_block(first, count, s,
                 [&](auto number, auto order, auto of) { insert(number, order, of); });
}

void buddy::give(std::size_t first, std::size_t count, bool clean) {
  settle();
  map_.set(first, count);
  give_in(first, count, clean ? state{free_list::clean, 0} : state{young_, count});
}

bool buddy::is_free_at(std::size_t number, std::size_t limit) const {
  return number < limit && space_->page_at(number)->kind == page_kind::free_block;
}

bool buddy::is_free(std::size_t first, std::size_t count) const {
  const std::size_t end = first + count;
  if (end > space_->mapped) return false;
  for (std::size_t n = first; n < end; n += units_of(space_->page_at(n)->order)) {
    if (!is_free_at(n, end)) return false;
  }
  return true;
}

// The map begins with what is on the lists.
bool buddy::has_map() {
  if (map_.is_kept()) return true;
  if (!map_.start()) return false;
  for (const auto& lists : lists_) {
    for (unsigned order = 0; order < orders; order++) {
      lists[order].for_each(
          [&](page* head) { map_.set(space_->number_of(head), units_of(order)); });
    }
  }
  return true;
}

std::size_t buddy::place_for(std::size_t count, std::size_t end) {
  settle();
  if (!has_map()) return none;
  const std::size_t first = map_.lowest(count);
  return first != none ? first : map_.begin_of_run(end);
}

std::size_t buddy::last_place(std::size_t end) {
  settle();
  return has_map() ? map_.begin_of_run(end) : none;
}

page* buddy::take_at(std::size_t first, std::size_t count, bool* clean) {
  settle();
  map_.clear(first, count);
  const std::size_t end = first + count;
  *clean = true;
  for (std::size_t n = first; n < end;) {
    page* head = space_->page_at(n);
    const unsigned order = head->order;
    state s = remove(head);
    *clean = *clean && s.where == free_list::clean;
    n += units_of(order);
    if (n <= end) continue;
    const std::size_t kept = n - end;
    s.dirty -= std::min(s.dirty, units_of(order) - kept);
    keep_in(end, kept, s);
  }
  return space_->page_at(first);
}

bool buddy::extend(std::size_t first, std::size_t count) {
  if (ahead_.first != first) {
    settle();
    ahead_ = {first, first, 0, {}};
  }
  const std::size_t end = first + count;
  std::size_t next = first + ahead_.count;
  if (next < end && !is_free(next, end - next)) return false;
  space_->page_at(first)->kind = page_kind::none;  // of what was ahead; that of a block goes below
  for (; next < end; next += ahead_.count) {
    page* head = space_->page_at(next);
    ahead_.first = next;
    ahead_.count = units_of(head->order);
    ahead_.as = remove(head);
  }
  const std::size_t taken = end - ahead_.first;
  ahead_.first = end;
  ahead_.count -= taken;
  ahead_.as.dirty -= std::min(ahead_.as.dirty, taken);
  if (ahead_.count) {
    page* rest = space_->page_at(end);
    rest->kind = page_kind::cached;
    rest->order = static_cast<u8>(ceil_log2(ahead_.count));
  }
  return true;
}

page* buddy::take_dirty(bool young_too, unsigned least) {
  settle();
  for (free_list where : {old(), young_}) {
    if (where == young_ && !young_too) break;
    const u32 large = nonempty_[index_of(where)] >> least;
    if (!large) continue;
    const unsigned order = least + floor_log2(large);
    page* head = lists_[index_of(where)][order].front();
    remove(head);
    map_.clear(space_->number_of(head), units_of(order));
    return head;
  }
  return nullptr;
}

std::size_t buddy::blocks(unsigned order) {
  settle();
  std::size_t count = 0;
  for (const auto& lists : lists_)
    lists[order].for_each([&](page*) { count++; });
  return count;
}

}  // namespace quarry
