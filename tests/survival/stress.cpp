// stress [--seconds N] [--threads N] [--seed N]
// Threads that allocate in every way the malloc family offers and pass the blocks to one another;
// every block is filled, and checked when it is freed, most often by another thread than took it.
// Prints what was done; ends with 1 if a block was broken, and a seed that makes the same requests
// again.
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <vector>

#include "content.h"
#include "proc.h"

namespace {

using survival::block;
using survival::generator;

struct options {
  unsigned long seconds = 3;
  unsigned long threads = 4;
  unsigned long seed = 1;
};

// A held block stands in memory of its own, so that a single word can change hands.
using slot = std::atomic<block*>;

struct shared_state {
  std::vector<slot> slots = std::vector<slot>(4096);
  std::atomic<bool> stopping{false};
  std::atomic<unsigned long> operations{0};
  std::atomic<unsigned long> broken{0};
  unsigned long seed = 0;
  std::atomic<unsigned long> next_thread{0};
};

class worker {
 public:
  worker(shared_state& shared, std::uint64_t seed) : shared_(shared), random_(seed) {}

  void run() {
    while (!shared_.stopping.load(std::memory_order_relaxed)) {
      for (int i = 0; i < 100; ++i) {
        step();
      }
      shared_.operations.fetch_add(100, std::memory_order_relaxed);
    }
  }

  void give_back(block* held) {
    if (held == nullptr) {
      return;
    }
    if (!survival::give_back(*held)) {
      report(*held, "is not what it was filled with");
    }
    free(held);
  }

 private:
  // Takes what another thread left in a slot; frees it or changes its size, and leaves a block
  // there.
  void step() {
    slot& chosen = shared_.slots[random_.below(shared_.slots.size())];
    block* held = chosen.exchange(nullptr, std::memory_order_acq_rel);
    if (held != nullptr && random_.below(4) == 0) {
      resize(*held);
    } else {
      give_back(held);
      held = random_.below(8) == 0 ? nullptr : allocate();
    }
    give_back(chosen.exchange(held, std::memory_order_acq_rel));
  }

  std::size_t any_size() {
    return random_.below(64) == 0 ? random_.below(1 << 20) + 1 : random_.size_up_to(1 << 20);
  }

  block* allocate() {
    auto* held = static_cast<block*>(malloc(sizeof(block)));
    *held = {nullptr, any_size(), random_.next()};
    switch (random_.below(8)) {
      case 0:
        held->bytes = static_cast<unsigned char*>(calloc(1, held->size));
        check_zero(*held);
        break;
      case 1:
        held->bytes = aligned(held->size);
        break;
      default:
        held->bytes = static_cast<unsigned char*>(malloc(held->size));
    }
    if (held->bytes == nullptr) {
      report(*held, "was refused");
      free(held);
      return nullptr;
    }
    if (random_.below(4) == 0) {
      held->size = malloc_usable_size(held->bytes);
    }
    survival::fill(*held);
    return held;
  }

  unsigned char* aligned(std::size_t size) {
    const std::size_t alignment = std::size_t{16} << random_.below(13);
    void* bytes = nullptr;
    if (posix_memalign(&bytes, alignment, size) != 0) {
      return nullptr;
    }
    if (reinterpret_cast<std::uintptr_t>(bytes) % alignment != 0) {
      report({static_cast<unsigned char*>(bytes), size, 0}, "is not aligned");
    }
    return static_cast<unsigned char*>(bytes);
  }

  void check_zero(const block& b) {
    for (std::size_t i = 0; b.bytes != nullptr && i < b.size; ++i) {
      if (b.bytes[i] != 0) {
        report(b, "is not zero");
        return;
      }
    }
  }

  void resize(block& b) {
    const std::size_t size = any_size();
    auto* moved = static_cast<unsigned char*>(realloc(b.bytes, size));
    if (moved == nullptr) {
      report(b, "was refused another size");
      return;
    }
    const std::size_t kept = size < b.size ? size : b.size;
    b.bytes = moved;
    if (!survival::whole(b, kept)) {
      report(b, "lost content when it was resized");
    }
    b.size = size;
    survival::fill(b);
  }

  void report(const block& b, const char* what) {
    if (shared_.broken.fetch_add(1, std::memory_order_relaxed) < 10) {
      fprintf(stderr, "stress: block %p of %zu bytes %s\n", static_cast<void*>(b.bytes), b.size,
              what);
    }
  }

  shared_state& shared_;
  generator random_;
};

void* run_worker(void* argument) {
  auto& shared = *static_cast<shared_state*>(argument);
  worker(shared, shared.seed * 1000 + shared.next_thread.fetch_add(1)).run();
  return nullptr;
}

bool parse(int count, char** arguments, options& chosen) {
  const struct {
    const char* name;
    unsigned long* value;
  } known[] = {
      {"--seconds", &chosen.seconds}, {"--threads", &chosen.threads}, {"--seed", &chosen.seed}};
  for (int i = 1; i < count; i += 2) {
    bool found = false;
    for (const auto& option : known) {
      if (strcmp(arguments[i], option.name) == 0 && i + 1 < count) {
        char* end = nullptr;
        *option.value = strtoul(arguments[i + 1], &end, 10);
        found = end != arguments[i + 1] && *end == '\0';
      }
    }
    if (!found) {
      fprintf(stderr, "usage: %s [--seconds N] [--threads N] [--seed N]\n", arguments[0]);
      return false;
    }
  }
  return true;
}

void run_threads(shared_state& shared, const options& chosen) {
  std::vector<pthread_t> threads(chosen.threads);
  for (pthread_t& thread : threads) {
    if (pthread_create(&thread, nullptr, run_worker, &shared) != 0) {
      fprintf(stderr, "stress: no more threads\n");
      _exit(2);
    }
  }
  survival::sleep_milliseconds(chosen.seconds * 1000);
  shared.stopping = true;
  for (pthread_t thread : threads) {
    pthread_join(thread, nullptr);
  }
}

}  // namespace

int main(int count, char** arguments) {
  options chosen;
  if (!parse(count, arguments, chosen)) {
    return 2;
  }
  shared_state shared;
  shared.seed = chosen.seed;
  run_threads(shared, chosen);
  worker last(shared, 0);
  for (slot& s : shared.slots) {
    last.give_back(s.exchange(nullptr));
  }
  printf("%lu operations by %lu threads in %lu s, seed %lu, %lu broken blocks\n",
         shared.operations.load(), chosen.threads, chosen.seconds, chosen.seed,
         shared.broken.load());
  return shared.broken == 0 && shared.operations > 0 ? 0 : 1;
}
