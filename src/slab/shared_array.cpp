#include "slab/shared_array.h"

#include <array>

#include "page/zone.h"
#include "slab/cache.h"

namespace quarry {

namespace {

// The general caches' first arrays, one behind the other.
constexpr auto first_place = [] {
  std::array<u32, class_count + 1> place{};
  for (unsigned c = 1; c < class_count; c++)
    place[c + 1] = place[c] + static_cast<u32>(shared_limit_for(bytes_of_class(c)));
  return place;
}();
QUARRY_SPARSE constinit void* first_arrays[first_place[class_count]]{};

// Of such that came from allocate_pointers(), else 0.
std::size_t pages_of(pointer_room room) {
  const bool is_first = room.begin >= first_arrays && room.begin < std::end(first_arrays);
  return room.begin && !is_first ? bytes_to_pages(room.count * sizeof(void*)) : 0;
}

}  // namespace

pointer_room first_pointers(unsigned number) {
  if (number >= class_count) return {};
  const unsigned count = first_place[number + 1] - first_place[number];
  return {count ? first_arrays + first_place[number] : nullptr, count};
}

pointer_room allocate_pointers(unsigned count) {
  bool clean;
  const std::size_t pages = bytes_to_pages(count * sizeof(void*));
  page* head = count ? normal_zone.allocate(pages, 1, &clean, reserve::keep) : nullptr;
  if (!head) return {};
  return {reinterpret_cast<void**>(region.frames.address_of(head)), count};
}

void free_pointers(pointer_room room) {
  const std::size_t pages = pages_of(room);
  if (!pages) return;
  normal_zone.free(region.frames.page_of(room.begin), pages, false);
}

std::size_t shared_array::pages() const {
  return pages_of({objects_, room()});
}

void shared_array::set_limit(unsigned limit) {
  limit_.store(static_cast<u16>(limit), std::memory_order_relaxed);
}

pointer_room shared_array::exchange(pointer_room room) {
  const pointer_room before = {objects_, this->room()};
  objects_ = room.begin;
  room_.store(static_cast<u16>(room.count), std::memory_order_relaxed);
  return before;
}

pointer_room shared_array::start(unsigned limit, unsigned most, pointer_room room) {
  set_limit(limit);
  most_.store(static_cast<u16>(most), std::memory_order_relaxed);
  overflow_ = 0;
  seen_ = 0;
  return exchange(room);
}

pointer_room shared_array::start_again(unsigned limit, pointer_room room) {
  const unsigned most = most_.load(std::memory_order_relaxed);
  const bool has_risen = limit < this->limit() && this->limit() <= most;
  return has_risen ? start(limit, most, room) : pointer_room{};
}

pointer_room shared_array::move_to(pointer_room room) {
  if (room.count <= this->room() || room.count > limit()) return room;
  std::copy_n(objects_, count_, room.begin);
  return exchange(room);
}

void shared_array::stay() {
  if (room() != 0) set_limit(room());
}

void shared_array::note_missing(unsigned objects) {
  const unsigned again = std::min(objects, overflow_);
  const unsigned most = most_.load(std::memory_order_relaxed);
  overflow_ -= again;
  if (limit() < most) set_limit(std::min(limit() + again, most));
}

bool shared_array::look() {
  const bool is_same = count_ == seen_;
  seen_ = count_;
  overflow_ = 0;
  return is_same;
}

}  // namespace quarry
