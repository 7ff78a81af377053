// The arrays of the CPU that the caller runs on (array_cache): a pop and a push are a handful of
// instructions and no lock. Objects are bare pointers; index 0 is never used and always both empty
// and full.
#pragma once

#include "percpu/area.h"
#include "percpu/fallback.h"

#if defined(__x86_64__)
#include "percpu/rseq_x86_64.h"
#define QUARRY_HAS_SEQUENCES 1
#else
#define QUARRY_HAS_SEQUENCES 0
#endif

namespace quarry::percpu {

// Address space that start() needs for `cpus` CPUs.
constexpr std::size_t areas_size(unsigned cpus) {
  return std::size_t{cpus} << area_shift;
}

// Once, before anything else. `memory` is readable, zero, and reserved (os/memory.h): it is
// committed CPU by CPU. Sequences are used where they are allowed, glibc has registered an rseq
// area, and running ones can be restarted from outside (Linux >= 5.10).
void start(void* memory, unsigned cpus, bool allow_sequences);

// The most objects that an array can hold.
inline constexpr unsigned max_limit = (1u << max_range_order) - 1;

// What an index holds: `bytes` behind each pointer, which move `batch` at a time, and at most
// `limit` pointers per CPU. Before the first push of that index; and again with other limits, to
// be followed by drain_index(), since an array that has more keeps it.
void declare(unsigned index, std::size_t bytes, unsigned batch, unsigned limit);

// The following may be called by any thread at any time, but not by one without libc's thread
// pointer and rseq area (the reclaim thread), and not under an area's lock; grow() with `release`
// under none that this takes either.
//
// A sequence that the kernel interrupts has done nothing: a pop finds the array empty then, a push
// full, and it does not grow.

unsigned pop_batch(unsigned index, void** objects, unsigned count);
unsigned push_batch(unsigned index, void* const* objects, unsigned count);

// Objects that leave the arrays: called under an area's lock, with those of one array.
using release_fn = void (*)(unsigned index, void** objects, unsigned count);

inline void* pop(unsigned index) {
#if QUARRY_HAS_SEQUENCES
  if (use_sequences) return sequence::pop(index);
#endif
  void* object = nullptr;
  locked::pop_batch(index, &object, 1);
  return object;
}

inline bool push(unsigned index, void* object) {
#if QUARRY_HAS_SEQUENCES
  if (use_sequences) return sequence::push(index, object);
#endif
  return locked::push_batch(index, &object, 1);
}

// As pop and push, without a system call and without waiting, from a signal handler too: nothing,
// and false, also where that cannot be.
inline void* pop_briefly(unsigned index) {
#if QUARRY_HAS_SEQUENCES
  if (use_sequences) return sequence::pop(index);
#endif
  return locked::pop_briefly(index);
}

inline bool push_briefly(unsigned index, void* object) {
#if QUARRY_HAS_SEQUENCES
  if (use_sequences) return sequence::push(index, object);
#endif
  return locked::push_briefly(index, object);
}

// To be called when this CPU's array was found empty or full: gives it its first slots, or twice
// the room. Up to two batches every miss counts for that, beyond just one at the other side than
// the last: a thread that only takes, or only gives, finds as many objects in a small array as in a
// large one. Up to the limit and within the CPU's byte budget; where that stands in the way time
// and again, the CPU's arrays that look idle are drained into `release`, unless that is null (see
// drain). Returns the capacity in objects, 0 if there is no array (yet) or no memory for the CPU's
// area, 1 if that is not known.
enum class miss : u8 { empty, full };
unsigned grow(unsigned index, miss side, release_fn release = nullptr);

// The same for callers that should not make a system call: the miss counts, and the array grows at
// the next one of somebody else. True when nobody else came for long, or the CPU has no area, and
// grow() is worth it.
bool note_miss(unsigned index, miss side);

// The number of the area that the caller uses now.
inline unsigned current() {
#if QUARRY_HAS_SEQUENCES
  if (use_sequences) return sequence::current();
#endif
  return locked::current();
}

// Whether the object was just now the last one of this CPU's array.
inline bool is_last_in(unsigned index, const void* object) {
  area* a = area_of(current());
  const u32 top = std::atomic_ref(fields_of(a, index)->top).load(std::memory_order_relaxed);
  return std::atomic_ref(slots_of(a)[top]).load(std::memory_order_relaxed) == object;
}

// Whether any CPU's area is open: a glance. Where none is there is no array.
bool has_arrays();

// The most objects that an array of this index may hold.
unsigned limit_of(unsigned index);

// Empties the arrays of all CPUs into `release` and takes their slots back; with `idle_only` just
// those that look untouched since the last such call, or since grow() last looked for idle ones.
// Does nothing where the system has come to refuse to restart running sequences; an array whose end
// could not be published (it only pops) stays then. Any thread, the reclaim thread included.
void drain(bool idle_only, release_fn release);

// Likewise the arrays of one index; where restarts are refused, that of the calling CPU alone.
void drain_index(unsigned index, release_fn release);

// Objects of that index in all arrays, and their capacity: exact only while nobody uses them.
struct array_figures {
  std::size_t objects;
  std::size_t capacity;
};
array_figures figures_of(unsigned index);

// For the fork handlers: every area's lock, in order.
void acquire_all() QUARRY_NO_ANALYSIS;
void release_all() QUARRY_NO_ANALYSIS;

}  // namespace quarry::percpu
