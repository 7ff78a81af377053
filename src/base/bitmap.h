// A run of bits over 64-bit words: the slab's free-object index is one.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>

#include "base/types.h"

namespace quarry {

class bitmap {
 public:
  static constexpr unsigned bits_per_word = 64;

  // The words stay the caller's; `bits` may leave the last word partly used, its rest is 0.
  bitmap(u64* words, unsigned bits) : words_(words), bits_(bits) {}

  static constexpr unsigned words_for(unsigned bits) {
    return (bits + bits_per_word - 1) / bits_per_word;
  }

  // Also while others change other bits.
  bool test(unsigned bit) const {
    return std::atomic_ref(words_[bit / 64]).load(std::memory_order_relaxed) >> (bit % 64) & 1;
  }

  bool all_set(unsigned begin, unsigned end) const {
    for (unsigned bit = begin; bit < end;) {
      const u64 mask = mask_from(bit, end);
      if ((words_[bit / 64] & mask) != mask) return false;
      bit = (bit / 64 + 1) * 64;
    }
    return true;
  }

  void clear(unsigned begin, unsigned end) {
    for (unsigned bit = begin; bit < end;) {
      words_[bit / 64] &= ~mask_from(bit, end);
      bit = (bit / 64 + 1) * 64;
    }
  }

  void set_all() {
    for (unsigned w = 0; w < bits_ / 64; w++)
      words_[w] = ~u64{0};
    if (bits_ % 64) words_[bits_ / 64] = (u64{1} << (bits_ % 64)) - 1;
  }

  // Clears up to `wanted` set bits, the lowest first, and calls take(bit) for each.
  // Returns how many there were.
  template <class take_fn>
  unsigned take_lowest(unsigned wanted, take_fn take) {
    unsigned taken = 0;
    for (unsigned w = 0; w < words_for(bits_) && taken < wanted; w++) {
      u64 word = words_[w];
      if (word == ~u64{0} && wanted - taken >= 64) {
        for (unsigned bit = 0; bit < 64; bit++)
          take(w * 64 + bit);
        word = 0;
        taken += 64;
      }
      while (word && taken < wanted) {
        take(w * 64 + std::countr_zero(word));
        word &= word - 1;
        taken++;
      }
      words_[w] = word;
    }
    return taken;
  }

 private:
  // Of the bits from that one up to `end`, those in its word.
  static u64 mask_from(unsigned bit, unsigned end) {
    const unsigned count = std::min(end - bit, 64 - bit % 64);
    return (~u64{0} >> (64 - count)) << (bit % 64);
  }

  u64* words_;
  unsigned bits_;
};

}  // namespace quarry
