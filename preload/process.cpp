// The process's life: fork handlers, and statistics at its end.
#include <fcntl.h>
#include <unistd.h>

#include "heap/heap.h"
#include "observe/tables.h"
#include "os/file.h"
#include "os/options.h"
#include "preload/export.h"
#include "slab/dedicated.h"

// pthread_atfork is in each object's own part of libc (libc_nonshared.a) on older glibc; what it
// calls has been in libc.so since 2.3.
extern "C" int __register_atfork(void (*prepare)(), void (*parent)(), void (*child)(), void* dso);
// Itanium C++ ABI 3.3.5.3.
extern "C" int __cxa_atexit(void (*function)(void*), void* argument, void* dso);

const char quarry_process_hooks = 0;

namespace {

// Where the statistics go. Programs may close standard error before they end (coreutils do), and
// this one too, which may by then be another file (daemons close all that they did not open).
constinit int statistics_fd = -1;
constinit quarry::os::file_identity statistics_file{};

// Before all other constructors (-z initfirst; in a program that the archive is linked into, first
// among its own), so that handlers registered later run before ours in the parent (POSIX
// pthread_atfork: prepare handlers in reverse order): one that waits for a lock of its library's
// must find ours open, since the thread that has it may be about to allocate. In no object's name:
// the handlers of an object that is finished are gone, and others' destructors may fork after ours.
__attribute__((constructor(101))) void start_process() {
  if (!quarry::start()) return;
  __register_atfork(quarry::prepare_fork, quarry::after_fork_in_parent, quarry::after_fork_in_child,
                    nullptr);
  if (quarry::os::is_default(quarry::os::option::stats)) return;
  for (int least = 64; statistics_fd < 0 && least > STDERR_FILENO; least /= 2)  // RLIMIT_NOFILE
    statistics_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, least);
  statistics_file = quarry::os::identity_of(statistics_fd);
}

void finish(void*) {
  quarry::check_all();
  if (statistics_fd < 0) return;
  if (quarry::os::identity_of(statistics_fd) != statistics_file) return;
  quarry::print_tables(statistics_fd);
}

// Other libraries' destructors come after this one. They are all run by one exit handler of libc's;
// what is registered meanwhile follows it (glibc, stdlib/exit.c).
__attribute__((destructor(101))) void end_process() {
  __cxa_atexit(finish, nullptr, nullptr);
}

}  // namespace
