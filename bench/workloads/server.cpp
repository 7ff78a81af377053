// A server under load: each thread has an array of blocks of which it replaces random ones, and
// after a while hands the array to a new thread and ends, so that blocks are freed by another
// thread than the one that allocated them.
//
// One operation: a block freed and another allocated in its place.
#include "workload.h"

namespace quarry::bench {

namespace {

std::uint64_t live = 1000;  // Blocks in an array.
std::uint64_t smallest = 16;
std::uint64_t largest = 1024;
std::uint64_t generations = 20;  // Of threads that have an array one after the other.

template <typename Heap>
class alignas(2 * cache_line) lane {
 public:
  lane(const settings& given, std::uint64_t index)
      : random_(given.seed, index), operations_(share(given.operations, given.threads, index)) {}

  void serve(std::uint64_t generation) {
    if (generation == 0) allocate_all();
    const std::uint64_t replaced = share(operations_, generations, generation);
    for (std::uint64_t i = 0; i < replaced; ++i)
      replace_one();
    if (generation + 1 == generations) free_all();
  }

  std::uint64_t checksum() const { return checksum_; }

 private:
  void allocate_all() {
    for (std::uint64_t i = 0; i < live; ++i)
      blocks_.push_back(another());
  }

  void replace_one() {
    block& replaced = blocks_[random_.below(live)];
    checksum_ += give_back<Heap>(replaced);
    replaced = another();
  }

  void free_all() {
    for (const block& freed : blocks_)
      checksum_ += give_back<Heap>(freed);
  }

  block another() {
    const std::uint64_t tag = random_.next();
    return take<Heap>(random_.between(smallest, largest), tag);
  }

  random_bits random_;
  std::uint64_t operations_;
  std::uint64_t checksum_ = 0;
  std::vector<block> blocks_;
};

template <typename Heap>
result serve(const settings& given) {
  std::vector<lane<Heap>> lanes;
  for (std::uint64_t i = 0; i < given.threads; ++i)
    lanes.emplace_back(given, i);
  const auto serve_in_turn = [&](std::uint64_t index, std::uint64_t generation) {
    lanes[index].serve(generation);
  };
  result all{given.operations, run_relays(given.threads, generations, serve_in_turn)};
  for (const lane<Heap>& each : lanes)
    all.checksum += each.checksum();
  return all;
}

}  // namespace

}  // namespace quarry::bench

int main(int count, char** arguments) {
  using namespace quarry::bench;
  const settings given = parse(count, arguments, {.threads = 2, .operations = 40'000'000},
                               {{"live", live, 1, 10'000'000},
                                {"smallest", smallest, 8, mib},
                                {"largest", largest, 8, mib},
                                {"generations", generations, 1, 100'000}});
  if (smallest > largest) refuse("--smallest is greater than --largest");
  return run(given, serve<heap<untimed>>, serve<heap<timed>>);
}
