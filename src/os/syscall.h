// System calls without libc: no errno, no cancellation point, usable from any thread and at any
// time, the first instruction of the process included. The result is the kernel's: -errno on
// failure.
#pragma once

#include <sys/syscall.h>

#include "base/types.h"

namespace quarry::os {

#if defined(__x86_64__)

QUARRY_ALWAYS_INLINE long syscall6(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

#elif defined(__aarch64__)

QUARRY_ALWAYS_INLINE long syscall6(long number, long a, long b, long c, long d, long e, long f) {
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc #0"
               : "+r"(x0)
               : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
               : "memory", "cc");
  return x0;
}

#else
#error "Quarry knows the system call convention of x86-64 and aarch64 only"
#endif

// Arguments may be integers or pointers; missing ones are 0.
template <class... argument_types>
QUARRY_ALWAYS_INLINE long syscall(long number, argument_types... arguments) {
  long values[6] = {};
  unsigned i = 0;
  ((values[i++] = (long)arguments), ...);
  return syscall6(number, values[0], values[1], values[2], values[3], values[4], values[5]);
}

}  // namespace quarry::os
