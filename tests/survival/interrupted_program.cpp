// Allocates until a timer's signal handler calls exit(), which may have interrupted the allocator
// anywhere, also where it holds a lock. The argument: after how many microseconds.
#include <sys/time.h>

#include <csignal>
#include <cstdlib>
#include <vector>

int main(int, char** arguments) {
  signal(SIGALRM, [](int) { exit(0); });
  const itimerval once = {{0, 0}, {0, atol(arguments[1])}};
  setitimer(ITIMER_REAL, &once, nullptr);
  std::vector<void*> blocks(5000);
  for (size_t size = 16;; size = size * 5 % 4093 + 8) {
    for (void*& block : blocks)
      block = malloc(size);
    for (void* block : blocks)
      free(block);
  }
}
