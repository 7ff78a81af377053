// A C++ program that replaces some of the operators, as C++20 17.6.3 allows: each by itself, and
// those that it leaves alone then call what it has put there. With QUARRY_REPLACE_ARRAYS those for
// arrays alone, else those for single objects.

#include <new>
#include <string>
#include <vector>

#include "check.h"

namespace {

// In front of each block, so that nobody else can free it.
constexpr size_t header = 64;
int allocated, released;

void* allocate(size_t size) {
  ++allocated;
  char* block = static_cast<char*>(aligned_alloc(header, header + size));
  if (!block) throw std::bad_alloc();
  return block + header;
}

void release(void* block) {
  if (!block) return;
  ++released;
  free(static_cast<char*>(block) - header);
}

}  // namespace

#ifdef QUARRY_REPLACE_ARRAYS
void* operator new[](size_t size) {
  return allocate(size);
}
void* operator new[](size_t size, std::align_val_t) {
  return allocate(size);
}
void operator delete[](void* block) noexcept {
  release(block);
}
void operator delete[](void* block, std::align_val_t) noexcept {
  release(block);
}
constexpr bool single_objects = false;
#else
void* operator new(size_t size) {
  return allocate(size);
}
void* operator new(size_t size, std::align_val_t) {
  return allocate(size);
}
void operator delete(void* block) noexcept {
  release(block);
}
void operator delete(void* block, std::align_val_t) noexcept {
  release(block);
}
constexpr bool single_objects = true;
#endif

namespace {

volatile size_t impossible = PTRDIFF_MAX;
constexpr std::align_val_t alignment{64};
using std::nothrow;

// A form of new with a form of delete that goes with it.
#define CHECK_FORMS(replaced, new_call, delete_call) \
  do {                                               \
    allocated = released = 0;                        \
    void* block = new_call;                          \
    CHECK(block != nullptr);                         \
    CHECK(allocated == (replaced ? 1 : 0));          \
    memset(block, 1, 100);                           \
    delete_call;                                     \
    CHECK(released == (replaced ? 1 : 0));           \
  } while (0)

void check_single_objects() {
  constexpr bool r = single_objects;
  CHECK_FORMS(r, operator new(100), operator delete(block));
  CHECK_FORMS(r, operator new(100), operator delete (block, size_t{100}));
  CHECK_FORMS(r, operator new(100, nothrow), operator delete(block, nothrow));
  CHECK_FORMS(r, operator new(100, alignment), operator delete(block, alignment));
  CHECK_FORMS(r, operator new(100, alignment), operator delete (block, size_t{100}, alignment));
  CHECK_FORMS(r, operator new(100, alignment, nothrow), operator delete(block, alignment, nothrow));
}

// By default they are those for single objects.
void check_arrays() {
  CHECK_FORMS(true, operator new[](100), operator delete[](block));
  CHECK_FORMS(true, operator new[](100), operator delete[](block, size_t{100}));
  CHECK_FORMS(true, operator new[](100, nothrow), operator delete[](block, nothrow));
  CHECK_FORMS(true, operator new[](100, alignment), operator delete[](block, alignment));
  CHECK_FORMS(
      true, operator new[](100, alignment), operator delete[](block, size_t{100}, alignment));
  CHECK_FORMS(
      true, operator new[](100, alignment, nothrow), operator delete[](block, alignment, nothrow));
}

// What the program's throws is null.
void check_failures() {
  CHECK(operator new(impossible, nothrow) == nullptr);
  CHECK(operator new[](impossible, nothrow) == nullptr);
  CHECK(operator new(impossible, alignment, nothrow) == nullptr);
  CHECK(operator new[](impossible, alignment, nothrow) == nullptr);
}

// What the library allocates and the program frees, and the other way round.
void check_library() {
  std::vector<std::string> texts;
  for (int i = 0; i < 1000; ++i)
    texts.push_back(std::string(i, 'x'));
  for (int i = 0; i < 1000; ++i)
    CHECK(texts[i] == std::string(i, 'x'));
}

}  // namespace

int main() {
  CHECK(free_is_quarrys());
  check_single_objects();
  check_arrays();
  check_failures();
  check_library();
  return 0;
}
