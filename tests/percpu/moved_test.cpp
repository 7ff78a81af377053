// Growing while the thread is moved to another CPU, between taking the header and setting it again
// (publish_header): there preemption by itself hardly ever hits. The grower runs under ptrace(2)
// with a watchpoint on the header, which stops it after each write, and so between its sequences;
// single steps would interrupt every one of them. At such a stop it and another thread exchange
// their CPUs.
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <new>
#include <string>
#include <thread>

#include "../seccomp.h"
#include "arrays.h"
#include "traced.h"

using namespace percpu_test;

namespace {

// Objects are numbers. The array has room for 7 and holds 1 to 5 when it is to get room for 15; the
// other thread has the sixth.
constexpr std::size_t nothing = 0;
constexpr std::size_t filled = 5;
constexpr std::size_t sixth = 6;

void* object(std::size_t number) {
  return reinterpret_cast<void*>(number * 8);
}
std::size_t number_of(void* object) {
  return reinterpret_cast<std::size_t>(object) / 8;
}

// What the other thread is to do, always with the arrays of the CPU that it is on.
enum class order { none, pop, pop_batch, push, push_batch, grow, drain };
constexpr const char* order_names[] = {"none",       "pop",  "pop_batch", "push",
                                       "push_batch", "grow", "drain"};

constexpr unsigned unknown = ~0u;

// In memory that the threads and the test share.
struct board {
  // The grower's area before it filled the array, before it had it grow, and after.
  std::atomic<unsigned> filling{unknown}, growing{unknown}, grown{unknown};
  // What it found in the arrays of all CPUs in the end.
  std::atomic<std::size_t> left_count{0};
  std::size_t left[sixth];

  std::atomic<pid_t> other{0};  // until it runs
  std::atomic<unsigned> other_area{unknown};
  std::atomic<order> asked{order::none};  // none again when it is done
  std::size_t answer;                     // the object that it popped or pushed
};
board* shared;

std::size_t pop_batch_of_one(unsigned index) {
  void* popped = nullptr;
  percpu::pop_batch(index, &popped, 1);
  return number_of(popped);
}

std::size_t obey(order o, unsigned index) {
  void* const pushed = object(sixth);
  switch (o) {
    case order::none:
      break;
    case order::pop:
      return number_of(percpu::pop(index));
    case order::pop_batch:
      return pop_batch_of_one(index);
    case order::push:
      return percpu::push(index, pushed) ? sixth : nothing;
    case order::push_batch:
      return percpu::push_batch(index, &pushed, 1) ? sixth : nothing;
    case order::grow:
      percpu::grow(index, percpu::miss::full);
      break;
    case order::drain:
      percpu::drain(false, discard);
      percpu::drain_index(index, discard);
      break;
  }
  return nothing;
}

// Never sleeps: a thread that does may lose its area.
void obey_on_cpu(unsigned cpu, unsigned index) {
  put_on_cpu(0, cpu);
  shared->other = static_cast<pid_t>(syscall(SYS_gettid));
  for (;;) {
    shared->other_area = percpu::current();
    const order o = shared->asked;
    if (o == order::none) continue;
    shared->answer = obey(o, index);
    shared->asked = order::none;
  }
}

void note_left(unsigned, void** objects, unsigned count) {
  for (unsigned i = 0; i < count && shared->left_count < std::size(shared->left); i++)
    shared->left[shared->left_count++] = number_of(objects[i]);
}

void start_the_other(unsigned index) {
  std::thread(obey_on_cpu, allowed_cpus().back(), index).detach();
  // Since Linux 6.19 mm_cid goes with the CPU, and not with the thread, only where there are more
  // threads than CPUs that they may use.
  std::thread(pause).detach();
  while (!shared->other)
    std::this_thread::yield();
}

enum class restarts { allowed, refused };

// The traced process, from its beginning to its end.
void grow_under_trace(unsigned index, restarts r) {
  if (r == restarts::refused && !seccomp_test::refuse(SYS_membarrier)) _exit(1);
  put_on_cpu(0, allowed_cpus().front());
  start_the_other(index);
  be_traced();
  shared->filling = percpu::current();
  percpu::grow(index, percpu::miss::full);
  for (std::size_t n = 1; n <= filled; n++)
    percpu::push(index, object(n));
  raise(SIGSTOP);
  shared->growing = percpu::current();
  percpu::grow(index, percpu::miss::full);
  shared->grown = percpu::current();
  raise(SIGSTOP);
  percpu::drain_index(index, note_left);
}

std::string text_of(percpu::header h) {
  if (std::bit_cast<u64>(h) == 0) return "taken";
  const std::string objects = std::to_string(h.top - h.bottom) + " objects";
  return h.end ? objects + " of " + std::to_string(h.end - h.bottom) : objects + ", no end";
}

// A process with the two threads, and a script of what they do, each with what is to come of it.
// After the first difference nothing more is done.
class growth {
 public:
  growth(unsigned index, restarts r) : index_(index), grower_([=] { grow_under_trace(index, r); }) {
    const bool is_ready =
        grower_.wait_for_stop() && grower_.stop_signal() == SIGSTOP && grower_.watch(address());
    if (!is_ready) differ("the grower does not come to its growing");
  }

  // Lets the grower go on to its next write of the header or restart of the sequences, or to the
  // end of growing.
  void step(const std::string& expected) {
    if (has_differed()) return;
    std::string did;
    while (did.empty() && grower_.go_on(PTRACE_SYSCALL))
      did = what_it_did();
    compare("step", did, expected);
  }

  // While the grower is stopped, the other one gets its area; so it has to go on in another.
  void exchange_cpus() {
    if (has_differed()) return;
    put_on_cpu(shared->other, allowed_cpus().front());
    put_on_cpu(grower_.id(), allowed_cpus().back());
    is_exchanged_ = true;
    is_disturbed_ |= !comes_true([] { return shared->other_area == shared->filling; });
  }

  void other(order o, std::size_t expected) {
    if (has_differed()) return;
    shared->asked = o;
    if (!comes_true([] { return shared->asked == order::none; })) {
      return differ("the other thread does not answer");
    }
    is_disturbed_ |= shared->other_area != shared->filling;
    compare(order_names[static_cast<int>(o)], std::to_string(shared->answer),
            std::to_string(expected));
  }

  void header_is(const std::string& expected) {
    if (!has_differed()) compare("header", text_of(header()), expected);
  }

  // The rest of the grower's life: it empties the arrays of all CPUs.
  void finish(const std::vector<std::size_t>& expected) {
    if (has_differed()) return;
    grower_.unwatch();
    if (grower_.go_on(PTRACE_CONT)) return differ("the grower stops once more");
    if (!grower_.has_ended() || grower_.status() != 0)
      return differ("the grower does not end well");
    std::vector<std::size_t> left(shared->left, shared->left + shared->left_count);
    std::sort(left.begin(), left.end());
    if (left != expected) differ("left over: " + testing::PrintToString(left));
  }

  const std::string& first_difference() const { return first_difference_; }

  // Whether a thread had another area than the script wants. Where the script came to a difference
  // the grower has yet to say where it ended up.
  bool was_disturbed() {
    grower_.unwatch();
    if (shared->grown == unknown) grower_.go_on(PTRACE_CONT);
    if (is_disturbed_ || shared->growing != shared->filling) return true;
    return shared->grown != unknown && (shared->grown != shared->growing) != is_exchanged_;
  }

 private:
  bool has_differed() const { return !first_difference_.empty(); }
  void differ(const std::string& difference) {
    if (!has_differed()) first_difference_ = difference;
  }
  void compare(const std::string& what, const std::string& is, const std::string& expected) {
    if (is != expected) differ(what + ": \"" + is + "\" instead of \"" + expected + "\"");
  }

  // Empty for a stop that is of no interest.
  std::string what_it_did() const {
    switch (grower_.stop_signal()) {
      case SIGTRAP:
        return text_of(header());
      case traced_child::system_call_stop:
        return which_call();
      case SIGSTOP:
        return "grown";
      default:
        return "signal " + std::to_string(grower_.stop_signal());
    }
  }

  // A call stops its thread twice, at its beginning with ENOSYS for a result.
  std::string which_call() const {
    const auto result = static_cast<long>(grower_.peek_user(offsetof(user, regs.rax)));
    const bool is_restart = grower_.peek_user(offsetof(user, regs.orig_rax)) == SYS_membarrier;
    if (!is_restart || result == -ENOSYS) return "";
    return result == 0 ? "restarted" : "restart refused";
  }

  std::atomic<u64>* address() const {
    return percpu::header_of(percpu::area_of(shared->filling), index_);
  }
  percpu::header header() const { return std::bit_cast<percpu::header>(grower_.peek(address())); }

  unsigned index_;
  traced_child grower_;
  bool is_exchanged_ = false;
  bool is_disturbed_ = false;
  std::string first_difference_;
};

class Moved : public testing::Test {
 protected:
  void SetUp() override {
    start_arrays();
    if (!percpu::use_sequences) GTEST_SKIP() << "needs sequences that can be restarted";
    if (allowed_cpus().size() < 2) GTEST_SKIP() << "needs two CPUs";
    if (!has_watchpoints()) GTEST_SKIP() << "needs ptrace(2) with debug registers that work";
    stay_on_two_cpus();
    void* memory =
        mmap(nullptr, sizeof(board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    shared = static_cast<board*>(memory);
  }
  void TearDown() override {
    if (shared) munmap(shared, sizeof(board));
    shared = nullptr;
    last_index = 0;
  }

  // Of an undisturbed run of the script: the kernel may change a thread's mm_cid at any time,
  // though it seldom does.
  std::string first_difference(restarts r, const std::function<void(growth&)>& script) const {
    for (int tries = 0; tries < 5; tries++) {
      new (shared) board;
      growth g(index, r);
      script(g);
      if (!g.was_disturbed()) return g.first_difference();
    }
    return "the threads never had the areas that they were to have";
  }

  unsigned index = new_index(8, 100);

 private:
  // From before the fork on, since mm_cid depends on which CPUs any thread ever could use.
  static void stay_on_two_cpus() {
    const std::vector<unsigned> cpus = allowed_cpus();
    cpu_set_t two;
    CPU_ZERO(&two);
    CPU_SET(cpus[0], &two);
    CPU_SET(cpus[1], &two);
    ASSERT_EQ(sched_setaffinity(0, sizeof two, &two), 0);
  }
};

TEST_F(Moved, WhoIsNotSetsTheHeaderInOneStep) {
  const auto script = [](growth& g) {
    g.step("taken");
    g.step("5 objects of 15");
    g.step("grown");
    g.finish({1, 2, 3, 4, 5});
  };
  EXPECT_EQ(first_difference(restarts::allowed, script), "");
}

TEST_F(Moved, WhoIsSetsTheEndAfterEverySequenceIsOver) {
  const auto script = [](growth& g) {
    g.step("taken");
    g.exchange_cpus();
    g.other(order::pop, nothing);
    g.other(order::push, nothing);
    g.step("5 objects, no end");
    g.other(order::push, nothing);
    g.other(order::push_batch, nothing);
    g.other(order::pop_batch, nothing);
    g.other(order::pop, 5);
    g.step("restarted");
    g.header_is("4 objects, no end");
    g.step("4 objects of 15");
    g.other(order::push, sixth);
    g.step("grown");
    g.finish({1, 2, 3, 4, sixth});
  };
  EXPECT_EQ(first_difference(restarts::allowed, script), "");
}

TEST_F(Moved, WhoIsLeavesAnArrayThatIsForPopsAloneWhereRestartsAreRefused) {
  const auto script = [](growth& g) {
    g.step("taken");
    g.exchange_cpus();
    g.step("5 objects, no end");
    g.step("restart refused");
    g.step("grown");
    g.other(order::grow, nothing);
    g.other(order::drain, nothing);
    g.other(order::push, nothing);
    g.header_is("5 objects, no end");
    for (std::size_t n = filled; n > 0; n--)
      g.other(order::pop, n);
    g.other(order::pop, nothing);
    g.other(order::grow, nothing);
    g.header_is("0 objects, no end");
    g.finish({});
  };
  EXPECT_EQ(first_difference(restarts::refused, script), "");
}

}  // namespace
