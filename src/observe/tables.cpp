#include "observe/tables.h"

#include "base/format.h"
#include "heap/heap.h"
#include "observe/figures.h"
#include "os/file.h"
#include "page/vmalloc.h"
#include "page/zones.h"
#include "slab/dedicated.h"

namespace quarry {

namespace {

// Of a cache's name in slabinfo, so that the columns behind it are there.
constexpr std::size_t longest_name = 200;

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
  line.padded(name.view().substr(0, longest_name), 17);
  column(active, 6), column(cache.slabs * shape.objects, 6);
  column(shape.object_size, 6), column(shape.objects, 4), column(shape.pages, 4);
  line << " : tunables";
  column(tunables.limit, 4), column(tunables.batchcount, 4), column(tunables.shared, 4);
  line << " : slabdata";
  column(cache.slabs - cache.empty_slabs, 6), column(cache.slabs, 6);
  column(cache.shared_objects, 6);
  line << '\n';
}

// As the kernel's printf("Node %d, zone %8s") has it.
void print_zone_name(text* line, const zone* z) {
  constexpr std::string_view names[] = {"     DMA", "  Normal", " HighMem"};
  *line << "Node " << u64{z->node()} << ", zone " << names[static_cast<unsigned>(z->kind())];
}

void print_pages(text* line, std::string_view label, std::size_t pages) {
  (*line << "        ").padded(label, 9) << u64{pages} << '\n';
}

// The fields of Linux 2.6 that mean something here. Present is what is committed, spanned what the
// zone may come to have.
void print_zone(int fd, zone* z) {
  const zone_figures f = z->figures();
  text t;
  print_zone_name(&t, z);
  t << "\n  pages free     " << u64{f.free_pages} << '\n';
  print_pages(&t, "min", f.marks.min);
  print_pages(&t, "low", f.marks.low);
  print_pages(&t, "high", f.marks.high);
  print_pages(&t, "spanned", f.spanned_pages);
  print_pages(&t, "present", f.committed_pages);
  t << "    nr_free_pages " << u64{f.free_pages} << "\n        protection: (";
  for (zone_kind kind : {zone_kind::dma, zone_kind::normal, zone_kind::highmem}) {
    t << u64{protection_of(z, kind)} << (kind == zone_kind::highmem ? ")\n" : ", ");
  }
  const auto start = reinterpret_cast<uptr>(z->space().base) >> page_shift;
  t << "  start_pfn:         " << u64{start} << '\n';
  os::write_all(fd, t.view());
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
  for_each_zone([=](zone* z) {
    text line;
    print_zone_name(&line, z);
    line << ' ';
    for (std::size_t blocks : z->figures().blocks)
      line.decimal(blocks, 6) << ' ';
    line << '\n';
    os::write_all(fd, line.view());
  });
}

void print_zoneinfo(int fd) {
  if (!start()) return;
  for_each_zone([=](zone* z) { print_zone(fd, z); });
}

// As s_show in mm/vmalloc.c; without the caller, which is not recorded.
void print_vmallocinfo(int fd) {
  if (!start()) return;
  vm_place block;
  for (std::size_t from = 0; vm_find_block(from, &block); from = block.next) {
    const std::size_t size = block.bytes + page_size;
    text line;
    line.address(block.begin) << '-';
    (line.address(block.begin + size) << ' ').decimal(size, 7);
    line << " pages=" << u64{block.bytes >> page_shift};
    line << (block.is_mapping ? " vmap\n" : " vmalloc\n");
    os::write_all(fd, line.view());
  }
}

void print_tables(int fd) {
  struct table {
    std::string_view name;
    void (*print)(int fd);
  };
  constexpr table tables[] = {{"slabinfo", print_slabinfo},
                              {"buddyinfo", print_buddyinfo},
                              {"zoneinfo", print_zoneinfo},
                              {"vmallocinfo", print_vmallocinfo}};
  for (const table& t : tables) {
    text heading;
    heading << "quarry: " << t.name << '\n';
    os::write_all(fd, heading.view());
    t.print(fd);
  }
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
