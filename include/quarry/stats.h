/* Looking at the heap of the running process. Part of Quarry's public interface; C17 and C++20.

   With QUARRY_CONF=stats:exit in its environment a process prints the four tables at exit(), by
   itself, to what was its standard error at the beginning: each under a line that names it, such as
   "quarry: slabinfo". */
#ifndef QUARRY_STATS_H
#define QUARRY_STATS_H

#ifdef __cplusplus
extern "C" {
#endif

/* The slab caches in the layout of /proc/slabinfo (version 2.1), to a file descriptor: the general
   ones that have slabs, size-N, and the program's own. Sizes in bytes, counts in objects, pages or
   slabs as the header line names them. Allocates nothing; any thread, at any time but from a signal
   handler. Write errors are ignored.
 */
void quarry_slabinfo(int fd);

/* Free blocks of 2^0, 2^1, ... pages of each node and zone, in the layout of /proc/buddyinfo. As
   quarry_slabinfo. */
void quarry_buddyinfo(int fd);

/* The blocks of vmalloc and the mappings of vmap, one per line, in the layout of /proc/vmallocinfo:
   addresses from and to, with the guard page, bytes between them, pages of 4096 bytes, which it is.
   As quarry_slabinfo. */
void quarry_vmallocinfo(int fd);

/* Free pages, watermarks and sizes of each node and zone, in pages, in the layout of /proc/zoneinfo
   (Linux 2.6). A zone that was not used yet is not there. As quarry_slabinfo. */
void quarry_zoneinfo(int fd);

/* Sets a cache's tunables as writing to /proc/slabinfo does: a per-CPU array holds at most `limit`
   objects (up to 1023; it grows to that with use), `batchcount` of them, 128 at most, move at a
   time (1 to `limit`), and the shared array holds `shared` batches: untuned it holds more where
   what found no room in it is asked for again. All caches of that name, the program's or
   general ones ("size-64"). 0, or -1 with EINVAL (no such cache, one whose flags rule
   out arrays, as QUARRY_CONF=checks:on does for all, or no such limits) or ENOMEM. May wait. */
int quarry_slab_tune(const char* name, unsigned limit, unsigned batchcount, unsigned shared);

/* The options that the environment variable QUARRY_CONF takes: name, values (the default first) and
   meaning, a line each. */
void quarry_print_options(int fd);

#ifdef __cplusplus
}
#endif

#endif
