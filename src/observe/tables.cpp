#include "observe/tables.h"

#include "base/format.h"
#include "heap/heap.h"
#include "observe/figures.h"
#include "os/file.h"
#include "page/zone.h"
#include "slab/dedicated.h"

namespace quarry {

namespace {

// The general caches are too many to list those without slabs.
void describe_cache(kmem_cache* c, void* text_of_line) {
  const cache_figures cache = c->figures();
  if (cache.slabs == 0 && !c->is_dedicated()) return;
  const slab_shape& shape = c->shape();
  const cache_tunables tunables = c->tunables();
  const std::size_t cached = cache.shared_objects + percpu::figures_of(c->number()).objects;
  const std::size_t active = cache.objects_out > cached ? cache.objects_out - cached : 0;
  text& line = *static_cast<text*>(text_of_line);
  text name;
  name << *c;
  const auto column = [&](u64 n, unsigned width) { (line << ' ').decimal(n, width); };
  line.padded(name.view(), 17);
  column(active, 6), column(cache.slabs * shape.objects, 6);
  column(shape.object_size, 6), column(shape.objects, 4), column(shape.pages, 4);
  line << " : tunables";
  column(tunables.limit, 4), column(tunables.batchcount, 4), column(tunables.shared, 4);
  line << " : slabdata";
  column(cache.slabs - cache.empty_slabs, 6), column(cache.slabs, 6);
  column(cache.shared_objects, 6);
  line << '\n';
}

void print_bytes(int fd, std::string_view label, std::size_t bytes) {
  text line;
  line.padded(label, 28).decimal(bytes, 16) << '\n';
  os::write_all(fd, line.view());
}

}  // namespace

void print_slabinfo(int fd) {
  if (!start()) return;
  os::write_all(fd,
                "slabinfo - version: 2.1\n"
                "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
                " : tunables <limit> <batchcount> <sharedfactor>"
                " : slabdata <active_slabs> <num_slabs> <sharedavail>\n");
  for (unsigned i = 0; i < cache_positions(); i++) {
    text line;
    visit_cache(i, describe_cache, &line);
    os::write_all(fd, line.view());
  }
}

void print_buddyinfo(int fd) {
  if (!start()) return;
  const zone_figures zone = normal_zone.figures();
  text line;
  line << "Node 0, zone   Normal ";
  for (std::size_t blocks : zone.blocks)
    line.decimal(blocks, 6) << ' ';
  line << '\n';
  os::write_all(fd, line.view());
}

void print_stats(int fd) {
  const heap_figures f = take_figures();
  os::write_all(fd, "quarry: bytes\n");
  print_bytes(fd, "small blocks in use", f.small_in_use);
  print_bytes(fd, "small blocks in arrays", f.small_cached);
  print_bytes(fd, "small blocks free in slabs", f.small_free);
  print_bytes(fd, "large blocks in use", f.runs_in_use + f.vm_bytes);
  print_bytes(fd, "free pages", f.free_pages);
  print_bytes(fd, "  of these maybe resident", f.dirty_pages);
  print_bytes(fd, "committed", f.committed + f.vm_bytes);
}

}  // namespace quarry
