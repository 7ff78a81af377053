// Requests of no bytes: a pointer that is not null and belongs to nobody else (glibc
// manual 3.2.3.1; C17 7.22.3 leaves the choice), and realloc to no bytes, which frees.

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <set>

#include "block.h"

using namespace preload_test;

namespace {

struct zero_request {
  const char* name;
  void* (*allocate)();
};

void PrintTo(const zero_request& request, std::ostream* out) {
  *out << request.name;
}

const zero_request zero_requests[] = {
    {"malloc", [] { return malloc(opaque(0)); }},
    {"calloc_no_members", [] { return calloc(opaque(0), 8); }},
    {"calloc_no_size", [] { return calloc(8, opaque(0)); }},
    {"realloc", [] { return realloc(opaque<void*>(nullptr), opaque(0)); }},
    {"reallocarray", [] { return reallocarray(opaque<void*>(nullptr), opaque(0), 8); }},
    {"aligned_alloc", [] { return aligned_alloc(64, opaque(0)); }},
    {"memalign", [] { return memalign(4096, opaque(0)); }},
    {"valloc", [] { return valloc(opaque(0)); }},
    {"pvalloc", [] { return pvalloc(opaque(0)); }},
    {"posix_memalign",
     [] {
       void* block = nullptr;
       EXPECT_EQ(posix_memalign(&block, 64, opaque(0)), 0);
       return block;
     }},
};

class ZeroSize : public testing::TestWithParam<zero_request> {};

TEST_P(ZeroSize, GivesAPointerThatNoOtherLiveBlockHas) {
  std::set<void*> blocks;
  for (int i = 0; i < 1000; ++i) {
    void* block = GetParam().allocate();
    ASSERT_NE(block, nullptr);
    ASSERT_TRUE(blocks.insert(block).second) << block;
  }
  for (void* block : blocks)
    free(block);
}

INSTANTIATE_TEST_SUITE_P(Calls, ZeroSize, testing::ValuesIn(zero_requests),
                         [](const auto& info) { return std::string(info.param.name); });

// Frees 10000 blocks of 1000 bytes by `release` and expects that the figures show it.
void expect_freed_by(const std::function<void*(void*)>& release) {
  constexpr size_t count = 10'000;
  std::vector<void*> blocks(count);
  const size_t before = bytes_in_use();
  for (void*& block : blocks)
    block = malloc(1000);
  ASSERT_GE(bytes_in_use(), before + count * 1000);
  for (void* block : blocks) {
    errno = 4711;
    ASSERT_EQ(release(block), nullptr);
    ASSERT_EQ(errno, 4711) << "a block that was freed is no failure";
  }
  EXPECT_LT(bytes_in_use(), before + count * 1000 / 10);
}

TEST(ReallocToZero, FreesAndReturnsNull) {
  expect_freed_by([](void* block) { return realloc(block, opaque(0)); });
}

TEST(ReallocToZero, HoldsForAnArrayOfNoMembersToo) {
  expect_freed_by([](void* block) { return reallocarray(block, opaque(0), 16); });
  expect_freed_by([](void* block) { return reallocarray(block, 16, opaque(0)); });
}

TEST(FreeOfNull, DoesNothing) {
  errno = 4711;
  free(opaque<void*>(nullptr));
  EXPECT_EQ(errno, 4711);
  EXPECT_EQ(malloc_usable_size(opaque<void*>(nullptr)), 0u);
}

}  // namespace
