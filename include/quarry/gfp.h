/* How memory may be got: the flags of the kernel's allocation interfaces (Linux 2.6, linux/gfp.h).
   Part of Quarry's public interface; C17 and C++20. */
#ifndef QUARRY_GFP_H
#define QUARRY_GFP_H

/* In which zone: addresses below 4 GiB, or pages without an address of their own. */
#define __GFP_DMA 0x01u
#define __GFP_HIGHMEM 0x02u

/* What may be done for it. */
#define __GFP_WAIT 0x10u    /* ask the system for more, give back what is cached, wait for a lock */
#define __GFP_HIGH 0x20u    /* use the reserve below the min watermark */
#define __GFP_NOWARN 0x200u /* do not report a failure */
#define __GFP_NOFAIL 0x800u /* try until there is memory; needs __GFP_WAIT */
#define __GFP_NORETRY 0x1000u /* do not give back what is cached, fail at once */
#define __GFP_ZERO 0x8000u    /* the memory reads as zero */

/* Normal use, from any thread that may wait. */
#define GFP_KERNEL (__GFP_WAIT)
#define GFP_USER (__GFP_WAIT)
#define GFP_HIGHUSER (__GFP_WAIT | __GFP_HIGHMEM)
/* Never a system call and never a wait: only what is committed already. ATOMIC may use the reserve.
 */
#define GFP_NOWAIT 0u
#define GFP_ATOMIC (__GFP_HIGH)
#define GFP_DMA (__GFP_DMA)
#define GFP_HIGHMEM (__GFP_HIGHMEM)

typedef unsigned gfp_t;

/* DMA: addresses below 4 GiB, in memory and locked there. NORMAL: what malloc uses. HIGHMEM: pages
   of a memory file that have no address of their own; after fork see quarry_highmem_fd. What a fork
   child has of its parent's DMA blocks is a copy that is not locked; its own requests get pages
   that the parent never had, while ZONE_DMA has some: 16 MiB in all, or what RLIMIT_MEMLOCK lets be
   locked. Where the system has huge pages
   reserved (vm.nr_hugepages), DMA blocks lie in them: then the copy takes one more, and a child
   that touches its parent's blocks when none is left gets SIGBUS. A request that its zone cannot
   serve goes to the next: from HIGHMEM to NORMAL to DMA, once somebody has asked for DMA. */
enum zone_type { ZONE_DMA, ZONE_NORMAL, ZONE_HIGHMEM };

/* The kernel's names are declared as what users write and resolve to quarry_* symbols, so that a
   program that has, say, a vmalloc of its own keeps it. */
#define QUARRY_SYMBOL(name) __asm__("quarry_" #name)

#endif
