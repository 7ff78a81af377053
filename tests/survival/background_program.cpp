// background_program WHAT: what there is to see of a thread of the allocator's own.
//   small    none in a program that allocates a megabyte
//   burst    one after much was freed; prints the signals it blocks, in hexadecimal
//   fork     gone in a fork child, whose own burst comes back all the same
//   steady   none for long where a large heap has a few free objects that come and go
//   setuid   a call that signals every thread (nptl(7)) returns while it is there
#include <dirent.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdio>
#include <utility>
#include <vector>

#include "content.h"
#include "proc.h"
#include "process.h"

namespace {

void burst(std::size_t megabytes) {
  constexpr std::size_t size = 1000;
  std::vector<void*> blocks(megabytes * 1000);
  for (void*& p : blocks) {
    p = malloc(size);
    memset(p, 1, size);
  }
  for (void* p : blocks) {
    free(p);
  }
}

// The thread beside the caller's; 0 if none comes within a second.
pid_t helper() {
  for (int i = 0; i < 100; ++i) {
    DIR* tasks = opendir("/proc/self/task");
    pid_t other = 0;
    while (const dirent* entry = readdir(tasks)) {
      const pid_t id = atoi(entry->d_name);
      other = id != 0 && id != getpid() ? id : other;
    }
    closedir(tasks);
    if (other != 0) {
      return other;
    }
    survival::sleep_milliseconds(10);
  }
  return 0;
}

bool comes_back() {
  // A second; longer where the machine is late.
  for (int i = 0; i < 100 && survival::resident_bytes() > (8 << 20); ++i) {
    survival::sleep_milliseconds(10);
  }
  return survival::resident_bytes() <= (8 << 20);
}

int small() {
  burst(1);
  survival::sleep_milliseconds(200);
  return survival::thread_count() == 1 ? 0 : 1;
}

// 400 MB, of which 2 to 4% are free, in most slabs: as many objects are freed as are then taken,
// more than the arrays hold.
int steady() {
  constexpr std::size_t some = 10'000;
  std::vector<void*> blocks(40 * some);
  survival::generator random(1);
  for (void*& p : blocks) {
    p = malloc(1000);
  }
  for (std::size_t i = 0; i < some; ++i) {
    free(std::exchange(blocks[random.below(blocks.size())], nullptr));
  }
  const double begin = survival::seconds_now();
  int seen = 0;
  for (double now = begin; now < begin + 3; now = survival::seconds_now()) {
    std::vector<void**> freed;
    while (freed.size() < some) {
      void*& p = blocks[random.below(blocks.size())];
      if (p != nullptr) {
        free(std::exchange(p, nullptr));
        freed.push_back(&p);
      }
    }
    for (void** p : freed) {
      *p = malloc(1000);
    }
    seen += now > begin + 2 && survival::thread_count() != 1;
  }
  return seen == 0 ? 0 : 1;
}

int blocked_signals() {
  burst(256);
  const pid_t id = helper();
  if (id == 0) {
    return 1;
  }
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/status", id);
  printf("%llx\n", survival::status_field(path, "SigBlk:", 16));
  return 0;
}

int in_fork_child() {
  burst(256);
  if (helper() == 0) {
    return 1;
  }
  const pid_t child = survival::start_child([] {
    if (survival::thread_count() != 1 || !survival::all_sizes_work(1)) {
      return false;
    }
    burst(256);
    return comes_back();
  });
  return survival::ended_well(child) && comes_back() ? 0 : 2;
}

int set_user_id() {
  burst(256);
  if (helper() == 0) {
    return 1;
  }
  return setuid(getuid()) == 0 && survival::all_sizes_work(1) ? 0 : 2;
}

}  // namespace

int main(int count, char** arguments) {
  const char* what = count > 1 ? arguments[1] : "";
  if (strcmp(what, "small") == 0) {
    return small();
  }
  if (strcmp(what, "steady") == 0) {
    return steady();
  }
  if (strcmp(what, "burst") == 0) {
    return blocked_signals();
  }
  if (strcmp(what, "fork") == 0) {
    return in_fork_child();
  }
  return strcmp(what, "setuid") == 0 ? set_user_id() : 2;
}
