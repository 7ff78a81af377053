// Ends while a thread holds the allocator's locks nearly all the time, and has the library do what
// the argument says as it is unloaded.
#include <malloc.h>
#include <pthread.h>

#include "unload_library.h"

int main(int, char** arguments) {
  at_unload = arguments[1];
  pthread_t left_behind;
  const auto trim_for_ever = [](void*) -> void* {
    for (;;)
      malloc_trim(0);
  };
  return pthread_create(&left_behind, nullptr, trim_for_ever, nullptr);
}
