// Locks: reclaim_lock, taken before any other, is held while memory goes back: one thread does it
// at a time, and a fork finds no block half way. helper_lock, taken before that one, is held by the
// helper while it works, and by nobody else but a thread that forks without taking locks.
#include "page/reclaim.h"

#include <algorithm>

#include "os/lock.h"
#include "os/memory.h"
#include "os/thread.h"
#include "page/highmem.h"
#include "page/zones.h"

namespace quarry {

namespace {

// A period. A round of reclaim follows each, and memory goes back after it was unused for one to
// two rounds. Short enough that caches and the pages they kept are both gone well within a second.
constexpr unsigned period_ms = 100;

// So many periods to a round where what went back was soon taken again, and the program is at work.
constexpr unsigned longest_wait = 4;

// Rounds without anything to do after which the helper ends.
constexpr unsigned idle_rounds = 3;

// How long a fork waits for the helper, see stop_helper().
constexpr unsigned patience_ms = 10'000;

// Caches in use are shrunk too, every so many rounds: after a burst each of their few objects
// may be the last of its slab.
constexpr unsigned busy_shrink_rounds = 2;

// Dirty memory that is not worth a system call: this much, and a share of what is in use.
constexpr std::size_t kept_pages = 1 * mib >> page_shift;
constexpr std::size_t kept_share = 16;

// The helper starts at several times that, so that a small program never sees it.
constexpr std::size_t much_pages = 4 * mib >> page_shift;
constexpr std::size_t much_share = 8;

// A heap that grows no larger than this keeps what it caches.
constexpr std::size_t least_grown = 4 * mib;

constinit os::lock reclaim_lock;
constinit shrink_fn shrink = nullptr;     // written at start-up
constinit trim_fn trim = nullptr;         // likewise
constinit bool may_start_helper = false;  // written at start-up
constinit os::bare_thread helper;
constinit unsigned wait_periods = 1;  // to a round; the helper's alone, of which there is one
constinit os::lock helper_lock;
constinit bool is_helper_stopped = false;  // written where the program has one thread

// What was committed when the caches were last shrunk for it. Written under reclaim_lock.
constinit std::atomic<std::size_t> committed_then{least_grown};

std::size_t pages_to_keep(const zone* z) {
  return kept_pages + z->used_pages() / kept_share;
}

// Dirty pages that were needed in this period may be spare in the next.
bool is_some_needed(const zone* z) {
  return z->dirty_pages() > std::max(pages_to_keep(z), z->unneeded_pages());
}

bool is_much_free(const zone* z) {
  return z->dirty_pages() > much_pages + z->used_pages() / much_share;
}

// Whether it holds for one zone; not of ZONE_DMA, in which all memory stays.
bool holds_anywhere(bool (*is_true)(const zone*)) {
  const zone* highmem = highmem_zone();
  if (highmem && is_true(highmem)) return true;
  for (unsigned node = 0; node < node_count(); node++)
    if (is_true(normal_zone_of(node))) return true;
  return false;
}

// Pages of all zones: in use, and free but in memory.
struct glance {
  std::size_t used = 0;
  std::size_t dirty = 0;
  bool operator==(const glance&) const = default;
};

glance glance_at_zones() {
  glance sum;
  for_each_zone([&](const zone* z) {
    sum.used += z->used_pages();
    sum.dirty += z->dirty_pages();
  });
  return sum;
}

// Grows by the pages without memory that are taken.
std::size_t in_memory(const glance& g) {
  return g.used + g.dirty;
}

// What a round has given back to the system: free pages, and pages of what is in use.
struct gone_back {
  std::size_t purged = 0;
  trimmed in_use;
};

// One round's work.
gone_back reclaim_round(unsigned round) {
  os::lock_guard work(helper_lock);
  os::lock_guard guard(reclaim_lock);
  const bool is_busy_round = round % busy_shrink_rounds == 0;
  shrink(!is_busy_round);
  gone_back back;
  if (is_busy_round) back.in_use = trim(trim_depth::idle);
  for_each_zone([&](zone* z) {
    back.purged += z->purge(pages_to_keep(z), purge_depth::whole);
    // Parts of huge pages only while there is twice as much as may stay.
    if (z->dirty_pages() > 2 * pages_to_keep(z))
      back.purged += z->purge(pages_to_keep(z), purge_depth::unused);
    z->start_period();
  });
  return back;
}

// Sleeps for so many periods, or until the program has taken and freed no pages for one of them:
// returns false then.
bool sleep_while_at_work(unsigned periods) {
  for (; periods > 0; periods--) {
    const glance before = glance_at_zones();
    os::sleep_ms(period_ms);
    if (glance_at_zones() == before) return false;
  }
  return true;
}

void run_helper() {
  unsigned idle = 0;
  std::size_t gone = 0;  // pages that went back, half of which are forgotten each time
  std::size_t left = 0;  // in memory, had the program done nothing since they began to go
  for (unsigned round = 1; idle < idle_rounds; round++) {
    const glance before = glance_at_zones();
    const bool at_work = sleep_while_at_work(wait_periods);
    const glance after = glance_at_zones();
    const bool was_needed = gone > kept_pages && in_memory(after) >= left + gone / 2;
    if (was_needed)
      wait_periods = longest_wait;
    else if (at_work && wait_periods > 1)
      wait_periods--;
    const bool may_follow = holds_anywhere(is_some_needed);
    const gone_back back = reclaim_round(round);
    gone = gone / 2 + back.purged;
    left = in_memory(after) - std::min(in_memory(after), back.purged);
    const bool trims = back.in_use.pages != 0 || back.in_use.may_follow;
    const bool busy =
        back.purged != 0 || trims || may_follow || glance_at_zones().used < before.used;
    idle = busy ? 0 : idle + 1;
  }
}

}  // namespace

void start_reclaim(shrink_fn shrink_caches, trim_fn trim_slabs, bool background) {
  shrink = shrink_caches;
  trim = trim_slabs;
  may_start_helper = background;
  os::find_purge_each();
}

void reclaim_soon() {
  // Another library's fork handler may free before ours has forgotten the parent's helper.
  if (!may_start_helper || is_helper_stopped || os::lock::is_fork_owner()) return;
  helper.start(run_helper);
}

void reclaim_if_much_is_free() {
  if (may_start_helper && holds_anywhere(is_much_free)) reclaim_soon();
}

void reclaim_if_heap_grew() {
  const std::size_t committed = normal_zone.committed_pages() << page_shift;
  if (committed <= committed_then.load(std::memory_order_relaxed)) return;
  if (!reclaim_lock.try_acquire()) return;
  committed_then.store(committed, std::memory_order_relaxed);
  shrink(true);
  trim(trim_depth::some);
  reclaim_lock.release();
}

bool reclaim_everything(std::size_t keep) {
  os::lock_guard guard(reclaim_lock);
  const std::size_t used = glance_at_zones().used;
  shrink(false);
  std::size_t purged = trim(trim_depth::everything).pages;
  for_each_zone([&](zone* z) { purged += z->purge(keep >> page_shift, purge_depth::everything); });
  return purged != 0 || glance_at_zones().used < used;
}

void acquire_reclaim() QUARRY_NO_ANALYSIS {
  reclaim_lock.acquire();
}
void release_reclaim() QUARRY_NO_ANALYSIS {
  reclaim_lock.release();
}
void release_reclaim_in_child() {
  reclaim_lock.reset();
  forget_helper_in_child();
}

void stop_helper() QUARRY_NO_ANALYSIS {
  for (unsigned waited = 0; waited < patience_ms && !is_helper_stopped; waited++) {
    if (waited) os::sleep_ms(1);
    is_helper_stopped = helper_lock.try_acquire();
  }
}
void let_helper_go_on() QUARRY_NO_ANALYSIS {
  if (is_helper_stopped) helper_lock.release();
  is_helper_stopped = false;
}
void forget_helper_in_nested_child() {
  helper.forget();
}
void forget_helper_in_child() {
  helper_lock.reset();
  forget_helper_in_nested_child();
  is_helper_stopped = false;
}

}  // namespace quarry
