// Allocates and frees in everything that runs after main has returned, and prints a line for each.
// The argument "threads" leaves threads behind that still allocate while the process ends.
#include <pthread.h>
#include <unistd.h>

#include <string>

#include "busy_threads.h"
#include "content.h"

namespace {

survival::block from_main[8];

void phase(int index, const char* name) {
  const bool good = survival::all_sizes_work(index) && survival::give_back(from_main[index]);
  const std::string line = std::string(name) + (good ? "\n" : " broken\n");
  if (write(STDOUT_FILENO, line.data(), line.size()) < 0) {
    _exit(9);
  }
}

struct global_object {
  ~global_object() { phase(0, "static object"); }
} at_file_scope;

struct thread_object {
  ~thread_object() { phase(1, "thread_local object"); }
};
thread_local thread_object of_main_thread;

[[gnu::destructor]] void at_unload() {
  phase(2, "destructor");
}
[[gnu::destructor(101)]] void at_unload_late() {
  phase(3, "late destructor");
}

void first_registered() {
  phase(4, "atexit");
}
void registers_another() {
  phase(5, "atexit from atexit");
  atexit([] { phase(6, "registered at exit"); });
}

}  // namespace

int main(int count, char**) {
  for (unsigned i = 0; i < 8; ++i) {
    from_main[i] = survival::take(100 + 5000 * i, i);
  }
  (void)&of_main_thread;  // constructs it
  atexit(first_registered);
  atexit(registers_another);
  on_exit([](int, void*) { phase(7, "on_exit"); }, nullptr);
  if (count > 1) {
    static auto* left_behind = new survival::busy_threads(4);
    while (left_behind->steps() < 10000) {
      usleep(100);
    }
  }
  return 0;
}
