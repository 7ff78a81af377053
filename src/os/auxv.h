// What the kernel passes to a new program beside its arguments (getauxval(3)).
#pragma once

#include <errno.h>
#include <sys/auxv.h>

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27  // linux/auxvec.h, Linux 6.3
#endif

namespace quarry::os {

// 0 where there is no such entry, at which getauxval() sets errno: it is 0 as main() begins.
inline unsigned long auxv(unsigned long type) {
  const int before = errno;
  const unsigned long value = getauxval(type);
  errno = before;
  return value;
}

}  // namespace quarry::os
