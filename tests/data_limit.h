// An end of memory for a child: RLIMIT_DATA, which bounds the writable private memory of a process
// (setrlimit(2), since Linux 4.7).
#pragma once

#include <stddef.h>
#include <sys/resource.h>

#include "survival/proc.h"

// From here on there is so much more than there is now.
inline void limit_data_to(size_t more) {
  const rlim_t now = survival::status_field("/proc/self/status", "VmData:", 10) << 10;
  const rlimit limit = {now + more, RLIM_INFINITY};
  setrlimit(RLIMIT_DATA, &limit);
}
