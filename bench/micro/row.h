// What the rows have in common: a block is written to, as in any program, and the compiler
// must believe that it is used.
//
// Single-threaded rows report the processor time of the whole process, which charges an
// allocator for its helper threads; rows with threads report real time. One iteration is
// one operation: where a row works in batches, it counts by KeepRunningBatch.
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace row {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;
constexpr std::size_t page_size = 4096;

// The block after its first byte was written.
inline void* written(void* block) {
  *static_cast<volatile char*>(block) = 1;
  benchmark::DoNotOptimize(block);
  return block;
}

// Writes one byte in each page's worth of [from, to) of the block.
inline void write_pages(void* block, std::size_t from, std::size_t to) {
  auto* bytes = static_cast<volatile char*>(block);
  for (std::size_t i = from; i < to; i += page_size)
    bytes[i] = 1;
  benchmark::ClobberMemory();
}

inline std::size_t argument(const benchmark::State& state, std::size_t position = 0) {
  return static_cast<std::size_t>(state.range(position));
}

}  // namespace row
