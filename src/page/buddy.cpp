#include "page/buddy.h"

#include <algorithm>
#include <atomic>
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

// What is ahead of a block goes to the lists: the first step of every operation that looks there.
void buddy::settle() {
  if (!ahead_.count) return;
  const free_range ahead = std::exchange(ahead_, {});
  keep_in(ahead.first, ahead.count, ahead.as);
}

page* buddy::take(unsigned order, std::size_t count, bool* clean) {
  settle();
  for (free_list where : {young_, old(), free_list::clean}) {
    const u32 fitting = nonempty_[index_of(where)] >> order << order;
    if (!fitting) continue;
    const unsigned found = std::countr_zero(fitting);
    page* head = lists_[index_of(where)][found].front();
    const std::size_t number = space_->number_of(head);
    const state s = remove(head);
    // The upper halves are free again; the lower ones, which stay, are taken for the dirty part.
    std::size_t dirty = s.dirty;
    for (unsigned o = found; o-- > order;) {
      const std::size_t lower = std::min(dirty, units_of(o));
      insert(number + units_of(o), o, {where, dirty - lower});
      dirty = lower;
    }
    keep_in(number + count, units_of(order) - count, {where, dirty - std::min(dirty, count)});
    *clean = where == free_list::clean;
    return head;
  }
  return nullptr;
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
  unfit_ = SIZE_MAX;
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

// Whether a free block of that order begins there. The words of a slab's tails may look like its
// head, and slabs come and go without the zone's lock, so that is asked before and after.
bool buddy::is_free_block(const page* head, unsigned order) const {
  if (space_->is_in_slab(head)) return false;
  std::atomic_thread_fence(std::memory_order_acquire);
  if (head->kind != page_kind::free_block || head->order != order) return false;
  std::atomic_thread_fence(std::memory_order_acquire);
  return !space_->is_in_slab(head);
}

// The free block that ends where the unit begins: of the order by which its head is that far back.
const page* buddy::block_before(std::size_t number) const {
  for (unsigned order = 0; order < orders && number >= units_of(order); order++) {
    if (number % units_of(order) != 0) break;
    const page* head = space_->page_at(number - units_of(order));
    if (is_free_block(head, order)) return head;
  }
  return nullptr;
}

// To the first of the free units that lie in one piece before that unit.
std::size_t buddy::walk_back(std::size_t number) const {
  while (const page* before = block_before(number))
    number = space_->number_of(before);
  return number;
}

std::size_t buddy::begin_of_free(std::size_t end) {
  settle();
  const std::size_t begin = walk_back(end);
  return is_free(begin, end - begin) ? begin : end;
}

page* buddy::take_lowest(std::size_t count, search how, bool* clean) {
  settle();
  if (how == search::whole && count >= unfit_) return nullptr;
  struct place {
    bool is_clean = true;
    std::size_t first = SIZE_MAX;
    auto operator<=>(const place&) const = default;
  };
  place best;
  // So many units, wherever they begin, have a block of this order among them.
  const unsigned least = floor_log2(count) - std::min(floor_log2(count), 2u);
  std::size_t left = how == search::brief ? 256 : SIZE_MAX;
  for (unsigned order = orders; order-- > least;) {
    for (const auto& lists : lists_) {
      const bool is_clean = &lists == &lists_[index_of(free_list::clean)];
      const page* head = lists[order].front();
      for (; head && left; left--, head = lists[order].after(head)) {
        const place here = {is_clean, space_->number_of(head)};
        // A block that lies higher than a gap's begin is in the same gap or in a higher one.
        if (best < here) continue;
        const bool walks = !is_clean || how == search::whole;
        const place gap = {is_clean, walks ? walk_back(here.first) : here.first};
        if (is_free(gap.first, count)) best = gap;
      }
    }
  }
  if (best.first != SIZE_MAX) return take_at(best.first, count, clean);
  if (how == search::whole) unfit_ = count;
  return nullptr;
}

page* buddy::take_at(std::size_t first, std::size_t count, bool* clean) {
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
  if (ahead_.first != first) settle();
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
