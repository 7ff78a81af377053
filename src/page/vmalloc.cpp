// Lock: vm_lock covers the slots' buddy allocator and the figures. A block's own map entry belongs
// to whoever owns the block.
#include "page/vmalloc.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>

#include "base/room.h"
#include "os/fatal.h"
#include "os/lock.h"
#include "os/memory.h"
#include "page/buddy.h"

namespace quarry {

namespace {

constexpr std::size_t committed_word = 0;  // of page::words: bytes committed, the block's size

// Slots become available this many units (32 GiB of addresses) at a time.
constexpr std::size_t slot_step = 16 * 1024;

constinit os::lock vm_lock;
QUARRY_SPARSE constinit room<buddy> slots QUARRY_GUARDED_BY(vm_lock){};  // made with the first
constinit vm_figures in_use QUARRY_GUARDED_BY(vm_lock){};

// The map of pages, of so many entries; made under vm_lock, read anywhere.
constinit std::atomic<page*> page_map{nullptr};

std::size_t page_map_entries() {
  return region.vm_units.total << (vm_unit_shift - page_shift);
}

page* make_page_map() {
  os::lock_guard guard(vm_lock);
  if (page* map = page_map.load(std::memory_order_relaxed)) return map;
  auto* map = static_cast<page*>(os::reserve(page_map_entries() * sizeof(page)));
  page_map.store(map, std::memory_order_release);
  return map;
}

std::size_t slot_size(const page* block) {
  return vm_unit << block->order;
}

page* take_slot(unsigned order) QUARRY_REQUIRES(vm_lock) {
  bool clean;
  const std::size_t units = std::size_t{1} << order;
  if (!region.vm_units.mapped) std::construct_at(&slots.object, &region.vm_units);
  if (page* head = slots.object.take(order, units, &clean)) return head;
  const std::size_t begin = region.vm_units.mapped;
  const std::size_t step = std::max(slot_step, 2 * units);
  const std::size_t end = std::min(begin + step, region.vm_units.total);
  if (end == begin || !commit_map(&region.vm_units, end)) return nullptr;
  slots.object.give(begin, region.vm_units.mapped - begin, true);
  return slots.object.take(order, units, &clean);
}

// A slot with room for twice the bytes if there is one, else just for them and the guard page.
page* reserve_slot(std::size_t bytes) {
  if (bytes > region.vm_units.total << vm_unit_shift) return nullptr;
  const auto order_for = [](std::size_t n) {
    return ceil_log2(align_up(n + page_size, vm_unit) >> vm_unit_shift);
  };
  os::lock_guard guard(vm_lock);
  for (std::size_t wanted : {2 * bytes, bytes}) {
    const unsigned order = order_for(wanted);
    if (order > max_order) continue;
    if (page* block = take_slot(order)) {
      block->kind = page_kind::vm_area;
      block->order = static_cast<u8>(order);
      block->words[committed_word] = 0;
      block->count = 0;
      return block;
    }
  }
  return nullptr;
}

void set_committed(page* block, std::size_t bytes) {
  os::lock_guard guard(vm_lock);
  u64& committed = block->words[committed_word];
  if (!committed && bytes) in_use.blocks++;
  if (committed && !bytes) in_use.blocks--;
  in_use.bytes += bytes - committed;
  committed = bytes;
}

// One that is not a bare reservation any more is not used again.
void free_slot(page* block, bool is_bare) {
  set_committed(block, 0);
  os::lock_guard guard(vm_lock);
  block->kind = page_kind::none;
  if (is_bare)
    slots.object.give(region.vm_units.number_of(block), std::size_t{1} << block->order, true);
}

// With what is committed of its first `bytes`.
void decommit_slot(page* block, std::size_t bytes) {
  free_slot(block, os::decommit(region.vm_units.address_of(block), bytes));
}

// Commits the slot up to `bytes`, with some room ahead where the system allows it: a block that
// grew once will grow again.
bool commit_block(page* block, std::size_t bytes) {
  char* address = region.vm_units.address_of(block);
  const std::size_t done = vm_size(block);
  const std::size_t most = slot_size(block) - page_size;
  const std::size_t ahead = std::min(align_up(bytes + bytes / 8, page_size), most);
  for (std::size_t end : {done ? ahead : align_up(bytes, page_size), align_up(bytes, page_size)}) {
    if (!os::commit(address + done, end - done)) continue;
    set_committed(block, end);
    return true;
  }
  return false;
}

// Moves `bytes` from committed memory into the fresh slot and commits it to `wanted`. Where the
// system moves no pages they are copied, if that is wanted. Frees the slot if it fails.
bool fill_slot(page* block, void* from, std::size_t bytes, std::size_t wanted, bool may_copy) {
  char* to = region.vm_units.address_of(block);
  const std::size_t size = align_up(wanted, page_size);
  bool done = os::commit(to + bytes, size - bytes);
  if (done && !os::move_pages(from, to, bytes)) {
    done = may_copy && os::decommit(to, bytes) && os::commit(to, bytes);
    if (done) std::memcpy(to, from, bytes);
  }
  if (done) {
    set_committed(block, size);
  } else {
    decommit_slot(block, size);
  }
  return done;
}

void* shrink_block(page* block, std::size_t bytes) {
  char* address = region.vm_units.address_of(block);
  const std::size_t size = std::max(align_up(bytes, page_size), page_size);
  const bool much_is_left = size <= vm_size(block) / 2;
  if (much_is_left && os::decommit(address + size, vm_size(block) - size)) {
    set_committed(block, size);
  }
  return address;
}

}  // namespace

std::size_t vm_size(const page* block) {
  return block->words[committed_word];
}

void* vm_allocate(std::size_t bytes) {
  page* block = reserve_slot(bytes);
  if (!block) return nullptr;
  if (commit_block(block, bytes)) return region.vm_units.address_of(block);
  free_slot(block, true);
  return nullptr;
}

void* vm_adopt(void* run, std::size_t run_bytes, std::size_t bytes) {
  page* block = reserve_slot(bytes);
  if (!block || !fill_slot(block, run, run_bytes, bytes, false)) return nullptr;
  return region.vm_units.address_of(block);
}

page* vm_block(const void* address) {
  page* block = region.vm_units.page_of(address);
  if (region.vm_units.number_of(block) >= region.vm_units.mapped) return nullptr;
  const bool begins =
      block->kind == page_kind::vm_area && region.vm_units.address_of(block) == address;
  return begins ? block : nullptr;
}

page* vm_slot_around(const void* address) {
  if (!region.vm_units.contains(address)) return nullptr;
  const std::size_t number = region.vm_units.number_of(region.vm_units.page_of(address));
  if (number >= region.vm_units.mapped) return nullptr;
  for (unsigned order = 0; order <= max_order; order++) {
    page* head = region.vm_units.page_at(align_down(number, std::size_t{1} << order));
    const bool is_head = head->kind == page_kind::vm_area || head->kind == page_kind::vm_map;
    if (is_head && head->order >= order) return head;
  }
  return nullptr;
}

void* vm_block_around(const void* address) {
  page* slot = vm_slot_around(address);
  if (!slot || slot->kind != page_kind::vm_area) return nullptr;
  char* begin = region.vm_units.address_of(slot);
  const auto offset = static_cast<std::size_t>(static_cast<const char*>(address) - begin);
  return offset < vm_size(slot) ? begin : nullptr;
}

page* vm_page_at(const void* address) {
  if (!vm_block_around(address)) return nullptr;
  page* map = page_map.load(std::memory_order_acquire);
  if (!map && !(map = make_page_map())) return nullptr;
  return map +
         (static_cast<std::size_t>(static_cast<const char*>(address) - region.vm_units.base) >>
          page_shift);
}

char* vm_address_of(const page* p) {
  const page* map = page_map.load(std::memory_order_acquire);
  const auto offset = reinterpret_cast<uptr>(p) - reinterpret_cast<uptr>(map);
  if (!map || offset >= page_map_entries() * sizeof(page) || offset % sizeof(page)) return nullptr;
  return region.vm_units.base + (offset / sizeof(page) << page_shift);
}

page* vm_block_or_die(const void* address, const char* call) {
  if (!frames_base || !region.vm_units.contains(address)) {
    os::die(call, address, "not a block of vmalloc");
  }
  if (page* block = vm_block(address)) return block;
  if (void* begin = vm_block_around(address)) {
    os::die(call, address, "inside a block that begins at", begin);
  }
  os::die(call, address, "already free, or not a block of vmalloc");
}

void* vm_resize(page* block, std::size_t bytes) {
  char* address = region.vm_units.address_of(block);
  if (bytes <= vm_size(block)) return shrink_block(block, bytes);
  if (bytes <= slot_size(block) - page_size) return commit_block(block, bytes) ? address : nullptr;
  page* larger = reserve_slot(bytes);
  if (!larger || !fill_slot(larger, address, vm_size(block), bytes, true)) return nullptr;
  vm_free(block);
  return region.vm_units.address_of(larger);
}

void vm_free(page* block) {
  decommit_slot(block, vm_size(block));
}

page* vm_reserve(std::size_t bytes) {
  page* slot = reserve_slot(bytes);
  if (slot) slot->kind = page_kind::vm_map;
  return slot;
}

page* vm_mapping(const void* address) {
  if (!region.vm_units.contains(address)) return nullptr;
  page* slot = region.vm_units.page_of(address);
  if (region.vm_units.number_of(slot) >= region.vm_units.mapped) return nullptr;
  const bool begins =
      slot->kind == page_kind::vm_map && region.vm_units.address_of(slot) == address;
  return begins ? slot : nullptr;
}

void vm_unreserve(page* slot, std::size_t bytes) {
  free_slot(slot, os::reserve_again(region.vm_units.address_of(slot), bytes));
}

vm_figures vm_in_use() {
  os::lock_guard guard(vm_lock);
  return in_use;
}

bool vm_find_block(std::size_t from, vm_place* found) {
  os::lock_guard guard(vm_lock);
  for (std::size_t unit = from; unit < region.vm_units.mapped;) {
    const page* head = region.vm_units.page_at(unit);
    const bool is_mapping = head->kind == page_kind::vm_map;
    const bool is_block = head->kind == page_kind::vm_area;
    const bool is_head = is_mapping || is_block || head->kind == page_kind::free_block;
    const std::size_t next = unit + (is_head ? std::size_t{1} << head->order : 1);
    const std::size_t bytes = is_mapping ? std::size_t{head->count} << page_shift : vm_size(head);
    // One without bytes is being made or freed.
    if ((is_mapping || is_block) && bytes) {
      *found = {region.vm_units.address_of(head), bytes, next, is_mapping};
      return true;
    }
    unit = next;
  }
  return false;
}

void acquire_vmalloc() QUARRY_NO_ANALYSIS {
  vm_lock.acquire();
}
void release_vmalloc() QUARRY_NO_ANALYSIS {
  vm_lock.release();
}

}  // namespace quarry
