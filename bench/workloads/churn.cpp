// Threads that come and go: each allocates blocks, frees most of them and ends; the survivors are
// freed much later by some other thread.
//
// One operation: a block allocated and freed.
#include "workload.h"

namespace quarry::bench {

namespace {

std::uint64_t blocks_per_thread = 2000;
std::uint64_t smallest = 16;
std::uint64_t largest = 2048;

constexpr std::uint64_t live = 100;  // Blocks that a thread has at a time.
constexpr std::uint64_t one_survivor_in = 20;
constexpr std::uint64_t survival = 8;  // For as many lives of threads.

using survivors = std::vector<block>;

template <typename Heap>
std::uint64_t free_all(survivors& freed) {
  std::uint64_t checksum = 0;
  for (const block& one : freed)
    checksum += give_back<Heap>(one);
  freed.clear();
  return checksum;
}

// The life of one thread: it frees survivors of an earlier one, and leaves its own in their place.
template <typename Heap>
std::uint64_t short_life(random_bits random, const drawn& sizes, survivors& inherited) {
  std::uint64_t checksum = free_all<Heap>(inherited);
  cursor size(sizes, random);
  block blocks[live];
  for (std::uint64_t i = 0; i < blocks_per_thread; ++i) {
    block& replaced = blocks[i % live];
    if (i >= live && i % one_survivor_in == 0) {
      inherited.push_back(replaced);
    } else if (i >= live) {
      checksum += give_back<Heap>(replaced);
    }
    replaced = take<Heap>(size.next(), random.next());
  }
  for (std::uint64_t i = 0; i < std::min(live, blocks_per_thread); ++i)
    checksum += give_back<Heap>(blocks[i]);
  return checksum;
}

// What the threads that follow each other leave behind.
struct alignas(2 * cache_line) estate {
  survivors left[survival];
  std::uint64_t checksum = 0;
};

template <typename Heap>
result come_and_go(const settings& given) {
  const drawn sizes =
      pareto_numbers(given.seed, static_cast<double>(smallest), static_cast<double>(largest), 1);
  const std::uint64_t lives =
      std::max<std::uint64_t>(given.operations / given.threads / blocks_per_thread, 1);
  std::vector<estate> estates(given.threads);
  const double seconds =
      run_relays(given.threads, lives, [&](std::uint64_t index, std::uint64_t life) {
        estate& own = estates[index];
        const random_bits random(given.seed, index * lives + life);
        own.checksum += short_life<Heap>(random, sizes, own.left[life % survival]);
      });
  result all{lives * given.threads * blocks_per_thread, seconds};
  for (estate& own : estates) {
    for (survivors& freed : own.left)
      all.checksum += free_all<Heap>(freed);
    all.checksum += own.checksum;
  }
  return all;
}

}  // namespace

}  // namespace quarry::bench

int main(int count, char** arguments) {
  using namespace quarry::bench;
  const settings given = parse(count, arguments, {.threads = 2, .operations = 20'000'000},
                               {{"blocks", blocks_per_thread, 1, 1'000'000},
                                {"smallest", smallest, 8, mib},
                                {"largest", largest, 8, mib}});
  if (smallest > largest) refuse("--smallest is greater than --largest");
  return run(given, come_and_go<heap<untimed>>, come_and_go<heap<timed>>);
}
