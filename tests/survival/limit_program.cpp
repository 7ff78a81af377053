// Runs under a limit that was set before it was executed, so that the allocator starts under it:
//   limit_program start          every kind of small request works
//   limit_program exhaust SIZE   blocks of SIZE bytes until memory ends, half freed, and again
//   limit_program exhaust mixed  the same with all sizes
//   limit_program churn MB       MB alive at a time, of ever other sizes
// Blocks are chained through themselves, since a list beside them would need memory when there is
// none.
#include <cerrno>
#include <cstdio>
#include <initializer_list>

#include "content.h"

namespace {

using survival::block;
using survival::generator;

struct link {
  link* next;
  std::size_t size;
};

constexpr std::size_t mixed = 0;

block content_of(link* l) {
  return {reinterpret_cast<unsigned char*>(l + 1), l->size - sizeof(link), l->size * 31};
}

class hoard {
 public:
  explicit hoard(std::size_t size) : size_(size), random_(1) {}

  // Until NULL, or until so many are held; how many bytes it came to. Where sizes are mixed, memory
  // has ended only when there is none for small blocks either.
  std::size_t take(std::size_t bytes) {
    std::size_t taken = 0;
    largest_ = 4 << 20;
    while (taken < bytes) {
      const std::size_t size = next_size();
      errno = 0;
      auto* l = static_cast<link*>(malloc(size));
      if (l == nullptr) {
        end_was_enomem_ &= errno == ENOMEM;
        largest_ /= 2;
        if (size_ == mixed && largest_ > 64) {
          continue;
        }
        return taken;
      }
      push(l, size);
      taken += size;
    }
    return taken;
  }

  std::size_t take_until_the_end() { return take(SIZE_MAX); }

  // Checks all blocks and frees one in `divisor`; how many bytes those held.
  std::size_t give_back_one_in(unsigned divisor) {
    std::size_t given = 0;
    unsigned count = 0;
    for (link** at = &first_; *at != nullptr;) {
      link* l = *at;
      all_whole_ &= survival::whole(content_of(l));
      if (++count % divisor == 0) {
        *at = l->next;
        given += l->size;
        free(l);
      } else {
        at = &l->next;
      }
    }
    return given;
  }

  // Every block of some size to a quarter, which needs no memory; whether all were to be had.
  bool shrink_all() {
    constexpr std::size_t some = 1000;
    for (link** at = &first_; *at != nullptr; at = &(*at)->next) {
      const std::size_t before = (*at)->size;
      if (before < some) {
        continue;
      }
      const std::size_t wanted = sizeof(link) + (before - sizeof(link)) / 4;
      auto* l = static_cast<link*>(realloc(*at, wanted));
      if (l == nullptr) {
        return false;
      }
      *at = l;
      l->size = wanted;
      block kept = content_of(l);
      kept.seed = before * 31;
      all_whole_ &= survival::whole(kept);
      survival::fill(content_of(l));
    }
    return true;
  }

  bool all_whole() const { return all_whole_; }
  bool end_was_enomem() const { return end_was_enomem_; }

 private:
  std::size_t next_size() {
    return size_ != mixed ? size_ : sizeof(link) + random_.size_up_to(largest_);
  }

  void push(link* l, std::size_t size) {
    *l = {first_, size};
    first_ = l;
    survival::fill(content_of(l));
  }

  std::size_t size_;
  std::size_t largest_ = 0;
  generator random_;
  link* first_ = nullptr;
  bool all_whole_ = true;
  bool end_was_enomem_ = true;
};

int expect(bool condition, const char* what) {
  if (!condition) {
    printf("not so: %s\n", what);
  }
  return condition ? 0 : 1;
}

int start() {
  int wrong = 0;
  for (int i = 0; i < 100; ++i) {
    wrong += expect(survival::small_sizes_work(i), "small sizes work");
  }
  auto* zeroed = static_cast<unsigned char*>(calloc(1, 1 << 20));
  wrong += expect(zeroed != nullptr && zeroed[(1 << 20) - 1] == 0, "calloc of 1 MiB");
  void* aligned = nullptr;
  wrong += expect(posix_memalign(&aligned, 64 << 10, 100) == 0, "posix_memalign to 64 KiB");
  free(aligned);
  free(zeroed);
  return wrong;
}

// A request that cannot be met fails by itself and leaves the heap as it was.
int refuse_too_much() {
  block before = survival::take(5000, 1);
  errno = 0;
  void* too_much = malloc(std::size_t{3} << 40);
  int wrong = expect(too_much == nullptr && errno == ENOMEM, "3 TiB are refused with ENOMEM");
  errno = 0;
  unsigned char* same = before.bytes;
  too_much = realloc(same, std::size_t{3} << 40);
  wrong += expect(too_much == nullptr && errno == ENOMEM, "realloc to 3 TiB is refused");
  wrong += expect(survival::give_back(before), "the block beside it is whole");
  return wrong + expect(survival::small_sizes_work(2), "small sizes still work");
}

int exhaust(std::size_t size) {
  hoard held(size);
  const std::size_t all = held.take_until_the_end();
  int wrong = expect(all > (100 << 20), "100 MB were to be had");
  const std::size_t half = held.give_back_one_in(2);
  const std::size_t again = held.take_until_the_end();
  wrong += expect(again >= half / 2, "what was freed can be had again");
  held.give_back_one_in(3);
  wrong += expect(held.take_until_the_end() > 0, "and again");
  wrong += expect(held.shrink_all(), "what shrinks can be had without memory");
  held.give_back_one_in(1);
  wrong += expect(held.all_whole(), "every block stayed whole");
  wrong += expect(held.end_was_enomem(), "errno was ENOMEM whenever memory ended");
  // All is free: what was cut into blocks of one size must do for others.
  for (std::size_t other : {std::size_t{100}, std::size_t{30000}, std::size_t{2} << 20}) {
    hoard next(other);
    wrong += expect(next.take_until_the_end() >= all / 2, "memory of one size serves another");
    next.give_back_one_in(1);
    wrong += expect(next.all_whole(), "blocks of another size are whole");
  }
  return wrong + refuse_too_much();
}

// Fills the same megabytes with one size after the other: what is kept of the size before counts
// against the limit.
int churn(std::size_t bytes) {
  int wrong = 0;
  for (std::size_t size : {64u, 1u << 20, 700u, 200000u, 5000u, 64u}) {
    hoard held(size);
    wrong += expect(held.take(bytes) >= bytes, "the limit has room for them");
    held.give_back_one_in(1);
    wrong += expect(held.all_whole(), "every block stayed whole");
  }
  return wrong;
}

}  // namespace

int main(int count, char** arguments) {
  const char* mode = count > 1 ? arguments[1] : "";
  const std::size_t number = count > 2 ? strtoul(arguments[2], nullptr, 10) : 0;
  if (strcmp(mode, "start") == 0) {
    return start() + refuse_too_much();
  }
  if (strcmp(mode, "exhaust") == 0) {
    return exhaust(number);
  }
  return strcmp(mode, "churn") == 0 ? churn(number << 20) : 2;
}
