#include "os/futex.h"

#include <linux/futex.h>
#include <time.h>

#include "os/syscall.h"

namespace quarry::os {

void futex_wait(const std::atomic<u32>* word, u32 expected, unsigned milliseconds) {
  const struct timespec timeout = {static_cast<time_t>(milliseconds / 1000),
                                   static_cast<long>(milliseconds % 1000) * 1'000'000};
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, &timeout);
}

void futex_wake(const std::atomic<u32>* word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1);
}

}  // namespace quarry::os
