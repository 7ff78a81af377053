// A long-running program's heap: most blocks are small and die young, a few are large, a few live
// very long, and size and age have nothing to do with each other.
//
// One operation: a block allocated, and freed when its time has come.
#include "workload.h"

namespace quarry::bench {

namespace {

std::uint64_t smallest = 24;
std::uint64_t largest = 64 * kib;

// Time is counted in allocations.
constexpr std::uint64_t horizon = 1 << 14;

struct object {
  object* next;  // With the same end.
  std::size_t size;
};

struct distributions {
  drawn sizes;
  drawn lifetimes;
};

template <typename Heap>
class population {
 public:
  population(const distributions& from, random_bits random)
      : random_(random), size_(from.sizes, random_), lifetime_(from.lifetimes, random_) {}

  void tick() {
    now_ = (now_ + 1) % horizon;
    bury(now_);
    be_born((now_ + lifetime_.next()) % horizon);
  }

  std::uint64_t end() {
    for (std::uint64_t time = 0; time < horizon; ++time)
      bury(time);
    return checksum_;
  }

 private:
  void be_born(std::uint64_t death) {
    const std::size_t size = size_.next();
    auto* born = static_cast<object*>(Heap::allocate(size));
    *born = {ends_[death], size};
    fill(born, sizeof(object), size, random_.next());
    ends_[death] = born;
  }

  void bury(std::uint64_t time) {
    while (object* dead = ends_[time]) {
      ends_[time] = dead->next;
      checksum_ += contents(dead, sizeof(object), dead->size);
      Heap::release(dead);
    }
  }

  random_bits random_;
  cursor size_;
  cursor lifetime_;
  std::uint64_t now_ = 0;
  std::uint64_t checksum_ = 0;
  std::vector<object*> ends_ = std::vector<object*>(horizon);
};

template <typename Heap>
result live_and_die(const settings& given) {
  const distributions from{
      pareto_numbers(given.seed, static_cast<double>(smallest), static_cast<double>(largest), 1.1),
      pareto_numbers(given.seed + 1, 4, horizon - 1, 0.6)};
  const outcome all = run_threads(given.threads, [&](std::uint64_t index) {
    population<Heap> objects(from, random_bits(given.seed, index));
    const std::uint64_t births = share(given.operations, given.threads, index);
    for (std::uint64_t i = 0; i < births; ++i)
      objects.tick();
    return objects.end();
  });
  return {given.operations, all.seconds, all.checksum};
}

}  // namespace

}  // namespace quarry::bench

int main(int count, char** arguments) {
  using namespace quarry::bench;
  const settings given =
      parse(count, arguments, {.threads = 1, .operations = 40'000'000},
            {{"smallest", smallest, sizeof(object), mib}, {"largest", largest, 16, 64 * mib}});
  if (smallest > largest) refuse("--smallest is greater than --largest");
  return run(given, live_and_die<heap<untimed>>, live_and_die<heap<timed>>);
}
