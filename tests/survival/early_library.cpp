// A library that allocates before almost anything else has run, and again when nearly all is over.
// Its constructor also starts a thread and forks, since libraries are known to do both.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "content.h"

namespace {

survival::block kept[40];
bool thread_worked = false;
bool child_worked = false;

void* work_in_thread(void*) {
  thread_worked = survival::all_sizes_work(7);
  return nullptr;
}

[[gnu::constructor(101)]] void begin() {
  for (unsigned i = 0; i < 40; ++i) {
    kept[i] = survival::take(1 + i * i * 11, i);
  }
  pthread_t thread;
  if (pthread_create(&thread, nullptr, work_in_thread, nullptr) == 0) {
    pthread_join(thread, nullptr);
  }
  const pid_t child = fork();
  if (child == 0) {
    alarm(30);
    _exit(survival::all_sizes_work(8) ? 0 : 1);
  }
  int status = -1;
  child_worked = waitpid(child, &status, 0) == child && status == 0;
}

// A destructor of the lowest priority of a library that the program needs: among the last to run.
[[gnu::destructor(101)]] void end() {
  bool good = survival::all_sizes_work(9);
  for (survival::block& b : kept) {
    good &= survival::give_back(b);
  }
  const char line[] = "library destructor\n";
  if (!good || write(STDOUT_FILENO, line, sizeof line - 1) < 0) {
    _exit(9);
  }
}

}  // namespace

bool early_blocks_whole() {
  for (const survival::block& b : kept) {
    if (b.bytes == nullptr || !survival::whole(b)) {
      return false;
    }
  }
  return true;
}

bool early_thread_worked() {
  return thread_worked;
}
bool early_child_worked() {
  return child_worked;
}
