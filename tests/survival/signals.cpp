// Signal storms and preemption: a signal or a migration that lands inside a restartable sequence
// (or under a lock of the fallback) loses no block and hands none out twice.
#include <gtest/gtest.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <ctime>
#include <functional>
#include <vector>

#include "busy_threads.h"

namespace survival {
namespace {

std::atomic<long> signals_seen{0};

void count_signal(int) {
  signals_seen.fetch_add(1, std::memory_order_relaxed);
}

std::vector<int> allowed_cpus() {
  cpu_set_t set;
  sched_getaffinity(0, sizeof set, &set);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) {
      cpus.push_back(cpu);
    }
  }
  return cpus;
}

cpu_set_t first_cpus(std::size_t count) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int cpu : allowed_cpus()) {
    if (count-- == 0) {
      break;
    }
    CPU_SET(cpu, &set);
  }
  return set;
}

constexpr int workers = 8;

// What the workers share. They allocate with few instructions between two calls, so that a good
// part of all signals lands inside the allocator.
struct storm {
  int cpus;  // on which the workers run
  long signals_wanted;
  int signal;
  std::atomic<bool> enough{false};
  std::atomic<long> broken{0};
  std::atomic<long> live{0};
  std::atomic<int> places{0};
  std::atomic<int> ready{0};
  std::atomic<std::uint64_t> seed{1};
  std::vector<pthread_t> threads{};
  std::vector<pid_t> ids{};
};

// A batch of small blocks, each stamped with what no other block in the process bears.
bool batch_is_whole(storm* s, generator& random) {
  constexpr int count = 64;
  const std::size_t size = 16 + 16 * random.below(16);
  std::uint64_t* batch[count];
  const std::uint64_t stamp = random.next();
  for (int i = 0; i < count; ++i) {
    batch[i] = static_cast<std::uint64_t*>(malloc(size));
    if (batch[i] == nullptr) {
      abort();  // there is memory enough
    }
    batch[i][0] = stamp + i;
    batch[i][size / 8 - 1] = ~(stamp + i);
  }
  s->live.fetch_add(count, std::memory_order_relaxed);
  bool good = true;
  for (int i = 0; i < count; ++i) {
    std::uint64_t* p = batch[(i * 5) % count];
    const std::uint64_t expected = stamp + (i * 5) % count;
    good &= p[0] == expected && p[size / 8 - 1] == ~expected;
    free(p);
  }
  s->live.fetch_sub(count, std::memory_order_relaxed);
  return good;
}

void* worker(void* argument) {
  auto* s = static_cast<storm*>(argument);
  const cpu_set_t cpus = first_cpus(s->cpus);
  sched_setaffinity(0, sizeof cpus, &cpus);
  generator random(s->seed.fetch_add(1));
  churn mine(random.next(), 64 << 10);
  s->ids[s->places.fetch_add(1)] = static_cast<pid_t>(syscall(SYS_gettid));
  s->ready.fetch_add(1);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, s->signal);
  pthread_sigmask(SIG_UNBLOCK, &mask, nullptr);
  while (!s->enough.load(std::memory_order_relaxed)) {
    long broken = 0;
    for (int i = 0; i < 16; ++i) {
      broken += !batch_is_whole(s, random);
      broken += !mine.step();
    }
    s->broken.fetch_add(broken, std::memory_order_relaxed);
  }
  pthread_sigmask(SIG_BLOCK, &mask, nullptr);
  s->broken.fetch_add(!mine.finish());
  return nullptr;
}

// Starts the workers on so many CPUs, lets `source` send signals, waits until enough have
// come, and checks that every block came back.
void weather(int cpus, int signal, long signals_wanted, std::function<void(storm&)> source) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, signal);
  pthread_sigmask(SIG_BLOCK, &mask, nullptr);
  struct sigaction action = {};
  action.sa_handler = count_signal;
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
  signals_seen = 0;
  malloc_trim(0);
  const std::size_t in_use_before = mallinfo2().uordblks;
  {
    storm s{cpus, signals_wanted, signal};
    s.threads.resize(workers);
    s.ids.resize(workers);
    for (pthread_t& thread : s.threads) {
      ASSERT_EQ(pthread_create(&thread, nullptr, worker, &s), 0);
    }
    while (s.ready < workers) {
      sched_yield();
    }
    source(s);
    s.enough = true;
    for (pthread_t thread : s.threads) {
      pthread_join(thread, nullptr);
    }
    EXPECT_EQ(s.broken, 0);
    EXPECT_EQ(s.live, 0);
  }
  EXPECT_GE(signals_seen, signals_wanted);
  malloc_trim(0);
  EXPECT_LT(mallinfo2().uordblks, in_use_before + (64 << 10)) << "blocks were lost";
}

void wait_for_signals(const storm& s) {
  while (signals_seen.load(std::memory_order_relaxed) < s.signals_wanted) {
    usleep(1000);
  }
}

void interval_timer(const storm& s, __itimer_which which, long microseconds) {
  const itimerval interval{{0, microseconds}, {0, microseconds}};
  setitimer(which, &interval, nullptr);
  wait_for_signals(s);
  const itimerval off{};
  setitimer(which, &off, nullptr);
}

// A timer for each worker, which that worker alone is interrupted by (Linux, SIGEV_THREAD_ID).
void timer_per_thread(const storm& s, long nanoseconds) {
  std::vector<timer_t> timers(s.ids.size());
  for (std::size_t i = 0; i < timers.size(); ++i) {
    sigevent event = {};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = s.signal;
    event._sigev_un._tid = s.ids[i];
    ASSERT_EQ(timer_create(CLOCK_MONOTONIC, &event, &timers[i]), 0);
    const itimerspec interval{{0, nanoseconds}, {0, nanoseconds}};
    ASSERT_EQ(timer_settime(timers[i], 0, &interval, nullptr), 0);
  }
  wait_for_signals(s);
  for (timer_t timer : timers) {
    timer_delete(timer);
  }
}

void kill_in_turn(const storm& s) {
  for (std::size_t i = 0; signals_seen.load() < s.signals_wanted; ++i) {
    pthread_kill(s.threads[i % s.threads.size()], s.signal);
    if (i % 16 == 0) {
      usleep(20);
    }
  }
}

// Moves every worker from one CPU to the other and back while it allocates.
void migrate(const storm& s, int moves) {
  const std::vector<int> cpus = allowed_cpus();
  for (int move = 0; move < moves; ++move) {
    for (std::size_t i = 0; i < s.ids.size(); ++i) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpus[(move + i) % 2], &one);
      sched_setaffinity(s.ids[i], sizeof one, &one);
    }
    usleep(100);
  }
}

// On one CPU threads preempt one another at any instruction; on two they also run side by side. The
// sender of the signals is not bound.
class OnCpus : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    if (allowed_cpus().size() < static_cast<std::size_t>(GetParam())) {
      GTEST_SKIP() << "needs " << GetParam() << " CPUs";
    }
  }
};

TEST_P(OnCpus, RealTimeTimerLosesNothing) {
  weather(GetParam(), SIGALRM, 20000, [](storm& s) { interval_timer(s, ITIMER_REAL, 30); });
}

// Its resolution is the kernel's tick, so few are asked for.
TEST_P(OnCpus, ProfilingTimerLosesNothing) {
  weather(GetParam(), SIGPROF, 200, [](storm& s) { interval_timer(s, ITIMER_PROF, 50); });
}

TEST_P(OnCpus, TimerOfEachThreadLosesNothing) {
  weather(GetParam(), SIGUSR2, 20000, [](storm& s) { timer_per_thread(s, 50000); });
}

TEST_P(OnCpus, SignalsFromAnotherThreadLoseNothing) {
  weather(GetParam(), SIGUSR1, 4000, [](storm& s) { kill_in_turn(s); });
}

INSTANTIATE_TEST_SUITE_P(Signals, OnCpus, testing::Values(1, 2),
                         [](const auto& info) { return std::to_string(info.param); });

TEST(Signals, ForcedMigrationsLoseNothing) {
  if (allowed_cpus().size() < 2) {
    GTEST_SKIP() << "needs 2 CPUs";
  }
  weather(2, SIGUSR1, 0, [](storm& s) { migrate(s, 500); });
}

TEST(Signals, ForcedMigrationsUnderATimerLoseNothing) {
  if (allowed_cpus().size() < 2) {
    GTEST_SKIP() << "needs 2 CPUs";
  }
  weather(2, SIGALRM, 10000, [](storm& s) {
    const itimerval interval{{0, 50}, {0, 50}};
    setitimer(ITIMER_REAL, &interval, nullptr);
    migrate(s, 300);
    interval_timer(s, ITIMER_REAL, 50);
  });
}

}  // namespace
}  // namespace survival
