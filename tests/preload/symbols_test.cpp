// Every name of the malloc family leads to one allocator, and blocks may come from one name and go
// to another.

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "block.h"

using namespace preload_test;

namespace {

// The file that defines a name, as the program sees it.
std::string home_of(const char* name) {
  void* symbol = dlsym(RTLD_DEFAULT, name);
  Dl_info info;
  return symbol && dladdr(symbol, &info) ? info.dli_fname : "nowhere";
}

TEST(Preload, PutsQuarryInFrontOfTheCLibrary) {
  EXPECT_NE(home_of("malloc").find("libquarry"), std::string::npos) << home_of("malloc");
}

class Name : public testing::TestWithParam<const char*> {};

TEST_P(Name, IsDefinedWhereMallocIs) {
  EXPECT_EQ(home_of(GetParam()), home_of("malloc"));
}

INSTANTIATE_TEST_SUITE_P(MallocFamily, Name,
                         testing::Values("free", "calloc", "realloc", "reallocarray",
                                         "posix_memalign", "aligned_alloc", "memalign", "valloc",
                                         "pvalloc", "cfree", "malloc_usable_size", "malloc_trim",
                                         "mallinfo", "mallinfo2", "mallopt", "malloc_stats",
                                         "malloc_info"));

INSTANTIATE_TEST_SUITE_P(C23, Name, testing::Values("free_sized", "free_aligned_sized"));

// The second names under which glibc exports the family; programs are known to bind them.
INSTANTIATE_TEST_SUITE_P(LibcNames, Name,
                         testing::Values("__libc_malloc", "__libc_free", "__libc_calloc",
                                         "__libc_realloc", "__libc_memalign", "__libc_valloc",
                                         "__libc_pvalloc"));

// operator new and delete under their names in the Itanium C++ ABI (5.1.5, "Operator Encodings").
INSTANTIATE_TEST_SUITE_P(
    Operators, Name,
    testing::Values("_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t",
                    "_ZnwmSt11align_val_t", "_ZnamSt11align_val_t",
                    "_ZnwmSt11align_val_tRKSt9nothrow_t", "_ZnamSt11align_val_tRKSt9nothrow_t",
                    "_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm", "_ZdlPvRKSt9nothrow_t",
                    "_ZdaPvRKSt9nothrow_t", "_ZdlPvSt11align_val_t", "_ZdaPvSt11align_val_t",
                    "_ZdlPvmSt11align_val_t", "_ZdaPvmSt11align_val_t",
                    "_ZdlPvSt11align_val_tRKSt9nothrow_t", "_ZdaPvSt11align_val_tRKSt9nothrow_t"));

template <typename call>
call* find(const char* name) {
  return reinterpret_cast<call*>(dlsym(RTLD_DEFAULT, name));
}

TEST(LibcNames, TakeAndGiveBlocksOfThePlainNames) {
  const auto libc_malloc = find<void*(size_t)>("__libc_malloc");
  const auto libc_calloc = find<void*(size_t, size_t)>("__libc_calloc");
  const auto libc_realloc = find<void*(void*, size_t)>("__libc_realloc");
  const auto libc_memalign = find<void*(size_t, size_t)>("__libc_memalign");
  const auto libc_free = find<void(void*)>("__libc_free");
  const size_t before = bytes_in_use();
  for (size_t size : {10, 100, 1000, 10'000, 1'000'000}) {
    for (int i = 0; i < 200; ++i) {
      void* blocks[] = {libc_malloc(size), libc_calloc(2, size / 2), libc_memalign(256, size),
                        libc_realloc(malloc(size / 2), size)};
      EXPECT_TRUE(is_aligned(blocks[2], 256));
      for (unsigned k = 0; k < 4; ++k)
        fill(blocks[k], size, k);
      for (unsigned k = 0; k < 4; ++k)
        EXPECT_TRUE(holds(blocks[k], size, k)) << size;
      for (void* block : blocks)
        free(block);
      libc_free(malloc(size));
      libc_free(operator new(size));
    }
  }
  EXPECT_LE(bytes_in_use(), before + (1 << 20));
}

// cfree went from the headers with glibc 2.26; programs built before still call it.
TEST(Cfree, Frees) {
  const auto cfree = find<void(void*)>("cfree");
  ASSERT_NE(cfree, nullptr);
  const size_t before = bytes_in_use();
  for (int i = 0; i < 100; ++i)
    cfree(malloc(1'000'000));
  for (int i = 0; i < 100'000; ++i)
    cfree(malloc(1000));
  EXPECT_LE(bytes_in_use(), before + (1 << 20));
}

}  // namespace
