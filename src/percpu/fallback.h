// The per-CPU arrays where there are no restartable sequences: the same areas and headers, chosen
// by the CPU number (which may be out of date: it only spreads the load), each under its own lock.
#pragma once

#include "os/cpu.h"
#include "percpu/area.h"

namespace quarry::percpu::locked {

inline unsigned current() {
  const unsigned cpu = os::current_cpu();
  return cpu < area_count ? cpu : cpu % area_count;
}

// Takes up to `count` objects, the last in first. Returns how many.
inline unsigned pop_batch(unsigned index, void** objects, unsigned count) {
  area* a = area_of(current());
  os::lock_guard guard(a->control.lock);
  header* h = fields_of(a, index);
  unsigned taken = 0;
  while (taken < count && slots_of(a)[h->top])
    objects[taken++] = slots_of(a)[h->top--];
  return taken;
}

// Adds up to `count` objects, the last of them ending on top. Returns how many there was room for.
inline unsigned push_batch(unsigned index, void* const* objects, unsigned count) {
  area* a = area_of(current());
  os::lock_guard guard(a->control.lock);
  header* h = fields_of(a, index);
  unsigned added = 0;
  while (added < count && h->top < h->end)
    slots_of(a)[++h->top] = objects[added++];
  return added;
}

}  // namespace quarry::percpu::locked
