// What the running kernel can do, asked of the kernel itself.
#pragma once

#include <errno.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

// MADV_POPULATE_WRITE, Linux 5.14: of no bytes it succeeds wherever it is known (madvise(2)).
inline bool knows_populate() {
  return madvise(nullptr, 0, MADV_POPULATE_WRITE) == 0 || errno != EINVAL;
}
