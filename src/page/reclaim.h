// Giving memory back to the system.
//
// Free memory stays with the process while it is likely to be taken again: dirty pages of the zone
// have to lie unused for a whole period before they are purged. While there is much of it, a helper
// thread (reclaim) ticks; it is started by the free that makes it much, and ends once
// there is nothing to do, so a small program never has it, and an idle one not for long. A program
// at work that soon takes again what went back is given four times as long.
//
// The helper is a bare kernel thread (clone(2)) on a stack of its own, not a pthread: free() may be
// called under libc's internal locks, where pthread_create could deadlock, and a bare thread needs
// nothing of libc. It blocks all signals, and has no rseq area, so it never uses the per-CPU arrays
// but drains them.
#pragma once

#include "base/types.h"

namespace quarry {

// What an upper layer caches (kernel: a shrinker). Gives back what looks unused since the last
// call, or everything; called with the reclaim lock held and no other, by any thread.
using shrink_fn = void (*)(bool idle_only);

// Gives back pages of what it has in use that hold nothing; likewise.
enum class trim_depth : u8 {
  some,  // of what it left alone since the last call, as much as the program may wait for
  idle,  // what it left alone since the last call
  everything,
};
struct trimmed {
  std::size_t pages = 0;    // that went back
  bool may_follow = false;  // more at the next call, unless it is used meanwhile
};
using trim_fn = trimmed (*)(trim_depth depth);

// Once at start-up. `background`: the helper thread may be started.
void start_reclaim(shrink_fn shrink, trim_fn trim, bool background);

// To be called, without locks, when there is much to be trimmed: starts the helper.
void reclaim_soon();

// To be called, without locks, after memory has been given to the zone: starts the helper if there
// is so much free memory that it should go back.
void reclaim_if_much_is_free();

// To be called, without locks, after memory has been taken from the zone: if that made the heap
// grow, what the upper layers cache and have not touched since it last grew goes back to the zone,
// and some of what they can trim to the system. So the memory that a program holds in caches that
// it has left does not add to its peak.
void reclaim_if_heap_grew();

// Gives back all that can be, now: before a request fails, and for malloc_trim. `keep` bytes of
// free memory may stay resident. Returns whether any memory became free or went back to the system;
// a request is to be tried again in any case, since what it missed may have been in the hands of
// another thread that was giving it back, and that is over now.
bool reclaim_everything(std::size_t keep = 0);

// For the fork handlers. In the child the helper does not exist, and is started when needed.
void acquire_reclaim();
void release_reclaim();
void release_reclaim_in_child();

// Likewise, where no lock is taken: the helper is at rest from the first to one of the others, but
// where it does not come to it within seconds, since the caller is in a signal handler that
// interrupted a thread which has what the helper waits for.
void stop_helper();
void let_helper_go_on();
void forget_helper_in_child();
// The locks are the outer fork's, which goes on.
void forget_helper_in_nested_child();

}  // namespace quarry
