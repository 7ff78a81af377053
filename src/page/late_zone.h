// A zone that comes into being when it is first asked for.
//
// Lock: one of its own, taken before a zone's, while the zone is made.
#pragma once

#include <memory>

#include "base/room.h"
#include "page/zone.h"

namespace quarry {

class late_zone {
 public:
  // What the zone is made of, and where. `prepare` makes its space, or returns false: then there
  // will never be one.
  constexpr late_zone(room<zone>* where, frame_space* space, const zone_backing* backing,
                      zone_kind kind, bool (*prepare)())
      : zone_(&where->object), space_(space), backing_(backing), kind_(kind), prepare_(prepare) {}

  // The zone, if it has been made.
  zone* get() const {
    // Pairs with the release in make(): all that prepare() wrote is seen.
    return is_made_.load(std::memory_order_acquire) ? zone_ : nullptr;
  }

  // The zone, made at the first call; nullptr where it cannot be. May make system calls and wait.
  zone* make() QUARRY_EXCLUDES(lock_) {
    if (zone* z = get()) return z;
    os::lock_guard guard(lock_);
    if (is_made_.load(std::memory_order_relaxed)) return zone_;
    if (has_failed_) return nullptr;
    has_failed_ = !prepare_();
    if (has_failed_) return nullptr;
    std::construct_at(zone_, space_, backing_, kind_);
    zone_->keep_reserve();
    is_made_.store(true, std::memory_order_release);
    return zone_;
  }

  // For the fork handlers: it is not made between the two.
  void acquire() QUARRY_ACQUIRE(lock_) { lock_.acquire(); }
  void release() QUARRY_RELEASE(lock_) { lock_.release(); }

 private:
  zone* const zone_;
  frame_space* const space_;
  const zone_backing* const backing_;
  const zone_kind kind_;
  bool (*const prepare_)();
  os::lock lock_;
  bool has_failed_ QUARRY_GUARDED_BY(lock_) = false;
  std::atomic<bool> is_made_{false};  // set under lock_, last of all
};

}  // namespace quarry
