// The heap as text, in the layout of the kernel's /proc files, to a file descriptor, without
// allocating.
#pragma once

namespace quarry {

// slabinfo(5), version 2.1: a line per general cache that has a slab, and per dedicated cache.
void print_slabinfo(int fd);

// /proc/buddyinfo: free blocks of each order, a line per zone.
void print_buddyinfo(int fd);

// /proc/vmallocinfo: a line per block of vmalloc and mapping of vmap, by address; its size with the
// guard page.
void print_vmallocinfo(int fd);

// /proc/zoneinfo: pages and watermarks of each zone.
void print_zoneinfo(int fd);

// All four, each under a line that names it: what QUARRY_CONF=stats:exit prints.
void print_tables(int fd);

// A line per kind of memory, in bytes: what malloc_stats(3) prints.
void print_stats(int fd);

}  // namespace quarry
