// The per-CPU area: for each CPU 512 KiB of address space that hold one small array of pointers
// (array_cache) per index. What an index stands for is the business of the layers below.
//
//   control       the area's lock, its free slot ranges, and a history per index
//   header[256]   one word per index: where the array's top and end are
//   slots         ranges of pointers, handed to the headers as their arrays grow
//   header[4096]  the same for caches that come and go; at the end, so that a program without such
//                 caches has headers, control and first slots in one page
//
// An index is the place of its header in words from the area's origin, the first header: below
// index_count in the first part, from first_dynamic_index on in the last. Control stands before the
// headers so that these are not at the page offsets of what every operation reads, see area_origin.
//
// A range begins with a slot that is always null, so a pop that finds null has found the bottom and
// needs no second bound. An all-zero header has its top at slot 0 (header 0, never used, so null)
// and its end no higher: empty for a pop and full for a push. An untouched area needs no
// initialisation, and until its CPU gets a first array it can be read only: what it could hold
// counts against nothing.
//
// Who may write what:
//   header.top: threads on the CPU, by the commit of a sequence; in fallback under the lock.
//   header, whole: whoever holds the lock. By a sequence on the CPU (replace_header); from anywhere
//   nonzero to 0 by an atomic exchange and then restart_sequences() (stop_arrays), 0 to nonzero in
//   two steps with restart_sequences() between them (publish_header).
//
//   slots of an array: threads on the CPU above the top, before the commit that makes them part of
//   it; whoever holds the lock while the header is 0.
//
//   control, and the histories of the other indices (area_end): whoever holds control's lock.
#pragma once

#include <atomic>

#include "base/types.h"
#include "os/lock.h"

namespace quarry::percpu {

inline constexpr unsigned index_count = 256;
inline constexpr unsigned dynamic_count = 4096;
inline constexpr unsigned area_shift = 19;
inline constexpr std::size_t area_size = std::size_t{1} << area_shift;

// Slots are numbered from the area's origin in units of a pointer.
struct header {
  // The slot of the last object in, the array's null slot if there is none. Of 32 bits because each
  // operation loads what the one before has stored, and what is narrower reaches a load only by way
  // of the store queue: 8 cycles on AMD's Zen 5, where wider stores are forwarded in none.
  u32 top;
  u16 end;  // the last slot that may hold an object
  u16 bottom;
};

// What is remembered of an array for its growing and draining, see array.cpp.
struct history {
  u16 seen_top;  // at the last drain of idle arrays; 0 if it was refused room since
  u8 misses;     // that counted since the array last grew
  u8 last;       // the last miss: its side
};

// Ranges are powers of two of slots, from 2 (one object) to 1024 (1023 objects).
inline constexpr unsigned max_range_order = 10;

struct control {
  os::lock lock;
  std::atomic<bool> is_open;                 // see is_open()
  u32 next_slot QUARRY_GUARDED_BY(lock);     // the first that was never handed out, 0 for none yet
  u64 cached_limit QUARRY_GUARDED_BY(lock);  // bytes that the arrays hold when all are full
  u32 refusals QUARRY_GUARDED_BY(lock);      // for want of budget, since they were last enough
  u32 drains QUARRY_GUARDED_BY(lock);        // for it, since an array last grew by much
  // Chained through their first slots.
  u16 free_ranges[max_range_order + 1] QUARRY_GUARDED_BY(lock);
  alignas(cache_line) history histories[index_count] QUARRY_GUARDED_BY(lock);
};

struct area {
  struct control control;
  std::atomic<u64> headers[index_count];
};

// Each operation stores to a header and loads the words that begin with area_base, and the thread's
// rseq area. A load waits for an earlier store to the same offset in another page where the two
// look alike to the processor: on AMD's Zen 5 with one pair of (physical) pages in thirteen, and a
// pair of 256 bytes takes 17 instead of 3.1 ns there. So the first page offsets, which those words
// have, are control's (tests/layout/elf.py), as is 0x060, where glibc has the first thread's rseq
// area in most programs.
inline constexpr std::size_t area_origin = offsetof(area, headers);
static_assert(area_origin >= 1 * kib && area_origin % cache_line == 0);

// The area's last bytes.
struct area_end {
  history histories[dynamic_count];  // as control's
  std::atomic<u64> headers[dynamic_count];
};

inline constexpr unsigned first_slot = index_count;
inline constexpr unsigned slot_count = (area_size - area_origin - sizeof(area_end)) / sizeof(void*);
inline constexpr unsigned first_dynamic_index =
    (area_size - area_origin) / sizeof(void*) - dynamic_count;
static_assert(first_dynamic_index + dynamic_count - 1 <= UINT16_MAX);

// Written once at start-up, before the first array exists. The three that every operation reads
// stand by themselves: a field of a struct costs an instruction to address.
QUARRY_HIDDEN extern char* area_base;            // area 0's origin; the others follow
QUARRY_HIDDEN extern std::ptrdiff_t rseq_cs;     // os::rseq_location
QUARRY_HIDDEN extern std::ptrdiff_t rseq_index;  // likewise
QUARRY_HIDDEN extern unsigned area_count;        // not below the number of CPUs
QUARRY_HIDDEN extern bool use_sequences;         // else every operation takes the area's lock

QUARRY_ALWAYS_INLINE area* area_of(unsigned cpu) {
  return reinterpret_cast<area*>(area_base - area_origin + (std::size_t{cpu} << area_shift));
}

// Whether the area may be written to: until it is committed it reads as zero. Set for good under a
// lock of its own, which fork holds (array.cpp); read anywhere.
QUARRY_ALWAYS_INLINE bool is_open(unsigned cpu) {
  // Pairs with the release in open_area(): the commit comes before any write.
  return area_of(cpu)->control.is_open.load(std::memory_order_acquire);
}

inline std::atomic<u64>* header_of(area* a, unsigned index) {
  return a->headers + index;
}

inline header* fields_of(area* a, unsigned index) {
  return reinterpret_cast<header*>(header_of(a, index));
}

inline area_end* end_of(area* a) {
  return reinterpret_cast<area_end*>(reinterpret_cast<char*>(a) + area_size) - 1;
}

QUARRY_ALWAYS_INLINE void** slots_of(area* a) {
  return reinterpret_cast<void**>(a->headers);
}

}  // namespace quarry::percpu
