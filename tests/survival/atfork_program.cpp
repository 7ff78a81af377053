// Fork handlers that allocate. Those from .preinit_array are registered before any constructor, so
// before the allocator's own: their prepare runs after the allocator's, their parent and child
// before it (POSIX, pthread_atfork). The others are registered in main and nest the other way
// round.
#include <pthread.h>

#include "busy_threads.h"
#include "process.h"

namespace {

struct handlers {
  survival::block across_fork;  // taken in prepare, given back in parent and in child
  int prepared = 0;
  int finished = 0;
  bool good = true;

  void prepare() {
    ++prepared;
    good &= survival::small_sizes_work(prepared);
    across_fork = survival::take(3000, prepared);
  }
  void finish() {
    ++finished;
    good &= survival::give_back(across_fork) && survival::small_sizes_work(prepared);
  }
};

handlers early;
handlers late;

void register_early(int, char**, char**) {
  pthread_atfork([] { early.prepare(); }, [] { early.finish(); }, [] { early.finish(); });
}
[[gnu::section(".preinit_array"), gnu::used]] void (*const preinit_entry)(int, char**,
                                                                          char**) = register_early;

bool all_ran(int forks) {
  return early.good && late.good && early.prepared == forks && late.prepared == forks &&
         early.finished == forks && late.finished == forks;
}

}  // namespace

int main() {
  survival::be_killed_if_hung();
  pthread_atfork([] { late.prepare(); }, [] { late.finish(); }, [] { late.finish(); });
  survival::busy_threads busy(4);
  for (int forks = 1; forks <= 100; ++forks) {
    const pid_t child = survival::start_child(
        [forks] { return all_ran(forks) && survival::all_sizes_work(forks); });
    if (!survival::ended_well(child)) {
      return 2;
    }
    if (!all_ran(forks)) {
      return 3;
    }
  }
  return busy.stop() == 0 ? 0 : 4;
}
