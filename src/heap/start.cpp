// Bringing the allocator up: at the first allocation, whoever makes it.
#include "heap/heap.h"
#include "os/cpu.h"
#include "os/file.h"
#include "os/memory.h"
#include "os/options.h"
#include "page/node.h"
#include "page/page_alloc.h"
#include "page/reclaim.h"
#include "slab/cache.h"

namespace quarry {

namespace {

QUARRY_EARLY constinit os::lock start_lock;
QUARRY_EARLY constinit std::atomic<bool> is_started{false};  // set under start_lock, last of all
QUARRY_EARLY constinit bool has_failed QUARRY_GUARDED_BY(start_lock) = false;

bool start_layers() {
  populate_general_caches();
  os::read_options();
  // An area is address space alone until its CPU is used; where that is scarce, no more of them
  // than there are CPUs.
  const bool has_limit = os::address_space_left() != SIZE_MAX;
  const unsigned cpus = has_limit ? os::possible_cpus() : os::cpu_bound();
  if (!reserve_region(cpus, percpu::areas_size(cpus))) return false;
  start_nodes(os::number_of(os::option::nodes));
  percpu::start(region.cpu_areas, cpus, os::is_default(os::option::rseq));
  start_page_lists();
  start_general_caches();
  start_reclaim(shrink_all, trim_all, os::is_default(os::option::background));
  if (percpu::use_sequences) {
    free_limit = region.frames.total << page_shift;
    array_limit = max_small_size;
    table_limit = max_table_size;
  }
  return true;
}

}  // namespace

bool start() {
  if (is_started.load(std::memory_order_acquire)) return true;
  os::lock_guard guard(start_lock);
  if (is_started.load(std::memory_order_relaxed)) return true;
  if (has_failed) return false;
  if (!start_layers()) {
    has_failed = true;
    os::write_all(2, "quarry: no address space for a heap (RLIMIT_AS?): every allocation fails\n");
    return false;
  }
  is_started.store(true, std::memory_order_release);
  return true;
}

}  // namespace quarry
