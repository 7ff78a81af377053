// operator new and delete in all their forms (C++20 17.6.3). Compiled with exceptions, unlike the
// rest: bad_alloc is thrown from here and a new-handler's exception passes through.
//
// libquarry.so must not need libstdc++ (a C program has none), so there every reference to it is
// weak: QUARRY_WEAK_LIBSTDCXX. In libquarry.a the references are ordinary; only a C++ program takes
// this object file from the archive.
#include <new>

#include "base/bits.h"
#include "heap/heap.h"
#include "preload/export.h"

extern "C" void* malloc(std::size_t);
QUARRY_NEEDS(malloc);

#if defined(QUARRY_WEAK_LIBSTDCXX)
asm(".weak _ZSt15get_new_handlerv\n"
    ".weak _ZSt17__throw_bad_allocv\n"
    ".weak _ZSt9terminatev\n"
    ".weak __gxx_personality_v0\n"
    ".weak __cxa_begin_catch\n"
    ".weak __cxa_end_catch\n"
    ".weak __cxa_rethrow\n"
    ".weak _Unwind_Resume\n");
#endif

namespace std {
void __throw_bad_alloc() __attribute__((__noreturn__));  // as bits/functexcept.h has it
}

#define QUARRY_OPERATOR __attribute__((visibility("default")))

namespace {

using quarry::allocate;
using quarry::allocate_aligned;
using quarry::allocate_slow;
using quarry::release;
using quarry::try_allocate;

void* attempt(std::size_t alignment, std::size_t size) {
  if (alignment > quarry::gib) return nullptr;
  return alignment ? allocate_aligned(alignment, size) : allocate(size);
}

// C++20 17.6.3.1: calls the new-handler until there is memory, throws where there is no handler.
// `alignment` is 0 for the ordinary one.
QUARRY_NOINLINE void* retry(std::size_t alignment, std::size_t size) {
  for (;;) {
    std::new_handler handler = std::get_new_handler();
    if (!handler) std::__throw_bad_alloc();
    handler();
    if (void* block = attempt(alignment, size)) return block;
  }
}

QUARRY_NOINLINE void* retry_nothrow(std::size_t alignment, std::size_t size) noexcept {
  try {
    return std::get_new_handler() ? retry(alignment, size) : nullptr;
  } catch (...) {
    return nullptr;
  }
}

QUARRY_NOINLINE void* new_slow(std::size_t size) {
  void* block = allocate_slow(size);
  return block ? block : retry(0, size);
}

QUARRY_NOINLINE void* new_nothrow_slow(std::size_t size) noexcept {
  void* block = allocate_slow(size);
  return block ? block : retry_nothrow(0, size);
}

QUARRY_ALWAYS_INLINE void* new_block(std::size_t size) {
  if (void* block = try_allocate(size)) [[likely]]
    return block;
  return new_slow(size);
}

QUARRY_ALWAYS_INLINE void* new_nothrow(std::size_t size) noexcept {
  if (void* block = try_allocate(size)) [[likely]]
    return block;
  return new_nothrow_slow(size);
}

void* new_aligned(std::size_t size, std::align_val_t alignment) {
  const auto bytes = static_cast<std::size_t>(alignment);
  void* block = attempt(bytes, size);
  return block ? block : retry(bytes, size);
}

void* new_aligned_nothrow(std::size_t size, std::align_val_t alignment) noexcept {
  const auto bytes = static_cast<std::size_t>(alignment);
  void* block = attempt(bytes, size);
  return block ? block : retry_nothrow(bytes, size);
}

}  // namespace

// clang-format off
#define QUARRY_NEW(name)                                                                            \
  QUARRY_OPERATOR void* name(std::size_t n) { return new_block(n); }                                \
  QUARRY_OPERATOR void* name(std::size_t n, const std::nothrow_t&) noexcept { return new_nothrow(n); } \
  QUARRY_OPERATOR void* name(std::size_t n, std::align_val_t a) { return new_aligned(n, a); }       \
  QUARRY_OPERATOR void* name(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {   \
    return new_aligned_nothrow(n, a);                                                               \
  }
// The block's address says its size and alignment.
#define QUARRY_DELETE(name, call)                                                                   \
  QUARRY_OPERATOR void name(void* p) noexcept { release(p, call); }                                 \
  QUARRY_OPERATOR void name(void* p, std::size_t) noexcept { release(p, call); }                    \
  QUARRY_OPERATOR void name(void* p, const std::nothrow_t&) noexcept { release(p, call); }          \
  QUARRY_OPERATOR void name(void* p, std::align_val_t) noexcept { release(p, call); }               \
  QUARRY_OPERATOR void name(void* p, std::size_t, std::align_val_t) noexcept { release(p, call); }  \
  QUARRY_OPERATOR void name(void* p, std::align_val_t, const std::nothrow_t&) noexcept {            \
    release(p, call);                                                                               \
  }
// clang-format on

QUARRY_NEW(operator new)
QUARRY_NEW(operator new[])
QUARRY_DELETE(operator delete, "operator delete")
QUARRY_DELETE(operator delete[], "operator delete[]")
