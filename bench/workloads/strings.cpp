// Strings and vectors that grow: each thread builds many at a time, doubling a string's room and
// adding half to a vector's as they fill up, cuts the finished ones to their size and drops them.
//
// One operation: a block allocated, or resized.
#include "workload.h"

namespace quarry::bench {

namespace {

std::uint64_t building = 100;  // At a time in each thread.
std::uint64_t longest = mib;

constexpr std::size_t first_room = 16;
constexpr std::size_t shortest = 64;

template <typename Heap>
class builder {
 public:
  bool empty() const { return text_.address == nullptr; }

  void begin(std::size_t length, std::uint64_t tag) {
    length_ = length;
    tag_ = tag;
    doubling_ = tag % 2 == 0;
    grow(Heap::allocate(first_room), first_room);
  }

  // One step on the way to its length; true if that is reached.
  bool step() {
    if (text_.size < length_) {
      const std::size_t room = doubling_ ? 2 * text_.size : text_.size + text_.size / 2;
      grow(Heap::resize(text_.address, room), room);
      return false;
    }
    text_ = {Heap::resize(text_.address, length_), length_};
    fill(text_.address, length_ - word, length_, tag_);
    return true;
  }

  std::uint64_t drop() {
    const std::uint64_t held = give_back<Heap>(text_);
    text_ = {};
    return held;
  }

 private:
  void grow(void* address, std::size_t room) {
    fill(address, text_.size, room, tag_);
    text_ = {address, room};
  }

  block text_;
  std::size_t length_ = 0;
  std::uint64_t tag_ = 0;
  bool doubling_ = false;
};

template <typename Heap>
std::uint64_t build_all(const drawn& lengths, random_bits random, std::uint64_t operations) {
  cursor length(lengths, random);
  std::vector<builder<Heap>> builders(building);
  std::uint64_t checksum = 0;
  for (std::uint64_t i = 0; i < operations; ++i) {
    builder<Heap>& one = builders[random.below(building)];
    if (one.empty()) {
      one.begin(length.next(), random.next());
    } else if (one.step()) {
      checksum += one.drop();
    }
  }
  for (builder<Heap>& one : builders)
    if (!one.empty()) checksum += one.drop();
  return checksum;
}

template <typename Heap>
result build(const settings& given) {
  const drawn lengths = pareto_numbers(given.seed, shortest, static_cast<double>(longest), 0.8);
  const outcome all = run_threads(given.threads, [&](std::uint64_t index) {
    return build_all<Heap>(lengths, random_bits(given.seed, index),
                           share(given.operations, given.threads, index));
  });
  return {given.operations, all.seconds, all.checksum};
}

}  // namespace

}  // namespace quarry::bench

int main(int count, char** arguments) {
  using namespace quarry::bench;
  const settings given =
      parse(count, arguments, {.threads = 1, .operations = 8'000'000},
            {{"building", building, 1, 1'000'000}, {"longest", longest, shortest, 1024 * mib}});
  return run(given, build<heap<untimed>>, build<heap<timed>>);
}
