// A program of one thread that forks in a signal handler, which may interrupt it in the middle of
// an allocation: fork is one of the functions that POSIX allowed there until 2024. The child goes
// on with what was interrupted.
#include <sys/time.h>

#include <csignal>

#include "content.h"
#include "process.h"

namespace {

constexpr int forks_wanted = 100;

volatile sig_atomic_t forks = 0;
volatile sig_atomic_t bad_children = 0;
volatile sig_atomic_t is_child = 0;

void set_alarm(suseconds_t microseconds) {
  const itimerval once = {{0, 0}, {0, microseconds}};
  setitimer(ITIMER_REAL, &once, nullptr);
}

void fork_now(int) {
  const pid_t child = fork();
  if (child == 0) {
    is_child = 1;
    return;
  }
  bad_children = bad_children + !survival::ended_well(child);
  forks = forks + 1;
  if (forks < forks_wanted) set_alarm(300 + forks * 7);
}

}  // namespace

int main() {
  struct sigaction action {};
  action.sa_handler = fork_now;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  set_alarm(1000);
  bool good = true;
  survival::generator random(1);
  while (forks < forks_wanted && !is_child && good) {
    survival::block blocks[20];
    for (survival::block& b : blocks)
      b = survival::take(random.size_up_to(40'000), random.next());
    for (survival::block& b : blocks)
      good &= survival::give_back(b);
  }
  if (is_child) return good && survival::all_sizes_work(2) ? 0 : 1;
  return good && bad_children == 0 ? 0 : 1;
}
