// Small files and file descriptors, without libc's streams.
#pragma once

#include <string_view>

#include "base/types.h"

namespace quarry::os {

// Reads at most `size` bytes from the file's start; 0 where it cannot be read.
std::size_t read_file(const char* path, char* buffer, std::size_t size);

// Writes all of it, or as much as the descriptor takes before an error.
void write_all(int fd, std::string_view bytes);

// What a descriptor refers to, however often it is duplicated; all 0 for one that is not open.
struct file_identity {
  u64 device;
  u64 inode;
  bool operator==(const file_identity&) const = default;
};
file_identity identity_of(int fd);

// The decimal number at the start of `s`, 0 where there is none.
u64 parse_decimal(const char* s);

}  // namespace quarry::os
