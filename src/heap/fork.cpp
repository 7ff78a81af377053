// fork(2) at any moment, from any thread: the forking thread takes every lock, in the order that
// os/lock.h gives, so that the child's copy of everything is whole and no lock belongs to a thread
// that the child does not have.
#include "heap/heap.h"
#include "page/dma.h"
#include "page/highmem.h"
#include "page/reclaim.h"
#include "page/vmalloc.h"
#include "page/zones.h"
#include "slab/cache.h"

namespace quarry {

void prepare_fork() QUARRY_NO_ANALYSIS {
  start();
  acquire_reclaim();
  percpu::acquire_all();
  for (unsigned c = 1; c < class_count; c++)
    general_caches[c].acquire();
  acquire_vmalloc();
  acquire_zones();
  os::lock::begin_fork();
}

namespace {

void release_common() QUARRY_NO_ANALYSIS {
  release_zones();
  release_vmalloc();
  for (unsigned c = class_count - 1; c >= 1; c--)
    general_caches[c].release();
}

}  // namespace

void after_fork_in_parent() QUARRY_NO_ANALYSIS {
  os::lock::end_fork();
  release_common();
  percpu::release_all();
  release_reclaim();
}

void after_fork_in_child() QUARRY_NO_ANALYSIS {
  os::lock::end_fork();
  release_common();
  percpu::release_all_in_child();
  release_reclaim_in_child();
  retire_dma_in_child();
  close_highmem_in_child();
}

}  // namespace quarry
