#include "os/memory_file.h"

#include <linux/falloc.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "os/syscall.h"

namespace quarry::os {

bool memory_file::create(const char* name, std::size_t size) {
  // To grow a file beyond that limit is a signal (setrlimit(2)).
  struct rlimit limit;
  if (syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, nullptr, &limit) != 0) return false;
  if (limit.rlim_cur < size) return false;
  const long fd = syscall(SYS_memfd_create, name, MFD_CLOEXEC);
  if (fd < 0) return false;
  id_ = identity_of(static_cast<int>(fd));
  if (syscall(SYS_ftruncate, fd, size) != 0 || id_ == file_identity{}) {
    syscall(SYS_close, fd);
    return false;
  }
  fd_ = static_cast<int>(fd);
  return true;
}

// The number may belong to another file by now.
int memory_file::descriptor() const {
  return fd_ >= 0 && identity_of(fd_) == id_ ? fd_ : -1;
}

void* memory_file::map(void* where, std::size_t offset, std::size_t size, bool writable) const {
  const int fd = descriptor();
  if (fd < 0) return nullptr;
  const long result = syscall(SYS_mmap, where, size, PROT_READ | (writable ? PROT_WRITE : 0),
                              MAP_SHARED | (where ? MAP_FIXED : 0), fd, offset);
  return result < 0 && result > -4096 ? nullptr : reinterpret_cast<void*>(result);
}

bool memory_file::purge(std::size_t offset, std::size_t size) const {
  const int fd = descriptor();
  return fd >= 0 &&
         syscall(SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size) == 0;
}

}  // namespace quarry::os
