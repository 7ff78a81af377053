// Large blocks, as of images, matrices and buffers: a few are live, a random one is replaced by
// one of another size, some of them zeroed by calloc. Every page is written to and read back.
//
// One operation: a block freed and another allocated in its place.
#include "workload.h"

namespace quarry::bench {

namespace {

std::uint64_t live = 10;  // In each thread.
std::uint64_t smallest = 32 * kib;
std::uint64_t largest = 64 * mib;

constexpr std::uint64_t one_calloc_in = 4;

// Returns what the block held when it was new: nothing but zeroes.
template <typename Heap>
std::uint64_t take_large(block& taken, std::size_t size, std::uint64_t tag) {
  std::uint64_t held = 0;
  if (tag % one_calloc_in == 0) {
    taken = {Heap::allocate_zeroed(size), size};
    held = contents(taken.address, 0, size, page);
  } else {
    taken = {Heap::allocate(size), size};
  }
  fill(taken.address, 0, size, tag, page);
  return held;
}

template <typename Heap>
std::uint64_t replace_blocks(const drawn& sizes, random_bits random, std::uint64_t operations) {
  cursor size(sizes, random);
  std::vector<block> blocks(live);
  std::uint64_t checksum = 0;
  for (std::uint64_t i = 0; i < operations; ++i) {
    block& replaced = blocks[random.below(live)];
    if (replaced.address != nullptr) checksum += give_back<Heap>(replaced, page);
    checksum += take_large<Heap>(replaced, size.next(), random.next());
  }
  for (const block& freed : blocks)
    if (freed.address != nullptr) checksum += give_back<Heap>(freed, page);
  return checksum;
}

template <typename Heap>
result replace(const settings& given) {
  const drawn sizes =
      pareto_numbers(given.seed, static_cast<double>(smallest), static_cast<double>(largest), 0.5);
  const outcome all = run_threads(given.threads, [&](std::uint64_t index) {
    return replace_blocks<Heap>(sizes, random_bits(given.seed, index),
                                share(given.operations, given.threads, index));
  });
  return {given.operations, all.seconds, all.checksum};
}

}  // namespace

}  // namespace quarry::bench

int main(int count, char** arguments) {
  using namespace quarry::bench;
  const settings given = parse(count, arguments, {.threads = 1, .operations = 800},
                               {{"live", live, 1, 1'000},
                                {"smallest", smallest, 8, 1024 * mib},
                                {"largest", largest, 8, 1024 * mib}});
  if (smallest > largest) refuse("--smallest is greater than --largest");
  return run(given, replace<heap<untimed>>, replace<heap<timed>>);
}
