// The arrays under preemption, migration, signals, growth and draining: whatever interrupts a
// thread in the middle of an operation, each token stays the property of one, and none is lost.
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <thread>

#include "tokens.h"

using namespace percpu_test;

namespace {

constexpr unsigned thread_count = 16;
constexpr unsigned tokens_each = 40;
constexpr unsigned rounds = 100'000;
constexpr int timer_signal = SIGUSR1;

// Sends its thread a signal at short intervals, so that it is interrupted at any instruction.
class signal_timer {
 public:
  explicit signal_timer(bool wanted) : wanted_(wanted) {
    if (!wanted_) return;
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = timer_signal;
    event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
    EXPECT_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer_), 0);
    constexpr timespec interval = {0, 100'000};
    const itimerspec times = {interval, interval};
    EXPECT_EQ(timer_settime(timer_, 0, &times, nullptr), 0);
  }
  ~signal_timer() {
    if (wanted_) timer_delete(timer_);
  }

 private:
  bool wanted_;
  timer_t timer_{};
};

// The handler's own hand, if the thread has one for it.
thread_local hand* handler_hand = nullptr;
std::atomic<unsigned> signals{0};

void handle_signal(int) {
  signals.fetch_add(1, std::memory_order_relaxed);
  if (hand* h = handler_hand) h->anything();
}

// Tokens that a drain took out of the arrays, until a thread takes them up again.
std::mutex drained_mutex;
std::vector<void*> drained;
token_set* drained_set = nullptr;

void collect(unsigned, void** objects, unsigned count) {
  const std::lock_guard guard(drained_mutex);
  for (unsigned i = 0; i < count; i++) {
    drained_set->take(objects[i]);
    drained.push_back(objects[i]);
  }
}

void take_up(hand* h) {
  const std::lock_guard guard(drained_mutex);
  h->held().insert(h->held().end(), drained.begin(), drained.end());
  drained.clear();
}

struct conditions {
  std::function<void(unsigned)> begin = [](unsigned) {};  // in each thread, with its number
  bool timer = false;
  bool handler_takes_part = false;
  bool juggle = false;  // single pops and pushes in quick succession
  std::function<void(const std::vector<pid_t>&)> disturb = {};  // meanwhile, again and again
};

class Preemption : public testing::Test {
 protected:
  void SetUp() override {
    start_arrays();
    struct sigaction action {};
    action.sa_handler = handle_signal;
    action.sa_flags = SA_RESTART;
    sigaction(timer_signal, &action, nullptr);
    drained_set = &tokens;
    drained.reserve(tokens.size());
    signals = 0;
  }
  // After the signals and threads have gone.
  void TearDown() override {
    percpu::drain(false, discard);
    last_index = 0;
  }

  void run(const conditions& c) {
    std::vector<std::thread> threads;
    std::vector<std::atomic<pid_t>> ids(thread_count);
    std::atomic<unsigned> running{thread_count};
    for (unsigned t = 0; t < thread_count; t++) {
      threads.emplace_back([&, t] {
        ids[t] = static_cast<pid_t>(syscall(SYS_gettid));
        c.begin(t);
        work(c, t);
        running--;
        while (running)
          std::this_thread::yield();  // the ids stay true until all are done
      });
    }
    for (auto& id : ids) {
      while (!id)
        std::this_thread::yield();
    }
    const std::vector<pid_t> known(ids.begin(), ids.end());
    while (running)
      c.disturb ? c.disturb(known) : std::this_thread::yield();
    for (std::thread& t : threads)
      t.join();
    expect_all_there();
  }

  token_set tokens{2 * thread_count * tokens_each};
  unsigned index = new_index(8, 200);

 private:
  void work(const conditions& c, unsigned number) {
    hand own(&tokens, index, number), handlers(&tokens, index, number + 1000);
    for (unsigned i = 0; i < tokens_each; i++) {
      own.held().push_back(tokens.at(number * 2 * tokens_each + i));
      handlers.held().push_back(tokens.at((number * 2 + 1) * tokens_each + i));
    }
    if (c.handler_takes_part) handler_hand = &handlers;
    {
      const signal_timer timer(c.timer);
      for (unsigned i = 0; i < (c.juggle ? rounds / 10 : rounds); i++) {
        c.juggle ? own.juggle() : own.anything();
        if (i % 1000 == 0) std::this_thread::yield();
        if (i % 256 == 0) take_up(&own);
      }
    }
    handler_hand = nullptr;
    const std::lock_guard guard(kept_mutex_);
    for (hand* h : {&own, &handlers})
      kept_.insert(kept_.end(), h->held().begin(), h->held().end());
  }

  // In the end every token is in somebody's hand or in an array, once.
  void expect_all_there() {
    EXPECT_EQ(tokens.wrong(), 0u) << "tokens taken twice or invented";
    const std::size_t listed = percpu::figures_of(index).objects;
    const std::size_t before = drained.size();
    percpu::drain(false, collect);
    EXPECT_EQ(drained.size() - before, listed);
    std::vector<void*> all = kept_;
    all.insert(all.end(), drained.begin(), drained.end());
    drained.clear();
    std::sort(all.begin(), all.end());
    std::vector<void*> expected;
    for (std::size_t i = 0; i < tokens.size(); i++)
      expected.push_back(tokens.at(i));
    EXPECT_EQ(all.size(), expected.size());
    EXPECT_TRUE(all == expected) << "tokens lost or doubled";
    EXPECT_EQ(tokens.wrong(), 0u);
  }

  std::mutex kept_mutex_;
  std::vector<void*> kept_;
};

// A thread may not take an area's lock again in a handler that interrupted it under that lock, so
// in fallback the handler is just an interruption.
bool handlers_may_take_part() {
  return percpu::use_sequences;
}

void stay_on_first_cpu(unsigned) {
  put_on_cpu(0, allowed_cpus().front());
}

void move_to_another_cpu(const std::vector<pid_t>& threads) {
  static const std::vector<unsigned> cpus = allowed_cpus();
  static std::minstd_rand random;
  put_on_cpu(threads[random() % threads.size()], cpus[random() % cpus.size()]);
}

void drain_now(const std::vector<pid_t>&) {
  static bool idle_only = false;
  percpu::drain(idle_only = !idle_only, collect);
  usleep(50);
}

TEST_F(Preemption, OnOneCpuLosesNothing) {
  run({.begin = stay_on_first_cpu});
}

TEST_F(Preemption, OnOneCpuWithSignalsAtAnyInstructionLosesNothing) {
  run({.begin = stay_on_first_cpu, .timer = true});
  EXPECT_GT(signals, 0u);
}

TEST_F(Preemption, OnAllCpusLosesNothing) {
  run({});
}

TEST_F(Preemption, WithForcedMigrationsLosesNothing) {
  if (allowed_cpus().size() < 2) GTEST_SKIP() << "needs two CPUs";
  run({.disturb = move_to_another_cpu});
}

TEST_F(Preemption, WithHandlersThatPopAndPushLosesNothing) {
  run({.timer = true, .handler_takes_part = handlers_may_take_part()});
  EXPECT_GT(signals, 0u);
}

TEST_F(Preemption, WithDrainsMeanwhileLosesNothing) {
  run({.disturb = drain_now});
}

TEST_F(Preemption, OnOneCpuWithDrainsMeanwhileLosesNothing) {
  run({.begin = stay_on_first_cpu, .disturb = drain_now});
}

TEST_F(Preemption, WithDrainsInTheMiddleOfSequencesLosesNothing) {
  run({.juggle = true,
       .disturb = [](const std::vector<pid_t>&) { percpu::drain(false, collect); }});
}

TEST_F(Preemption, WithAllOfItAtOnceLosesNothing) {
  run({.timer = true,
       .handler_takes_part = handlers_may_take_part(),
       .disturb = [](const std::vector<pid_t>& threads) {
         move_to_another_cpu(threads);
         drain_now(threads);
       }});
}

}  // namespace
