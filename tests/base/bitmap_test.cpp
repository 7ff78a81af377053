// The bitmap beside std::vector<bool> over random operations.
#include "base/bitmap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

using namespace quarry;

namespace {

// A bitmap over words of its own with a word before and behind that nobody may touch.
struct guarded_bitmap {
  static constexpr u64 canary = 0x5afe'c0de'5afe'c0de;

  std::vector<u64> words;
  bitmap bits;

  explicit guarded_bitmap(unsigned count)
      : words(bitmap::words_for(count) + 2, 0), bits(words.data() + 1, count) {
    words.front() = words.back() = canary;
  }
  void set(unsigned bit) { words[1 + bit / 64] |= u64{1} << (bit % 64); }
  bool guards_intact() const { return words.front() == canary && words.back() == canary; }
};

void expect_equal(const bitmap& bits, const std::vector<bool>& model) {
  for (unsigned i = 0; i < model.size(); i++)
    ASSERT_EQ(bits.test(i), model[i]) << "bit " << i;
}

// What take_lowest is to return.
std::vector<unsigned> take_lowest(std::vector<bool>* model, unsigned wanted) {
  std::vector<unsigned> taken;
  for (unsigned i = 0; i < model->size() && taken.size() < wanted; i++) {
    if (!(*model)[i]) continue;
    (*model)[i] = false;
    taken.push_back(i);
  }
  return taken;
}

class BitmapOfSize : public testing::TestWithParam<unsigned> {};

TEST_P(BitmapOfSize, BehavesAsAVectorOfBool) {
  const unsigned size = GetParam();
  guarded_bitmap map(size);
  std::vector<bool> model(size);
  std::mt19937_64 random(size);
  for (int step = 0; step < 3000; step++) {
    const unsigned bit = random() % size;
    switch (random() % 8) {
      case 0: {
        const unsigned wanted = random() % (size + 2);
        std::vector<unsigned> taken;
        const unsigned count =
            map.bits.take_lowest(wanted, [&](unsigned number) { taken.push_back(number); });
        ASSERT_EQ(taken, take_lowest(&model, wanted));
        ASSERT_EQ(count, taken.size());
        break;
      }
      default:
        map.set(bit);
        model[bit] = true;
    }
    if (step % 50 == 0) expect_equal(map.bits, model);
  }
  expect_equal(map.bits, model);
  EXPECT_TRUE(map.guards_intact());
}

TEST_P(BitmapOfSize, SettingAllSetsItsBitsAndNothingBehindThem) {
  const unsigned size = GetParam();
  guarded_bitmap map(size);
  map.bits.set_all();
  expect_equal(map.bits, std::vector<bool>(size, true));
  EXPECT_TRUE(map.guards_intact());
  if (size % 64) {
    EXPECT_EQ(map.words[1 + size / 64] >> size % 64, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Bitmap, BitmapOfSize,
                         testing::Values(1, 2, 63, 64, 65, 127, 128, 320, 1000));

TEST(Bitmap, NeedsAWordPerSixtyFourBitsBegun) {
  EXPECT_EQ(bitmap::words_for(0), 0u);
  EXPECT_EQ(bitmap::words_for(1), 1u);
  EXPECT_EQ(bitmap::words_for(64), 1u);
  EXPECT_EQ(bitmap::words_for(65), 2u);
}

}  // namespace
