#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "os/syscall.h"

namespace quarry::os {

std::size_t read_file(const char* path, char* buffer, std::size_t size) {
  const long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  std::size_t length = 0;
  while (length < size) {
    const long n = syscall(SYS_read, fd, buffer + length, size - length);
    if (n == -EINTR) continue;
    if (n <= 0) break;
    length += static_cast<std::size_t>(n);
  }
  syscall(SYS_close, fd);
  return length;
}

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const long n = syscall(SYS_write, fd, bytes.data(), bytes.size());
    if (n == -EINTR) continue;
    if (n <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

file_identity identity_of(int fd) {
  struct stat status;
  if (syscall(SYS_fstat, fd, &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

u64 parse_decimal(const char* s) {
  u64 n = 0;
  for (; *s >= '0' && *s <= '9'; s++)
    n = n * 10 + static_cast<u64>(*s - '0');
  return n;
}

}  // namespace quarry::os
