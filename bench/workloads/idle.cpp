// A thousand threads, mostly idle, as those of a server with a thread per connection: now and then
// all wake up, allocate and free a little and sleep again. What counts is the memory that each
// costs in the end, beyond its stack.
//
// One operation: a block allocated and freed.
#include <pthread.h>

#include "workload.h"

namespace quarry::bench {

namespace {

std::uint64_t blocks_per_turn = 200;
std::uint64_t smallest = 16;
std::uint64_t largest = 2560;

constexpr auto settled = std::chrono::seconds(1);

// As much of the stack as the work needs, touched before memory is first measured.
[[gnu::noinline]] void touch_stack() {
  volatile unsigned char stack[16 * kib];
  for (std::size_t at = 0; at < sizeof stack; at += cache_line)
    stack[at] = 1;
}

template <typename Heap>
std::uint64_t take_turn(random_bits& random) {
  constexpr std::size_t at_a_time = 50;
  block blocks[at_a_time];
  std::uint64_t checksum = 0;
  for (std::uint64_t i = 0; i < blocks_per_turn + at_a_time; ++i) {
    block& place = blocks[i % at_a_time];
    if (place.address != nullptr) checksum += give_back<Heap>(place);
    place = {};
    if (i < blocks_per_turn) {
      const std::uint64_t tag = random.next();
      place = take<Heap>(random.between(smallest, largest), tag);
    }
  }
  return checksum;
}

// What wakes the threads and the program's first one, all together. Unlike std::barrier, it does
// not spin.
class alarm_clock {
 public:
  explicit alarm_clock(std::uint64_t sleepers) {
    pthread_barrier_init(&barrier_, nullptr, static_cast<unsigned>(sleepers));
  }

  alarm_clock(const alarm_clock&) = delete;
  alarm_clock& operator=(const alarm_clock&) = delete;
  ~alarm_clock() { pthread_barrier_destroy(&barrier_); }

  void wait() { pthread_barrier_wait(&barrier_); }

 private:
  pthread_barrier_t barrier_;
};

template <typename Heap>
std::uint64_t be_idle(alarm_clock& wake, random_bits random, std::uint64_t turns) {
  std::uint64_t checksum = 0;
  touch_stack();
  wake.wait();
  for (std::uint64_t turn = 0; turn < turns; ++turn) {
    wake.wait();
    checksum += take_turn<Heap>(random);
  }
  wake.wait();
  wake.wait();  // Idle until memory has been measured.
  return checksum;
}

template <typename Heap>
result wake_now_and_then(const settings& given) {
  const std::uint64_t per_turn = given.threads * blocks_per_turn;
  const std::uint64_t turns = std::max<std::uint64_t>(given.operations / per_turn, 1);
  std::vector<std::uint64_t> checksums(given.threads);
  alarm_clock wake(given.threads + 1);
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < given.threads; ++i) {
    threads.emplace_back(
        [&, i] { checksums[i] = be_idle<Heap>(wake, random_bits(given.seed, i), turns); });
  }
  wake.wait();
  const auto before = static_cast<double>(resident_bytes());
  const stopwatch watch;
  for (std::uint64_t turn = 0; turn <= turns; ++turn)
    wake.wait();
  result all{turns * per_turn, watch.seconds()};
  std::this_thread::sleep_for(settled);
  const auto after = static_cast<double>(resident_bytes());
  wake.wait();
  for (std::thread& thread : threads)
    thread.join();
  for (const std::uint64_t checksum : checksums)
    all.checksum += checksum;
  all.figures = {
      {"resident_bytes", after},
      {"resident_kib_per_thread", (after - before) / kib / static_cast<double>(given.threads)}};
  return all;
}

}  // namespace

}  // namespace quarry::bench

int main(int count, char** arguments) {
  using namespace quarry::bench;
  const settings given = parse(count, arguments, {.threads = 1000, .operations = 6'000'000},
                               {{"blocks", blocks_per_turn, 1, 1'000'000},
                                {"smallest", smallest, 8, mib},
                                {"largest", largest, 8, mib}});
  if (smallest > largest) refuse("--smallest is greater than --largest");
  return run(given, wake_now_and_then<heap<untimed>>, wake_now_and_then<heap<timed>>);
}
