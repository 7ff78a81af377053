// How an object lies in its slot of a slab, and what the checks of SLAB_RED_ZONE, SLAB_POISON and
// SLAB_STORE_USER write there and look for. The values are the kernel's (Linux, linux/poison.h;
// mm/slub.c).
//
//   slot:  red zone | object | red zone | who took it, who gave it back | to the next slot
//
// No lock: a slot is touched by who has the object, or has its slab to itself.
#pragma once

#include "base/format.h"
#include "base/types.h"

namespace quarry {

struct object_layout {
  u32 size;       // of the object, as the program asked for it
  u32 left;       // where it begins in the slot
  u32 red_end;    // where the red zone behind it ends; its end where there is none
  u32 users;      // where the users are noted, 0 for nowhere
  u32 slot_size;  // from slot to slot
  bool checks;    // any of the following, or those of the slab's index alone
  bool red_zone;
  bool poison;
};

// `size` > 0; `alignment` is a power of two, `flags` those of quarry/slab.h.
object_layout layout_for(std::size_t size, std::size_t alignment, unsigned long flags,
                         bool has_constructor);

// A slot that has never been used becomes a free one.
void paint_new(char* slot, const object_layout& layout);

// A free slot is taken, or one in use given back. If something was written where nobody may, says
// so in the name of `call` and of the cache, and aborts.
void check_and_take(char* slot, const object_layout& layout, const char* cache, const void* caller);
void check_and_give(char* slot, const object_layout& layout, const char* cache, const char* call,
                    const void* caller);
// The part of it that looks at a free slot, when its slab goes.
void check_free(char* slot, const object_layout& layout, const char* cache, const char* call);

// Adds who had the object to a message, where that is known.
void describe_users(text* line, const char* slot, const object_layout& layout);

}  // namespace quarry
