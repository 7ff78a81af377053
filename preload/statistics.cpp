// glibc's questions about the heap (glibc manual 3.2.3.9 and 3.2.3.11), answered with Quarry's
// figures, and Quarry's own (quarry/stats.h).
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "observe/figures.h"
#include "observe/tables.h"
#include "os/options.h"
#include "preload/export.h"
#include "quarry/stats.h"

QUARRY_NEEDS(quarry_process_hooks);

namespace {

using quarry::heap_figures;

int clamped(std::size_t n) {
  return static_cast<int>(std::min<std::size_t>(n, INT_MAX));
}

}  // namespace

// The "arena" is the region, "mmapped" are vmalloc blocks, "fast bins" the arrays.
QUARRY_EXPORT struct mallinfo2 mallinfo2() {
  const heap_figures f = quarry::take_figures();
  struct mallinfo2 info {};
  info.arena = f.committed;
  info.hblks = f.vm_blocks;
  info.hblkhd = f.vm_bytes;
  info.fsmblks = f.small_cached;
  info.uordblks = f.small_in_use + f.runs_in_use;
  info.fordblks = f.committed - std::min(f.committed, info.uordblks);
  info.keepcost = f.dirty_pages;
  return info;
}

// The same in int, as large as fits: the glibc manual calls this interface deprecated for that.
QUARRY_EXPORT struct mallinfo mallinfo() {
  const struct mallinfo2 wide = mallinfo2();
  struct mallinfo info {};
  info.arena = clamped(wide.arena);
  info.hblks = clamped(wide.hblks);
  info.hblkhd = clamped(wide.hblkhd);
  info.fsmblks = clamped(wide.fsmblks);
  info.uordblks = clamped(wide.uordblks);
  info.fordblks = clamped(wide.fordblks);
  info.keepcost = clamped(wide.keepcost);
  return info;
}

// Every parameter of glibc tunes a mechanism that Quarry does not have; accepted, without effect,
// so that programs that set one and check the result go on.
QUARRY_EXPORT int mallopt(int, int) {
  return 1;
}

QUARRY_EXPORT void malloc_stats() {
  quarry::print_stats(STDERR_FILENO);
}

QUARRY_EXPORT int malloc_info(int options, FILE* stream) {
  if (options != 0) {
    errno = EINVAL;
    return -1;
  }
  const heap_figures f = quarry::take_figures();
  const int written = fprintf(stream,
                              "<malloc version=\"quarry-1\">\n"
                              "<total type=\"small\" size=\"%zu\"/>\n"
                              "<total type=\"cached\" size=\"%zu\"/>\n"
                              "<total type=\"large\" size=\"%zu\"/>\n"
                              "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n"
                              "<total type=\"free\" size=\"%zu\"/>\n"
                              "<system type=\"current\" size=\"%zu\"/>\n"
                              "</malloc>\n",
                              f.small_in_use, f.small_cached, f.runs_in_use, f.vm_blocks,
                              f.vm_bytes, f.small_free + f.free_pages, f.committed + f.vm_bytes);
  return written < 0 ? -1 : 0;
}

QUARRY_EXPORT void quarry_slabinfo(int fd) {
  quarry::print_slabinfo(fd);
}
QUARRY_EXPORT void quarry_buddyinfo(int fd) {
  quarry::print_buddyinfo(fd);
}
QUARRY_EXPORT void quarry_vmallocinfo(int fd) {
  quarry::print_vmallocinfo(fd);
}
QUARRY_EXPORT void quarry_zoneinfo(int fd) {
  quarry::print_zoneinfo(fd);
}
QUARRY_EXPORT void quarry_print_options(int fd) {
  quarry::os::print_options(fd);
}
