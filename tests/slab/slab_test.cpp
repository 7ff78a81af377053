// How objects lie in a slab, and what its index knows of every address in it.
#include "slab/slab.h"

#include <algorithm>
#include <random>

#include "../page/started.h"
#include "page/page_alloc.h"
#include "slab/size_class.h"

using namespace page_test;

namespace {

constexpr u16 some_cache = 7;
constexpr u8 some_class = 200;

template <class body_fn>
void for_each_shape(body_fn body) {
  for (unsigned c = 1; c < class_count; c++) {
    SCOPED_TRACE(bytes_of_class(c));
    body(shape_for(bytes_of_class(c)));
  }
}

TEST(SlabShape, ObjectsFitIntoTheSlabAndTheIndexIntoItsPages) {
  for_each_shape([](const slab_shape& s) {
    EXPECT_GE(s.objects, 1u);
    EXPECT_LE(std::size_t{s.objects} * s.object_size, std::size_t{s.pages} << page_shift);
    if (s.single) {
      EXPECT_EQ(s.objects, 1u);
    } else {
      EXPECT_EQ(s.pages, 1u << s.order);
      EXPECT_LE(s.objects, index_capacity(s.order));
    }
  });
}

TEST(SlabShape, AtMostAnEighthOfASlabIsLeftOver) {
  for_each_shape([](const slab_shape& s) {
    const std::size_t size = std::size_t{s.pages} << page_shift;
    EXPECT_LE((size - std::size_t{s.objects} * s.object_size) * 8, size);
  });
}

TEST(SlabShape, IndexCapacityIsWhatLiesBehindTheFirstWordsOfItsPages) {
  for (unsigned order = 0; order <= 5; order++) {
    const std::size_t bytes = (sizeof(page) << order) - offsetof(page, words[index_word]);
    EXPECT_EQ(index_capacity(order), bytes * 8);
  }
}

// The division by multiplication, at every offset of a slab.
TEST(SlabShape, EveryOffsetHasTheNumberOfTheObjectThatBeginsThereOrNone) {
  for_each_shape([](const slab_shape& s) {
    for (u32 offset = 0; offset <= s.mask; offset++) {
      const bool begins = offset % s.object_size == 0 && offset / s.object_size < s.objects;
      ASSERT_EQ(number_at(s, offset) < s.objects, begins) << offset;
      if (begins) {
        ASSERT_EQ(number_at(s, offset), offset / s.object_size) << offset;
      }
    }
  });
}

// A slab over pages of its own, given back at the end.
class slab {
 public:
  explicit slab(std::size_t object_size) : shape(shape_for(object_size)) {
    bool clean;
    head = shape.single ? alloc_run(shape.pages, 1, &clean) : alloc_pages(shape.order, &clean);
    make_slab(head, shape, some_cache, some_class);
  }
  ~slab() {
    dissolve_slab(head, shape);
    free_run(head, shape.pages, false);
  }
  slab(const slab&) = delete;

  char* base() const { return region.frames.address_of(head); }
  std::size_t size() const { return std::size_t{shape.pages} << page_shift; }
  std::vector<unsigned> take(unsigned count) {
    std::vector<unsigned> taken;
    index_of(head, shape).take_lowest(count, [&](unsigned number) { taken.push_back(number); });
    return taken;
  }
  bool has_in_use_at(std::size_t offset) const {
    const char* address = base() + offset;
    return is_in_use(slab_of(address, shape), shape, some_cache, address);
  }
  unsigned free_objects() const {
    unsigned count = 0;
    for (unsigned i = 0; i < shape.objects; i++)
      count += index_of(head, shape).test(i);
    return count;
  }

  slab_shape shape;
  page* head;
};

class Slab : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override { start_heap(); }
};

TEST_P(Slab, HasAllItsObjectsFreeAndHandsThemOutLowestFirst) {
  slab s(GetParam());
  EXPECT_EQ(s.free_objects(), s.shape.objects);
  const std::vector<unsigned> taken = s.take(s.shape.objects + 10);
  ASSERT_EQ(taken.size(), s.shape.objects);
  for (unsigned i = 0; i < taken.size(); i++)
    EXPECT_EQ(taken[i], i);
  EXPECT_EQ(s.free_objects(), 0u);
}

TEST_P(Slab, KnowsEveryAddressInIt) {
  slab s(GetParam());
  const std::size_t object_size = s.shape.object_size;
  s.take(s.shape.objects);
  // Every third object is free, the others are in use.
  for (unsigned i = 0; i < s.shape.objects; i += 3)
    index_words(s.head)[i / 64] |= u64{1} << (i % 64);
  for (std::size_t offset = 0; offset < s.size(); offset++) {
    const std::size_t number = offset / object_size;
    const bool begins_there = number < s.shape.objects && offset % object_size == 0;
    ASSERT_EQ(s.has_in_use_at(offset), begins_there && number % 3 != 0) << "offset " << offset;
  }
}

TEST_P(Slab, IsNotTakenForOneOfAnotherCache) {
  slab s(GetParam());
  s.take(1);
  EXPECT_TRUE(is_in_use(s.head, s.shape, some_cache, s.base()));
  EXPECT_FALSE(is_in_use(s.head, s.shape, some_cache + 1, s.base()));
}

TEST_P(Slab, MarksItsFramesInTheClassMapAndNoOthers) {
  slab s(GetParam());
  const u8* classes = class_of_frame(s.base());
  EXPECT_EQ(std::count(classes, classes + s.shape.pages, some_class), s.shape.pages);
  EXPECT_NE(classes[-1], some_class);
  EXPECT_NE(classes[s.shape.pages], some_class);
}

// The index runs over the map entries of the other frames, where it must not be taken for blocks.
TEST_P(Slab, DissolvedItLeavesNothingOfItselfInTheMaps) {
  slab s(GetParam());
  dissolve_slab(s.head, s.shape);
  const u8* classes = class_of_frame(s.base());
  EXPECT_EQ(std::count(classes, classes + s.shape.pages, 0), s.shape.pages);
  for (unsigned i = 0; i < s.shape.pages; i++) {
    EXPECT_EQ(s.head[i].kind, page_kind::none) << "entry " << i;
  }
  const std::size_t words = index_word + bitmap::words_for(s.shape.objects);
  EXPECT_TRUE(is_zero(s.head->words, words * sizeof(u64)));
}

// Taking and giving back at random never hands out an object twice.
TEST_P(Slab, ItsIndexAgreesWithAModelOverRandomRequests) {
  slab s(GetParam());
  std::vector<bool> in_use(s.shape.objects);
  std::minstd_rand random(1);
  for (int step = 0; step < 500; step++) {
    if (random() % 2) {
      for (unsigned number : s.take(random() % 9)) {
        ASSERT_FALSE(in_use[number]);
        in_use[number] = true;
      }
    } else {
      const unsigned number = random() % s.shape.objects;
      ASSERT_EQ(s.has_in_use_at(std::size_t{number} * s.shape.object_size), in_use[number]);
      index_words(s.head)[number / 64] |= u64{1} << (number % 64);
      in_use[number] = false;
    }
    ASSERT_EQ(s.free_objects(), std::count(in_use.begin(), in_use.end(), false));
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, Slab,
                         testing::Values(8, 16, 48, 112, 144, 1024, 1792, 5120, 28672, 32768,
                                         131072, max_small_size));

}  // namespace
