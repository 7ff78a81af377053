// How a request that cannot be met ends: errno is set, and there is no block.
#pragma once

#include <errno.h>

#include "base/types.h"

namespace quarry {

QUARRY_NOINLINE inline void* fail(int error) {
  errno = error;
  return nullptr;
}

QUARRY_ALWAYS_INLINE void* or_enomem(void* block) {
  return block ? block : fail(ENOMEM);
}

}  // namespace quarry
