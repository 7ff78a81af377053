// A program that needs libc alone and whose own first call of the allocator comes where its
// argument says: in a fork child, in a vfork child, in a thread, or at exit.
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "content.h"

namespace {

bool shared_result = false;

void* work_in_thread(void*) {
  shared_result = survival::all_sizes_work(1);
  return nullptr;
}

void work_at_exit() {
  _exit(survival::all_sizes_work(2) ? 0 : 1);
}

bool works_in_fork_child() {
  const pid_t child = fork();
  if (child == 0) {
    _exit(survival::all_sizes_work(3) ? 0 : 1);
  }
  int status = -1;
  return waitpid(child, &status, 0) == child && status == 0;
}

[[gnu::noinline]] bool works_in_vfork_child() {
  const pid_t child = vfork();
  if (child == 0) {
    shared_result = survival::all_sizes_work(4);
    _exit(0);
  }
  int status = -1;
  return waitpid(child, &status, 0) == child && status == 0 && shared_result;
}

bool works_in_thread() {
  pthread_t thread;
  return pthread_create(&thread, nullptr, work_in_thread, nullptr) == 0 &&
         pthread_join(thread, nullptr) == 0 && shared_result;
}

}  // namespace

int main(int count, char** arguments) {
  const char* where = count > 1 ? arguments[1] : "";
  bool good = false;
  if (strcmp(where, "fork") == 0) {
    good = works_in_fork_child();
  } else if (strcmp(where, "vfork") == 0) {
    good = works_in_vfork_child();
  } else if (strcmp(where, "thread") == 0) {
    good = works_in_thread();
  } else if (strcmp(where, "exit") == 0) {
    atexit(work_at_exit);
    return 3;  // work_at_exit has the last word
  }
  return good && survival::all_sizes_work(5) ? 0 : 1;
}
