// Migrations in the first moments of a process, when the arrays of each CPU come into being. What
// goes wrong there goes wrong seldom, so many processes are started.
#include <gtest/gtest.h>
#include <sched.h>

#include "program.h"

namespace survival {
namespace {

TEST(Migration, WhileArraysComeIntoBeingRefusesNothing) {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  if (CPU_COUNT(&allowed) < 2) {
    GTEST_SKIP() << "needs 2 CPUs";
  }
  for (int process = 0; process < 60; ++process) {
    const outcome result = run_program("migration_program", {"80"});
    ASSERT_EQ(result.ending, "exit 0") << result.output;
  }
}

}  // namespace
}  // namespace survival
