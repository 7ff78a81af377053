// Producers allocate messages, consumers on other threads read and free them. As many of the one
// as of the other, or lopsided.
//
// One operation: a message allocated, handed over and freed.
#include <array>
#include <condition_variable>
#include <mutex>

#include "workload.h"

namespace quarry::bench {

namespace {

std::uint64_t consumers = 0;  // 0: half of the threads.
std::uint64_t smallest = 16;
std::uint64_t largest = 1024;

struct message {
  std::size_t size;
};

// Messages change hands by the hundred, lest the queue cost more than the allocator.
struct batch {
  std::array<message*, 128> messages;
  std::size_t count = 0;
};

class queue {
 public:
  explicit queue(std::uint64_t producers) : producers_(producers) {}

  void push(const batch& pushed) {
    std::unique_lock guard(lock_);
    not_full_.wait(guard, [this] { return pushed_ - popped_ < ring_.size(); });
    ring_[pushed_++ % ring_.size()] = pushed;
    not_empty_.notify_one();
  }

  // False when all producers have ended and nothing is left.
  bool pop(batch& popped) {
    std::unique_lock guard(lock_);
    not_empty_.wait(guard, [this] { return popped_ < pushed_ || producers_ == 0; });
    if (popped_ == pushed_) return false;
    popped = ring_[popped_++ % ring_.size()];
    not_full_.notify_one();
    return true;
  }

  void end_producer() {
    const std::lock_guard guard(lock_);
    if (--producers_ == 0) not_empty_.notify_all();
  }

 private:
  std::mutex lock_;
  std::condition_variable not_full_;
  std::condition_variable not_empty_;
  std::array<batch, 64> ring_;
  std::uint64_t pushed_ = 0;
  std::uint64_t popped_ = 0;
  std::uint64_t producers_;
};

template <typename Heap>
message* write_message(std::size_t size, std::uint64_t tag) {
  auto* written = static_cast<message*>(Heap::allocate(size));
  written->size = size;
  fill(written, sizeof(message), size, tag);
  return written;
}

template <typename Heap>
void produce(queue& to, std::uint64_t messages, random_bits random, const drawn& sizes) {
  cursor size(sizes, random);
  batch full;
  for (std::uint64_t i = 0; i < messages; ++i) {
    full.messages[full.count++] = write_message<Heap>(size.next(), random.next());
    if (full.count == full.messages.size() || i + 1 == messages) {
      to.push(full);
      full.count = 0;
    }
  }
  to.end_producer();
}

template <typename Heap>
std::uint64_t consume(queue& from) {
  std::uint64_t checksum = 0;
  for (batch full; from.pop(full);) {
    for (std::size_t i = 0; i < full.count; ++i) {
      const message* read = full.messages[i];
      checksum += contents(read, sizeof(message), read->size);
      Heap::release(full.messages[i]);
    }
  }
  return checksum;
}

template <typename Heap>
result pass_on(const settings& given) {
  const drawn sizes =
      pareto_numbers(given.seed, static_cast<double>(smallest), static_cast<double>(largest), 1);
  const std::uint64_t producers = given.threads - consumers;
  queue between(producers);
  const outcome all = run_threads(given.threads, [&](std::uint64_t index) -> std::uint64_t {
    if (index >= producers) return consume<Heap>(between);
    produce<Heap>(between, share(given.operations, producers, index),
                  random_bits(given.seed, index), sizes);
    return 0;
  });
  return {given.operations, all.seconds, all.checksum};
}

}  // namespace

}  // namespace quarry::bench

int main(int count, char** arguments) {
  using namespace quarry::bench;
  const settings given = parse(count, arguments, {.threads = 2, .operations = 10'000'000},
                               {{"consumers", consumers, 0, 10'000},
                                {"smallest", smallest, 16, mib},
                                {"largest", largest, 16, mib}});
  if (consumers == 0) consumers = given.threads / 2;
  if (given.threads < 2) refuse("--threads: 2 is the least");
  if (consumers >= given.threads) refuse("--consumers leaves no thread to produce");
  if (smallest > largest) refuse("--smallest is greater than --largest");
  return run(given, pass_on<heap<untimed>>, pass_on<heap<timed>>);
}
