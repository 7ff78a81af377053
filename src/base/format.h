// Text without allocation: a line is put together in a fixed buffer and cut where it is full.
#pragma once

#include <string_view>

#include "base/types.h"

namespace quarry {

class text {
 public:
  text& operator<<(std::string_view s) {
    for (char c : s)
      put(c);
    return *this;
  }
  text& operator<<(char c) {
    put(c);
    return *this;
  }
  text& operator<<(u64 n) { return decimal(n, 0); }

  // In hexadecimal, with 0x in front.
  text& address(const void* p);
  // Right-aligned in `width` columns, the way the kernel's /proc tables are.
  text& decimal(u64 n, unsigned width);
  // Left-aligned in `width` columns.
  text& padded(std::string_view s, unsigned width);

  const char* data() const { return buffer_; }
  std::size_t size() const { return size_; }
  std::string_view view() const { return {buffer_, size_}; }

 private:
  void put(char c) {
    if (size_ < sizeof(buffer_)) buffer_[size_++] = c;
  }

  std::size_t size_ = 0;
  char buffer_[504];
};

}  // namespace quarry
