// How a symbol leaves the library, and how its object files hold together in the archive.
#pragma once

// Everything else is hidden.
#define QUARRY_EXPORT extern "C" __attribute__((visibility("default")))

// From libquarry.a the linker takes only the object files that something refers to. Whoever takes
// malloc needs the fork handlers, and whoever takes operator new needs malloc: each file names the
// one that it cannot do without.
#define QUARRY_NEEDS(symbol)                                           \
  __attribute__((used)) static const void* const needed_by_this_file = \
      reinterpret_cast<const void*>(&symbol)

// In process.cpp, for every file by which a program can begin to use the heap.
extern "C" __attribute__((visibility("hidden"))) const char quarry_process_hooks;
