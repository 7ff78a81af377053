// The sizes that the general caches come in.
//
//   class 1        8 bytes
//   classes 2-9    16, 32, ... 128: steps of 16, the alignment that malloc owes every larger object
//   classes 10-113 eight equal steps per doubling, 144 ... 1048576: a request wastes under 1/8
//
// Class 0 means "no class". Requests above max_small_size are runs of pages.
#pragma once

#include <array>

#include "base/bits.h"

namespace quarry {

inline constexpr std::size_t max_small_size = 1 * mib;
inline constexpr unsigned steps_per_doubling = 8;
inline constexpr unsigned first_stepped_class = 10;
inline constexpr unsigned first_stepped_log2 = 7;  // classes from 10 on are above 2^7
inline constexpr unsigned class_count =
    first_stepped_class + steps_per_doubling * (floor_log2(max_small_size) - first_stepped_log2);

// As compute_class, for 128 < size <= max_small_size.
constexpr unsigned stepped_class(std::size_t size) {
  const unsigned doubling = floor_log2(size - 1);
  const std::size_t step = (size - 1) >> (doubling - 3);
  return first_stepped_class + (doubling - first_stepped_log2) * steps_per_doubling +
         static_cast<unsigned>(step) - steps_per_doubling;
}

// The class of the smallest objects of at least `size` bytes; 0 < size <= max_small_size.
constexpr unsigned compute_class(std::size_t size) {
  if (size <= 8) return 1;
  if (size <= 128) return 1 + static_cast<unsigned>((size + 15) / 16);
  return stepped_class(size);
}

constexpr std::size_t bytes_of_class(unsigned c) {
  if (c <= 1) return 8 * c;
  if (c < first_stepped_class) return std::size_t{16} * (c - 1);
  const unsigned doubling = (c - first_stepped_class) / steps_per_doubling + first_stepped_log2;
  const std::size_t step = (c - first_stepped_class) % steps_per_doubling;
  return (steps_per_doubling + step + 1) << (doubling - 3);
}

// Up to 32 KiB the class is read from a table, by 8-byte granule: of its 4 KiB a program touches
// the few cache lines of the sizes that it uses.
inline constexpr std::size_t max_table_size = 32 * kib;
inline constexpr auto class_table = [] {
  std::array<u8, max_table_size / 8> table{};
  for (std::size_t i = 0; i < table.size(); i++)
    table[i] = compute_class((i + 1) * 8);
  return table;
}();

// As compute_class, for 0 < size <= max_table_size.
QUARRY_ALWAYS_INLINE unsigned table_class(std::size_t size) {
  if (size > max_table_size) __builtin_unreachable();
  return class_table[(size - 1) >> 3];
}

inline constexpr bool classes_are_consistent = [] {
  for (unsigned c = 1; c < class_count; c++) {
    if (compute_class(bytes_of_class(c)) != c) return false;
    if (c + 1 < class_count && compute_class(bytes_of_class(c) + 1) != c + 1) return false;
    if (c > 1 && bytes_of_class(c) % 16 != 0) return false;
  }
  return bytes_of_class(class_count - 1) == max_small_size;
}();
static_assert(classes_are_consistent);

}  // namespace quarry
