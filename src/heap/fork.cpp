// fork(2) at any moment, from any thread: the forking thread takes every lock, in the order that
// os/lock.h gives, so that the child's copy of everything is whole and no lock belongs to a thread
// that the child does not have.
//
// A thread that is the only one takes none but keeps the helper from work: what it may have
// interrupted, if it forks in a signal handler (POSIX allowed that until 2024), is its own, and
// goes on in the child as in the parent.
//
// A prepare handler that was registered before ours may fork itself; the locks are the outer
// fork's then.
#include "heap/heap.h"
#include "mempool/mempool.h"
#include "os/thread.h"
#include "page/dma.h"
#include "page/highmem.h"
#include "page/reclaim.h"
#include "page/vmalloc.h"
#include "page/zones.h"
#include "slab/dedicated.h"
#include "slab/dma_caches.h"

namespace quarry {

namespace {

// All are written by the thread between its fork handlers.
constinit std::atomic<bool> is_forking_alone{false};
constinit unsigned nested_forks = 0;

bool is_in_fork() {
  return is_forking_alone.load(std::memory_order_relaxed) || os::lock::is_fork_owner();
}

bool leave_nested_fork() {
  if (!nested_forks) return false;
  nested_forks--;
  return true;
}

void acquire_all_locks() QUARRY_NO_ANALYSIS {
  mempool::acquire_all();
  acquire_reclaim();
  acquire_cache_numbers();
  percpu::acquire_all();
  acquire_caches();
  acquire_vmalloc();
  acquire_zones();
  os::lock::begin_fork();
}

void release_all_in_parent() QUARRY_NO_ANALYSIS {
  os::lock::end_fork();
  release_zones();
  release_vmalloc();
  release_caches();
  percpu::release_all();
  release_cache_numbers();
  release_reclaim();
  mempool::release_all();
}

void release_all_in_child() QUARRY_NO_ANALYSIS {
  os::lock::end_fork();
  release_zones();
  release_vmalloc();
  release_caches();
  percpu::release_all();
  release_cache_numbers();
  release_reclaim_in_child();
  mempool::release_all_in_child();
}

}  // namespace

void prepare_fork() {
  if (is_in_fork()) {
    nested_forks++;
    // In a signal handler that came while the outer fork waited for it.
    if (is_forking_alone.load(std::memory_order_relaxed)) stop_helper();
    return;
  }
  start();
  if (!os::is_single_threaded()) return acquire_all_locks();
  is_forking_alone.store(true, std::memory_order_relaxed);
  stop_helper();
}

void after_fork_in_parent() {
  if (leave_nested_fork()) return;
  if (!is_forking_alone.load(std::memory_order_relaxed)) return release_all_in_parent();
  let_helper_go_on();
  is_forking_alone.store(false, std::memory_order_relaxed);
}

void after_fork_in_child() {
  if (leave_nested_fork()) {
    forget_helper_in_nested_child();
  } else if (is_forking_alone.load(std::memory_order_relaxed)) {
    forget_helper_in_child();
    is_forking_alone.store(false, std::memory_order_relaxed);
  } else {
    release_all_in_child();
  }
  retire_dma_in_child();
  retire_dma_caches_in_child();
  close_highmem_in_child();
}

}  // namespace quarry
