// What Quarry needs to know of processors: how many there can be, which one this is, and the
// kernel's restartable sequences (rseq(2); linux/rseq.h; glibc manual, "Restartable Sequences").
#pragma once

#include "base/types.h"

namespace quarry::os {

// One more than the highest number that a CPU of this machine can have, now or after hotplug.
// Every mm_cid and cpu_id that the kernel hands out is below it. Asks sysfs; without it,
// cpu_bound().
unsigned possible_cpus();

// Not below possible_cpus(), mostly above, at most 8192; for one system call and no file.
unsigned cpu_bound();

// The CPU the caller runs on, out of date as soon as it is known.
unsigned current_cpu();

// One more than the highest number that a memory node of this machine can have.
unsigned possible_nodes();

// The node of the CPU that the caller runs on, out of date as soon as it is known; no system call
// where the kernel's vDSO answers.
unsigned current_node();

// Where the calling thread's registered rseq area is, as offsets from the thread pointer.
struct rseq_location {
  std::ptrdiff_t cs;     // field rseq_cs, 8 bytes
  std::ptrdiff_t index;  // field mm_cid where kernel and registration have it, else cpu_id
};

// False where glibc registered none (glibc < 2.35, an old kernel, seccomp, gVisor,
// GLIBC_TUNABLES=glibc.pthread.rseq=0): the per-CPU layer then uses its fallback.
bool find_rseq(rseq_location* location);

// Readies and performs a restart of every running sequence of this process (membarrier(2),
// MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, Linux >= 5.10): when restart_sequences returns true, each
// one that was under way on any CPU has either committed or resumes at its abort handler.
bool register_restart();
bool restart_sequences();

}  // namespace quarry::os
