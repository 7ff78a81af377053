// The end of a process that used memory wrongly.
#pragma once

#include "base/format.h"

namespace quarry::os {

// Writes "quarry: CALL(ADDRESS): REASON" (and the address `other`, unless it is null) as one line
// to standard error, then aborts.
[[noreturn]] void die(const char* call, const void* address, const char* reason,
                      const void* other = nullptr);

// The same for a line that says more; it is given its end here.
[[noreturn]] void die(text* line);

}  // namespace quarry::os
