// A C++ program linked with Quarry that never names malloc: what new allocates, in a thread too,
// and what libc allocates for it must be in Quarry's slabs; new must throw when memory ends.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "slabs.h"

namespace {

constexpr unsigned long count = 100000;

bool new_throws_when_memory_ends() {
  try {
    volatile std::size_t impossible = PTRDIFF_MAX;
    delete[] new char[impossible];
  } catch (const std::bad_alloc&) {
    return true;
  }
  return false;
}

bool new_is_served() {
  const unsigned long before = objects_in_slabs();
  std::vector<std::unique_ptr<std::string>> strings;
  std::thread([&] {
    for (unsigned long i = 0; i < count; i++) {
      strings.push_back(std::make_unique<std::string>(200, 'q'));
    }
  }).join();
  return objects_in_slabs() - before >= count;
}

bool libc_is_served() {
  static char* copies[count];  // in use to the end: free would name Quarry's malloc
  const unsigned long before = objects_in_slabs();
  for (char*& copy : copies) {
    copy = strdup("a string that libc copies to a block of its own");
  }
  return objects_in_slabs() - before >= count;
}

}  // namespace

int main() {
  const bool from_new = new_is_served();
  const bool from_libc = libc_is_served();
  const bool throws = new_throws_when_memory_ends();
  std::printf("new %d, libc %d, throws %d\n", from_new, from_libc, throws);
  if (!from_new || !from_libc || !throws) {
    return 1;
  }
  std::puts("malloc is Quarry's");
}
