/*
 * Runs a program under a preloaded library and prints one figure about it:
 *
 *     quarry_launch time LIBRARY PROGRAM [ARGS...]   nanoseconds from vfork to its end
 *     quarry_launch peak LIBRARY PROGRAM [ARGS...]   peak resident memory in KiB
 *
 * LIBRARY may be empty. The program's output is discarded; this one fails if the program does.
 *
 * The peak is VmHWM of /proc/PID/status, read while the program stands at its exit with its
 * memory still there. The ru_maxrss of wait4(2) would not do: it survives execve(2), so that it
 * counts the launcher as well, and on Linux >= 6.2 it is read from per-CPU counters that lag
 * behind by some hundred KiB, where the status file of newer kernels adds them up exactly.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int output; /* The launcher's own; the program gets /dev/null. */

static void fail(const char* what) {
  perror(what);
  exit(2);
}

static int succeeded(int status) {
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int run_timed(char** program) {
  int status;
  long long begin = now();
  pid_t child = vfork();
  if (child == 0) {
    execv(program[0], program);
    _exit(127);
  }
  if (child < 0 || waitpid(child, &status, 0) != child) fail(program[0]);
  dprintf(output, "%lld\n", now() - begin);
  return succeeded(status) ? 0 : 1;
}

static long peak_kib(pid_t child) {
  char path[64], line[256];
  long kib = -1;
  snprintf(path, sizeof path, "/proc/%d/status", (int)child);
  FILE* file = fopen(path, "r");
  if (file == NULL) fail(path);
  while (kib < 0 && fgets(line, sizeof line, file) != NULL)
    sscanf(line, "VmHWM: %ld", &kib);
  fclose(file);
  return kib;
}

/* Lets the child run until it stands at its exit; its signals reach it, the traps of ptrace do
 * not. Returns 0 if it is gone before. */
static int run_to_exit(pid_t child) {
  const int at_exit = SIGTRAP | (PTRACE_EVENT_EXIT << 8);
  int status, signal = 0;
  for (;;) {
    if (ptrace(PTRACE_CONT, child, 0, signal) != 0) fail("ptrace");
    if (waitpid(child, &status, 0) != child) fail("waitpid");
    if (!WIFSTOPPED(status)) return 0;
    if (status >> 8 == at_exit) return 1;
    signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
  }
}

static int run_for_peak(char** program) {
  int status;
  pid_t child = fork();
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) fail("ptrace");
    raise(SIGSTOP);
    execv(program[0], program);
    _exit(127);
  }
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) fail(program[0]);
  if (ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL) != 0)
    fail("ptrace");
  if (!run_to_exit(child)) return 1;
  dprintf(output, "%ld\n", peak_kib(child));
  ptrace(PTRACE_CONT, child, 0, 0);
  if (waitpid(child, &status, 0) != child) fail(program[0]);
  return succeeded(status) ? 0 : 1;
}

int main(int count, char** arguments) {
  if (count < 4) {
    fprintf(stderr, "usage: %s time|peak LIBRARY PROGRAM [ARGS...]\n", arguments[0]);
    return 2;
  }
  if (arguments[2][0] != '\0')
    setenv("LD_PRELOAD", arguments[2], 1);
  else
    unsetenv("LD_PRELOAD");
  output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (output < 0 || nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0) fail("/dev/null");
  return strcmp(arguments[1], "peak") == 0 ? run_for_peak(arguments + 3) : run_timed(arguments + 3);
}
