// A key-value store over simulated days: values are replaced by others of another size, small by
// night and large by day, hot keys often and cold ones almost never, so that a few old blocks keep
// whole pages of the heap in use. What counts is the memory it takes in the end.
//
// One operation: a value set or deleted.
#include <numbers>

#include "workload.h"

namespace quarry::bench {

namespace {

std::uint64_t keys = 200'000;  // Of all threads together.
std::uint64_t days = 7;

constexpr std::uint64_t hours_per_day = 24;
constexpr std::uint64_t one_delete_in = 8;

// The least size of an hour's values, of which the greatest is four times as much.
std::uint64_t least_size(std::uint64_t hour) {
  const double angle = 2 * std::numbers::pi * static_cast<double>(hour) / hours_per_day;
  return static_cast<std::uint64_t>(128 * std::exp2(2 * std::sin(angle)));
}

template <typename Heap>
class alignas(2 * cache_line) store {
 public:
  store(random_bits random, std::uint64_t room) : random_(random), values_(room) {}

  void fill_all() {
    for (block& value : values_)
      value = another(least_size(0));
  }

  void pass_hour(std::uint64_t hour, std::uint64_t operations) {
    const std::uint64_t least = least_size(hour);
    for (std::uint64_t i = 0; i < operations; ++i) {
      block& value = values_[random_key()];
      if (value.address != nullptr) checksum_ += give_back<Heap>(value);
      value = random_.below(one_delete_in) == 0 ? block{} : another(least);
    }
  }

  std::uint64_t live_bytes() const {
    std::uint64_t sum = 0;
    for (const block& value : values_)
      sum += value.size;
    return sum;
  }

  std::uint64_t close() {
    for (const block& value : values_)
      if (value.address != nullptr) checksum_ += give_back<Heap>(value);
    return checksum_;
  }

 private:
  block another(std::uint64_t least) {
    const std::uint64_t tag = random_.next();
    return take<Heap>(random_.between(least, 4 * least), tag);
  }

  // Half of the choices fall on an eighth of the keys, which lie scattered among the others.
  std::uint64_t random_key() {
    constexpr std::uint64_t scatter = 2'654'435'761;  // A prime above the number of keys.
    const double fraction = 1 - random_.fraction();
    const auto rank = static_cast<std::uint64_t>(fraction * fraction * fraction *
                                                 static_cast<double>(values_.size()));
    return rank * scatter % values_.size();
  }

  random_bits random_;
  std::uint64_t checksum_ = 0;
  std::vector<block> values_;
};

template <typename Heap>
result keep(const settings& given) {
  std::vector<store<Heap>> stores;
  for (std::uint64_t i = 0; i < given.threads; ++i)
    stores.emplace_back(random_bits(given.seed, i), share(keys, given.threads, i));
  const outcome lived = run_threads(given.threads, [&](std::uint64_t index) {
    const std::uint64_t hours = days * hours_per_day;
    const std::uint64_t operations = share(given.operations, given.threads, index);
    stores[index].fill_all();
    for (std::uint64_t hour = 0; hour < hours; ++hour)
      stores[index].pass_hour(hour, share(operations, hours, hour));
    return std::uint64_t{0};
  });
  result all{given.operations, lived.seconds};
  const auto resident = static_cast<double>(resident_bytes());
  double live = 0;
  for (store<Heap>& each : stores) {
    live += static_cast<double>(each.live_bytes());
    all.checksum += each.close();
  }
  all.figures = {
      {"live_bytes", live}, {"resident_bytes", resident}, {"resident_over_live", resident / live}};
  return all;
}

}  // namespace

}  // namespace quarry::bench

int main(int count, char** arguments) {
  using namespace quarry::bench;
  const settings given = parse(count, arguments, {.threads = 1, .operations = 2'000'000},
                               {{"keys", keys, 1, 1'000'000'000}, {"days", days, 1, 10'000}});
  if (keys < given.threads) refuse("--keys: each thread needs one");
  return run(given, keep<heap<untimed>>, keep<heap<timed>>);
}
