// Blocks with a mapping of their own under the kernel's names (quarry/vmalloc.h).
#include "page/vmalloc.h"

#include <algorithm>
#include <cstring>

#include "base/bits.h"
#include "heap/heap.h"
#include "os/memory.h"
#include "page/reclaim.h"
#include "preload/export.h"
#include "quarry/vmalloc.h"

extern "C" __attribute__((visibility("hidden"))) const char quarry_process_hooks;  // process.cpp
QUARRY_NEEDS(quarry_process_hooks);

namespace {

using namespace quarry;

void* allocate_block(std::size_t size) {
  if (size == 0 || size > PTRDIFF_MAX || !start()) return nullptr;
  if (void* block = vm_allocate(size)) return block;
  return reclaim_everything() ? vm_allocate(size) : nullptr;
}

// Whole pages are given back rather than written, so that what was never touched stays so.
void clear(char* begin, char* end) {
  char* pages = std::min(end, begin + (-reinterpret_cast<uptr>(begin) & (page_size - 1)));
  std::memset(begin, 0, static_cast<std::size_t>(pages - begin));
  const auto rest = static_cast<std::size_t>(end - pages);
  if (rest && !os::purge(pages, rest)) std::memset(pages, 0, rest);
}

void* resize_block(quarry::page* block, std::size_t size) {
  if (void* resized = vm_resize(block, size)) return resized;
  return reclaim_everything() ? vm_resize(block, size) : nullptr;
}

}  // namespace

QUARRY_EXPORT void* quarry_vmalloc(std::size_t size) {
  return allocate_block(size);
}

QUARRY_EXPORT void* quarry_vzalloc(std::size_t size) {
  return allocate_block(size);  // fresh pages are zero
}

QUARRY_EXPORT void quarry_vfree(const void* block) {
  if (block) vm_free(vm_block_or_die(block, "vfree"));
}

QUARRY_EXPORT void* quarry_vrealloc(const void* block, std::size_t size, gfp_t gfp) {
  if (!block) return gfp & __GFP_WAIT ? allocate_block(size) : nullptr;
  quarry::page* vm = vm_block_or_die(block, "vrealloc");
  if (size == 0) {
    vm_free(vm);
    return nullptr;
  }
  const std::size_t old_size = vm_size(vm);
  if (size > PTRDIFF_MAX || (size > old_size && !(gfp & __GFP_WAIT))) return nullptr;
  char* resized = static_cast<char*>(const_cast<void*>(block));
  if (gfp & __GFP_WAIT) resized = static_cast<char*>(resize_block(vm, size));
  if (!resized || size >= old_size || !(gfp & __GFP_ZERO)) return resized;
  const std::size_t left = vm_size(vm);
  if (gfp & __GFP_WAIT) {
    clear(resized + size, resized + left);
  } else {
    std::memset(resized + size, 0, left - size);
  }
  return resized;
}
