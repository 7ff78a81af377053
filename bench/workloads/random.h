// Random numbers that are the same everywhere, and the distributions that programs show.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace quarry::bench {

// SplitMix64 (Steele, Lea and Flood 2014): a few instructions each, so that it does not show
// beside an allocation.
class random_bits {
 public:
  random_bits(std::uint64_t seed, std::uint64_t stream) : state_(seed) {
    state_ = next() + stream * 0xd1342543de82ef95;
    next();
  }

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
  }

  // Of [0, limit), for limits under 2^32.
  std::uint64_t below(std::uint64_t limit) { return (next() >> 32) * limit >> 32; }

  // Of [least, most].
  std::uint64_t between(std::uint64_t least, std::uint64_t most) {
    return least + below(most - least + 1);
  }

  // Of (0, 1].
  double fraction() { return static_cast<double>((next() >> 11) + 1) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

// Numbers drawn before the clock starts, handed out one after the other and over again. Threads
// share them, each with a position of its own.
class drawn {
 public:
  static constexpr std::size_t count = 1 << 14;

  template <typename Draw>
  explicit drawn(Draw draw) : values_(count) {
    for (std::uint32_t& value : values_)
      value = static_cast<std::uint32_t>(draw());
  }

  std::uint32_t at(std::uint64_t position) const { return values_[position % count]; }

 private:
  std::vector<std::uint32_t> values_;
};

class cursor {
 public:
  cursor(const drawn& numbers, random_bits& start) : numbers_(&numbers), at_(start.next()) {}
  std::uint32_t next() { return numbers_->at(at_++); }

 private:
  const drawn* numbers_;
  std::uint64_t at_;
};

// Mostly small with a long tail; the smaller the exponent, the heavier the tail.
inline double pareto(random_bits& random, double least, double most, double exponent) {
  return std::min(most, least * std::pow(random.fraction(), -1 / exponent));
}

inline drawn pareto_numbers(std::uint64_t seed, double least, double most, double exponent) {
  random_bits random(seed, 0);
  return drawn([&] { return pareto(random, least, most, exponent); });
}

// Ranks of [0, items): the first is wanted twice as often as the second, three times as often as
// the third.
inline drawn zipf_numbers(std::uint64_t seed, std::uint64_t items) {
  std::vector<double> cumulative;
  double sum = 0;
  for (std::uint64_t rank = 1; rank <= items; ++rank)
    cumulative.push_back(sum += 1 / static_cast<double>(rank));
  random_bits random(seed, 0);
  return drawn([&] {
    const double at = random.fraction() * sum;
    return std::lower_bound(cumulative.begin(), cumulative.end(), at) - cumulative.begin();
  });
}

}  // namespace quarry::bench
