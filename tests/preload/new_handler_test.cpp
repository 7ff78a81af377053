// The new-handler ([new.handler], [new.delete.single]): called each time that there is no memory,
// until there is, or it throws, or it is gone.

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "../data_limit.h"
#include "block.h"
#include "child.h"

using namespace preload_test;

namespace {

const size_t impossible = std::numeric_limits<ptrdiff_t>::max();

int calls = 0;

void throw_at_third_call() {
  if (++calls == 3) throw std::bad_alloc();
}

struct handler_gave_up : std::bad_alloc {};

void throw_own_kind() {
  throw handler_gave_up();
}

void resign() {
  ++calls;
  std::set_new_handler(nullptr);
}

class NewHandler : public testing::Test {
 protected:
  void SetUp() override { calls = 0; }
  void TearDown() override { std::set_new_handler(nullptr); }
};

TEST_F(NewHandler, IsCalledUntilItThrows) {
  std::set_new_handler(throw_at_third_call);
  EXPECT_THROW(free(operator new(opaque(impossible))), std::bad_alloc);
  EXPECT_EQ(calls, 3);
  calls = 0;
  EXPECT_THROW(free(operator new[](opaque(impossible))), std::bad_alloc);
  EXPECT_EQ(calls, 3);
  calls = 0;
  EXPECT_THROW(free(operator new (opaque(impossible), std::align_val_t{128})), std::bad_alloc);
  EXPECT_EQ(calls, 3);
}

TEST_F(NewHandler, MayThrowAnExceptionOfItsOwn) {
  std::set_new_handler(throw_own_kind);
  EXPECT_THROW(free(operator new(opaque(impossible))), handler_gave_up);
  EXPECT_THROW(free(operator new[](opaque(impossible), std::align_val_t{4096})), handler_gave_up);
}

TEST_F(NewHandler, IsCalledByNothrowNewWhichReturnsNullWhenItThrows) {
  std::set_new_handler(throw_at_third_call);
  EXPECT_EQ(operator new(opaque(impossible), std::nothrow), nullptr);
  EXPECT_EQ(calls, 3);
  calls = 0;
  EXPECT_EQ(operator new[](opaque(impossible), std::nothrow), nullptr);
  EXPECT_EQ(calls, 3);
  calls = 0;
  EXPECT_EQ(operator new (opaque(impossible), std::align_val_t{128}, std::nothrow), nullptr);
  EXPECT_EQ(calls, 3);
}

TEST_F(NewHandler, IsAskedForAnewAfterEachCall) {
  std::set_new_handler(resign);
  EXPECT_THROW(free(operator new(opaque(impossible))), std::bad_alloc);
  EXPECT_EQ(calls, 1);
  std::set_new_handler(resign);
  EXPECT_EQ(operator new(opaque(impossible), std::nothrow), nullptr);
  EXPECT_EQ(calls, 2);
}

TEST_F(NewHandler, IsNotCalledByMalloc) {
  std::set_new_handler(throw_at_third_call);
  EXPECT_EQ(malloc(opaque(impossible)), nullptr);
  EXPECT_EQ(calls, 0);
}

constexpr size_t reserve_size = size_t{300} << 20;
void* reserve = nullptr;

void free_the_reserve() {
  ++calls;
  if (!reserve) throw std::bad_alloc();
  free(reserve);
  reserve = nullptr;
}

// In a child, since the limit is for the whole process.
TEST_F(NewHandler, MayFreeMemoryWhichTheRequestThenGets) {
  const child_result result = run_in_child([] {
    reserve = malloc(reserve_size);
    fill(reserve, reserve_size, 1);
    limit_data_to(100 << 20);
    std::set_new_handler(free_the_reserve);
    void* block = operator new(reserve_size);
    fill(block, reserve_size, 2);
    fprintf(stderr, "calls %d, block whole %d\n", calls, holds(block, reserve_size, 2));
  });
  EXPECT_TRUE(result.succeeded());
  EXPECT_EQ(result.errors, "calls 1, block whole 1\n");
}

}  // namespace
