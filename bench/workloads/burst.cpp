// A burst of allocation, all of it freed in random order, then an idle second, several times. What
// counts is the memory that the idle program keeps.
//
// One operation: a block allocated and freed. The idle time is no part of the seconds printed.
#include "workload.h"

namespace quarry::bench {

namespace {

std::uint64_t bursts = 2;
std::uint64_t smallest = 16;
std::uint64_t largest = 32 * kib;
std::uint64_t idle_milliseconds = 1000;

// The blocks of one thread in one burst. The array of them is part of the burst as well.
template <typename Heap>
class load {
 public:
  load(const drawn& sizes, random_bits random, std::uint64_t blocks)
      : random_(random),
        count_(blocks),
        blocks_(static_cast<block*>(
            Heap::allocate(std::max<std::uint64_t>(blocks, 1) * sizeof(block)))) {
    cursor size(sizes, random_);
    for (std::uint64_t i = 0; i < count_; ++i)
      blocks_[i] = take<Heap>(size.next(), random_.next());
  }

  std::uint64_t live_bytes() const {
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < count_; ++i)
      sum += blocks_[i].size;
    return sum;
  }

  std::uint64_t free_all() {
    std::uint64_t checksum = 0;
    for (std::uint64_t left = count_; left > 0; --left) {
      block& chosen = blocks_[random_.below(left)];
      checksum += give_back<Heap>(chosen);
      chosen = blocks_[left - 1];
    }
    Heap::release(blocks_);
    return checksum;
  }

 private:
  random_bits random_;
  std::uint64_t count_;
  block* blocks_;
};

template <typename Heap>
result burst_and_rest(const settings& given) {
  const drawn sizes =
      pareto_numbers(given.seed, static_cast<double>(smallest), static_cast<double>(largest), 1);
  result all{given.operations};
  std::vector<std::uint64_t> live(given.threads);
  for (std::uint64_t burst = 0; burst < bursts; ++burst) {
    const std::uint64_t blocks = share(given.operations, bursts, burst);
    const outcome one = run_threads(given.threads, [&](std::uint64_t index) {
      const random_bits random(given.seed + burst, index);
      load<Heap> held(sizes, random, share(blocks, given.threads, index));
      live[index] = held.live_bytes();
      return held.free_all();
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(idle_milliseconds));
    all.seconds += one.seconds;
    all.checksum += one.checksum;
  }
  double live_bytes = 0;
  for (const std::uint64_t bytes : live)
    live_bytes += static_cast<double>(bytes);
  all.figures = {{"burst_bytes", live_bytes},
                 {"resident_bytes", static_cast<double>(resident_bytes())}};
  return all;
}

}  // namespace

}  // namespace quarry::bench

int main(int count, char** arguments) {
  using namespace quarry::bench;
  const settings given = parse(count, arguments, {.threads = 1, .operations = 2'000'000},
                               {{"bursts", bursts, 1, 1000},
                                {"smallest", smallest, 8, mib},
                                {"largest", largest, 8, 64 * mib},
                                {"idle", idle_milliseconds, 0, 600'000}});
  if (smallest > largest) refuse("--smallest is greater than --largest");
  return run(given, burst_and_rest<heap<untimed>>, burst_and_rest<heap<timed>>);
}
