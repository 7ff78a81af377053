// ZONE_DMA: memory for devices that address 32 bits: below 4 GiB and always resident. It is made of
// reserved huge pages while the system has any, so that each 2 MiB is one piece of physical memory,
// and of locked pages else.
#pragma once

#include "page/zone.h"

namespace quarry {

// The kernel's size for it on a PC.
inline constexpr std::size_t dma_size = 16 * mib;

// What its addresses are below: 32 bits reach no further.
inline constexpr uptr dma_end = uptr{4} * gib;

// The zone, made at the first call; nullptr where there is no address space for it. May make system
// calls and wait.
zone* make_dma_zone();

// The zone if it has been made.
zone* dma_zone();

// For the fork handlers: no zone is made between the two.
void acquire_dma();
void release_dma();
// What a child has of the parent's pages is a copy that is not locked, and of huge pages one that
// may not be had (SIGBUS): it gets fresh ones instead, while
// there are some that the parent never had.
void retire_dma_in_child();

}  // namespace quarry
