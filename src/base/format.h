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
  // The last byte is for the end of the line, so that one which is cut ends as well.
  void put(char c) {
    const std::size_t room = sizeof(buffer_) - (c == '\n' ? 0 : 1);
    if (size_ < room) buffer_[size_++] = c;
  }

  std::size_t size_ = 0;
  char buffer_[504];
};

}  // namespace quarry
