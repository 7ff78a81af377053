// The few types and constants that every layer speaks in.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quarry {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using uptr = std::uintptr_t;

inline constexpr unsigned page_shift = 12;
inline constexpr std::size_t page_size = std::size_t{1} << page_shift;

// Two objects that different CPUs write are kept this far apart. 64 bytes on all
// processors that Quarry has sequences for.
inline constexpr std::size_t cache_line = 64;

inline constexpr std::size_t kib = std::size_t{1} << 10;
inline constexpr std::size_t mib = std::size_t{1} << 20;
inline constexpr std::size_t gib = std::size_t{1} << 30;
inline constexpr std::size_t tib = std::size_t{1} << 40;

}  // namespace quarry

#define QUARRY_ALWAYS_INLINE __attribute__((always_inline)) inline
// For variables that other files read. Compiling with -fvisibility=hidden hides definitions only;
// the reader would go through the global offset table.
#define QUARRY_HIDDEN __attribute__((visibility("hidden")))
// For zeroed arrays of which a program touches little or nothing: apart from the variables that
// every program touches, which are then on fewer pages.
#define QUARRY_SPARSE __attribute__((section(".bss.sparse")))
// For variables that even a program touches that never allocates: on a page that the loader writes
// to anyway.
#define QUARRY_EARLY __attribute__((section(".data.early")))
// For the eight words that every allocation and every free reads, and nobody writes after start-up:
// one cache line, which begins with area_base.
#define QUARRY_HOT_FIRST alignas(cache_line) __attribute__((section(".data.hot")))
#define QUARRY_HOT __attribute__((section(".data.hot.next")))
#define QUARRY_NOINLINE __attribute__((noinline, cold))
