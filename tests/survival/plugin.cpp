// A library to be loaded and unloaded: it allocates when loaded, holds memory in static and in
// thread-local storage (which the loader itself allocates), and frees when unloaded.
#include <string>
#include <vector>

#include "content.h"

namespace {

struct held_while_loaded {
  std::vector<std::string> names;
  survival::block big = survival::take(100000, 1);
  held_while_loaded() {
    for (int i = 0; i < 200; ++i) {
      names.push_back(std::string(i, 'q'));
    }
  }
  ~held_while_loaded() {
    if (!survival::give_back(big) || names[150] != std::string(150, 'q')) {
      abort();
    }
  }
} held;

thread_local unsigned char of_thread[5000] = {1};

}  // namespace

// A block that the caller keeps beyond the library's life; null if anything was wrong.
extern "C" void* plugin_work(std::size_t size, std::uint64_t seed) {
  of_thread[seed % sizeof of_thread] = 1;
  return survival::small_sizes_work(seed) ? survival::take(size, seed).bytes : nullptr;
}
