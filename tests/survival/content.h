// Blocks whose content tells whether they are still whole: each is filled from a seed of its own,
// so that a block handed out twice, cut short or written over shows when it is checked. Needs
// nothing but libc, since some of the programs here must not load libstdc++.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace survival {

// splitmix64: small, and any seed will do, 0 too.
class generator {
 public:
  explicit generator(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  std::size_t below(std::size_t limit) { return next() % limit; }

  // Pareto-like: a size over n comes with probability 16/n, as real programs are said to ask.
  std::size_t size_up_to(std::size_t limit) {
    const std::uint64_t draw = (next() >> 32) + 1;
    const std::uint64_t size = (std::uint64_t{16} << 32) / draw;
    return size > limit ? 1 + below(limit) : size - below(size < 16 ? size : 16);
  }

 private:
  std::uint64_t state_;
};

struct block {
  unsigned char* bytes = nullptr;
  std::size_t size = 0;
  std::uint64_t seed = 0;
};

inline std::uint64_t content_at(std::uint64_t seed, std::size_t offset) {
  return seed + offset * 0x9e3779b97f4a7c15u;
}

inline void fill(const block& b) {
  std::size_t offset = 0;
  for (; offset + 8 <= b.size; offset += 8) {
    const std::uint64_t word = content_at(b.seed, offset);
    __builtin_memcpy(b.bytes + offset, &word, 8);  // a call each, with -fno-builtin, would be slow
  }
  const std::uint64_t last = content_at(b.seed, offset);
  memcpy(b.bytes + offset, &last, b.size - offset);
}

inline bool whole(const block& b, std::size_t size) {
  std::size_t offset = 0;
  std::uint64_t differing = 0;
  for (; offset + 8 <= size; offset += 8) {
    std::uint64_t word;
    __builtin_memcpy(&word, b.bytes + offset, 8);
    differing |= word ^ content_at(b.seed, offset);
  }
  const std::uint64_t last = content_at(b.seed, offset);
  return differing == 0 && memcmp(b.bytes + offset, &last, size - offset) == 0;
}

inline bool whole(const block& b) {
  return whole(b, b.size);
}

// A null block where memory ended.
inline block take(std::size_t size, std::uint64_t seed) {
  block b{static_cast<unsigned char*>(malloc(size)), size, seed};
  if (b.bytes != nullptr) {
    fill(b);
  }
  return b;
}

// False if the block was not there or its content had changed.
inline bool give_back(block& b) {
  const bool good = b.bytes != nullptr && whole(b);
  free(b.bytes);
  b = {};
  return good;
}

// One block of every kind of size, from a byte to 1.5 MiB, all alive at once, then checked and
// freed.
inline bool all_sizes_work(std::uint64_t seed) {
  constexpr int kinds = 3 * 21;
  block blocks[kinds];
  bool good = true;
  for (int i = 0; i < kinds; ++i) {
    const std::size_t power = std::size_t{1} << (i / 3);
    blocks[i] = take(power + power / 4 * (i % 3), seed + i);
    good &= blocks[i].bytes != nullptr;
  }
  for (int i = 0; i < kinds; ++i) {
    good &= give_back(blocks[(i * 5) % kinds]);
  }
  return good;
}

// The same from a byte to 64 KiB, for what is done thousands of times.
inline bool small_sizes_work(std::uint64_t seed) {
  constexpr int count = 64;
  block blocks[count];
  generator random(seed);
  bool good = true;
  for (int i = 0; i < count; ++i) {
    blocks[i] = take(random.size_up_to(64 << 10), seed + i);
    good &= blocks[i].bytes != nullptr;
  }
  for (int i = 0; i < count; ++i) {
    good &= give_back(blocks[(i * 5) % count]);
  }
  return good;
}

}  // namespace survival
