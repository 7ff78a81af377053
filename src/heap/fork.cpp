// fork(2) at any moment, from any thread: the forking thread takes every lock, in the order that
// os/lock.h gives, so that the child's copy of everything is whole and no lock belongs to a thread
// that the child does not have.
#include "heap/heap.h"
#include "mempool/mempool.h"
#include "page/dma.h"
#include "page/highmem.h"
#include "page/reclaim.h"
#include "page/vmalloc.h"
#include "page/zones.h"
#include "slab/dedicated.h"
#include "slab/dma_caches.h"

namespace quarry {

void prepare_fork() QUARRY_NO_ANALYSIS {
  start();
  mempool::acquire_all();
  acquire_reclaim();
  acquire_cache_numbers();
  percpu::acquire_all();
  acquire_caches();
  acquire_vmalloc();
  acquire_zones();
  os::lock::begin_fork();
}

namespace {

void release_common() QUARRY_NO_ANALYSIS {
  release_zones();
  release_vmalloc();
  release_caches();
}

}  // namespace

void after_fork_in_parent() QUARRY_NO_ANALYSIS {
  os::lock::end_fork();
  release_common();
  percpu::release_all();
  release_cache_numbers();
  release_reclaim();
  mempool::release_all();
}

void after_fork_in_child() QUARRY_NO_ANALYSIS {
  os::lock::end_fork();
  release_common();
  percpu::release_all_in_child();
  release_cache_numbers();
  release_reclaim_in_child();
  mempool::release_all_in_child();
  retire_dma_in_child();
  retire_dma_caches_in_child();
  close_highmem_in_child();
}

}  // namespace quarry
