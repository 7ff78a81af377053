// QUARRY_CONF=rseq:... is what the program gets: with sequences trimming restarts them by
// membarrier(2), and the fallback has nothing to restart. Elsewhere each run would pass in either.
#include <linux/membarrier.h>
#include <malloc.h>

#include <csignal>
#include <string_view>

#include "../seccomp.h"
#include "child.h"

using namespace preload_test;

// glibc >= 2.35; 0 where it registers no areas (GLIBC_TUNABLES).
extern "C" {
extern const unsigned int __rseq_size __attribute__((weak));
}

namespace {

bool system_has_sequences() {
#ifdef __x86_64__
  constexpr long needed =
      MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ | MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ;
  const long known = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  return &__rseq_size != nullptr && __rseq_size != 0 && known >= 0 && (known & needed) == needed;
#else
  return false;
#endif
}

bool sequences_are_wanted() {
  const char* conf = getenv("QUARRY_CONF");
  return !conf || std::string_view(conf).find("rseq:off") == std::string_view::npos;
}

TEST(Sequences, AreUsedExactlyWhereTheyAreWantedAndTheSystemHasThem) {
  const child_result result = run_in_child([] {
    if (!seccomp_test::filter_calls(SYS_membarrier, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW))
      _exit(77);
    malloc_trim(0);
  });
  if (WIFEXITED(result.status) && WEXITSTATUS(result.status) == 77)
    GTEST_SKIP() << "needs seccomp filters";
  if (sequences_are_wanted() && system_has_sequences()) {
    EXPECT_TRUE(WIFSIGNALED(result.status) && WTERMSIG(result.status) == SIGSYS)
        << "the fallback is in use, status " << result.status << result.errors;
  } else {
    EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
  }
}

}  // namespace
