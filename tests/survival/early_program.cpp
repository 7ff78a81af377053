// Allocates from .preinit_array, which the loader runs before the constructor of any library
// (System V gABI, "Initialization and Termination Functions"), and says in main what became of the
// blocks.
#include <unistd.h>

#include "content.h"

bool early_blocks_whole();
bool early_thread_worked();
bool early_child_worked();

namespace {

survival::block kept[40];
bool preinit_good = false;

void preinit(int, char**, char**) {
  preinit_good = survival::all_sizes_work(1);
  for (unsigned i = 0; i < 40; ++i) {
    kept[i] = survival::take(1 + i * i * 7, i);
  }
  const auto* zeroed = static_cast<unsigned char*>(calloc(300, 7));
  for (unsigned i = 0; i < 2100; ++i) {
    preinit_good &= zeroed[i] == 0;
  }
  kept[7].bytes = static_cast<unsigned char*>(realloc(kept[7].bytes, 100000));
  preinit_good &= kept[7].bytes != nullptr && survival::whole(kept[7]);
  void* aligned = nullptr;
  preinit_good &= posix_memalign(&aligned, 4096, 100) == 0;
  preinit_good &= reinterpret_cast<std::uintptr_t>(aligned) % 4096 == 0;
  free(aligned);
  free(const_cast<unsigned char*>(zeroed));
}

[[gnu::section(".preinit_array"), gnu::used]] void (*const preinit_entry)(int, char**,
                                                                          char**) = preinit;

bool kept_whole() {
  bool good = true;
  for (survival::block& b : kept) {
    good &= survival::give_back(b);
  }
  return good;
}

}  // namespace

int main() {
  if (!preinit_good || !kept_whole()) {
    return 2;
  }
  if (!early_blocks_whole()) {
    return 3;
  }
  if (!early_thread_worked()) {
    return 4;
  }
  return early_child_worked() ? 0 : 5;
}
