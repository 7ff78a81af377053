// Growing, draining and counting the per-CPU arrays. Locks: that for opening areas, and the area's,
// one at a time (fork takes all). The sequences themselves are in rseq_*.h, the operations under a
// lock in fallback.h.
#include "percpu/array.h"

#include <algorithm>

#include "base/bits.h"
#include "os/memory.h"

namespace quarry::percpu {

QUARRY_HOT_FIRST constinit char* area_base = nullptr;
QUARRY_HOT constinit std::ptrdiff_t rseq_cs = 0;
QUARRY_HOT constinit std::ptrdiff_t rseq_index = 0;
constinit unsigned area_count = 0;
constinit bool use_sequences = false;

namespace {

constinit os::lock opening_lock;

// One more than the highest number of an open area. Written under opening_lock, read anywhere.
QUARRY_EARLY constinit std::atomic<unsigned> end_of_open{0};

// So many misses of CPUs without an area go by before the system, which refused one, is asked
// again: a refusal takes it 1 to 3 us. Written by anyone, relaxed; a count that is lost does no
// harm.
constexpr unsigned patience = 1000;
constinit std::atomic<unsigned> misses_to_wait{0};

// What all arrays of one CPU may hold together. Growth stops there, and at half of it new arrays of
// large blocks; the first slots of other indices are granted as long as the area has any, since
// without them every call would take the slow path.
constexpr u64 byte_budget = 5 * mib;

// Written by declare(): before the index is used, and again when its limits change.
struct description {
  u32 bytes;
  u16 batch;
  u16 limit;
};
constinit std::atomic<u64> descriptions[index_count]{};
QUARRY_SPARSE constinit std::atomic<u64> dynamic_descriptions[dynamic_count]{};

// One more than the highest dynamic index that was ever declared, counted from the first.
constinit std::atomic<unsigned> dynamic_seen{0};

std::atomic<u64>& description_of(unsigned index) {
  return index < index_count ? descriptions[index]
                             : dynamic_descriptions[index - first_dynamic_index];
}
description describe(unsigned index) {
  return std::bit_cast<description>(description_of(index).load(std::memory_order_relaxed));
}

history& history_of(area* a, unsigned index) QUARRY_REQUIRES(a->control.lock) {
  return index < index_count ? a->control.histories[index]
                             : end_of(a)->histories[index - first_dynamic_index];
}

// The first range of an array: 7 objects, fewer where they are large.
unsigned first_range_order(const description& d) {
  const unsigned wanted = d.bytes <= 1 * kib ? 3 : d.bytes <= 8 * kib ? 2 : 1;
  return std::min(wanted, ceil_log2(d.limit + 1u));
}

header unpack(u64 word) {
  return std::bit_cast<header>(word);
}
u64 pack(header h) {
  return std::bit_cast<u64>(h);
}

unsigned capacity_of(header h) {
  return h.end ? h.end - h.bottom : 0;
}
// Of the range that the array lies in: the limit may leave the end of it unused.
unsigned order_of(header h) {
  return ceil_log2(capacity_of(h) + 1);
}

// Blocks above 32 KiB have no array at all until they have missed a few times, since a large block
// that is used once and then kept in an array is memory lost to everybody else.
constexpr u32 large_object = 32 * kib;
constexpr unsigned misses_for_large = 8;

bool is_eager(const description& d, header h) {
  return d.bytes <= large_object && capacity_of(h) < 2u * d.batch;
}

// So many times the budget stands in the way before arrays that look idle have to make room. It
// takes two looks to tell which do; what goes on being refused after that has no help from them,
// and waits twice as long each time.
constexpr unsigned most_refusals = 1000;
constexpr unsigned helpful_drains = 2;
constexpr unsigned most_doublings = 10;

// An array that grows by so many bytes has found room.
constexpr u64 much_growth = byte_budget / 64;

unsigned refusals_to_drain(const control& c) QUARRY_REQUIRES(c.lock) {
  const unsigned vain = c.drains - std::min(c.drains, helpful_drains);
  return most_refusals << std::min(vain, most_doublings);
}

// Whether that is enough. An array that wants room is not idle, even if it is as empty or full at
// the next look: no array's top is 0.
bool note_refusal(area* a, unsigned index) QUARRY_REQUIRES(a->control.lock) {
  history_of(a, index).seen_top = 0;
  if (++a->control.refusals < refusals_to_drain(a->control)) return false;
  a->control.refusals = 0;
  a->control.drains++;
  return true;
}

// Not above the limit; what the array has already is not taken from it here.
unsigned larger_capacity(const description& d, header h) {
  return std::max(capacity_of(h), std::min<unsigned>(d.limit, 2 * capacity_of(h) + 1));
}

// The more bytes the array is to gain, the more misses it takes.
constexpr u32 bytes_per_miss = 4 * kib;

unsigned misses_to_grow(const description& d, header h) {
  if (h.end == 0) return d.bytes > large_object ? misses_for_large : 1;
  const u32 gain = d.bytes * (larger_capacity(d, h) - capacity_of(h));
  return std::clamp<unsigned>(gain / bytes_per_miss, 1, UINT8_MAX);
}

// So many that note_miss() counted, and nobody else made the array grow.
constexpr unsigned misses_to_insist = 64;

void count_miss(area* a, unsigned index, const description& d, header h, miss side)
    QUARRY_REQUIRES(a->control.lock) {
  history& before = history_of(a, index);
  const bool counts = is_eager(d, h) || before.last != static_cast<u8>(side);
  if (counts && before.misses < UINT8_MAX) before.misses++;
  before.last = static_cast<u8>(side);
}

void list_range(area* a, unsigned slot, unsigned order) QUARRY_REQUIRES(a->control.lock) {
  slots_of(a)[slot] = reinterpret_cast<void*>(static_cast<uptr>(a->control.free_ranges[order]));
  a->control.free_ranges[order] = static_cast<u16>(slot);
}

// The first slot of a range that was given back, 0 if there is none of that order.
unsigned take_listed_range(area* a, unsigned order) QUARRY_REQUIRES(a->control.lock) {
  const unsigned slot = a->control.free_ranges[order];
  if (slot) {
    a->control.free_ranges[order] = static_cast<u16>(reinterpret_cast<uptr>(slots_of(a)[slot]));
    slots_of(a)[slot] = nullptr;
  }
  return slot;
}

// The first slot of a free range, 0 if the area has no room for one: of the same size, else from
// what was never used, else the beginning of a larger one.
unsigned take_range(area* a, unsigned order) QUARRY_REQUIRES(a->control.lock) {
  if (unsigned slot = take_listed_range(a, order)) return slot;
  if (!a->control.next_slot) a->control.next_slot = first_slot;
  if (a->control.next_slot + (1u << order) <= slot_count) {
    const unsigned slot = a->control.next_slot;
    a->control.next_slot += 1u << order;
    return slot;
  }
  for (unsigned larger = order + 1; larger <= max_range_order; larger++) {
    const unsigned slot = take_listed_range(a, larger);
    if (!slot) continue;
    while (larger-- > order)
      list_range(a, slot + (1u << larger), larger);
    return slot;
  }
  return 0;
}

void give_range(area* a, unsigned index, header h) QUARRY_REQUIRES(a->control.lock) {
  a->control.cached_limit -= u64{describe(index).bytes} * capacity_of(h);
  list_range(a, h.bottom, order_of(h));
}

// False where the system refuses (RLIMIT_DATA, overcommit) or has refused not long ago, or while
// another thread is at it or forks.
bool open_area(unsigned cpu) {
  if (const unsigned left = misses_to_wait.load(std::memory_order_relaxed)) {
    misses_to_wait.store(left - 1, std::memory_order_relaxed);
    return false;
  }
  if (!opening_lock.try_acquire()) return false;
  if (!is_open(cpu) && os::commit(area_of(cpu), area_size)) {
    area_of(cpu)->control.is_open.store(true, std::memory_order_release);
    const unsigned end = std::max(end_of_open.load(std::memory_order_relaxed), cpu + 1);
    end_of_open.store(end, std::memory_order_release);
  }
  opening_lock.release();
  const bool opened = is_open(cpu);
  if (!opened) misses_to_wait.store(patience, std::memory_order_relaxed);
  return opened;
}

// Calls visit(area) for each open area, by CPU number.
template <class visit_fn>
void for_each_open(visit_fn visit) {
  const unsigned end = end_of_open.load(std::memory_order_acquire);
  for (unsigned cpu = 0; cpu < end; cpu++)
    if (is_open(cpu)) visit(area_of(cpu));
}

// Sets the header from its CPU, if the caller still is there and it still is `expected`. In
// fallback the area's lock is enough.
bool replace_header(area* a, unsigned cpu, unsigned index, u64 expected, u64 desired) {
#if QUARRY_HAS_SEQUENCES
  if (use_sequences) return sequence::replace_header(cpu, index, expected, desired);
#endif
  (void)cpu, (void)expected;
  header_of(a, index)->store(desired, std::memory_order_relaxed);
  return true;
}

// Sets a header that is 0. Mostly the caller is still on the CPU that it took it on; elsewhere
// there may be a push that has read the top and will read the end: it must not see the 0 of before
// as the one and the new value as the other. So the end stays 0 (full) until every sequence that
// may have read the old top is over; for good where the system has come to refuse that.
void publish_header(area* a, unsigned cpu, unsigned index, header h) {
  if (replace_header(a, cpu, index, 0, pack(h))) return;
  const u16 end = h.end;
  h.end = 0;
  header_of(a, index)->store(pack(h), std::memory_order_release);
  if (!os::restart_sequences()) return;
  std::atomic_ref(fields_of(a, index)->end).store(end, std::memory_order_release);
}

bool wants_room(area* a, unsigned index, const description& d, header h)
    QUARRY_REQUIRES(a->control.lock) {
  if (history_of(a, index).misses < misses_to_grow(d, h)) return false;
  if (h.end == 0) return h.top == 0;  // else its end could not be published
  return larger_capacity(d, h) > capacity_of(h);
}

// By how much the bytes grow that the array may hold.
u64 growth_of(const description& d, header h) {
  return u64{d.bytes} * (larger_capacity(d, h) - capacity_of(h));
}

bool is_within_budget(area* a, const description& d, header h) QUARRY_REQUIRES(a->control.lock) {
  if (h.end == 0 && d.bytes <= large_object) return true;
  return a->control.cached_limit + growth_of(d, h) <= (h.end ? byte_budget : byte_budget / 2);
}

// Moves the array, whose header `old` the caller has taken, to a range of the next order. Returns
// the new header, or the old one where the area has no more room.
header move_array(area* a, unsigned index, const description& d, header old)
    QUARRY_REQUIRES(a->control.lock) {
  const unsigned order = old.end ? order_of(old) + 1 : first_range_order(d);
  history_of(a, index).misses = 0;
  const unsigned slot = take_range(a, order);
  if (!slot) return old;
  const unsigned count = old.top - old.bottom;
  std::copy_n(slots_of(a) + old.bottom + 1, count, slots_of(a) + slot + 1);
  if (old.end) give_range(a, index, old);
  const unsigned capacity = std::min<unsigned>(d.limit, (1u << order) - 1);
  a->control.cached_limit += u64{d.bytes} * capacity;
  return {slot + count, static_cast<u16>(slot + capacity), static_cast<u16>(slot)};
}

// Indices that are drained together: each group costs a restart of all sequences, and stack.
struct index_group {
  unsigned first;
  unsigned count;
};
constexpr unsigned group_size = 256;

// Takes the headers that are to be drained, all at once, and waits until no sequence is under way
// over any of them. A sequence that commits after the exchange leaves its new top in the header;
// that top is then the true one, and the header is taken again until it stays 0. False where the
// system refuses: what was in the arrays is lost, since a sequence may still be about to use it.
bool stop_arrays(area* a, index_group g, const bool* wanted, header* taken) {
  const auto take = [&](unsigned i) {
    return unpack(header_of(a, g.first + i)->exchange(0, std::memory_order_acq_rel));
  };
  for (unsigned i = 0; i < g.count; i++) {
    if (wanted[i]) taken[i] = take(i);
  }
  if (!use_sequences) return true;
  for (bool again = true; again;) {
    if (!os::restart_sequences()) return false;
    again = false;
    for (unsigned i = 0; i < g.count; i++) {
      if (!wanted[i] || header_of(a, g.first + i)->load(std::memory_order_acquire) == 0) continue;
      taken[i].top = take(i).top;
      again = true;
    }
  }
  return true;
}

// Marks the arrays to be drained. Returns whether there is any.
bool choose_arrays(area* a, index_group g, bool idle_only, bool* wanted)
    QUARRY_REQUIRES(a->control.lock) {
  bool any = false;
  for (unsigned i = 0; i < g.count; i++) {
    const unsigned index = g.first + i;
    const header h = unpack(header_of(a, index)->load(std::memory_order_relaxed));
    u16& seen = history_of(a, index).seen_top;
    wanted[i] = h.end != 0 && (!idle_only || seen == h.top);
    // Written only where it changes: the pages of indices that nobody uses stay untouched.
    if (seen != h.top) seen = static_cast<u16>(h.top);
    any |= wanted[i];
  }
  return any;
}

bool drain_group(area* a, index_group g, bool idle_only, release_fn release) {
  os::lock_guard guard(a->control.lock);
  bool wanted[group_size];
  header taken[group_size];
  if (!choose_arrays(a, g, idle_only, wanted)) return true;
  if (!stop_arrays(a, g, wanted, taken)) return false;
  for (unsigned i = 0; i < g.count; i++) {
    if (!wanted[i]) continue;
    const header h = taken[i];
    if (h.top != h.bottom) {
      release(g.first + i, slots_of(a) + h.bottom + 1, h.top - h.bottom);
    }
    give_range(a, g.first + i, h);
    history_of(a, g.first + i) = {};
  }
  return true;
}

void drain_area(area* a, bool idle_only, release_fn release) {
  drain_group(a, {1, index_count - 1}, idle_only, release);
  const unsigned dynamic = dynamic_seen.load(std::memory_order_relaxed);
  for (unsigned i = 0; i < dynamic; i += group_size) {
    drain_group(a, {first_dynamic_index + i, std::min(group_size, dynamic - i)}, idle_only,
                release);
  }
}

// Where the system has come to refuse (a seccomp filter) arrays stay as they are.
bool may_drain() {
  return !use_sequences || os::restart_sequences();
}

}  // namespace

void start(void* memory, unsigned cpus, bool allow_sequences) {
  area_base = static_cast<char*>(memory) + area_origin;
  area_count = cpus;
  os::rseq_location location;
  if (QUARRY_HAS_SEQUENCES && allow_sequences && os::find_rseq(&location)) {
    rseq_cs = location.cs;
    rseq_index = location.index;
    use_sequences = os::register_restart();
  }
}

void declare(unsigned index, std::size_t bytes, unsigned batch, unsigned limit) {
  const description d = {static_cast<u32>(bytes), static_cast<u16>(batch),
                         static_cast<u16>(std::min(limit, max_limit))};
  description_of(index).store(std::bit_cast<u64>(d), std::memory_order_relaxed);
  if (index < first_dynamic_index) return;
  const unsigned number = index - first_dynamic_index;
  unsigned seen = dynamic_seen.load(std::memory_order_relaxed);
  while (seen <= number &&
         !dynamic_seen.compare_exchange_weak(seen, number + 1, std::memory_order_relaxed)) {
  }
}

bool has_arrays() {
  return end_of_open.load(std::memory_order_relaxed) != 0;
}

unsigned limit_of(unsigned index) {
  return describe(index).limit;
}

unsigned pop_batch(unsigned index, void** objects, unsigned count) {
#if QUARRY_HAS_SEQUENCES
  if (use_sequences) return sequence::pop_batch(index, objects, count);
#endif
  return locked::pop_batch(index, objects, count);
}

unsigned push_batch(unsigned index, void* const* objects, unsigned count) {
#if QUARRY_HAS_SEQUENCES
  if (use_sequences) return sequence::push_batch(index, objects, count);
#endif
  return locked::push_batch(index, objects, count);
}

unsigned grow(unsigned index, miss side, release_fn release) {
  const unsigned cpu = current();
  area* a = area_of(cpu);
  const header seen = unpack(header_of(a, index)->load(std::memory_order_relaxed));
  if (capacity_of(seen) >= describe(index).limit) return capacity_of(seen);
  if (!is_open(cpu) && !open_area(cpu)) return 0;
  if (!a->control.lock.try_acquire()) return 1;
  const description d = describe(index);
  const u64 word = header_of(a, index)->load(std::memory_order_relaxed);
  header h = unpack(word);
  count_miss(a, index, d, h, side);
  bool is_crowded = false;
  if (wants_room(a, index, d, h)) {
    if (!is_within_budget(a, d, h)) {
      is_crowded = release && note_refusal(a, index);
    } else if (replace_header(a, cpu, index, word, 0)) {
      if (growth_of(d, h) >= much_growth) a->control.drains = 0;
      h = move_array(a, index, d, h);
      publish_header(a, cpu, index, h);
    }
  }
  a->control.lock.release();
  if (is_crowded && may_drain()) drain_area(a, true, release);
  return capacity_of(h);
}

void drain(bool idle_only, release_fn release) {
  if (!may_drain()) return;
  for_each_open([&](area* a) { drain_area(a, idle_only, release); });
}

bool note_miss(unsigned index, miss side) {
  const unsigned cpu = current();
  if (!is_open(cpu)) return true;
  area* a = area_of(cpu);
  const header seen = unpack(header_of(a, index)->load(std::memory_order_relaxed));
  if (capacity_of(seen) >= describe(index).limit) return false;
  if (!a->control.lock.acquire_briefly()) return false;
  const header h = unpack(header_of(a, index)->load(std::memory_order_relaxed));
  count_miss(a, index, describe(index), h, side);
  const bool often = history_of(a, index).misses >= misses_to_insist;
  a->control.lock.release_briefly();
  return often;
}

// Where the system has come to refuse what stops others. They may go on filling it.
static void drain_own(unsigned index, release_fn release) {
  constexpr unsigned batch = 128;
  void* objects[batch];
  for (unsigned done = 0; done < max_limit;) {
    const unsigned taken = pop_batch(index, objects, batch);
    if (!taken) return;
    release(index, objects, taken);
    done += taken;
  }
}

void drain_index(unsigned index, release_fn release) {
  if (!may_drain()) return drain_own(index, release);
  // Also where the header is 0: another drain may have the array's objects in its hands, under the
  // area's lock.
  bool goes_on = true;
  for_each_open([&](area* a) { goes_on = goes_on && drain_group(a, {index, 1}, false, release); });
}

array_figures figures_of(unsigned index) {
  array_figures sum{};
  for_each_open([&](area* a) {
    const header h = unpack(header_of(a, index)->load(std::memory_order_relaxed));
    if (h.end == 0) return;
    sum.objects += h.top - h.bottom;
    sum.capacity += capacity_of(h);
  });
  return sum;
}

void acquire_all() {
  opening_lock.acquire();
  for_each_open([](area* a) QUARRY_NO_ANALYSIS { a->control.lock.acquire(); });
}

void release_all() {
  for_each_open([](area* a) QUARRY_NO_ANALYSIS { a->control.lock.release(); });
  opening_lock.release();
}

}  // namespace quarry::percpu
