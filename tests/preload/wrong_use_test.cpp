// Wrong use ends in one line, which names the call, the pointer and the reason, and in abort().
// Small blocks wait in arrays after they are freed, so what is wrong with them may be seen as late
// as exit(), which empties those of its CPU, or malloc_trim(0), which empties all. With the option
// `checks` all of it is seen by the wrong call itself.

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <span>
#include <thread>

#include "block.h"
#include "child.h"

using namespace preload_test;

namespace {

// A line of the one form, as an extended regular expression.
std::string line(const std::string& calls, uintptr_t pointer, const std::string& reason) {
  char text[32];
  snprintf(text, sizeof text, "%#lx", pointer);
  return "quarry: (" + calls + ")\\(" + text + "\\): " + reason;
}

const std::string foreign = "not a block of this allocator";
const std::string freed = "already free";

std::string inside(uintptr_t begin) {
  char text[64];
  snprintf(text, sizeof text, "inside a block that begins at %#lx", begin);
  return text;
}

template <typename pointer>
void* as_pointer(pointer address) {
  return opaque(reinterpret_cast<void*>(address));
}

// Whether the option is on. Then nothing happens after a wrong call that could still find it.
const bool at_once = [] {
  const char* options = getenv("QUARRY_CONF");
  return options && strstr(options, "checks:on");
}();

void empty_all_arrays() {
  if (!at_once) malloc_trim(0);
}

[[noreturn]] void end_child() {
  at_once ? _exit(0) : exit(0);
}

struct checked_call {
  const char* names;
  void (*call)(void*);

  // The first is the call's own; the others are those under which a batch is flushed.
  std::string expected() const { return at_once ? first_name() : names; }
  std::string first_name() const { return std::string(names, strcspn(names, "|")); }
};

void PrintTo(const checked_call& checked, std::ostream* out) {
  *out << checked.names;
}

// The calls that take a block, each with the names under which it may report, free first. A shift
// of contents makes realloc free or resize the block itself.
const checked_call checked_calls[] = {
    {"free", [](void* p) { free(p); }},
    {"realloc", [](void* p) { opaque(realloc(p, 100'000)); }},
    {"realloc", [](void* p) { opaque(realloc(p, 10)); }},
    {"realloc", [](void* p) { opaque(reallocarray(p, 100, 1000)); }},
    {"malloc_usable_size", [](void* p) { opaque(malloc_usable_size(p)); }},
    {"free_sized|free",
     [](void* p) {
       reinterpret_cast<void (*)(void*, size_t)>(dlsym(RTLD_DEFAULT, "free_sized"))(p, 64);
     }},
    {"free_aligned_sized|free",
     [](void* p) {
       reinterpret_cast<void (*)(void*, size_t, size_t)>(dlsym(RTLD_DEFAULT, "free_aligned_sized"))(
           p, 64, 64);
     }},
    {"cfree|free",
     [](void* p) { reinterpret_cast<void (*)(void*)>(dlsym(RTLD_DEFAULT, "cfree"))(p); }},
    {"operator delete|free", [](void* p) { operator delete(p); }},
    {"operator delete|free", [](void* p) { operator delete (p, size_t{64}); }},
};

void move_to(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  sched_setaffinity(0, sizeof one, &one);
}

// So that what one call leaves in this CPU's arrays the next one finds there.
void stay_on_this_cpu() {
  move_to(sched_getcpu());
}

// One that the tests may run on; this one where there is no other.
int another_cpu() {
  cpu_set_t allowed;
  sched_getaffinity(getppid(), sizeof allowed, &allowed);
  const int here = sched_getcpu();
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
    if (cpu != here && CPU_ISSET(cpu, &allowed)) return cpu;
  }
  return here;
}

int static_object[64];

class WrongPointer : public testing::TestWithParam<checked_call> {
 protected:
  static void expect_line(uintptr_t pointer, const std::string& reason) {
    EXPECT_TRUE(dies_with_one_line(
        [&] {
          stay_on_this_cpu();
          GetParam().call(as_pointer(pointer));
          end_child();
        },
        line(GetParam().expected(), pointer, reason)));
  }

  // Frees the block in the child, so that the test's own allocations cannot take it again.
  static void expect_line_once_freed(void* block, const std::string& reason) {
    EXPECT_TRUE(dies_with_one_line(
        [&] {
          stay_on_this_cpu();
          free(opaque(block));
          empty_all_arrays();
          GetParam().call(opaque(block));
          end_child();
        },
        line(GetParam().expected(), address_of(block), reason)));
  }
};

TEST_P(WrongPointer, ToTheStackOrAStaticObjectIsNamed) {
  int stack_object[64];
  expect_line(address_of(stack_object), foreign);
  expect_line(address_of(stack_object) + 1, foreign);
  expect_line(address_of(static_object), foreign);
  expect_line(address_of(reinterpret_cast<void*>(&address_of)), foreign);
}

TEST_P(WrongPointer, ToAMappingOfTheProgramIsNamed) {
  for (size_t size : {size_t{4096}, size_t{1} << 20, size_t{100} << 20}) {
    void* mapping = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(mapping, MAP_FAILED);
    expect_line(address_of(mapping), foreign);
    expect_line(address_of(mapping) + 64, foreign);
    munmap(mapping, size);
  }
}

TEST_P(WrongPointer, ThatIsGarbageIsNamed) {
  expect_line(0x1, foreign);
  expect_line(0x10, foreign);
  expect_line(0xdeadbeef000, foreign);
  expect_line(0x8000000000000000, foreign);
  expect_line(0xfffffffffffffff0, foreign);
}

// Addresses near the heap at which there is nothing.
TEST_P(WrongPointer, FarBehindOrBeforeABlockIsNamed) {
  void* block = malloc(64);
  expect_line(address_of(block) + (size_t{64} << 30), foreign);
  expect_line(address_of(block) - (size_t{64} << 30), foreign);
  free(block);
}

TEST_P(WrongPointer, InsideASmallBlockIsNamedWithItsBegin) {
  for (size_t size : {24, 64, 100, 1000, 5000, 20'000}) {
    void* block = malloc(size);
    const uintptr_t begin = address_of(block);
    expect_line(begin + 16, inside(begin));
    expect_line(begin + 8, inside(begin));
    expect_line(begin + 1, inside(begin));
    free(block);
  }
}

TEST_P(WrongPointer, InsideALargeBlockIsNamedWithItsBegin) {
  for (size_t size : {size_t{300'000}, size_t{3} << 20, size_t{100} << 20}) {
    void* block = malloc(size);
    const uintptr_t begin = address_of(block);
    for (size_t offset : {size_t{1}, size_t{16}, size_t{4096}, size_t{200'000}, size - 1}) {
      expect_line(begin + offset, inside(begin));
    }
    free(block);
  }
}

TEST_P(WrongPointer, ToALargeBlockThatIsFreeIsNamed) {
  for (size_t size : {size_t{300'000}, size_t{3} << 20, size_t{100} << 20}) {
    void* block = malloc(size);
    fill(block, size, 1);
    expect_line_once_freed(block, freed);
    free(block);
  }
}

// Neighbours that stay in use keep the slab, and so the knowledge of what is free in it.
TEST_P(WrongPointer, ToASmallBlockThatIsFreeIsNamed) {
  for (size_t size : {16, 64, 1000, 20'000}) {
    std::vector<void*> blocks(1000);
    for (void*& block : blocks)
      block = malloc(size);
    expect_line_once_freed(blocks[500], freed);
    for (void* block : blocks)
      free(block);
  }
}

INSTANTIATE_TEST_SUITE_P(Calls, WrongPointer, testing::ValuesIn(checked_calls),
                         [](const auto& info) {
                           std::string name = info.param.first_name() + std::to_string(info.index);
                           std::replace(name.begin(), name.end(), ' ', '_');
                           return name;
                         });

class DoubleFree : public testing::TestWithParam<size_t> {
 protected:
  using misuse_fn = void (*)(void* block, std::vector<void*>& others, void (*again)(void*));

  // `again` is a second free, and with the option also any other of the calls.
  void expect_line(misuse_fn misuse) {
    for (const checked_call& c :
         std::span(checked_calls).first(at_once ? std::size(checked_calls) : 1))
      expect_line(misuse, c);
  }

  // Allocates in the parent, so that the pointer is known, and goes wrong in the child.
  void expect_line(misuse_fn misuse, const checked_call& again) {
    std::vector<void*> others(200);
    for (size_t i = 0; i < 100; ++i)
      others[i] = malloc(GetParam());
    void* block = malloc(GetParam());
    for (size_t i = 100; i < 200; ++i)
      others[i] = malloc(GetParam());
    EXPECT_TRUE(dies_with_one_line(
        [&] {
          stay_on_this_cpu();
          misuse(block, others, again.call);
          end_child();
        },
        line(again.expected(), address_of(block), freed)));
    for (void* other : others)
      free(other);
    free(block);
  }
};

TEST_P(DoubleFree, AtOnceIsNamed) {
  expect_line([](void* block, auto&, auto again) {
    free(opaque(block));
    again(opaque(block));
  });
}

// Before anything else happens, by whatever call.
TEST_P(DoubleFree, IsNamedByTheNextCallAlready) {
  const checked_call calls[] = {
      {"free", [](void* p) { free(p); }},
      {"realloc", [](void* p) { opaque(realloc(p, 1'000'000)); }},
      {"malloc_usable_size", [](void* p) { opaque(malloc_usable_size(p)); }},
      {"operator delete", [](void* p) { operator delete(p); }},
  };
  for (const checked_call& c : calls) {
    void* block = malloc(GetParam());
    EXPECT_TRUE(dies_with_one_line(
        [&] {
          stay_on_this_cpu();
          free(opaque(block));
          c.call(opaque(block));
          _exit(0);
        },
        line(c.names, address_of(block), freed)));
    free(block);
  }
}

TEST_P(DoubleFree, AfterThousandsOfOthersIsNamed) {
  expect_line([](void* block, auto&, auto again) {
    free(opaque(block));
    for (size_t i = 0; i < 20'000; i++)
      free(opaque(malloc(GetParam() * 2 + i % 100 * 16)));
    again(opaque(block));
  });
}

// Wherever the two frees left the block: by the time that all arrays are emptied.
TEST_P(DoubleFree, OnAnotherCpuIsNamed) {
  expect_line([](void* block, auto&, auto again) {
    free(opaque(block));
    move_to(another_cpu());
    again(opaque(block));
    empty_all_arrays();
  });
}

TEST_P(DoubleFree, WithOthersBetweenIsNamed) {
  // One in four, so that the slab stays in use.
  expect_line([](void* block, auto& others, auto again) {
    free(opaque(block));
    for (size_t i = 60; i < 140; i += 4)
      free(others[i]);
    again(opaque(block));
  });
}

TEST_P(DoubleFree, AfterTheFirstReachedTheSlabIsNamed) {
  expect_line([](void* block, auto&, auto again) {
    free(opaque(block));
    malloc_trim(0);
    again(opaque(block));
  });
}

// With all that lay beside it, so that the slab may be gone.
TEST_P(DoubleFree, AfterAllOthersWereFreedIsNamed) {
  expect_line([](void* block, auto& others, auto again) {
    free(opaque(block));
    for (void* other : others)
      free(other);
    again(opaque(block));
    empty_all_arrays();
  });
}

TEST_P(DoubleFree, FromTwoThreadsIsNamed) {
  expect_line([](void* block, auto&, auto again) {
    std::thread([=] { free(opaque(block)); }).join();
    std::thread([=] { again(opaque(block)); }).join();
    empty_all_arrays();
  });
}

TEST_P(DoubleFree, AfterReallocMovedTheBlockIsNamed) {
  expect_line([](void* block, auto&, auto again) {
    for (size_t size = GetParam(); opaque(realloc(block, size)) == block;)
      size *= 2;
    again(opaque(block));
  });
}

INSTANTIATE_TEST_SUITE_P(Sizes, DoubleFree, testing::Values(8, 16, 100, 1000, 20'000, 300'000));

// Beyond the largest size that is kept for reuse; by itself, since 200 of them are too much.
TEST(DoubleFree, OfAVeryLargeBlockIsNamed) {
  void* block = malloc(size_t{100} << 20);
  EXPECT_TRUE(dies_with_one_line(
      [&] {
        free(opaque(block));
        free(opaque(block));
      },
      line("free", address_of(block), freed)));
  free(block);
}

// Another thread that allocates all the time does not garble the line, and nobody prints a second
// one.
TEST(WrongUse, IsNamedInOneLineWhileOtherThreadsAllocate) {
  const auto go_wrong_among_threads = [] {
    for (int i = 0; i < 4; ++i) {
      std::thread([] {
        for (size_t size = 1;; size = size * 5 % 9973)
          free(opaque(malloc(size)));
      }).detach();
    }
    free(as_pointer(0x10));
  };
  EXPECT_TRUE(dies_with_one_line(go_wrong_among_threads, line("free", 0x10, foreign)));
}

}  // namespace
