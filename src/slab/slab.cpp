#include "slab/slab.h"

#include <algorithm>
#include <cstring>

namespace quarry {

namespace {

constexpr std::size_t many_objects = 256;
constexpr unsigned many_order = 3;  // 32 KiB: no larger for the sake of many objects
constexpr std::size_t some_objects = 8;
constexpr unsigned some_order = 5;  // 128 KiB: no larger for the sake of some
constexpr std::size_t single_from = 32 * kib;

bool fits_well(std::size_t slab_size, std::size_t object_size, std::size_t objects,
               unsigned order) {
  if (slab_size - objects * object_size > slab_size / 8) return false;
  if (objects >= many_objects) return true;
  return order >= (objects >= some_objects ? many_order : some_order);
}

// Of an odd number, modulo 2^32: each step of Newton's doubles the bits that are right, from 3 on.
constexpr u32 inverse_of(u32 odd) {
  u32 inverse = odd;
  while (odd * inverse != 1)
    inverse *= 2 - odd * inverse;
  return inverse;
}

}  // namespace

slab_shape shape_for(std::size_t object_size, const frame_space* space) {
  slab_shape shape{};
  shape.space = space;
  shape.object_size = static_cast<u32>(object_size);
  shape.twos = static_cast<u8>(std::countr_zero(object_size));
  shape.inverse = inverse_of(shape.object_size >> shape.twos);
  if (object_size >= single_from) {
    shape.objects = 1;
    shape.pages = static_cast<u32>(bytes_to_pages(object_size));
    shape.mask = page_size - 1;
    shape.single = true;
    return shape;
  }
  for (unsigned order = 0;; order++) {
    const std::size_t slab_size = page_size << order;
    const std::size_t objects = std::min(slab_size / object_size, index_capacity(order));
    if (!fits_well(slab_size, object_size, objects, order)) continue;
    shape.objects = static_cast<u32>(objects);
    shape.pages = 1u << order;
    shape.mask = static_cast<u32>(slab_size - 1);
    shape.order = static_cast<u8>(order);
    return shape;
  }
}

void make_slab(page* head, const slab_shape& shape, u16 cache, u8 class_byte) {
  head->kind = page_kind::slab;
  head->order = shape.order;
  head->tag = cache;
  head->count = 0;
  index_of(head, shape).set_all();
  std::memset(shape.space->class_of(head), class_byte, shape.pages);
}

void dissolve_slab(page* head, const slab_shape& shape) {
  std::memset(shape.space->class_of(head), 0, shape.pages);
  std::memset(head->words, 0, (index_word + bitmap::words_for(shape.objects)) * sizeof(u64));
  head->kind = page_kind::none;
}

}  // namespace quarry
