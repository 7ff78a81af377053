// Gaps between large blocks, as they come about in a cache of pictures or buffers that drops half
// of what it holds: of many live blocks every other is freed, and as many others of other sizes are
// allocated; the next time it is the other half. Every page is written to and read back.
//
// One operation: a block freed and another allocated.
#include "workload.h"

namespace quarry::bench {

namespace {

std::uint64_t live = 1'000;  // In each thread.
std::uint64_t smallest = 32 * kib;
std::uint64_t largest = 256 * kib;

template <typename Heap>
std::uint64_t replace_halves(random_bits random, std::uint64_t operations) {
  std::vector<block> blocks(live);
  const auto renew = [&](block& place) {
    const std::size_t size = random.between(smallest, largest);
    place = take<Heap>(size, random.next(), page);
  };
  for (block& place : blocks)
    renew(place);
  std::uint64_t checksum = 0;
  for (std::uint64_t half = 0, done = 0; done < operations; half = 1 - half) {
    const std::uint64_t first_done = done;
    for (std::uint64_t i = half; i < live && done < operations; i += 2, ++done)
      checksum += give_back<Heap>(blocks[i], page);
    for (std::uint64_t i = half; i < half + 2 * (done - first_done); i += 2)
      renew(blocks[i]);
  }
  for (const block& freed : blocks)
    checksum += give_back<Heap>(freed, page);
  return checksum;
}

template <typename Heap>
result replace(const settings& given) {
  const outcome all = run_threads(given.threads, [&](std::uint64_t index) {
    return replace_halves<Heap>(random_bits(given.seed, index),
                                share(given.operations, given.threads, index));
  });
  return {given.operations, all.seconds, all.checksum};
}

}  // namespace

}  // namespace quarry::bench

int main(int count, char** arguments) {
  using namespace quarry::bench;
  const settings given = parse(count, arguments, {.threads = 1, .operations = 20'000},
                               {{"live", live, 2, 100'000},
                                {"smallest", smallest, 8, 64 * mib},
                                {"largest", largest, 8, 64 * mib}});
  if (smallest > largest) refuse("--smallest is greater than --largest");
  return run(given, replace<heap<untimed>>, replace<heap<timed>>);
}
