#include "heap/heap.h"

#include <algorithm>
#include <cstring>

#include "heap/vmalloc.h"
#include "os/fatal.h"
#include "page/block.h"
#include "page/page_alloc.h"
#include "page/reclaim.h"
#include "page/vmalloc.h"
#include "page/zones.h"
#include "slab/dedicated.h"

namespace quarry {

QUARRY_HOT constinit std::size_t table_limit = 0;
QUARRY_HOT constinit std::size_t free_limit = 0;
constinit std::size_t array_limit = 0;

namespace {

constexpr std::size_t max_run_size = page_size << max_order;

// Below that, copying a block that grows is cheaper than moving its pages: those that it leaves
// have to come into memory again, one by one.
constexpr std::size_t least_move_size = 4 * mib;

// A block that is copied from less than that to more goes behind all others, and where it is the
// last one the zone grows with it.
constexpr std::size_t least_last_size = 1 * mib;

// From that on, a block that grows becomes a run, which can take the pages behind it the next time:
// a block that grew once will grow again.
constexpr std::size_t least_growing_run = 8 * kib;

// How many pages blocks that grew came to have, on average over the last few. Written by whoever
// frees one, relaxed: a guess that is lost does no harm.
constinit std::atomic<std::size_t> usual_growth{0};

void note_growth(std::size_t pages) {
  const std::size_t usual = usual_growth.load(std::memory_order_relaxed);
  usual_growth.store((3 * usual + pages) / 4, std::memory_order_relaxed);
}

void make_run(page* head, std::size_t pages, bool has_grown) {
  head->kind = page_kind::run;
  head->tag = has_grown;
  head->count = static_cast<u32>(pages);
}

void* block_of(page* head, std::size_t pages, bool has_grown) {
  if (!head) return nullptr;
  make_run(head, pages, has_grown);
  return region.frames.address_of(head);
}

void* allocate_run(std::size_t size, std::size_t alignment, bool* clean) {
  const std::size_t pages = bytes_to_pages(size);
  const std::size_t alignment_pages = std::max<std::size_t>(alignment >> page_shift, 1);
  return block_of(alloc_run(pages, alignment_pages, clean), pages, false);
}

void* allocate_large(std::size_t size, bool* clean) {
  if (size <= max_run_size) return allocate_run(size, page_size, clean);
  *clean = true;
  return vmalloc_block(size);
}

// A slot is as aligned as its size, which is larger than the alignment, unless its area is less.
void* allocate_aligned_vm(std::size_t alignment, std::size_t size) {
  void* block = vmalloc_block(size);
  if (!block || reinterpret_cast<uptr>(block) % alignment == 0) return block;
  vm_free(vm_block(block));
  return nullptr;
}

void* allocate_small(unsigned size_class) {
  if (void* object = percpu::pop(size_class)) return object;
  return general_caches[size_class].allocate();
}

// The run that begins at an address, nullptr if none does.
page* run_at(const void* address) {
  if (!in_frames(address)) return nullptr;
  page* head = region.frames.page_of(address);
  const bool begins = reinterpret_cast<uptr>(address) % page_size == 0;
  return begins && head->kind == page_kind::run ? head : nullptr;
}

// The address is in a frame of no slab and begins no run: says why, and aborts.
[[noreturn]] void report_frame(const void* address, const char* call) {
  page* head = region.frames.page_of(address);
  const std::size_t number = region.frames.number_of(head);
  while (head > region.frames.map && head->kind == page_kind::none)
    head--;
  const std::size_t distance = number - region.frames.number_of(head);
  if (head->kind == page_kind::run && distance < head->count) {
    os::die(call, address, "inside a block that begins at", region.frames.address_of(head));
  }
  const bool is_free = head->kind == page_kind::free_block || head->kind == page_kind::cached;
  if (is_free && distance < std::size_t{1} << head->order) os::die(call, address, "already free");
  os::die(call, address, "not a block of this allocator");
}

[[noreturn]] void report_vm(const void* address, const char* call) {
  if (void* begin = vm_block_around(address)) {
    os::die(call, address, "inside a block that begins at", begin);
  }
  os::die(call, address, "already free, or not a block of this allocator");
}

// The vmalloc block at an address that is no other's; dies if there is none.
page* find_vm(const void* block, const char* call) {
  if (in_frames(block)) report_frame(block, call);
  if (!frames_base || !region.vm_units.contains(block)) {
    os::die(call, block, "not a block of this allocator");
  }
  page* vm = vm_block(block);
  if (!vm) report_vm(block, call);
  return vm;
}

page* alloc_growing_run(std::size_t old_size, std::size_t size) {
  bool clean;
  const std::size_t pages = bytes_to_pages(size);
  const std::size_t usual = usual_growth.load(std::memory_order_relaxed);
  page* head = nullptr;
  if (old_size < least_last_size && size > least_last_size) {
    head = alloc_last_run(pages, &clean);
  } else if (size <= least_last_size && pages < usual) {
    head = alloc_run_with_room(pages, usual);
  }
  return head ? head : alloc_run(pages, 1, &clean);
}

void* allocate_growing(std::size_t old_size, std::size_t size) {
  if (size < least_growing_run || size > max_run_size) return allocate(size);
  return block_of(alloc_growing_run(old_size, size), bytes_to_pages(size), true);
}

void* move_block(void* block, std::size_t old_size, std::size_t size) {
  void* moved = size > old_size ? allocate_growing(old_size, size) : allocate(size);
  // Where memory has ended a block that shrinks stays, since it fits.
  if (!moved) return size <= old_size ? block : nullptr;
  std::memcpy(moved, block, std::min(old_size, size));
  release(block, "realloc");
  return moved;
}

// A run that shrinks gives its last pages back; one that grows takes the next ones if they are
// free.
bool resize_run_in_place(page* run, std::size_t size) {
  const std::size_t old_pages = run->count;
  const std::size_t pages = bytes_to_pages(size);
  if (size > max_run_size) return false;
  const bool may_grow = size > least_last_size;
  if (pages > old_pages && !extend_run(run, old_pages, pages, may_grow)) return false;
  if (pages < old_pages) free_run(run + pages, old_pages - pages, false);
  run->count = static_cast<u32>(pages);
  return true;
}

void* reallocate_run(void* block, page* run, std::size_t size) {
  const std::size_t old_size = std::size_t{run->count} << page_shift;
  const bool may_stay = size > max_small_size || size > old_size / 2;
  if (may_stay && resize_run_in_place(run, size)) return block;
  if (size > old_size && old_size >= least_move_size) {
    if (void* moved = vm_adopt(block, old_size, size)) {
      free_run(run, run->count, true);
      return moved;
    }
  }
  if (size > old_size) run->tag = false;  // it goes on elsewhere
  return move_block(block, old_size, size);
}

void* reallocate_vm(void* block, page* vm, std::size_t size) {
  if (size > max_small_size) {
    if (void* resized = vm_resize(vm, size)) return resized;
  }
  return move_block(block, vm_size(vm), size);
}

// An object that has its slab to itself becomes a run, which can take the pages behind it.
page* detach_run(void* block, kmem_cache* cache) {
  page* run = cache->detach(block);
  make_run(run, cache->shape().pages, true);
  return run;
}

// Objects stay where they are while they fit and no more than half would lie waste.
void* reallocate_object(void* block, unsigned size_class, std::size_t size) {
  kmem_cache& cache = general_caches[size_class];
  const std::size_t old_size = cache.check(block, "realloc");
  if (size <= old_size && size > old_size / 2) return block;
  if (size <= max_small_size && compute_class(size) == size_class) return block;
  // A run is of malloc's own zone; a request of kmalloc's may have been met elsewhere.
  const bool may_be_run =
      cache.shape().single && zone_of(region.frames.page_of(block)) == &normal_zone;
  if (size > old_size && size <= PTRDIFF_MAX && may_be_run) {
    return reallocate_run(block, detach_run(block, &cache), size);
  }
  return move_block(block, old_size, size);
}

// An object of a dedicated cache stays one while the size fits.
void* reallocate_dedicated(void* block, std::size_t size) {
  const std::size_t old_size = cache_of(block)->check(block, "realloc");
  return size <= old_size ? block : move_block(block, old_size, size);
}

// A block of page_alloc, as kmalloc's are where the slabs have none. Of a zone that was asked for
// it stays as long as it fits.
void* reallocate_pages(void* block, const page* head, std::size_t size) {
  const std::size_t old_size = page_size << head->order;
  const bool is_wasteful = size <= old_size / 2 && zone_of(head) == &normal_zone;
  return size <= old_size && !is_wasteful ? block : move_block(block, old_size, size);
}

}  // namespace

void* allocate_slow(std::size_t size) {
  if (!start()) return nullptr;
  if (size == 0) size = 1;
  if (size <= max_small_size) return allocate_small(compute_class(size));
  bool clean;
  return allocate_large(size, &clean);
}

void* allocate_zeroed(std::size_t size) {
  if (size <= max_small_size) {
    const std::size_t wanted = std::max<std::size_t>(size, 1);
    const unsigned size_class = compute_class(wanted);
    // A block of its own pages may be fresh from the system, and then zero: worth asking.
    const bool ask = start() && general_caches[size_class].shape().single;
    bool clean = false;
    void* block = ask ? percpu::pop(size_class) : allocate(size);
    if (!block && ask) block = general_caches[size_class].allocate(&clean);
    if (block && !clean) std::memset(block, 0, size);
    return block;
  }
  if (!start()) return nullptr;
  bool clean;
  void* block = allocate_large(size, &clean);
  if (block && !clean) std::memset(block, 0, size);
  return block;
}

void* allocate_aligned_slow(std::size_t alignment, std::size_t size) {
  if (size > PTRDIFF_MAX) return nullptr;
  if (alignment <= page_size) return allocate(alignment);
  if (!start() || alignment > max_run_size) return nullptr;
  if (size > max_run_size) return allocate_aligned_vm(alignment, size);
  bool clean;
  return allocate_run(size ? size : 1, alignment, &clean);
}

void release_slow(void* block, const char* call) {
  if (!block) return;
  if (kmem_cache* cache = cache_of(block)) {
    const bool quietly = cache->is_dedicated();
    return put_object(cache, block, call, __builtin_return_address(0), quietly);
  }
  if (page* run = run_at(block)) {
    if (run->tag) note_growth(run->count);
    return free_run(run, run->count, false);
  }
  if (page* head = block_at(block)) return put_block(head, call);
  vm_free(find_vm(block, call));
}

void* reallocate(void* block, std::size_t size) {
  if (const unsigned size_class = class_at(block)) {
    return size_class >= shared_byte ? reallocate_dedicated(block, size)
                                     : reallocate_object(block, size_class, size);
  }
  const bool possible = size <= PTRDIFF_MAX;
  if (page* run = run_at(block)) return possible ? reallocate_run(block, run, size) : nullptr;
  if (const page* head = block_at(block)) return reallocate_pages(block, head, size);
  page* vm = find_vm(block, "realloc");
  return possible ? reallocate_vm(block, vm, size) : nullptr;
}

std::size_t usable_size(const void* block, const char* call) {
  if (const unsigned size_class = class_at(block)) {
    kmem_cache* cache = size_class < shared_byte ? &general_caches[size_class] : cache_of(block);
    return cache->check(block, call);
  }
  if (const page* run = run_at(block)) return std::size_t{run->count} << page_shift;
  if (const page* head = block_at(block)) return page_size << head->order;
  return vm_size(find_vm(block, call));
}

bool trim(std::size_t keep) {
  return start() && reclaim_everything(keep);
}

}  // namespace quarry
