/*
 * Runs a program under a preloaded library and appends what it took to a file, as a line of JSON:
 *
 *     quarry_launch [-c] [-s RUNS] -o FILE LIBRARY PROGRAM [ARGS...]
 *
 * LIBRARY may be empty. The program keeps the standard streams; SIGTERM and SIGINT are passed on to
 * it, and the exit status is a shell's. The launcher's end, whatever its cause, is the program's as
 * well. It is measured with all processes that it starts:
 *
 *     status                    as in Python: the negative number of the signal that ended it
 *     wall, user, system        seconds; from vfork to its end, and of all processes waited for
 *     peak_kib                  the largest VmHWM of any one process
 *     mean_kib                  the sum of the processes' VmRSS, sampled, in the mean over the run
 *     minor_faults, major_faults
 *     curve                     (-c) the samples: [seconds, KiB]
 *
 * -s starts it RUNS times more, with its output discarded and nobody looking, and reports the
 * median wall time and the mean user and system time of these runs instead. A signal then ends the
 * launcher.
 *
 * VmHWM is read from /proc/PID/status while a process stands at its exit with its memory still
 * there, by ptrace(2), which stops it at no other time but fork and exec. The ru_maxrss of wait4(2)
 * would not do: it survives execve(2), so that it counts the launcher as well, and on Linux >= 6.2
 * it is read from per-CPU counters that lag behind by some hundred KiB, where the status file of
 * newer kernels adds them up exactly. A process forked by a thread that is not its program's first
 * is not traced: it counts in the times and faults alone.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { sample_microseconds = 10000, most_processes = 4096 };

struct process {
  pid_t pid; /* 0: a free place */
  long resident_kib;
  long peak_kib;
};

static struct process processes[most_processes];
static int places; /* Those in use are before this one. */
static long peak_kib;

static struct {
  double (*points)[2]; /* seconds, KiB */
  size_t count, room;
} samples;

static volatile sig_atomic_t passed_on; /* A signal that the program is still to get. */

static void fail(const char* what) {
  perror(what);
  exit(2);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double seconds(struct timeval time) {
  return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

/* --- The processes of the tree -----------------------------------------------------------------
 */

static struct process* find(pid_t pid) {
  for (int i = 0; i < places; ++i)
    if (processes[i].pid == pid) return &processes[i];
  return NULL;
}

static void enter(pid_t pid) {
  struct process* place = find(0);
  if (place == NULL) {
    if (places == most_processes) return; /* Counts in the times alone. */
    place = &processes[places++];
  }
  *place = (struct process){.pid = pid};
}

static void leave(pid_t pid) {
  struct process* process = find(pid);
  if (process != NULL) process->pid = 0;
}

/* Reads the resident memory of a process, and its high-water mark; leaves what it had if it is
 * gone. */
static void look_at(struct process* process) {
  char path[64], text[4096];
  snprintf(path, sizeof path, "/proc/%d/status", (int)process->pid);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  ssize_t length = read(file, text, sizeof text - 1);
  close(file);
  text[length > 0 ? length : 0] = '\0';
  const char* peak = strstr(text, "VmHWM:");
  const char* resident = strstr(text, "VmRSS:");
  if (peak == NULL || resident == NULL) return;
  process->resident_kib = atol(resident + 6);
  process->peak_kib = atol(peak + 6);
  if (process->peak_kib > peak_kib) peak_kib = process->peak_kib;
}

static void take_sample(double time) {
  long sum = 0;
  for (int i = 0; i < places; ++i) {
    if (processes[i].pid == 0) continue;
    look_at(&processes[i]);
    sum += processes[i].resident_kib;
  }
  if (samples.count == samples.room) {
    samples.room = samples.room ? 2 * samples.room : 1024;
    samples.points = realloc(samples.points, samples.room * sizeof *samples.points);
    if (samples.points == NULL) fail("realloc");
  }
  samples.points[samples.count][0] = time;
  samples.points[samples.count++][1] = (double)sum;
}

/* --- One run -----------------------------------------------------------------------------------
 */

static pid_t start(char** program, int traced, int output) {
  pid_t child = vfork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* PTRACE_O_EXITKILL is for traced ones. */
    if (output >= 0) dup2(output, STDOUT_FILENO);
    if (!traced || ptrace(PTRACE_TRACEME, 0, 0, 0) == 0) execvp(program[0], program);
    dprintf(STDERR_FILENO, "%s: %s\n", program[0], strerror(errno));
    _exit(127);
  }
  if (child < 0) fail("vfork");
  return child;
}

/* Lets a stopped process go on: its signals reach it, the stops of ptrace do not. */
static void resume(pid_t pid, int status) {
  int signal = WSTOPSIG(status);
  struct process* process = find(pid);
  if (process == NULL) {
    enter(pid);
    signal = 0; /* The stop with which a process that is traced from birth begins. */
  } else if (status >> 16 != 0) {
    if (status >> 16 == PTRACE_EVENT_EXIT) look_at(process);
    signal = 0;
  }
  ptrace(PTRACE_CONT, pid, 0, signal);
}

/* Until the end of the first process; what it leaves running is killed with the launcher. */
static int watch(pid_t first, double begin) {
  int status;
  for (;;) {
    pid_t pid = waitpid(-1, &status, __WALL);
    if (pid < 0 && errno != EINTR) fail("waitpid");
    if (pid < 0) {
      if (passed_on) kill(first, passed_on);
      passed_on = 0;
      take_sample(now() - begin);
    } else if (WIFSTOPPED(status)) {
      resume(pid, status);
    } else {
      leave(pid);
      if (pid == first) return status;
    }
  }
}

static int run_traced(char** program, double* wall) {
  const long options = PTRACE_O_TRACEEXIT | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK |
                       PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
  const struct itimerval interval = {{0, sample_microseconds}, {0, sample_microseconds}},
                         never = {0};
  int status;
  double begin = now();
  pid_t child = start(program, 1, -1);
  if (waitpid(child, &status, 0) != child) fail("waitpid");
  if (WIFSTOPPED(status)) { /* By the execve, else there was none. */
    enter(child);
    if (ptrace(PTRACE_SETOPTIONS, child, 0, options) != 0) fail("ptrace");
    setitimer(ITIMER_REAL, &interval, NULL);
    ptrace(PTRACE_CONT, child, 0, 0);
    status = watch(child, begin);
    setitimer(ITIMER_REAL, &never, NULL);
  }
  *wall = now() - begin;
  return status;
}

/* Where nothing wakes waitpid up again, a signal that comes right before it would be lost. */
static void end_by_signals(void) {
  signal(SIGTERM, SIG_DFL);
  signal(SIGINT, SIG_DFL);
  if (passed_on) raise(passed_on);
}

static int ascending(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

/* The median wall time, and the processor time of all runs together; a failure ends them. */
static int run_unwatched(char** program, int runs, double* wall, struct rusage* used) {
  struct rusage before;
  int status = 0;
  double* times = calloc((size_t)runs, sizeof *times);
  int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (times == NULL || nowhere < 0) fail("/dev/null");
  end_by_signals();
  getrusage(RUSAGE_CHILDREN, &before);
  for (int i = 0; i < runs && status == 0; ++i) {
    double begin = now();
    pid_t child = start(program, 0, nowhere);
    if (waitpid(child, &status, 0) != child) fail("waitpid");
    times[i] = now() - begin;
  }
  getrusage(RUSAGE_CHILDREN, used);
  timersub(&used->ru_utime, &before.ru_utime, &used->ru_utime);
  timersub(&used->ru_stime, &before.ru_stime, &used->ru_stime);
  qsort(times, (size_t)runs, sizeof *times, ascending);
  *wall = (times[(runs - 1) / 2] + times[runs / 2]) / 2;
  free(times);
  return status;
}

/* --- What is asked for, what is told -----------------------------------------------------------
 */

struct request {
  FILE* file;
  int with_curve;
  int runs;
  const char* library;
  char** program;
};

struct result {
  int status;
  double wall;
  double user, system;
  struct rusage faults;
};

static void write_samples(FILE* file, int with_curve) {
  double sum = 0;
  for (size_t i = 0; i < samples.count; ++i)
    sum += samples.points[i][1];
  if (samples.count > 0) fprintf(file, ",\"mean_kib\":%.0f", sum / (double)samples.count);
  if (!with_curve) return;
  fprintf(file, ",\"curve\":[");
  for (size_t i = 0; i < samples.count; ++i)
    fprintf(file, "%s[%.3f,%.0f]", i ? "," : "", samples.points[i][0], samples.points[i][1]);
  fprintf(file, "]");
}

static void write_result(const struct request* request, const struct result* result) {
  FILE* file = request->file;
  fprintf(file, "{\"status\":%d,\"wall\":%.6f,\"user\":%.6f,\"system\":%.6f", result->status,
          result->wall, result->user, result->system);
  fprintf(file, ",\"minor_faults\":%ld,\"major_faults\":%ld", result->faults.ru_minflt,
          result->faults.ru_majflt);
  if (peak_kib > 0) fprintf(file, ",\"peak_kib\":%ld", peak_kib);
  write_samples(file, request->with_curve);
  fprintf(file, "}\n");
  if (fclose(file) != 0) fail("the file of -o");
}

static struct result run(const struct request* request) {
  struct result result;
  const int divisor = request->runs > 0 ? request->runs : 1;
  int status = run_traced(request->program, &result.wall);
  getrusage(RUSAGE_CHILDREN, &result.faults);
  struct rusage times = result.faults;
  if (request->runs > 0 && status == 0)
    status = run_unwatched(request->program, request->runs, &result.wall, &times);
  result.status = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  result.user = seconds(times.ru_utime) / divisor;
  result.system = seconds(times.ru_stime) / divisor;
  return result;
}

static struct request parse(int count, char** arguments) {
  struct request request = {0};
  int option;
  while ((option = getopt(count, arguments, "+co:s:")) != -1) {
    if (option == 'c') request.with_curve = 1;
    if (option == 's') request.runs = atoi(optarg);
    if (option == 'o' && (request.file = fopen(optarg, "ae")) == NULL) fail(optarg);
    if (option == '?') exit(2);
  }
  if (request.file == NULL || count - optind < 2) {
    fprintf(stderr, "usage: %s [-c] [-s RUNS] -o FILE LIBRARY PROGRAM [ARGS...]\n", arguments[0]);
    exit(2);
  }
  request.library = arguments[optind];
  request.program = arguments + optind + 1;
  return request;
}

static void on_signal(int signal) {
  if (signal != SIGALRM) passed_on = signal;
}

static void catch_signals(void) {
  const int caught[] = {SIGALRM, SIGTERM, SIGINT};
  struct sigaction action = {.sa_handler = on_signal}; /* No SA_RESTART: waitpid is to return. */
  for (int i = 0; i < 3; ++i)
    sigaction(caught[i], &action, NULL);
}

int main(int count, char** arguments) {
  const struct request request = parse(count, arguments);
  if (request.library[0] == '\0')
    unsetenv("LD_PRELOAD");
  else
    setenv("LD_PRELOAD", request.library, 1);
  prctl(PR_SET_PDEATHSIG, SIGKILL);          /* And the program goes with the launcher. */
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* Orphans come here, to be waited for and counted. */
  catch_signals();
  const struct result result = run(&request);
  write_result(&request, &result);
  return result.status < 0 ? 128 - result.status : result.status;
}
