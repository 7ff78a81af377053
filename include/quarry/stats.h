/* Looking at the heap of the running process. Part of Quarry's public interface; C17 and C++20. */
#ifndef QUARRY_STATS_H
#define QUARRY_STATS_H

#ifdef __cplusplus
extern "C" {
#endif

/* The slab caches that have slabs, in the layout of /proc/slabinfo (version 2.1), to a file
   descriptor. Sizes in bytes, counts in objects, pages or slabs as the header line names them.
   Allocates nothing; any thread, at any time but from a signal handler. Write errors are ignored.
 */
void quarry_slabinfo(int fd);

/* Free blocks of 2^0, 2^1, ... pages of each node and zone, in the layout of /proc/buddyinfo. As
   quarry_slabinfo. */
void quarry_buddyinfo(int fd);

/* The blocks of vmalloc, one per line, in the layout of /proc/vmallocinfo: addresses from and to,
   with the guard page, bytes between them, pages of 4096 bytes of the block. As quarry_slabinfo. */
void quarry_vmallocinfo(int fd);

/* Free pages, watermarks and sizes of each node and zone, in pages, in the layout of /proc/zoneinfo
   (Linux 2.6). A zone that was not used yet is not there. As quarry_slabinfo. */
void quarry_zoneinfo(int fd);

/* The options that the environment variable QUARRY_CONF takes: name, values (the default first) and
   meaning, a line each. */
void quarry_print_options(int fd);

#ifdef __cplusplus
}
#endif

#endif
