// Restartable sequences over the per-CPU area, x86-64.
//
// Each sequence names itself in the thread's rseq area (the store to rseq_cs before label 1), reads
// which CPU it is on, and ends in one store, the commit. If the kernel preempts, migrates or
// signals the thread between labels 1 and 2 it resumes at the abort handler, which leaves as if
// there were nothing to do: nothing before the commit may matter. It does not start again, which
// under a debugger that runs one instruction at a time would never end; the callers have a slow
// path in any case. A sequence that finds nothing to do leaves without a commit: a header that is 0
// may be set from another CPU at any time (publish_header).
//
// The ABI: linux/rseq.h (struct rseq_cs: version, flags, start, length, abort address, 32-byte
// aligned); the four bytes before the abort handler are the signature that glibc registered,
// 0x53053053, here as the operand of an undefined instruction (sys/rseq.h, x86). The section flag
// "?" puts both sections into the group of the function's own, so that they go where it goes.
#pragma once

#include "percpu/area.h"

#define QUARRY_RSEQ_BEGIN(abort)           \
  ".pushsection __rseq_cs, \"aw?\"\n"      \
  ".balign 32\n"                           \
  "9: .long 0, 0\n"                        \
  ".quad 1f, 2f - 1f, 4f\n"                \
  ".popsection\n"                          \
  ".pushsection __rseq_failure, \"ax?\"\n" \
  ".byte 0x0f, 0xb9, 0x3d\n"               \
  ".long 0x53053053\n"                     \
  "4: " abort                              \
  "\n"                                     \
  ".popsection\n"                          \
  "leaq 9b(%%rip), %[area]\n"              \
  "movq %[area], %%fs:(%[cs])\n"           \
  "1:\n"

// One instruction shorter than a load and a shift; 32 bits are enough for 8192 CPUs, the most that
// the kernel has on x86 (CONFIG_NR_CPUS).
#define QUARRY_RSEQ_AREA                     \
  "imull %[size], %%fs:(%[cpu]), %k[area]\n" \
  "addq %[base], %[area]\n"

#define QUARRY_RSEQ_INPUTS \
  [cs] "r"(rseq_cs), [cpu] "r"(rseq_index), [base] "m"(area_base), [size] "i"(area_size)

// Copies `count` > 0 pointers: the odd one first, then two at a time.
#define QUARRY_RSEQ_COPY(from, to, count) \
  "xorl %k[next], %k[next]\n"             \
  "testl $1, " count                      \
  "\n"                                    \
  "je 3f\n"                               \
  "movq (" from                           \
  "), %%xmm0\n"                           \
  "movq %%xmm0, (" to                     \
  ")\n"                                   \
  "incl %k[next]\n"                       \
  "3: cmpl " count                        \
  ", %k[next]\n"                          \
  "jae 5f\n"                              \
  "movups (" from                         \
  ",%[next],8), %%xmm0\n"                 \
  "movups %%xmm0, (" to                   \
  ",%[next],8)\n"                         \
  "addl $2, %k[next]\n"                   \
  "jmp 3b\n"                              \
  "5:\n"

namespace quarry::percpu::sequence {

// The last object in, or nullptr if the array is empty. The output is null on every way to `empty`:
// GCC 12 may return it there in place of the constant.
QUARRY_ALWAYS_INLINE void* pop(uptr index) {
  uptr area, top;
  void* object;
  asm volatile goto(QUARRY_RSEQ_BEGIN("xorl %k[object], %k[object]\njmp %l[empty]") QUARRY_RSEQ_AREA
                    "movl (%[area],%[index],8), %k[top]\n"
                    "movq (%[area],%[top],8), %[object]\n"
                    "testq %[object], %[object]\n"
                    "je %l[empty]\n"
                    "decl %k[top]\n"
                    "movl %k[top], (%[area],%[index],8)\n"
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

// What push() and push_another() have in common; `more` may refuse as well.
#define QUARRY_RSEQ_PUSH(more)                                                     \
  uptr area, top;                                                                  \
  asm volatile goto(QUARRY_RSEQ_BEGIN("jmp %l[refused]") QUARRY_RSEQ_AREA          \
                    "movl (%[area],%[index],8), %k[top]\n"                         \
                    "cmpw 4(%[area],%[index],8), %w[top]\n"                        \
                    "jae %l[refused]\n" more                                       \
                    "movq %[object], 8(%[area],%[top],8)\n"                        \
                    "incl %k[top]\n"                                               \
                    "movl %k[top], (%[area],%[index],8)\n"                         \
                    "2:\n"                                                         \
                    : [area] "=&r"(area), [top] "=&r"(top)                         \
                    : [index] "r"(index), [object] "r"(object), QUARRY_RSEQ_INPUTS \
                    : "memory", "cc"                                               \
                    : refused);                                                    \
  return true;                                                                     \
  refused:                                                                         \
  return false

// False if the array is full.
QUARRY_ALWAYS_INLINE bool push(uptr index, void* object) {
  QUARRY_RSEQ_PUSH("");
}

// As push(); false also if the object is the last one in.
QUARRY_ALWAYS_INLINE bool push_another(uptr index, void* object) {
  QUARRY_RSEQ_PUSH(
      "cmpq %[object], (%[area],%[top],8)\n"
      "je %l[refused]\n");
}

// The batches read the header in one load, and so see a top, an end and a bottom that belong
// together, unless the end is 0: then the array is being made or emptied (publish_header,
// stop_arrays), and there is nothing to be had.

// Takes up to `count` objects from the top, in the order in which they went in. Returns how many.
inline unsigned pop_batch(uptr index, void** objects, unsigned count) {
  uptr area, top, taken, source, next;
  asm volatile(QUARRY_RSEQ_BEGIN("xorl %k[taken], %k[taken]\njmp 2f") QUARRY_RSEQ_AREA
               "movq (%[area],%[index],8), %[source]\n"
               "xorl %k[taken], %k[taken]\n"
               "movl %k[source], %k[top]\n"
               "shrq $32, %[source]\n"
               "testw %w[source], %w[source]\n"
               "je 2f\n"
               "shrl $16, %k[source]\n"
               "movl %k[top], %k[taken]\n"
               "subl %k[source], %k[taken]\n"
               "cmpl %[count], %k[taken]\n"
               "cmoval %[count], %k[taken]\n"
               "testl %k[taken], %k[taken]\n"
               "je 2f\n"
               "subl %k[taken], %k[top]\n"
               "leaq 8(%[area],%[top],8), %[source]\n" QUARRY_RSEQ_COPY("%[source]", "%[objects]", "%k[taken]")
               "movl %k[top], (%[area],%[index],8)\n"
               "2:\n"
               : [area] "=&r"(area), [top] "=&r"(top), [taken] "=&r"(taken),
                 [source] "=&r"(source), [next] "=&r"(next)
               : [index] "r"(index), [objects] "r"(objects), [count] "r"(count), QUARRY_RSEQ_INPUTS
               : "memory", "cc", "xmm0");
  return static_cast<unsigned>(taken);
}

// Adds up to `count` objects, the last of them ending on top. Returns how many there was room for.
inline unsigned push_batch(uptr index, void* const* objects, unsigned count) {
  uptr area, top, added, target, next;
  asm volatile(QUARRY_RSEQ_BEGIN("xorl %k[added], %k[added]\njmp 2f") QUARRY_RSEQ_AREA
               "movq (%[area],%[index],8), %[target]\n"
               "movl %k[target], %k[top]\n"
               "shrq $32, %[target]\n"
               "movzwl %w[target], %k[target]\n"
               "xorl %k[added], %k[added]\n"
               "subl %k[top], %k[target]\n"
               "jbe 2f\n"
               "movl %k[target], %k[added]\n"
               "cmpl %[count], %k[added]\n"
               "cmoval %[count], %k[added]\n"
               "testl %k[added], %k[added]\n"
               "je 2f\n"
               "leaq 8(%[area],%[top],8), %[target]\n" QUARRY_RSEQ_COPY("%[objects]", "%[target]", "%k[added]")
               "addl %k[added], %k[top]\n"
               "movl %k[top], (%[area],%[index],8)\n"
               "2:\n"
               : [area] "=&r"(area), [top] "=&r"(top), [added] "=&r"(added),
                 [target] "=&r"(target), [next] "=&r"(next)
               : [index] "r"(index), [objects] "r"(objects), [count] "r"(count), QUARRY_RSEQ_INPUTS
               : "memory", "cc", "xmm0");
  return static_cast<unsigned>(added);
}

// Sets the header if the caller is on `cpu` and it still is `expected`. Nobody else can be in the
// middle of a sequence over it then: whoever was on that CPU was preempted there, and gives up.
inline bool replace_header(unsigned cpu, uptr index, u64 expected, u64 desired) {
  uptr area;
  asm volatile goto(
      QUARRY_RSEQ_BEGIN("jmp %l[refused]")
      "cmpl %[on], %%fs:(%[cpu])\n"
      "jne %l[refused]\n" QUARRY_RSEQ_AREA
      "cmpq %[expected], (%[area],%[index],8)\n"
      "jne %l[refused]\n"
      "movq %[desired], (%[area],%[index],8)\n"
      "2:\n"
      : [area] "=&r"(area)
      : [index] "r"(index), [on] "r"(cpu), [expected] "r"(expected), [desired] "r"(desired),
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
#undef QUARRY_RSEQ_COPY
#undef QUARRY_RSEQ_PUSH
#undef QUARRY_RSEQ_INPUTS
