// A slab: a block of pages cut into equal objects (Bonwick 1994). Its descriptor is the struct page
// of its first frame, and its free-object index a bitmap that starts in that page's words, behind
// the first, and runs on through the pages of its other frames: beside the objects, never inside
// them. A bit is set while its object is in the slab; objects in arrays or with the program have
// theirs clear.
//
// No lock: a slab belongs to its cache, whose lock covers it.
#pragma once

#include "base/bitmap.h"
#include "page/region.h"

namespace quarry {

// How the objects of a cache lie in its slabs, and where those lie.
struct slab_shape {
  const frame_space* space;
  u32 object_size;
  u32 objects;  // per slab
  u32 pages;    // per slab
  u32 mask;     // slab of objects: its bytes - 1, since it is aligned to them; single: a page's
  u8 order;     // log2 of pages, unless single
  bool single;  // one object in a run of any number of pages
  u8 twos;      // object_size is 2^twos times an odd number
  u32 inverse;  // of that odd number, modulo 2^32
};

// The kernel's rule: the smallest order at which at most 1/8 is left over; here with at least 256
// objects as well, up to 32 KiB, and at least 8, up to 128 KiB, so that refilling an array seldom
// needs a new slab. Frames without an object in use yet cost no memory.
slab_shape shape_for(std::size_t object_size, const frame_space* space = &region.frames);

// The first of the head's words is 0 since an object last came or went, until reclaim looks at the
// slab: then the number of that look in its upper bits, and in the lower ones whether what it has
// no need of was trimmed, and whether the system refused some of it. The index follows.
inline constexpr std::size_t use_word = 0;
inline constexpr u64 use_trimmed = 1;
inline constexpr u64 use_refused = 2;
inline constexpr unsigned use_look_shift = 2;
inline constexpr std::size_t index_word = 1;

// Room for the index in the pages of a slab of that order, in objects.
constexpr std::size_t index_capacity(unsigned order) {
  constexpr std::size_t before = offsetof(page, words) + index_word * sizeof(u64);
  return (((sizeof(page) << order) - before) / sizeof(u64)) * bitmap::bits_per_word;
}

// Makes the pages a slab whose objects are all free. `class_byte` is what free() finds in the class
// map for its frames.
void make_slab(page* head, const slab_shape& shape, u16 cache, u8 class_byte);
// The reverse: the pages are as they came.
void dissolve_slab(page* head, const slab_shape& shape);

inline u64* index_words(page* head) {
  return head->words + index_word;
}
inline bitmap index_of(page* head, const slab_shape& shape) {
  return {index_words(head), shape.objects};
}

// The slab that a frame of this shape's slabs belongs to.
inline page* slab_of(const void* object, const slab_shape& shape) {
  const std::size_t offset = shape.space->offset_of(object);
  return shape.space->page_at((offset & ~std::size_t{shape.mask}) >> page_shift);
}

// The number of the object that begins at this offset in its slab; not below shape.objects where
// none does. Division by an odd number is multiplication by its inverse, and a remainder makes the
// product larger than any quotient (Granlund and Montgomery 1994, section 9). In line, since every
// flushed object passes here.
QUARRY_ALWAYS_INLINE u32 number_at(const slab_shape& shape, u32 offset) {
  return std::rotr(offset * shape.inverse, shape.twos);
}

// Whether an object in use begins at the address, which is in a frame of that slab; as far as its
// index knows.
inline bool is_in_use(page* head, const slab_shape& shape, u16 cache, const void* object) {
  const u32 offset = static_cast<u32>(shape.space->offset_of(object)) & shape.mask;
  const u32 number = number_at(shape, offset);
  return number < shape.objects && head->kind == page_kind::slab && head->tag == cache &&
         !index_of(head, shape).test(number);
}

}  // namespace quarry
