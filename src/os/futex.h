// Waiting for a word of memory to change (futex(2)), for what a lock is not.
#pragma once

#include <atomic>

#include "base/types.h"

namespace quarry::os {

// Sleeps while the word is `expected`, but not longer than so many milliseconds. May return early
// for no reason: the caller looks again.
void futex_wait(const std::atomic<u32>* word, u32 expected, unsigned milliseconds);

// Wakes one thread that waits for the word. Only the address counts: the memory may be gone.
void futex_wake(const std::atomic<u32>* word);

}  // namespace quarry::os
