#include "os/cpu.h"

#include <linux/membarrier.h>
#include <sched.h>

#include <algorithm>

#include "os/auxv.h"
#include "os/file.h"
#include "os/syscall.h"

// glibc >= 2.35 (sys/rseq.h); absent on older ones, where their addresses are null.
extern "C" {
extern const std::ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));
}

namespace quarry::os {

namespace {

// linux/rseq.h, struct rseq: cpu_id_start, cpu_id, rseq_cs, flags, node_id, mm_cid.
constexpr std::ptrdiff_t cpu_id_offset = 4;
constexpr std::ptrdiff_t rseq_cs_offset = 8;
constexpr std::ptrdiff_t mm_cid_offset = 24;
constexpr std::size_t mm_cid_end = mm_cid_offset + sizeof(u32);

// Before 2.41 glibc registers an area of 32 bytes and sets __rseq_size to 32; later ones say how
// much of the registered area is in use. Either way the area covers mm_cid if this holds.
bool has_mm_cid() {
  return __rseq_size >= mm_cid_end && auxv(AT_RSEQ_FEATURE_SIZE) >= mm_cid_end;
}

constexpr unsigned most_cpus = 8192;  // CONFIG_NR_CPUS on x86 is at most that

// One more than the last number of a list of ranges such as "0-3,8-11"; 0 where there is no such
// file.
unsigned highest_of(const char* path) {
  char line[256];
  const std::size_t length = read_file(path, line, sizeof(line) - 1);
  line[length] = 0;
  u64 highest = 0;
  for (const char* s = line; *s; s++) {
    if (*s >= '0' && *s <= '9' && (s == line || s[-1] < '0' || s[-1] > '9')) {
      highest = std::max(highest, parse_decimal(s));
    }
  }
  return length ? static_cast<unsigned>(highest) + 1 : 0;
}

}  // namespace

unsigned cpu_bound() {
  // What the kernel's own masks have room for, of which it writes this many bytes.
  unsigned long mask[most_cpus / (8 * sizeof(unsigned long))];
  const long bytes = syscall(SYS_sched_getaffinity, 0, sizeof(mask), mask);
  return bytes > 0 ? static_cast<unsigned>(bytes) * 8 : most_cpus;
}

unsigned possible_cpus() {
  const unsigned possible = highest_of("/sys/devices/system/cpu/possible");
  return possible ? possible : cpu_bound();
}

unsigned possible_nodes() {
  return std::max(highest_of("/sys/devices/system/node/possible"), 1u);
}

unsigned current_cpu() {
  const int cpu = sched_getcpu();
  return cpu < 0 ? 0 : static_cast<unsigned>(cpu);
}

unsigned current_node() {
  unsigned cpu, node;
  return getcpu(&cpu, &node) == 0 ? node : 0;
}

bool find_rseq(rseq_location* location) {
  if (&__rseq_size == nullptr || &__rseq_offset == nullptr || __rseq_size == 0) return false;
  location->cs = __rseq_offset + rseq_cs_offset;
  location->index = __rseq_offset + (has_mm_cid() ? mm_cid_offset : cpu_id_offset);
  return true;
}

bool register_restart() {
  return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0) == 0;
}

bool restart_sequences() {
  return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0) == 0;
}

}  // namespace quarry::os
