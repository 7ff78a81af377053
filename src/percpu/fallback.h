// The per-CPU arrays where there are no restartable sequences: the same areas and headers, chosen
// by the CPU number (which may be out of date: it only spreads the load), each under its own lock.
#pragma once

#include <algorithm>

#include "os/cpu.h"
#include "percpu/area.h"

namespace quarry::percpu::locked {

inline unsigned current() {
  const unsigned cpu = os::current_cpu();
  return cpu < area_count ? cpu : cpu % area_count;
}

// The caller's CPU's, or nullptr while it is not open.
inline area* own_area() {
  const unsigned cpu = current();
  return is_open(cpu) ? area_of(cpu) : nullptr;
}

// Takes up to `count` objects from the top, in the order in which they went in. Returns how many.
inline unsigned pop_batch(unsigned index, void** objects, unsigned count) {
  area* a = own_area();
  if (!a) return 0;
  os::lock_guard guard(a->control.lock);
  header* h = fields_of(a, index);
  const unsigned taken = std::min<unsigned>(count, h->top - h->bottom);
  h->top -= taken;
  std::copy_n(slots_of(a) + h->top + 1, taken, objects);
  return taken;
}

// Adds up to `count` objects, the last of them ending on top. Returns how many there was room for.
inline unsigned push_batch(unsigned index, void* const* objects, unsigned count) {
  area* a = own_area();
  if (!a) return 0;
  os::lock_guard guard(a->control.lock);
  header* h = fields_of(a, index);
  const unsigned added = std::min<unsigned>(count, h->end - h->top);
  std::copy_n(objects, added, slots_of(a) + h->top + 1);
  h->top += added;
  return added;
}

// One object without a system call and without waiting: nothing where the lock is not to be had.
inline void* pop_briefly(unsigned index) {
  area* a = own_area();
  if (!a || !a->control.lock.acquire_briefly()) return nullptr;
  header* h = fields_of(a, index);
  void* object = h->top != h->bottom ? slots_of(a)[h->top--] : nullptr;
  a->control.lock.release_briefly();
  return object;
}
inline bool push_briefly(unsigned index, void* object) {
  area* a = own_area();
  if (!a || !a->control.lock.acquire_briefly()) return false;
  header* h = fields_of(a, index);
  const bool has_room = h->top < h->end;
  if (has_room) slots_of(a)[++h->top] = object;
  a->control.lock.release_briefly();
  return has_room;
}

}  // namespace quarry::percpu::locked
