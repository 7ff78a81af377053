#include "heap/vmalloc.h"

#include <algorithm>
#include <cstring>

#include "os/memory.h"
#include "page/reclaim.h"
#include "page/vmalloc.h"

namespace quarry {

namespace {

void* resize(page* block, std::size_t size) {
  if (void* resized = vm_resize(block, size)) return resized;
  return reclaim_everything() ? vm_resize(block, size) : nullptr;
}

}  // namespace

void vmalloc_clear(char* begin, char* end, bool may_wait) {
  char* pages = std::min(end, begin + (-reinterpret_cast<uptr>(begin) & (page_size - 1)));
  std::memset(begin, 0, static_cast<std::size_t>(pages - begin));
  const auto rest = static_cast<std::size_t>(end - pages);
  if (rest && !(may_wait && os::purge(pages, rest))) std::memset(pages, 0, rest);
}

void* vmalloc_block(std::size_t size) {
  if (size == 0 || size > PTRDIFF_MAX || !start()) return nullptr;
  if (void* block = vm_allocate(size)) return block;
  return reclaim_everything() ? vm_allocate(size) : nullptr;
}

void* vrealloc_block(void* block, std::size_t size, gfp_t gfp, const char* call) {
  page* vm = vm_block_or_die(block, call);
  if (size == 0) {
    vm_free(vm);
    return nullptr;
  }
  const bool may_wait = gfp & __GFP_WAIT;
  const std::size_t old_size = vm_size(vm);
  if (size > PTRDIFF_MAX || (size > old_size && !may_wait)) return nullptr;
  auto* resized = static_cast<char*>(may_wait ? resize(vm, size) : block);
  if (!resized || size >= old_size || !(gfp & __GFP_ZERO)) return resized;
  vmalloc_clear(resized + size, resized + vm_size(vm), may_wait);
  return resized;
}

}  // namespace quarry
