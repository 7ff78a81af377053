#include "os/memory.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/bits.h"
#include "os/auxv.h"
#include "os/file.h"
#include "os/syscall.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000  // asm-generic/mman-common.h, Linux 4.17; before, a mere hint
#endif
#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)  // linux/mman.h
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // asm-generic/mman-common.h, Linux 5.14
#endif
#ifndef PIDFD_SELF_THREAD
#define PIDFD_SELF_THREAD (-10000)  // linux/pidfd.h
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440  // asm-generic/unistd.h, Linux 5.10
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4  // linux/mman.h, Linux 5.7
#endif

namespace quarry::os {

namespace {

void* map(void* where, std::size_t size, int protection, int extra_flags) {
  const long result = syscall(SYS_mmap, where, size, protection,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | extra_flags, -1, 0);
  return result < 0 && result > -4096 ? nullptr : reinterpret_cast<void*>(result);
}

// A reservation, there or anywhere.
void* map_nothing(void* where, std::size_t size, int extra_flags) {
  void* memory = map(where, size, PROT_NONE, extra_flags);
  if (memory) syscall(SYS_madvise, memory, size, MADV_DONTDUMP);
  return memory;
}

// Whether the range is a part of one mapping, which has another one behind it. Asks to grow it in
// place, which therefore fails: with EFAULT if more than one mapping is meant (mremap(2)).
bool is_one_mapping(char* address, std::size_t size) {
  return syscall(SYS_mremap, address, size, size + page_size, 0) != -EFAULT;
}

// Pages of address space that the process has mapped already (proc(5), statm, first field).
std::size_t mapped_pages() {
  char line[64];
  const std::size_t length = read_file("/proc/self/statm", line, sizeof(line) - 1);
  line[length] = 0;
  return static_cast<std::size_t>(parse_decimal(line));
}

}  // namespace

void* reserve(std::size_t size) {
  return map_nothing(nullptr, size, 0);
}

// Tries it with three that cannot be one, nor one with any of ours.
bool may_map_more() {
  constexpr int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
  const long result = syscall(SYS_mmap, nullptr, 3 * page_size, PROT_NONE, flags, -1, 0);
  if (result < 0 && result > -4096) return false;
  const bool may = syscall(SYS_mprotect, result + page_size, page_size, PROT_READ) == 0;
  syscall(SYS_munmap, result, 3 * page_size);
  return may;
}

void* reserve_below(uptr end, std::size_t size) {
  for (uptr hint = end - size; hint >= size; hint -= size) {
    void* wanted = reinterpret_cast<void*>(hint);
    void* memory = map_nothing(wanted, size, MAP_FIXED_NOREPLACE);
    if (memory == wanted) return memory;
    if (memory) release(memory, size);
  }
  return nullptr;
}

void let_be_dumped(void* address, std::size_t size) {
  syscall(SYS_madvise, address, size, MADV_DODUMP);
}

void release(void* address, std::size_t size) {
  if (size) syscall(SYS_munmap, address, size);
}

bool commit(void* address, std::size_t size) {
  if (syscall(SYS_mprotect, address, size, PROT_READ | PROT_WRITE) != 0) return false;
  let_be_dumped(address, size);
  return true;
}

bool make_readable(void* address, std::size_t size) {
  return syscall(SYS_mprotect, address, size, PROT_READ) == 0;
}

void populate(void* address, std::size_t size) {
  QUARRY_EARLY static constinit std::atomic<bool> is_refused{false};  // written by anyone, relaxed
  if (is_refused.load(std::memory_order_relaxed)) return;
  if (syscall(SYS_madvise, address, size, MADV_POPULATE_WRITE) != 0)
    is_refused.store(true, std::memory_order_relaxed);
}

bool purge(void* address, std::size_t size) {
  return syscall(SYS_madvise, address, size, MADV_DONTNEED) == 0;
}

namespace {

// Written at start-up, and by anyone who was refused; relaxed.
constinit std::atomic<bool> knows_purge_each{false};

// A filter's rules cannot be asked for, and it may end the process for what it does not know: for
// process_madvise rather than for prctl, which programs with threads use.
bool may_purge_each() {
  return knows_purge_each.load(std::memory_order_relaxed) &&
         syscall(SYS_prctl, PR_GET_SECCOMP) == 0;
}

// Returns the bytes that were advised so, or an error if none. A range that is refused gives
// EINVAL; a kernel that does not know the call so, or forbids it, ENOSYS, EBADF or EPERM.
long advise_each(const iovec* ranges, unsigned count, int advice) {
  const long done = syscall(SYS_process_madvise, PIDFD_SELF_THREAD, ranges, count, advice, 0);
  if (done == -ENOSYS || done == -EBADF || done == -EPERM)
    knows_purge_each.store(false, std::memory_order_relaxed);
  return done;
}

// Returns how many ranges, from the first on, are gone.
unsigned drop_each(const iovec* ranges, unsigned count) {
  long gone = advise_each(ranges, count, MADV_DONTNEED);
  unsigned done = 0;
  for (; done < count && gone >= static_cast<long>(ranges[done].iov_len); done++)
    gone -= static_cast<long>(ranges[done].iov_len);
  return done;
}

}  // namespace

void find_purge_each() {
  knows_purge_each.store(auxv(AT_RSEQ_FEATURE_SIZE) != 0, std::memory_order_relaxed);
}

unsigned purge_each(const iovec* ranges, unsigned count) {
  return may_purge_each() ? drop_each(ranges, count) : 0;
}

// MADV_DONTNEED just unmaps, but MADV_FREE cuts up first (Linux, madvise_free_huge_pmd()).
bool purge_in_part(void* address, std::size_t size) {
  syscall(SYS_madvise, address, size, MADV_FREE);
  return purge(address, size);
}

unsigned purge_each_in_part(const iovec* ranges, unsigned count) {
  if (!may_purge_each()) return 0;
  advise_each(ranges, count, MADV_FREE);
  return drop_each(ranges, count);
}

void prefer_huge_pages(void* address, std::size_t size) {
  syscall(SYS_madvise, address, size, MADV_HUGEPAGE);
}

void keep_pages_small(void* address, std::size_t size) {
  syscall(SYS_madvise, address, size, MADV_NOHUGEPAGE);
}

bool decommit(void* address, std::size_t size) {
  if (map_nothing(address, size, MAP_FIXED)) return true;
  // At the limit of mappings, which even their replacement must not find exceeded, or of locked
  // memory, which the reservation would count as. Neither is needed for less.
  syscall(SYS_munlock, address, size);
  if (!purge(address, size) || syscall(SYS_mprotect, address, size, PROT_NONE) != 0) return false;
  syscall(SYS_madvise, address, size, MADV_DONTDUMP);
  return true;
}

bool reserve_again(void* address, std::size_t size) {
  if (map_nothing(address, size, MAP_FIXED)) return true;
  release(address, size);
  void* again = map_nothing(address, size, MAP_FIXED_NOREPLACE);
  if (again && again != address) release(again, size);
  return again == address;
}

bool lock_memory(void* address, std::size_t size) {
  return syscall(SYS_mlock, address, size) == 0;
}

bool commit_huge_page(void* address) {
  constexpr const char* left = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
  char line[24];
  line[read_file(left, line, sizeof(line) - 1)] = 0;
  if (parse_decimal(line) == 0) return false;
  // Not NORESERVE: a page that could not be had later would be a SIGBUS.
  const long result = syscall(
      SYS_mmap, address, huge_page_size, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB | MAP_HUGE_2MB | MAP_POPULATE, -1, 0);
  if (result == reinterpret_cast<long>(address)) return true;
  decommit(address, huge_page_size);  // where it failed late, the reservation is gone
  return false;
}

bool move_pages(void* from, void* to, std::size_t size) {
  // What mremap() would refuse only after it has unmapped the target, which another thread could
  // then be given, is refused here while the target is still reserved.
  if (!commit(to, size)) return false;
  for (std::size_t done = 0; done < size;) {
    char* begin = static_cast<char*>(from) + done;
    char* target = static_cast<char*>(to) + done;
    std::size_t piece = size - done;
    while (piece > page_size && !is_one_mapping(begin, piece))
      piece = align_up(piece / 2, page_size);
    const long result = syscall(SYS_mremap, begin, piece, piece,
                                MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, target);
    if (result != reinterpret_cast<long>(target)) {
      std::memcpy(from, to, done);
      return false;
    }
    done += piece;
  }
  return true;
}

void prefer_node(void* address, std::size_t size, unsigned node) {
  const unsigned long mask = 1ul << node;
  syscall(SYS_mbind, address, size, MPOL_PREFERRED, &mask, 8 * sizeof(mask), 0);
}

std::size_t physical_memory() {
  struct sysinfo info;
  if (syscall(SYS_sysinfo, &info) != 0) return gib;
  return static_cast<std::size_t>(info.totalram) * info.mem_unit;
}

std::size_t address_space_left() {
  struct rlimit limit;
  if (syscall(SYS_prlimit64, 0, RLIMIT_AS, nullptr, &limit) != 0) return SIZE_MAX;
  if (limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
  const std::size_t used = mapped_pages() << page_shift;
  return limit.rlim_cur - std::min<std::size_t>(limit.rlim_cur, used);
}

}  // namespace quarry::os
