#include "unload_library.h"

#include <malloc.h>
#include <unistd.h>

#include <cstring>

#include "content.h"
#include "process.h"

const char* at_unload = "nothing";

namespace {

bool children_work() {
  for (int i = 0; i < 20; ++i) {
    const pid_t child = survival::start_child([i] {
      malloc_trim(0);
      return survival::all_sizes_work(i);
    });
    if (!survival::ended_well(child)) return false;
  }
  return true;
}

void free_twice() {
  void* first = malloc(100);
  void* second = malloc(100);
  free(first);
  free(second);
  free(first);
}

[[gnu::destructor]] void end() {
  bool good = true;
  if (std::strcmp(at_unload, "fork") == 0) good = children_work();
  if (std::strcmp(at_unload, "free twice") == 0) free_twice();
  const char line[] = "unloaded\n";
  if (!good || write(STDOUT_FILENO, line, sizeof line - 1) < 0) _exit(9);
}

}  // namespace
