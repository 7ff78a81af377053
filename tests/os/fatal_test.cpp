// The end of a process that used memory wrongly: one line, then abort, whatever stands in the way.
#include "os/fatal.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "../preload/child.h"
#include "os/thread.h"
#include "sanitizer.h"

using namespace quarry;
using preload_test::dies_with_one_line;

namespace {

void* const some_address = reinterpret_cast<void*>(0x7f00'1000);
void* const other_address = reinterpret_cast<void*>(0x7f00'0ff0);

void die() {
  os::die("free", some_address, "not a block of this allocator");
}

const char* const line = "quarry: free\\(0x7f001000\\): not a block of this allocator";

TEST(Fatal, SaysCallAddressAndReasonInOneLine) {
  EXPECT_TRUE(dies_with_one_line(die, line));
}

TEST(Fatal, NamesASecondAddressIfThereIsOne) {
  EXPECT_TRUE(dies_with_one_line(
      [] { os::die("realloc", some_address, "inside a block that begins at", other_address); },
      "quarry: realloc\\(0x7f001000\\): inside a block that begins at 0x7f000ff0"));
}

TEST(Fatal, AbortsThoughTheSignalIsBlocked) {
  EXPECT_TRUE(dies_with_one_line(
      [] {
        sigset_t abort_signal;
        sigemptyset(&abort_signal);
        sigaddset(&abort_signal, SIGABRT);
        sigprocmask(SIG_BLOCK, &abort_signal, nullptr);
        die();
      },
      line));
}

TEST(Fatal, AbortsThoughTheSignalIsIgnored) {
  EXPECT_TRUE(dies_with_one_line(
      [] {
        signal(SIGABRT, SIG_IGN);
        die();
      },
      line));
}

TEST(Fatal, AbortsThoughAHandlerReturns) {
  EXPECT_TRUE(dies_with_one_line(
      [] {
        signal(SIGABRT, [](int) {});
        die();
      },
      line));
}

TEST(Fatal, EndsTheProcessFromAThreadWithoutLibc) {
  if (with_address_sanitizer) {
    GTEST_SKIP() << "needs a build without AddressSanitizer, which enters libc before each abort";
  }
  EXPECT_TRUE(dies_with_one_line(
      [] {
        static os::bare_thread thread;
        thread.start(die);
        for (;;)
          os::sleep_ms(10);
      },
      line));
}

}  // namespace
