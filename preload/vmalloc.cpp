// Blocks with a mapping of their own under the kernel's names (quarry/vmalloc.h).
#include "heap/vmalloc.h"

#include "page/vmalloc.h"
#include "preload/export.h"
#include "quarry/vmalloc.h"

QUARRY_NEEDS(quarry_process_hooks);

QUARRY_EXPORT void* quarry_vmalloc(std::size_t size) {
  return quarry::vmalloc_block(size);
}

QUARRY_EXPORT void* quarry_vzalloc(std::size_t size) {
  return quarry::vmalloc_block(size);  // fresh pages are zero
}

QUARRY_EXPORT void quarry_vfree(const void* block) {
  if (block) quarry::vm_free(quarry::vm_block_or_die(block, "vfree"));
}

QUARRY_EXPORT void* quarry_vrealloc(const void* block, std::size_t size, gfp_t gfp) {
  if (block) return quarry::vrealloc_block(const_cast<void*>(block), size, gfp, "vrealloc");
  return gfp & __GFP_WAIT ? quarry::vmalloc_block(size) : nullptr;
}
