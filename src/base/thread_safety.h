// Clang's thread-safety annotations (clang.llvm.org/docs/ThreadSafetyAnalysis.html); nothing to
// GCC.
#pragma once

#if defined(__clang__)
#define QUARRY_THREAD_SAFETY(x) __attribute__((x))
#else
#define QUARRY_THREAD_SAFETY(x)
#endif

#define QUARRY_CAPABILITY(name) QUARRY_THREAD_SAFETY(capability(name))
#define QUARRY_SCOPED_CAPABILITY QUARRY_THREAD_SAFETY(scoped_lockable)
#define QUARRY_GUARDED_BY(lock) QUARRY_THREAD_SAFETY(guarded_by(lock))
#define QUARRY_REQUIRES(lock) QUARRY_THREAD_SAFETY(requires_capability(lock))
#define QUARRY_EXCLUDES(lock) QUARRY_THREAD_SAFETY(locks_excluded(lock))
#define QUARRY_ACQUIRE(...) QUARRY_THREAD_SAFETY(acquire_capability(__VA_ARGS__))
#define QUARRY_TRY_ACQUIRE(...) QUARRY_THREAD_SAFETY(try_acquire_capability(__VA_ARGS__))
#define QUARRY_RELEASE(...) QUARRY_THREAD_SAFETY(release_capability(__VA_ARGS__))
#define QUARRY_NO_ANALYSIS QUARRY_THREAD_SAFETY(no_thread_safety_analysis)
