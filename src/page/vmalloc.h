// vmalloc: blocks with a mapping of their own, in the vmalloc area of the region. A block lies in a
// slot of address space twice its size when it is made, if there is one, so that growing is mostly
// a matter of committing more; when the slot is full its pages move to a larger one without being
// copied. At least one page behind each block stays without access.
#pragma once

#include "page/region.h"

namespace quarry {

// A zeroed block of at least `bytes`. nullptr when memory or address space has ended.
void* vm_allocate(std::size_t bytes);

// Moves the contents of a run of frames into a block of at least `bytes` > the run's size. The
// run's frames stay the caller's and read as zero. nullptr, and nothing has happened, where that is
// not possible.
void* vm_adopt(void* run, std::size_t run_bytes, std::size_t bytes);

// The block that begins at this address of the vmalloc area; nullptr if none does.
page* vm_block(const void* address);
// The block that the address lies in; nullptr if in none.
void* vm_block_around(const void* address);
// The block or slot of mappings that it lies in, or in the unused rest of whose slot.
page* vm_slot_around(const void* address);

// Pages of blocks, by address: each has an entry in a map of bare addresses, which is there once it
// was asked for and never read. The entry for an address in a block, nullptr for any other and
// where address space has ended; and the page's address, nullptr for what is no such entry.
page* vm_page_at(const void* address);
char* vm_address_of(const page* p);

// The block that begins at this address, which a program gave. Dies, naming `call`, if none does.
page* vm_block_or_die(const void* address, const char* call);

std::size_t vm_size(const page* block);

// Grows or shrinks the block, moving it if it must. Returns where it is now, or nullptr (and the
// block is as it was) when memory has ended.
void* vm_resize(page* block, std::size_t bytes);

void vm_free(page* block);

// A slot for at least `bytes` of mappings that are the caller's business, who sets count; all of it
// without access yet. nullptr where address space has ended.
page* vm_reserve(std::size_t bytes);
// The slot that begins at this address; nullptr if none does.
page* vm_mapping(const void* address);
// Takes it back with what is mapped in its first `bytes`.
void vm_unreserve(page* slot, std::size_t bytes);

// Blocks alive, slots of mappings not among them, and their bytes.
struct vm_figures {
  std::size_t blocks;
  std::size_t bytes;
};
vm_figures vm_in_use();

// The first block or slot of mappings in unit `from` of the area or behind it, and the unit behind
// its slot, where the next may be. False where there is none. For tables: mappings that are being
// made may be missing.
struct vm_place {
  const char* begin;
  std::size_t bytes;
  std::size_t next;
  bool is_mapping;
};
bool vm_find_block(std::size_t from, vm_place* found);

// For the fork handlers.
void acquire_vmalloc();
void release_vmalloc();

}  // namespace quarry
