// Address space of the test's own in which the allocator commits what it needs, until a test has
// the system refuse.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"

namespace page_test {

using namespace quarry;

class reserved {
 public:
  explicit reserved(std::size_t bytes) : size_(align_up(bytes, page_size)) {
    void* memory = mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) abort();
    begin_ = static_cast<char*>(memory);
  }
  ~reserved() { munmap(begin_, size_); }
  reserved(const reserved&) = delete;
  reserved& operator=(const reserved&) = delete;

  char* begin() const { return begin_; }

  // From that page on nothing can be committed: a shared mapping of what was opened for reading
  // alone is never writable (mprotect(2), EACCES).
  void refuse_from(std::size_t offset) {
    const int zeroes = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    ASSERT_GE(zeroes, 0);
    void* there =
        mmap(begin_ + offset, size_ - offset, PROT_NONE, MAP_SHARED | MAP_FIXED, zeroes, 0);
    EXPECT_EQ(there, begin_ + offset);
    close(zeroes);
  }

 private:
  std::size_t size_;
  char* begin_;
};

}  // namespace page_test
