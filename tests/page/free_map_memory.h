// Address space for the free map of a frame_space that is the test's own.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "page/free_map.h"

namespace page_test {

using namespace quarry;

class free_map_memory {
 public:
  explicit free_map_memory(std::size_t units) : size_(free_map::size_for(units)) {
    void* memory = mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) abort();
    begin_ = static_cast<char*>(memory);
  }
  ~free_map_memory() { take_away(); }
  free_map_memory(const free_map_memory&) = delete;
  free_map_memory& operator=(const free_map_memory&) = delete;

  char* begin() const { return begin_; }

  // The system refuses what is not committed yet from here on.
  void take_away(std::size_t from = 0) {
    if (from == size_) return;
    EXPECT_EQ(munmap(begin_ + from, size_ - from), 0);
    size_ = from;
  }

 private:
  std::size_t size_;
  char* begin_;
};

}  // namespace page_test
