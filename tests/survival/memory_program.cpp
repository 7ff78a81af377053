// memory_program KIND MB all|half|most idle|busy|trim
// Takes MB of blocks of one kind ("64", "700", "5000", "200000", "8000000" bytes or "mixed", the
// three small ones), touches them, frees all of them, every other contiguous eighth or all but each
// hundredth in random order, and says whether resident memory is back under 1.25 times the live
// bytes plus 8 MB within a second: while it sleeps, while it goes on allocating a little, or at
// once after malloc_trim(0). Each hundredth block keeps its pages, and a 16th of what its size has
// in use may stay.
#include <malloc.h>
#include <sys/mman.h>

#include <cstdio>

#include "content.h"
#include "proc.h"

namespace {

// The list of blocks stands apart from the allocator under test, and is gone before memory is
// measured.
class block_list {
 public:
  explicit block_list(std::size_t capacity)
      : bytes_(capacity * sizeof(void*)),
        blocks_(static_cast<void**>(
            mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}
  ~block_list() { munmap(blocks_, bytes_); }
  block_list(const block_list&) = delete;
  block_list& operator=(const block_list&) = delete;

  void push(void* block) { blocks_[count_++] = block; }
  std::size_t count() const { return count_; }

  // Leaves each hundredth of them out.
  std::size_t keep_each_hundredth() {
    std::size_t kept = 0, freed = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      if (i % 100 == 50) {
        ++kept;
      } else {
        blocks_[freed++] = blocks_[i];
      }
    }
    count_ = freed;
    return kept;
  }

  void free_in_random_order(std::size_t from, std::size_t to) {
    survival::generator random(from + 1);
    for (std::size_t left = to - from; left > 0; --left) {
      const std::size_t chosen = from + random.below(left);
      free(blocks_[chosen]);
      blocks_[chosen] = blocks_[from + left - 1];
    }
  }

 private:
  std::size_t bytes_;
  std::size_t count_ = 0;
  void** blocks_;
};

std::size_t size_of(const char* kind, std::size_t index) {
  constexpr std::size_t small[] = {64, 700, 5000};
  return strcmp(kind, "mixed") == 0 ? small[index % 3] : strtoul(kind, nullptr, 10);
}

// The burst; how many bytes are left alive, in whole pages where each hundredth block is.
std::size_t take_and_free(const char* kind, std::size_t total, const char* freed) {
  block_list blocks(total / (strcmp(kind, "mixed") == 0 ? 1000 : size_of(kind, 0)) + 8);
  std::size_t taken = 0;
  std::size_t eighth_end[9] = {};
  for (int eighth = 1; eighth <= 8; ++eighth) {
    while (taken < total / 8 * eighth) {
      const std::size_t size = size_of(kind, blocks.count());
      void* p = malloc(size);
      memset(p, 1, size);
      blocks.push(p);
      taken += size;
    }
    eighth_end[eighth] = blocks.count();
  }
  if (strcmp(freed, "most") == 0) {
    const std::size_t kept = blocks.keep_each_hundredth();
    blocks.free_in_random_order(0, blocks.count());
    return kept * 2 * 4096 + total / 100;
  }
  const bool half = strcmp(freed, "half") == 0;
  std::size_t live = 0;
  for (int eighth = 0; eighth < 8; ++eighth) {
    if (half && eighth % 2 == 0) {
      live += total / 8;
    } else {
      blocks.free_in_random_order(eighth_end[eighth], eighth_end[eighth + 1]);
    }
  }
  return live;
}

// Ten milliseconds; of a busy program those that it has a processor for.
void pass_time(bool busy) {
  const double until = survival::seconds_run() + 0.01;
  if (!busy) {
    survival::sleep_milliseconds(10);
    return;
  }
  for (std::uint64_t seed = 0; survival::seconds_run() < until; ++seed) {
    if (!survival::small_sizes_work(seed)) {
      abort();
    }
  }
}

bool comes_back(std::size_t bound, const char* manner) {
  if (strcmp(manner, "trim") == 0) {
    malloc_trim(0);
    return survival::resident_bytes() <= bound;
  }
  // A second; longer where the machine is late.
  for (int i = 0; i < 100 && survival::resident_bytes() > bound; ++i) {
    pass_time(strcmp(manner, "busy") == 0);
  }
  return survival::resident_bytes() <= bound;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) {
    return 2;
  }
  const std::size_t total = strtoul(arguments[2], nullptr, 10) << 20;
  const bool most = strcmp(arguments[3], "most") == 0;
  const std::size_t live = take_and_free(arguments[1], total, arguments[3]);
  const std::size_t may_stay = (8 << 20) + (most ? total / 16 : 0);
  const bool back = comes_back(live + live / 4 + may_stay, arguments[4]);
  printf("live %zu resident %zu\n", live, survival::resident_bytes());
  return back ? 0 : 1;
}
