// Restartable sequences over the per-CPU area, x86-64.
//
// Each sequence names itself in the thread's rseq area (the store to rseq_cs before label 1), reads
// which CPU it is on, and ends in one store, the commit. If the kernel preempts, migrates or
// signals the thread between labels 1 and 2 it resumes at the abort handler, which starts again
// from the beginning: nothing before the commit may matter, and inputs must survive (early-clobber
// outputs). A sequence that finds nothing to do leaves without a commit: a header that is 0 may be
// set from another CPU at any time (publish_header).
//
// The ABI: linux/rseq.h (struct rseq_cs: version, flags, start, length, abort address, 32-byte
// aligned); the four bytes before the abort handler are the signature that glibc registered,
// 0x53053053, here as the operand of an undefined instruction (sys/rseq.h, x86). The section flag
// "?" puts both sections into the group of the function's own, so that they go where it goes.
#pragma once

#include "percpu/area.h"

#define QUARRY_RSEQ_BEGIN                  \
  ".pushsection __rseq_cs, \"aw?\"\n"      \
  ".balign 32\n"                           \
  "9: .long 0, 0\n"                        \
  ".quad 1f, 2f - 1f, 4f\n"                \
  ".popsection\n"                          \
  ".pushsection __rseq_failure, \"ax?\"\n" \
  ".byte 0x0f, 0xb9, 0x3d\n"               \
  ".long 0x53053053\n"                     \
  "4: jmp 0f\n"                            \
  ".popsection\n"                          \
  "0: leaq 9b(%%rip), %[area]\n"           \
  "movq %[area], %%fs:(%[cs])\n"           \
  "1: movl %%fs:(%[cpu]), %k[area]\n"

#define QUARRY_RSEQ_AREA     \
  "shlq %[shift], %[area]\n" \
  "addq %[base], %[area]\n"

#define QUARRY_RSEQ_INPUTS \
  [cs] "r"(rseq_cs), [cpu] "r"(rseq_index), [base] "m"(area_base), [shift] "i"(area_shift)

namespace quarry::percpu::sequence {

// The last object in, or nullptr if the array is empty.
QUARRY_ALWAYS_INLINE void* pop(uptr index) {
  uptr area, top;
  void* object;
  asm volatile goto(QUARRY_RSEQ_BEGIN QUARRY_RSEQ_AREA
                    "movzwl (%[area],%[index],8), %k[top]\n"
                    "movq (%[area],%[top],8), %[object]\n"
                    "testq %[object], %[object]\n"
                    "je %l[empty]\n"
                    "decl %k[top]\n"
                    "movw %w[top], (%[area],%[index],8)\n"
                    "2:\n"
                    : [area] "=&r"(area), [top] "=&r"(top), [object] "=&a"(object)
                    : [index] "r"(index), QUARRY_RSEQ_INPUTS
                    : "memory", "cc"
                    : empty);
  if (!object) __builtin_unreachable();
  return object;
empty:
  return nullptr;
}

// False if the array is full.
QUARRY_ALWAYS_INLINE bool push(uptr index, void* object) {
  uptr area, top;
  asm volatile goto(QUARRY_RSEQ_BEGIN QUARRY_RSEQ_AREA
                    "movzwl (%[area],%[index],8), %k[top]\n"
                    "cmpw 2(%[area],%[index],8), %w[top]\n"
                    "jae %l[full]\n"
                    "movq %[object], 8(%[area],%[top],8)\n"
                    "incl %k[top]\n"
                    "movw %w[top], (%[area],%[index],8)\n"
                    "2:\n"
                    : [area] "=&r"(area), [top] "=&r"(top)
                    : [index] "r"(index), [object] "r"(object), QUARRY_RSEQ_INPUTS
                    : "memory", "cc"
                    : full);
  return true;
full:
  return false;
}

// Takes up to `count` objects, the last in first. Returns how many.
inline unsigned pop_batch(uptr index, void** objects, unsigned count) {
  uptr area, top, taken, object;
  asm volatile(QUARRY_RSEQ_BEGIN QUARRY_RSEQ_AREA
               "movzwl (%[area],%[index],8), %k[top]\n"
               "xorl %k[taken], %k[taken]\n"
               "3: cmpl %[count], %k[taken]\n"
               "jae 5f\n"
               "movq (%[area],%[top],8), %[object]\n"
               "testq %[object], %[object]\n"
               "je 5f\n"
               "movq %[object], (%[objects],%[taken],8)\n"
               "incl %k[taken]\n"
               "decl %k[top]\n"
               "jmp 3b\n"
               "5: testl %k[taken], %k[taken]\n"
               "je 2f\n"
               "movw %w[top], (%[area],%[index],8)\n"
               "2:\n"
               : [area] "=&r"(area), [top] "=&r"(top), [taken] "=&r"(taken), [object] "=&r"(object)
               : [index] "r"(index), [objects] "r"(objects), [count] "r"(count), QUARRY_RSEQ_INPUTS
               : "memory", "cc");
  return static_cast<unsigned>(taken);
}

// Adds up to `count` objects, the last of them ending on top. Returns how many there was room for.
inline unsigned push_batch(uptr index, void* const* objects, unsigned count) {
  uptr area, top, added, object;
  asm volatile(QUARRY_RSEQ_BEGIN QUARRY_RSEQ_AREA
               "movzwl (%[area],%[index],8), %k[top]\n"
               "xorl %k[added], %k[added]\n"
               "3: cmpl %[count], %k[added]\n"
               "jae 5f\n"
               "cmpw 2(%[area],%[index],8), %w[top]\n"
               "jae 5f\n"
               "movq (%[objects],%[added],8), %[object]\n"
               "movq %[object], 8(%[area],%[top],8)\n"
               "incl %k[added]\n"
               "incl %k[top]\n"
               "jmp 3b\n"
               "5: testl %k[added], %k[added]\n"
               "je 2f\n"
               "movw %w[top], (%[area],%[index],8)\n"
               "2:\n"
               : [area] "=&r"(area), [top] "=&r"(top), [added] "=&r"(added), [object] "=&r"(object)
               : [index] "r"(index), [objects] "r"(objects), [count] "r"(count), QUARRY_RSEQ_INPUTS
               : "memory", "cc");
  return static_cast<unsigned>(added);
}

// Sets the header to 0 if the caller is on `cpu` and it still is `expected`: nobody can have been
// in the middle of a sequence over it, so the array is then the caller's.
inline bool take_header(unsigned cpu, uptr index, u64 expected) {
  uptr area;
  asm volatile goto(QUARRY_RSEQ_BEGIN
                    "cmpl %[on], %k[area]\n"
                    "jne %l[refused]\n" QUARRY_RSEQ_AREA
                    "cmpq %[expected], (%[area],%[index],8)\n"
                    "jne %l[refused]\n"
                    "movq $0, (%[area],%[index],8)\n"
                    "2:\n"
                    : [area] "=&r"(area)
                    : [index] "r"(index), [on] "r"(cpu), [expected] "r"(expected),
                      QUARRY_RSEQ_INPUTS
                    : "memory", "cc"
                    : refused);
  return true;
refused:
  return false;
}

// The number of the area that the caller uses now.
inline unsigned current() {
  u32 cpu;
  asm volatile("movl %%fs:(%1), %0" : "=r"(cpu) : "r"(rseq_index));
  return cpu;
}

}  // namespace quarry::percpu::sequence

#undef QUARRY_RSEQ_BEGIN
#undef QUARRY_RSEQ_AREA
#undef QUARRY_RSEQ_INPUTS
