// operator new and delete in all their forms ([new.delete] in the C++ standard).

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <limits>
#include <new>
#include <set>

#include "block.h"

using namespace preload_test;

namespace {

using std::align_val_t;
using std::nothrow;

struct form {
  const char* name;
  bool may_throw;
  bool aligned;
  void* (*allocate)(size_t size, align_val_t alignment);
  void (*release)(void* block, size_t size, align_val_t alignment);
};

void PrintTo(const form& f, std::ostream* out) {
  *out << f.name;
}

const form forms[] = {
    {"plain", true, false, [](size_t n, align_val_t) { return operator new(n); },
     [](void* p, size_t, align_val_t) { operator delete(p); }},
    {"sized", true, false, [](size_t n, align_val_t) { return operator new(n); },
     [](void* p, size_t n, align_val_t) { operator delete(p, n); }},
    {"array", true, false, [](size_t n, align_val_t) { return operator new[](n); },
     [](void* p, size_t, align_val_t) { operator delete[](p); }},
    {"array_sized", true, false, [](size_t n, align_val_t) { return operator new[](n); },
     [](void* p, size_t n, align_val_t) { operator delete[](p, n); }},
    {"nothrow", false, false, [](size_t n, align_val_t) { return operator new(n, nothrow); },
     [](void* p, size_t, align_val_t) { operator delete(p, nothrow); }},
    {"array_nothrow", false, false,
     [](size_t n, align_val_t) { return operator new[](n, nothrow); },
     [](void* p, size_t, align_val_t) { operator delete[](p, nothrow); }},
    {"aligned", true, true, [](size_t n, align_val_t a) { return operator new(n, a); },
     [](void* p, size_t, align_val_t a) { operator delete(p, a); }},
    {"aligned_sized", true, true, [](size_t n, align_val_t a) { return operator new(n, a); },
     [](void* p, size_t n, align_val_t a) { operator delete(p, n, a); }},
    {"aligned_array", true, true, [](size_t n, align_val_t a) { return operator new[](n, a); },
     [](void* p, size_t, align_val_t a) { operator delete[](p, a); }},
    {"aligned_array_sized", true, true,
     [](size_t n, align_val_t a) { return operator new[](n, a); },
     [](void* p, size_t n, align_val_t a) { operator delete[](p, n, a); }},
    {"aligned_nothrow", false, true,
     [](size_t n, align_val_t a) { return operator new(n, a, nothrow); },
     [](void* p, size_t, align_val_t a) { operator delete(p, a, nothrow); }},
    {"aligned_array_nothrow", false, true,
     [](size_t n, align_val_t a) { return operator new[](n, a, nothrow); },
     [](void* p, size_t, align_val_t a) { operator delete[](p, a, nothrow); }},
};

class OperatorNew : public testing::TestWithParam<form> {
 protected:
  static void expect_usable(size_t size, size_t alignment) {
    SCOPED_TRACE(testing::Message() << size << " bytes at " << alignment);
    void* blocks[4];
    for (unsigned i = 0; i < 4; ++i) {
      blocks[i] = GetParam().allocate(size, align_val_t{alignment});
      ASSERT_NE(blocks[i], nullptr);
      ASSERT_TRUE(is_aligned(blocks[i], alignment)) << blocks[i];
      ASSERT_GE(malloc_usable_size(blocks[i]), size);
      fill(blocks[i], size, i);
    }
    for (unsigned i = 0; i < 4; ++i) {
      ASSERT_TRUE(holds(blocks[i], size, i));
      GetParam().release(blocks[i], size, align_val_t{alignment});
    }
  }
};

TEST_P(OperatorNew, GivesBlocksOfAllSizesAtTheirAlignment) {
  for (size_t size : border_sizes()) {
    if (size > size_t{8} << 20) continue;
    if (!GetParam().aligned) {
      expect_usable(size, size <= 8 ? 8 : __STDCPP_DEFAULT_NEW_ALIGNMENT__);
      continue;
    }
    for (size_t alignment : {8, 32, 64, 256, 4096, 8192, 65'536, 4 << 20})
      expect_usable(size, alignment);
  }
}

TEST_P(OperatorNew, GivesAPointerOfItsOwnForNoBytes) {
  std::set<void*> blocks;
  for (int i = 0; i < 100; ++i) {
    void* block = GetParam().allocate(0, align_val_t{64});
    ASSERT_NE(block, nullptr);
    ASSERT_TRUE(blocks.insert(block).second) << block;
  }
  for (void* block : blocks)
    GetParam().release(block, 0, align_val_t{64});
}

TEST_P(OperatorNew, LosesNothing) {
  const size_t before = bytes_in_use();
  for (size_t size : {8, 100, 1000, 10'000, 300'000}) {
    for (size_t done = 0; done < 32 << 20; done += size + 64) {
      GetParam().release(GetParam().allocate(size, align_val_t{64}), size, align_val_t{64});
    }
  }
  EXPECT_LE(bytes_in_use(), before + (1 << 20));
}

// Sizes that wrap to 0 when they are rounded up to the alignment are among them: libstdc++ 12 gives
// a block for these.
TEST_P(OperatorNew, SaysSoWhenThereIsNoMemory) {
  constexpr size_t size_max = std::numeric_limits<size_t>::max();
  for (size_t size : {size_max, size_max - 4096, size_max / 2 + 1, size_max / 2, size_t{1} << 48}) {
    for (size_t alignment : {size_t{64}, size_t{8192}, size_t{4} << 20}) {
      if (GetParam().may_throw) {
        EXPECT_THROW(GetParam().allocate(opaque(size), align_val_t{alignment}), std::bad_alloc)
            << size;
      } else {
        EXPECT_EQ(GetParam().allocate(opaque(size), align_val_t{alignment}), nullptr) << size;
      }
    }
  }
}

TEST_P(OperatorNew, DeletesNull) {
  const size_t before = bytes_in_use();
  GetParam().release(nullptr, 100, align_val_t{64});
  EXPECT_EQ(bytes_in_use(), before);
}

INSTANTIATE_TEST_SUITE_P(Forms, OperatorNew, testing::ValuesIn(forms),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
