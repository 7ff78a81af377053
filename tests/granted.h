// What the system grants a process, asked for without the library: where it is granted, a test that
// misses what the library makes of it has found an error, and no reason to skip.
#pragma once

#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include "preload/child.h"
#include "smaps.h"

namespace granted {

// 2 MiB below 4 GiB that are locked in memory, and addresses there for 16. In a child, which has no
// locked memory of its parent's.
inline bool locked_memory_below_4_gib() {
  return preload_test::run_in_child([] {
           constexpr size_t mib = 1 << 20;
           constexpr uintptr_t end = uintptr_t{4} << 30;
           for (uintptr_t hint = end - 16 * mib; hint > 0; hint -= 16 * mib) {
             void* memory =
                 mmap(reinterpret_cast<void*>(hint), 16 * mib, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
             if (memory != reinterpret_cast<void*>(hint)) continue;
             // Not libc's mlock(), which AddressSanitizer makes do nothing.
             _exit(syscall(SYS_mlock, memory, 2 * mib) == 0 ? 0 : 1);
           }
           _exit(2);
         })
      .succeeded();
}

// A file of memory that is as large as the machine's: memfd_create(2), RLIMIT_FSIZE.
inline bool large_memory_file() {
  const auto size = static_cast<rlim_t>(sysconf(_SC_PHYS_PAGES)) * 4096;
  rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur < size) return false;
  const int file = memfd_create("probe", MFD_CLOEXEC);
  const bool is_granted = file >= 0 && ftruncate(file, static_cast<off_t>(size)) == 0;
  close(file);
  return is_granted;
}

// 2 MiB in one page, for memory that prefers it (madvise(2), MADV_HUGEPAGE).
inline bool huge_page() {
  constexpr size_t size = 2 << 20;
  void* memory =
      mmap(nullptr, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return false;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(memory);
  auto* aligned = static_cast<char*>(memory) + (size - begin % size) % size;
  bool is_granted = false;
  if (madvise(aligned, size, MADV_HUGEPAGE) == 0) {
    *static_cast<volatile char*>(aligned) = 1;
    is_granted = std::stoul(smaps_field(aligned, "AnonHugePages")) > 0;
  }
  munmap(memory, 2 * size);
  return is_granted;
}

}  // namespace granted
