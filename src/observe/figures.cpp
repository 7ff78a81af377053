#include "observe/figures.h"

#include <algorithm>

#include "heap/heap.h"
#include "page/node.h"
#include "page/page_alloc.h"
#include "page/vmalloc.h"
#include "slab/dedicated.h"

namespace quarry {

namespace {

void add_cache(kmem_cache* c, void* figures) {
  auto* f = static_cast<heap_figures*>(figures);
  const cache_figures cache = c->figures();
  const slab_shape& shape = c->shape();
  f->slab_pages += cache.shared_pages << page_shift;
  // ZONE_DMA's pages are not among those that are committed here.
  if (shape.space != &region.frames) return;
  const std::size_t out = cache.objects_out;
  // Arrays change while we look: never count more in them than is out of the slabs.
  const std::size_t in_arrays = cache.shared_objects + percpu::figures_of(c->number()).objects;
  const std::size_t cached = std::min(out, in_arrays);
  f->small_in_use += (out - cached) * shape.object_size;
  f->small_cached += cached * shape.object_size;
  f->small_free += (cache.slabs * shape.objects - out) * shape.object_size;
  f->slab_pages += cache.slabs * shape.pages << page_shift;
}

}  // namespace

heap_figures take_figures() {
  heap_figures f{};
  if (!start()) return f;
  for_each_cache(add_cache, &f);
  zone_figures zone{};
  for (unsigned node = 0; node < node_count(); node++) {
    const zone_figures part = normal_zone_of(node)->figures();
    zone.committed_pages += part.committed_pages;
    zone.free_pages += part.free_pages;
    zone.dirty_pages += part.dirty_pages;
  }
  const std::size_t listed = listed_pages();
  f.committed = zone.committed_pages << page_shift;
  f.free_pages = (zone.free_pages + listed) << page_shift;
  f.dirty_pages = (zone.dirty_pages + listed) << page_shift;
  f.runs_in_use = f.committed - std::min(f.committed, f.free_pages + f.slab_pages);
  const vm_figures vm = vm_in_use();
  f.vm_blocks = vm.blocks;
  f.vm_bytes = vm.bytes;
  return f;
}

}  // namespace quarry
