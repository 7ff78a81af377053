// Lock: kmap_lock, over the words of all the zone's pages; taken before a zone's, and not while the
// zone is made.
#include "page/highmem.h"

#include <algorithm>

#include "os/fatal.h"
#include "os/memory.h"
#include "os/memory_file.h"
#include "page/late_zone.h"
#include "page/vmalloc.h"

namespace quarry {

namespace {

// No address of a program on any machine that Quarry runs on is so high.
constexpr uptr first_address = uptr{1} << 60;

constexpr std::size_t step = 2 * mib >> page_shift;

// Of page::words.
constexpr unsigned address_word = 0;
constexpr unsigned mappings_word = 1;

constinit os::lock kmap_lock;
constinit frame_space space{};   // written as the zone is made
constinit os::memory_file file;  // likewise

// Written under kmap_lock, read without it by whoever has the page mapped.
std::atomic_ref<u64> address_of(page* p) {
  return std::atomic_ref(p->words[address_word]);
}

std::size_t offset_in_file(std::size_t frame) {
  return frame << page_shift;
}

// The file is as long as it will ever be, and all of it that was never written reads as zero.
bool commit_highmem(frame_space*, std::size_t, std::size_t) {
  return true;
}

bool purge_highmem(frame_space* space, std::size_t first, std::size_t pages) {
  if (!file.purge(offset_in_file(first), pages << page_shift)) return false;
  purge_map(space->page_at(first), pages);
  return true;
}

constexpr zone_backing highmem_backing = {commit_highmem, purge_highmem, step, false};
QUARRY_SPARSE constinit room<zone> the_zone{};

// A slot of mappings: the pages, one that cannot be touched, and the list of the pages' entries.
std::size_t list_offset(std::size_t count) {
  return (count + 1) << page_shift;
}
std::size_t mapping_size(std::size_t count) {
  return list_offset(count) + align_up(count * sizeof(page*), page_size);
}

bool prepare() {
  const std::size_t frames = align_up(os::physical_memory() >> page_shift, step);
  void* map = os::reserve(frames * sizeof(page));
  if (!map) return false;
  if (!file.create("quarry-highmem", frames << page_shift)) {
    os::release(map, frames * sizeof(page));
    return false;
  }
  space = {reinterpret_cast<char*>(first_address),
           static_cast<page*>(map),
           frames,
           0,
           page_shift,
           nullptr};
  return true;
}

constinit late_zone highmem{&the_zone, &space, &highmem_backing, zone_kind::highmem, prepare};

}  // namespace

zone* make_highmem_zone() {
  return highmem.make();
}

zone* highmem_zone() {
  return highmem.get();
}

void* map_page(page* p) {
  os::lock_guard guard(kmap_lock);
  if (p->words[mappings_word] == 0) {
    void* address = file.map(nullptr, highmem_offset(p), page_size, true);
    if (!address) return nullptr;
    address_of(p).store(reinterpret_cast<uptr>(address), std::memory_order_relaxed);
  }
  p->words[mappings_word]++;
  return reinterpret_cast<void*>(p->words[address_word]);
}

void unmap_page(page* p, const char* call) {
  os::lock_guard guard(kmap_lock);
  if (p->words[mappings_word] == 0) os::die(call, p, "not mapped");
  if (--p->words[mappings_word] != 0) return;
  os::release(reinterpret_cast<void*>(p->words[address_word]), page_size);
  address_of(p).store(0, std::memory_order_relaxed);
}

void* mapped_address(const page* p) {
  return reinterpret_cast<void*>(address_of(const_cast<page*>(p)).load(std::memory_order_relaxed));
}

void* map_pages(page* const* pages, unsigned count, bool writable) {
  for (unsigned i = 0; i < count; i++) {
    if (!space.has(pages[i])) return nullptr;
  }
  page* slot = count ? vm_reserve(mapping_size(count)) : nullptr;
  if (!slot) return nullptr;
  char* address = region.vm_units.address_of(slot);
  const std::size_t list = list_offset(count);
  bool done = os::commit(address + list, mapping_size(count) - list);
  if (done) std::copy_n(pages, count, reinterpret_cast<page**>(address + list));
  for (unsigned i = 0, next; done && i < count; i = next) {
    // Neighbours in the file are one mapping.
    for (next = i + 1; next < count && pages[next] == pages[i] + (next - i);)
      next++;
    char* at = address + (std::size_t{i} << page_shift);
    const std::size_t size = std::size_t{next - i} << page_shift;
    done = file.map(at, highmem_offset(pages[i]), size, writable);
  }
  if (done) {
    slot->count = count;
    return address;
  }
  vm_unreserve(slot, mapping_size(count));
  return nullptr;
}

void unmap_pages(void* address, const char* call) {
  page* slot = vm_mapping(address);
  if (!slot) os::die(call, address, "not an address from vmap");
  vm_unreserve(slot, mapping_size(slot->count));
}

page* mapped_page(const void* address) {
  const page* slot = vm_slot_around(address);
  if (!slot || slot->kind != page_kind::vm_map) return nullptr;
  const char* begin = region.vm_units.address_of(slot);
  const auto index =
      static_cast<std::size_t>(static_cast<const char*>(address) - begin) >> page_shift;
  if (index >= slot->count) return nullptr;
  return reinterpret_cast<page* const*>(begin + list_offset(slot->count))[index];
}

void check_unmapped(const page* head, unsigned order, const char* call) {
  for (std::size_t i = 0; i < std::size_t{1} << order; i++) {
    if (head[i].words[mappings_word]) os::die(call, head, "still mapped by kmap");
  }
}

bool zero_highmem(page* head, unsigned order) {
  return file.purge(highmem_offset(head), page_size << order);
}

int highmem_descriptor() {
  return highmem_zone() ? file.descriptor() : -1;
}

std::size_t highmem_offset(const page* p) {
  return offset_in_file(space.number_of(p));
}

void acquire_highmem() QUARRY_NO_ANALYSIS {
  highmem.acquire();
  kmap_lock.acquire();
}
void release_highmem() QUARRY_NO_ANALYSIS {
  kmap_lock.release();
  highmem.release();
}

void close_highmem_in_child() {
  if (zone* z = highmem_zone()) z->retire(true);
}

}  // namespace quarry
