// Page blocks as a program has them (quarry/page.h): counted references, and every page that is
// handed in is checked. Wrong use dies in the name of `call`.
//
// Of the head's map entry: kind block, its order, the count of references, and in the tag whether
// it was allocated with __GFP_WAIT: it is freed on the same terms.
#pragma once

#include "page/gfp.h"

namespace quarry {

// A block with one reference, of that node if it has one. nullptr where there is none under the
// flags.
page* alloc_block(gfp_t gfp, unsigned order, unsigned node);

// So many single pages one behind the other, each a block with one reference, of that node if it
// has one; at most 2^max_order. nullptr where there are none under the flags.
page* alloc_single_pages(gfp_t gfp, std::size_t pages, unsigned node);

void get_block(page* head, const char* call);
// The last reference frees the block.
void put_block(page* head, const char* call);
// As put_block, for a block that is known to be of that order.
void free_block(page* head, unsigned order, const char* call);

// Every page becomes a block of its own, with a reference of its own.
void split_block(page* head, unsigned order, const char* call);

// Dies unless the page is one of a block in use, its first or another.
void check_in_block(page* p, const char* call);

// References, 0 for a page that begins no block.
unsigned references_of(const page* p);

// The head of the block that begins at an address, nullptr if none does.
page* block_at(const void* address);

}  // namespace quarry
