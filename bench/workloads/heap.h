// The calls that a workload makes to the allocator, and the blocks it gets from it.
//
// Everything goes through `heap`, a set of static functions over a policy: `untimed` is nothing at
// all, `timed` notes how long each call took.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "latency.h"

namespace quarry::bench {

class untimed {
 public:
  explicit untimed(call) {}
};

class timed {
 public:
  explicit timed(call which) : durations_(durations_of(which)), begin_(ticks()) {}
  timed(const timed&) = delete;
  timed& operator=(const timed&) = delete;
  ~timed() { durations_.add(ticks() - begin_); }

 private:
  histogram& durations_;
  std::uint64_t begin_;
};

[[noreturn]] void out_of_memory(std::size_t size);

template <typename Policy>
struct heap {
  static void* allocate(std::size_t size) {
    const Policy duration(call::malloc);
    return usable(std::malloc(size), size);
  }

  static void* allocate_zeroed(std::size_t size) {
    const Policy duration(call::calloc);
    return usable(std::calloc(1, size), size);
  }

  static void* resize(void* block, std::size_t size) {
    const Policy duration(call::realloc);
    return usable(std::realloc(block, size), size);
  }

  static void release(void* block) {
    const Policy duration(call::free);
    std::free(block);
  }

  static void* create(std::size_t size) {
    const Policy duration(call::operator_new);
    return ::operator new(size);
  }

  static void destroy(void* block, std::size_t size) {
    const Policy duration(call::operator_delete);
    ::operator delete(block, size);
  }

 private:
  static void* usable(void* block, std::size_t size) {
    if (block == nullptr) out_of_memory(size);
    return block;
  }
};

constexpr std::size_t cache_line = 64;  // CPUs fetch them in pairs.
constexpr std::size_t page = 4096;
constexpr std::size_t touched_every = 512;
constexpr std::size_t word = sizeof(std::uint64_t);

// The first word of a block's grid of one word per stride that does not lie wholly before `from`.
constexpr std::size_t first_word(std::size_t from, std::size_t stride) {
  return from < word ? 0 : (from - word) / stride * stride + stride;
}

// Writes to bytes [from, to) of a block: one word in each stride, and the last. To write all of
// them, or even one in each cache line, would cost more than to allocate them.
inline void fill(void* block, std::size_t from, std::size_t to, std::uint64_t tag,
                 std::size_t stride = touched_every) {
  auto* bytes = static_cast<unsigned char*>(block);
  const auto put = [bytes](std::size_t at, std::uint64_t value) {
    std::memcpy(bytes + at, &value, word);
  };
  for (std::size_t at = first_word(from, stride); at + word <= to; at += stride)
    put(at, tag + at);
  if (from + word <= to) put(to - word, ~tag);
}

// Reads what `fill` wrote.
inline std::uint64_t contents(const void* block, std::size_t from, std::size_t to,
                              std::size_t stride = touched_every) {
  const auto* bytes = static_cast<const unsigned char*>(block);
  const auto get = [bytes](std::size_t at) {
    std::uint64_t value;
    std::memcpy(&value, bytes + at, word);
    return value;
  };
  std::uint64_t sum = 0;
  for (std::size_t at = first_word(from, stride); at + word <= to; at += stride)
    sum += get(at);
  return from + word <= to ? sum + get(to - word) : sum;
}

struct block {
  void* address = nullptr;
  std::size_t size = 0;
};

template <typename Heap>
block take(std::size_t size, std::uint64_t tag, std::size_t stride = touched_every) {
  const block taken{Heap::allocate(size), size};
  fill(taken.address, 0, size, tag, stride);
  return taken;
}

// Returns what the block held.
template <typename Heap>
std::uint64_t give_back(const block& given, std::size_t stride = touched_every) {
  const std::uint64_t held = contents(given.address, 0, given.size, stride);
  Heap::release(given.address);
  return held;
}

}  // namespace quarry::bench
