// What the tests of the public interface share: values that the compiler knows nothing of, sizes on
// both sides of every border that an allocator has, and contents that can be checked.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace preload_test {

// Hides where a value came from, so that the compiler neither warns of a wrong use that is meant
// nor leaves out an allocation.
template <typename T>
T opaque(T value) {
  asm volatile("" : "+r"(value) : : "memory");
  return value;
}

// The address of a block as a number, for what is compared with or made from it after the block is
// gone.
inline uintptr_t address_of(const void* block) {
  return opaque(reinterpret_cast<uintptr_t>(block));
}

inline bool is_aligned(const void* block, size_t alignment) {
  return address_of(block) % alignment == 0;
}

// From 1 byte to 100 MB: around each power of two, where classes, pages and ways of allocating
// change.
inline std::vector<size_t> border_sizes() {
  std::vector<size_t> sizes = {1, 7};
  for (size_t power = 8; power <= size_t{64} << 20; power *= 2) {
    sizes.insert(sizes.end(), {power, power + 1, 2 * power - 1});
  }
  sizes.push_back(100'000'000);
  return sizes;
}

inline unsigned char pattern_byte(unsigned seed, size_t offset) {
  return static_cast<unsigned char>(offset ^ (offset >> 8) ^ (offset >> 16) ^ (seed * 37));
}

// Calls visit(first, last) for the parts of a block whose contents are checked: the first 64 KiB,
// then 64 bytes in every 61 KiB, which falls on all offsets within a page, and the last 64 bytes.
// So a block of 100 MB costs little, and what was written for one size can be checked for a smaller
// one.
template <typename visitor>
void for_each_part(size_t size, bool with_tail, visitor visit) {
  constexpr size_t dense = 64 << 10;
  constexpr size_t stride = 61 << 10;
  constexpr size_t part = 64;
  visit(size_t{0}, std::min(size, dense));
  for (size_t at = 2 * stride; at < size; at += stride + part)
    visit(at, std::min(size, at + part));
  if (with_tail && size > dense) visit(size - part, size);
}

inline void fill(void* block, size_t size, unsigned seed) {
  auto* bytes = static_cast<unsigned char*>(block);
  for_each_part(size, true, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i)
      bytes[i] = pattern_byte(seed, i);
  });
}

// True if the first `size` bytes of a block that was filled as `filled` bytes still hold them.
inline bool holds(const void* block, size_t size, size_t filled, unsigned seed) {
  const auto* bytes = static_cast<const unsigned char*>(block);
  bool same = true;
  for_each_part(size, size == filled, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i)
      same &= bytes[i] == pattern_byte(seed, i);
  });
  return same;
}

inline bool holds(const void* block, size_t size, unsigned seed) {
  return holds(block, size, size, seed);
}

// Bytes handed out, by the C library's two figures: glibc counts blocks with a mapping of their own
// in hblkhd and all others in uordblks (glibc manual 3.2.3.9, "Statistics for Memory Allocation").
inline size_t bytes_in_use() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace preload_test
