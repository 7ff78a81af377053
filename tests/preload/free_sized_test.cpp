// free_sized and free_aligned_sized (C23 7.24.3.4 and 7.24.3.5), which glibc has only of late:
// found by name.

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>

#include "block.h"

using namespace preload_test;

namespace {

using free_sized_call = void (*)(void*, size_t);
using free_aligned_sized_call = void (*)(void*, size_t, size_t);

const auto free_sized = reinterpret_cast<free_sized_call>(dlsym(RTLD_DEFAULT, "free_sized"));
const auto free_aligned_sized =
    reinterpret_cast<free_aligned_sized_call>(dlsym(RTLD_DEFAULT, "free_aligned_sized"));

// Enough of each size that what is not freed would be seen.
constexpr size_t moved = 32 << 20;
constexpr size_t slack = 1 << 20;

TEST(FreeSized, FreesBlocksOfMallocCallocAndRealloc) {
  ASSERT_NE(free_sized, nullptr);
  for (size_t size : {1, 8, 16, 100, 1000, 5000, 40'000, 300'000, 5'000'000}) {
    const size_t before = bytes_in_use();
    for (size_t done = 0; done < moved; done += size + 15) {
      errno = 4711;
      free_sized(malloc(size), size);
      free_sized(calloc(1, size), size);
      free_sized(realloc(malloc(size / 2), size), size);
      ASSERT_EQ(errno, 4711);
    }
    EXPECT_LE(bytes_in_use(), before + slack) << size;
  }
}

TEST(FreeAlignedSized, FreesBlocksOfAlignedAlloc) {
  ASSERT_NE(free_aligned_sized, nullptr);
  for (size_t alignment : {16, 64, 4096, 65'536, 4 << 20}) {
    for (size_t size : {16, 100, 5000, 300'000}) {
      const size_t before = bytes_in_use();
      for (size_t done = 0; done < moved; done += size + alignment) {
        free_aligned_sized(aligned_alloc(alignment, size), alignment, size);
      }
      EXPECT_LE(bytes_in_use(), before + slack) << size << " at " << alignment;
    }
  }
}

TEST(FreeSized, DoesNothingForNull) {
  ASSERT_NE(free_sized, nullptr);
  ASSERT_NE(free_aligned_sized, nullptr);
  errno = 4711;
  free_sized(nullptr, 100);
  free_aligned_sized(nullptr, 64, 128);
  EXPECT_EQ(errno, 4711);
}

}  // namespace
