// A library with a lock of its own under which it allocates, and which it holds across forks, as
// many do whose constructors call pthread_atfork.
#include "locking_library.h"

#include <pthread.h>

#include "content.h"

namespace survival {

namespace {

pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;

void lock_library() {
  pthread_mutex_lock(&library_lock);
}
void unlock_library() {
  pthread_mutex_unlock(&library_lock);
}

[[gnu::constructor]] void register_handlers() {
  pthread_atfork(lock_library, unlock_library, unlock_library);
}

}  // namespace

bool use_library() {
  lock_library();
  const bool good = all_sizes_work(1);
  unlock_library();
  return good;
}

}  // namespace survival
