// The allocator started in the test's process, beside the malloc that the process itself uses: its
// pages and objects belong to the test alone. And what the kernel says of a piece of memory.
#pragma once

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "heap/heap.h"
#include "page/region.h"

namespace page_test {

using namespace quarry;

enum class helper_thread { off, on };

// Without the helper thread memory goes back only when a test says so.
inline void start_heap(helper_thread helper = helper_thread::off) {
  [[maybe_unused]] static const bool started = [=] {
    const char* conf = getenv("QUARRY_CONF");
    const std::string mode = conf ? conf : "";
    const char* wanted = helper == helper_thread::on ? ",background:on" : ",background:off";
    setenv("QUARRY_CONF", (mode + wanted).c_str(), 1);
    if (!start()) abort();
    pthread_atfork(prepare_fork, after_fork_in_parent, after_fork_in_child);
    return true;
  }();
}

inline std::size_t resident_pages(const void* address, std::size_t bytes) {
  std::vector<unsigned char> pages(bytes_to_pages(bytes));
  EXPECT_EQ(mincore(const_cast<void*>(address), bytes, pages.data()), 0);
  return static_cast<std::size_t>(
      std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return p & 1; }));
}

// mlock(2) and munlock(2) themselves: AddressSanitizer makes libc's do nothing.
inline bool lock_memory(void* address, std::size_t bytes) {
  return syscall(SYS_mlock, address, bytes) == 0;
}

inline void unlock_memory(void* address, std::size_t bytes) {
  syscall(SYS_munlock, address, bytes);
}

// One word per page, which is enough to see who wrote there last.
inline void mark(void* memory, std::size_t pages, u64 value) {
  for (std::size_t i = 0; i < pages; i++) {
    *reinterpret_cast<u64*>(static_cast<char*>(memory) + i * page_size) = value + i;
  }
}
inline bool is_marked(const void* memory, std::size_t pages, u64 value) {
  for (std::size_t i = 0; i < pages; i++) {
    const char* at = static_cast<const char*>(memory) + i * page_size;
    if (*reinterpret_cast<const u64*>(at) != value + i) return false;
  }
  return true;
}
// Without the sanitizers' checks, which would make it the slowest part of most tests.
__attribute__((no_sanitize("address", "undefined"))) inline bool is_zero(const void* memory,
                                                                         std::size_t bytes) {
  const char* begin = static_cast<const char*>(memory);
  const std::size_t words = bytes / sizeof(u64);
  u64 all = 0;
  for (std::size_t i = 0; i < words; i++)
    all |= reinterpret_cast<const u64*>(begin)[i];
  for (std::size_t i = words * sizeof(u64); i < bytes; i++)
    all |= static_cast<u8>(begin[i]);
  return all == 0;
}

}  // namespace page_test
