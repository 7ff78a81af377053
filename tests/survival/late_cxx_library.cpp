// A library in C++ that runs out of memory, loaded by a program in C.
#include <cstddef>
#include <limits>
#include <new>

namespace {

volatile std::size_t impossible = std::numeric_limits<std::ptrdiff_t>::max() - 4096;
int calls = 0;

void resign() {
  ++calls;
  std::set_new_handler(nullptr);
}

template <typename take_type>
bool throws(take_type take) {
  try {
    take();
  } catch (const std::bad_alloc&) {
    return true;
  }
  return false;
}

}  // namespace

// Whether each form of operator new fails as the standard says.
extern "C" bool runs_out_of_memory() {
  constexpr std::align_val_t aligned{128};
  const bool thrown = throws([] { return operator new(impossible); }) &&
                      throws([] { return operator new[](impossible); }) &&
                      throws([] { return operator new(impossible, aligned); }) &&
                      throws([] { return operator new[](impossible, aligned); });
  const bool is_null = !operator new(impossible, std::nothrow) &&
                       !operator new[](impossible, std::nothrow) &&
                       !operator new(impossible, aligned, std::nothrow) &&
                       !operator new[](impossible, aligned, std::nothrow);
  std::set_new_handler(resign);
  const bool asks_handler = throws([] { return operator new(impossible); }) && calls == 1;
  return thrown && is_null && asks_handler;
}
