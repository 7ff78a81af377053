// Bit tricks and checked arithmetic on sizes.
#pragma once

#include <bit>

#include "base/types.h"

namespace quarry {

constexpr bool is_power_of_two(std::size_t n) {
  // Not std::has_single_bit, which counts the bits by a call where there is no instruction for it.
  return n != 0 && (n & (n - 1)) == 0;
}

// `alignment` is a power of two; the result wraps if n is within `alignment` of the type's end.
constexpr std::size_t align_up(std::size_t n, std::size_t alignment) {
  return (n + alignment - 1) & ~(alignment - 1);
}
constexpr std::size_t align_down(std::size_t n, std::size_t alignment) {
  return n & ~(alignment - 1);
}

constexpr std::size_t bytes_to_pages(std::size_t bytes) {
  return (bytes >> page_shift) + ((bytes & (page_size - 1)) != 0);
}

// The largest k with 2^k <= n; n is not 0. In this form GCC makes it one instruction, bsr.
constexpr unsigned floor_log2(std::size_t n) {
  return 63 ^ __builtin_clzll(n);
}
// The smallest k with 2^k >= n; n is not 0.
constexpr unsigned ceil_log2(std::size_t n) {
  return std::bit_width(n - 1);
}

// Buddy order of the smallest block of at least that many pages.
constexpr unsigned order_of_pages(std::size_t pages) {
  return ceil_log2(pages);
}

// False where the product does not fit.
inline bool checked_multiply(std::size_t a, std::size_t b, std::size_t* result) {
  return !__builtin_mul_overflow(a, b, result);
}

}  // namespace quarry
