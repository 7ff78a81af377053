// Address space and the memory behind it. All addresses and sizes are multiples of the page size;
// nothing here sets errno.
//
// What is only reserved is marked as no part of core dumps (madvise(2), MADV_DONTDUMP): the
// kernel's have no untouched memory anyway, but gdb's gcore would write all of it, terabytes of
// zeros.
#pragma once

#include <sys/uio.h>

#include "base/types.h"

namespace quarry::os {

// Reserves `size` bytes of address space without memory behind it and without counting against
// overcommit. Returns nullptr where the address space or RLIMIT_AS does not allow it.
void* reserve(std::size_t size);

// Whether the process may have some more mappings: their number has a limit
// (/proc/sys/vm/max_map_count).
bool may_map_more();

// The same with all of it below `end`, aligned to `size`, a power of two.
void* reserve_below(uptr end, std::size_t size);

// Lets all of a reservation be dumped, which makes it like committed memory in that.
void let_be_dumped(void* address, std::size_t size);

// Gives part of a reservation back to the system entirely.
void release(void* address, std::size_t size);

// Makes reserved memory readable and writable, zero until written. False where the system refuses
// (overcommit, RLIMIT_DATA, too many mappings).
bool commit(void* address, std::size_t size);

// Makes reserved memory readable, as zeros, which costs nothing and counts against nothing.
bool make_readable(void* address, std::size_t size);

// Brings the pages behind committed memory in, as the first write to each would, in one call.
// Where the system refuses (Linux < 5.14, a seccomp filter) it is not asked again.
void populate(void* address, std::size_t size);

// Frees the pages behind committed memory at once; it reads as zero afterwards and stays committed.
// False where the system refuses: the contents then stay (locked memory).
bool purge(void* address, std::size_t size);

// As purge(), many ranges in one system call. On x86 that also has the CPUs forget all of the
// process's translations at once, where fewer than 34 pages' are forgotten one by one (arch/x86/mm/
// tlb.c, tlb_single_page_flush_ceiling): in virtual machines where that is dear a page takes 8 to
// 50 us by itself and 1.5 among many. Returns how many ranges, from the first on, are gone; the
// others are left to purge(), which are all where the system has no such call (process_madvise(2)
// of the caller's own memory; Linux 6.18 has), or a seccomp filter might end the process for it.
unsigned purge_each(const iovec* ranges, unsigned count);

// The same for what may be parts of huge pages: these are cut up first, since the system would
// otherwise keep what is given back of them until it is short of memory.
bool purge_in_part(void* address, std::size_t size);
unsigned purge_each_in_part(const iovec* ranges, unsigned count);

// To be called once, before: else nothing is purged so. Kernels before 6.3 are not asked, nor
// valgrind's, which has lines of warning for each call that it does not know.
void find_purge_each();

// From now on memory here comes in huge pages, where whole ones fit and the system gives them to
// who asks (transparent_hugepage/enabled: madvise, always).
void prefer_huge_pages(void* address, std::size_t size);

// From now on memory here comes in pages of the smallest size, where the system would give huge
// ones to whoever does not refuse them (transparent_hugepage/enabled: always).
void keep_pages_small(void* address, std::size_t size);

// Turns committed memory back into a bare reservation. False where the system refuses (locked
// memory, too many mappings): the addresses are not to be reserved from again.
bool decommit(void* address, std::size_t size);

// The same for a range of mappings of any kind, none of which goes on behind it. False where the
// system refuses: nothing of them is left then, and the addresses are whoever's comes first.
bool reserve_again(void* address, std::size_t size);

// Keeps committed memory resident (mlock(2)). False beyond RLIMIT_MEMLOCK.
bool lock_memory(void* address, std::size_t size);

// Makes a reserved huge page of aligned reserved memory: resident, readable and writable, zero, and
// one piece of physical memory. False where none is to be had (/proc/sys/vm/nr_hugepages).
inline constexpr std::size_t huge_page_size = 2 * mib;
bool commit_huge_page(void* address);

// Moves the pages of `from` to the committed or reserved range `to`, without copying. `from`
// stays mapped, committed and reads as zero (MREMAP_DONTUNMAP, Linux >= 5.7; false before, and
// `from` is as it was). By mappings, of which a range has more than one where it was moved before
// and grew since: one move must not cross from one to the next before Linux 6.17. Both ranges have
// mapped addresses behind them.
bool move_pages(void* from, void* to, std::size_t size);

// Memory that is not there yet is to come from that node, or from another when that has none
// (mbind(2), MPOL_PREFERRED). Without effect where the system refuses.
void prefer_node(void* address, std::size_t size, unsigned node);

// Bytes of physical memory, and of address space that RLIMIT_AS leaves (SIZE_MAX for no limit).
std::size_t physical_memory();
std::size_t address_space_left();

}  // namespace quarry::os
