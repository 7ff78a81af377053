// A program that needs libc alone and loads a library in C++, by the path that is its argument.
#include <dlfcn.h>

#include "content.h"

int main(int count, char** arguments) {
  if (count != 2 || !survival::small_sizes_work(1) || dlsym(RTLD_DEFAULT, "__cxa_throw")) return 2;
  void* library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) return 3;
  auto* works = reinterpret_cast<bool (*)()>(dlsym(library, "runs_out_of_memory"));
  return works() && survival::small_sizes_work(2) ? 0 : 1;
}
