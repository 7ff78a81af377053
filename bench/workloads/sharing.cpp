// False sharing: one thread allocates small blocks and deals them out in turn, the others write to
// theirs, over and over, and free them. Where blocks of several threads lie on one cache line, the
// line travels between CPUs at each write.
//
// One operation: a write. What the time tells is where the allocator put the blocks.
#include <barrier>

#include "workload.h"

namespace quarry::bench {

namespace {

std::uint64_t size = 16;
std::uint64_t blocks_per_thread = 16;  // In each round.
std::uint64_t writes_per_block = 10'000;

using cell = volatile std::uint64_t;

// A thread's blocks of one round: each is written to in turn, many times, so that no thread gets
// ahead of its neighbours on the line for good.
template <typename Heap>
std::uint64_t write_and_free(const std::vector<void*>& dealt, std::uint64_t index,
                             std::uint64_t threads, std::uint64_t tag) {
  const auto mine = [&](std::uint64_t i) { return static_cast<cell*>(dealt[i * threads + index]); };
  for (std::uint64_t i = 0; i < blocks_per_thread; ++i)
    *mine(i) = tag;
  for (std::uint64_t n = 0; n < writes_per_block; ++n)
    for (std::uint64_t i = 0; i < blocks_per_thread; ++i)
      *mine(i) = *mine(i) + n;
  std::uint64_t held = 0;
  for (std::uint64_t i = 0; i < blocks_per_thread; ++i) {
    held += *mine(i);
    Heap::release(dealt[i * threads + index]);
  }
  return held;
}

template <typename Heap>
result write(const settings& given) {
  const std::uint64_t per_round = given.threads * blocks_per_thread * writes_per_block;
  const std::uint64_t rounds = std::max<std::uint64_t>(given.operations / per_round, 1);
  std::vector<void*> dealt(given.threads * blocks_per_thread);
  std::barrier dealing(static_cast<std::ptrdiff_t>(given.threads), [&]() noexcept {
    for (void*& one : dealt)
      one = Heap::allocate(size);
  });
  const outcome all = run_threads(given.threads, [&](std::uint64_t index) {
    random_bits random(given.seed, index);
    std::uint64_t checksum = 0;
    for (std::uint64_t round = 0; round < rounds; ++round) {
      dealing.arrive_and_wait();
      checksum += write_and_free<Heap>(dealt, index, given.threads, random.next());
    }
    return checksum;
  });
  return {rounds * per_round, all.seconds, all.checksum};
}

}  // namespace

}  // namespace quarry::bench

int main(int count, char** arguments) {
  using namespace quarry::bench;
  const settings given = parse(count, arguments, {.threads = 2, .operations = 500'000'000},
                               {{"size", size, word, mib},
                                {"blocks", blocks_per_thread, 1, 1'000'000},
                                {"writes", writes_per_block, 1, 1'000'000'000}});
  return run(given, write<heap<untimed>>, write<heap<timed>>);
}
