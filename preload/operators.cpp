// operator new and delete in all their forms (C++20 17.6.3). Compiled with exceptions, unlike the
// rest: bad_alloc is thrown from here and a new-handler's exception passes through.
//
// libquarry.so must not need libstdc++ (a C program has none), so there every reference to it is
// weak: QUARRY_WEAK_LIBSTDCXX. In libquarry.a the references are ordinary; only a C++ program takes
// this object file from the archive.
#include <dlfcn.h>

#include <new>

#include "base/types.h"
#include "heap/heap.h"
#include "os/fatal.h"
#include "preload/export.h"

extern "C" void* malloc(std::size_t);
QUARRY_NEEDS(malloc);

#if defined(QUARRY_WEAK_LIBSTDCXX)
asm(".weak _ZSt9terminatev\n"
    ".weak __gxx_personality_v0\n"
    ".weak __cxa_begin_catch\n"
    ".weak __cxa_end_catch\n"
    ".weak __cxa_rethrow\n"
    ".weak _Unwind_Resume\n");
#define QUARRY_WEAK(symbol) asm(symbol) __attribute__((weak))
std::new_handler early_get_new_handler() QUARRY_WEAK("_ZSt15get_new_handlerv");
void early_throw_bad_alloc() QUARRY_WEAK("_ZSt17__throw_bad_allocv");
// Not in libc itself before glibc 2.34.
void* weak_dlopen(const char*, int) QUARRY_WEAK("dlopen");
void* weak_dlsym(void*, const char*) QUARRY_WEAK("dlsym");
#else
namespace std {
void __throw_bad_alloc() __attribute__((__noreturn__));  // as bits/functexcept.h has it
}
#endif

// In the archive weak, as libstdc++'s own: a program's operators stand beside those that it does
// not replace, which come in the same object file.
#if defined(QUARRY_WEAK_LIBSTDCXX)
#define QUARRY_OPERATOR __attribute__((visibility("default")))
#else
#define QUARRY_OPERATOR __attribute__((visibility("default"), weak))
#endif

namespace {

using quarry::allocate;
using quarry::allocate_aligned;
using quarry::allocate_slow;
using quarry::release;
using quarry::try_allocate;
using quarry::try_release;

void* attempt(std::size_t alignment, std::size_t size) {
  if (alignment > quarry::gib) return nullptr;
  return alignment ? allocate_aligned(alignment, size) : allocate(size);
}

// What a C++ library has for when memory has ended.
struct cxx_library {
  std::new_handler (*get_new_handler)();
  void (*throw_bad_alloc)();
};

#if defined(QUARRY_WEAK_LIBSTDCXX)
// Whether there was one when the program was loaded. A program without may load it later, with
// something that needs it: our references stay null then.
bool had_cxx_library() {
  return early_get_new_handler && early_throw_bad_alloc;
}

cxx_library find_cxx_library() {
  if (had_cxx_library()) return {early_get_new_handler, early_throw_bad_alloc};
  for (const char* name : {"libstdc++.so.6", "libc++.so.1"}) {
    void* library = weak_dlopen ? weak_dlopen(name, RTLD_LAZY | RTLD_NOLOAD) : nullptr;
    if (!library) continue;
    void* get = weak_dlsym(library, "_ZSt15get_new_handlerv");
    void* raise = weak_dlsym(library, "_ZSt17__throw_bad_allocv");
    if (get && raise)
      return {reinterpret_cast<std::new_handler (*)()>(get), reinterpret_cast<void (*)()>(raise)};
  }
  quarry::os::die("operator new", nullptr, "out of memory, and no C++ library to throw bad_alloc");
}
#else
constexpr bool had_cxx_library() {
  return true;
}

cxx_library find_cxx_library() {
  return {std::get_new_handler, std::__throw_bad_alloc};
}
#endif

// C++20 17.6.3.1: calls the new-handler until there is memory, throws where there is no handler.
// `alignment` is 0 for the ordinary one. Has nothing to be unwound, for which it would need the
// library from the start.
QUARRY_NOINLINE void* retry(std::size_t alignment, std::size_t size) {
  const cxx_library library = find_cxx_library();
  for (;;) {
    std::new_handler handler = library.get_new_handler();
    if (!handler) library.throw_bad_alloc();
    handler();
    if (void* block = attempt(alignment, size)) return block;
  }
}

QUARRY_NOINLINE void* new_slow(std::size_t size) {
  void* block = allocate_slow(size);
  return block ? block : retry(0, size);
}

}  // namespace

QUARRY_OPERATOR void* operator new(std::size_t size) {
  if (void* block = try_allocate(size)) [[likely]]
    return block;
  return new_slow(size);
}

QUARRY_OPERATOR void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto bytes = static_cast<std::size_t>(alignment);
  void* block = attempt(bytes, size);
  return block ? block : retry(bytes, size);
}

QUARRY_OPERATOR void* operator new[](std::size_t size) {
  return operator new(size);
}

QUARRY_OPERATOR void* operator new[](std::size_t size, std::align_val_t alignment) {
  return operator new(size, alignment);
}

// The block's address says its size and alignment.
QUARRY_OPERATOR void operator delete(void* block) noexcept {
  release(block, "operator delete");
}
QUARRY_OPERATOR void operator delete(void* block, std::align_val_t) noexcept {
  release(block, "operator delete");
}

// Quarry's, whatever stands under the operators' own names: these a program may replace, each by
// itself, and the others then have to call what it has put there (C++20 17.6.3, "Default
// behavior").
extern "C" {
#define QUARRY_OWN(name) __attribute__((visibility("hidden"), alias(#name)))
#define QUARRY_OWN_NEW(name) QUARRY_OWN(name) __attribute__((malloc, alloc_size(1)))
void* quarry_own_new(std::size_t) QUARRY_OWN_NEW(_Znwm);
void* quarry_own_new_array(std::size_t) QUARRY_OWN_NEW(_Znam);
void* quarry_own_new_aligned(std::size_t, std::align_val_t) QUARRY_OWN_NEW(_ZnwmSt11align_val_t);
void* quarry_own_new_array_aligned(std::size_t, std::align_val_t)
    QUARRY_OWN_NEW(_ZnamSt11align_val_t);
void quarry_own_delete(void*) noexcept QUARRY_OWN(_ZdlPv);
}

namespace {

// Where the library came later, exceptions of a new-handler cannot be caught here, and so none is
// called.
QUARRY_NOINLINE void* retry_nothrow(std::size_t alignment, std::size_t size) noexcept {
  if (!had_cxx_library()) return nullptr;
  try {
    return find_cxx_library().get_new_handler() ? retry(alignment, size) : nullptr;
  } catch (...) {
    return nullptr;
  }
}

QUARRY_NOINLINE void* new_nothrow_slow(std::size_t size) noexcept {
  void* block = allocate_slow(size);
  return block ? block : retry_nothrow(0, size);
}

QUARRY_ALWAYS_INLINE void* new_nothrow(std::size_t size) noexcept {
  if (void* block = try_allocate(size)) [[likely]]
    return block;
  return new_nothrow_slow(size);
}

void* new_aligned_nothrow(std::size_t size, std::align_val_t alignment) noexcept {
  const auto bytes = static_cast<std::size_t>(alignment);
  void* block = attempt(bytes, size);
  return block ? block : retry_nothrow(bytes, size);
}

// What the program has put there, its exceptions for null.
template <typename... Arguments>
void* call_nothrow(void* (*named)(Arguments...), Arguments... arguments) noexcept {
  try {
    return named(arguments...);
  } catch (...) {
    return nullptr;
  }
}

// As free_limit, for the forms of delete that another defines: 0 until start_operators() has run,
// which alone writes it, and for good where the other is the program's.
QUARRY_HOT constinit std::size_t delete_limit = 0;

using new_function = void*(std::size_t);
using new_aligned_function = void*(std::size_t, std::align_val_t);

bool new_is_own() {
  return static_cast<new_function*>(operator new) == quarry_own_new;
}
bool new_array_is_own() {
  return static_cast<new_function*>(operator new[]) == quarry_own_new_array && new_is_own();
}
bool new_aligned_is_own() {
  return static_cast<new_aligned_function*>(operator new) == quarry_own_new_aligned;
}
bool new_array_aligned_is_own() {
  return static_cast<new_aligned_function*>(operator new[]) == quarry_own_new_array_aligned &&
         new_aligned_is_own();
}
bool delete_is_own() {
  return static_cast<void (*)(void*)>(operator delete) == quarry_own_delete;
}

// After start_process(), by which the heap has started. A thread that a library's constructor has
// made before reads either value, and both are right: 0 is the slow way.
__attribute__((constructor(102))) void start_operators() {
  if (delete_is_own()) delete_limit = quarry::free_limit;
}

QUARRY_NOINLINE void delete_slow(void* block, const char* call) {
  if (delete_is_own()) return release(block, call);
  operator delete(block);
}

// Of a form that is by default operator delete(block).
QUARRY_ALWAYS_INLINE void delete_by_default(void* block, const char* call) {
  if (try_release(block, delete_limit)) [[likely]]
    return;
  delete_slow(block, call);
}

}  // namespace

QUARRY_OPERATOR void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return new_is_own() ? new_nothrow(size) : call_nothrow<std::size_t>(operator new, size);
}

QUARRY_OPERATOR void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  if (new_array_is_own()) return new_nothrow(size);
  return call_nothrow<std::size_t>(operator new[], size);
}

QUARRY_OPERATOR void* operator new(std::size_t size, std::align_val_t alignment,
                                   const std::nothrow_t&) noexcept {
  if (new_aligned_is_own()) return new_aligned_nothrow(size, alignment);
  return call_nothrow<std::size_t, std::align_val_t>(operator new, size, alignment);
}

QUARRY_OPERATOR void* operator new[](std::size_t size, std::align_val_t alignment,
                                     const std::nothrow_t&) noexcept {
  if (new_array_aligned_is_own()) return new_aligned_nothrow(size, alignment);
  return call_nothrow<std::size_t, std::align_val_t>(operator new[], size, alignment);
}

QUARRY_OPERATOR void operator delete(void* block, std::size_t) noexcept {
  delete_by_default(block, "operator delete");
}
QUARRY_OPERATOR void operator delete[](void* block) noexcept {
  delete_by_default(block, "operator delete[]");
}

QUARRY_OPERATOR void operator delete[](void* block, std::size_t) noexcept {
  operator delete[](block);
}
QUARRY_OPERATOR void operator delete(void* block, const std::nothrow_t&) noexcept {
  operator delete(block);
}
QUARRY_OPERATOR void operator delete[](void* block, const std::nothrow_t&) noexcept {
  operator delete[](block);
}
QUARRY_OPERATOR void operator delete[](void* block, std::align_val_t alignment) noexcept {
  operator delete(block, alignment);
}
QUARRY_OPERATOR void operator delete(void* block, std::size_t,
                                     std::align_val_t alignment) noexcept {
  operator delete(block, alignment);
}
QUARRY_OPERATOR void operator delete[](void* block, std::size_t,
                                       std::align_val_t alignment) noexcept {
  operator delete[](block, alignment);
}
QUARRY_OPERATOR void operator delete(void* block, std::align_val_t alignment,
                                     const std::nothrow_t&) noexcept {
  operator delete(block, alignment);
}
QUARRY_OPERATOR void operator delete[](void* block, std::align_val_t alignment,
                                       const std::nothrow_t&) noexcept {
  operator delete[](block, alignment);
}
