// What the kernel says about this process, read without allocating.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace survival {

// The number after `name` ("VmRSS:") in a status file of proc(5); 0 if it is not there.
inline unsigned long long status_field(const char* path, const char* name, int base) {
  char text[8192];
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
  if (file >= 0) {
    close(file);
  }
  text[length < 0 ? 0 : length] = '\0';
  const char* field = strstr(text, name);
  return field == nullptr ? 0 : strtoull(field + strlen(name), nullptr, base);
}

inline std::size_t resident_bytes() {
  return status_field("/proc/self/status", "VmRSS:", 10) << 10;
}

inline int thread_count() {
  return static_cast<int>(status_field("/proc/self/status", "Threads:", 10));
}

inline double seconds_of(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

inline double seconds_now() {
  return seconds_of(CLOCK_MONOTONIC);
}

// For which this thread had a processor.
inline double seconds_run() {
  return seconds_of(CLOCK_THREAD_CPUTIME_ID);
}

inline void sleep_milliseconds(long milliseconds) {
  const timespec pause{milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&pause, nullptr);
}

}  // namespace survival
