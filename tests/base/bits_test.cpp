// The bit tricks beside the same thing computed step by step.
#include "base/bits.h"

#include <gtest/gtest.h>

#include <cstdint>

using namespace quarry;

namespace {

TEST(Bits, PowersOfTwoAreThoseAndNoOthers) {
  std::size_t next_power = 1;
  for (std::size_t n = 1; n <= 4096; n++) {
    EXPECT_EQ(is_power_of_two(n), n == next_power) << n;
    if (n == next_power) next_power *= 2;
  }
  EXPECT_FALSE(is_power_of_two(0));
  EXPECT_TRUE(is_power_of_two(std::size_t{1} << 63));
  EXPECT_FALSE(is_power_of_two(SIZE_MAX));
}

TEST(Bits, AligningGoesToTheNearestMultipleOnThatSide) {
  for (std::size_t alignment : {1, 2, 8, 64, 4096}) {
    for (std::size_t n = 0; n < 3 * alignment; n++) {
      const std::size_t up = align_up(n, alignment);
      const std::size_t down = align_down(n, alignment);
      EXPECT_EQ(up % alignment, 0u);
      EXPECT_EQ(down % alignment, 0u);
      EXPECT_TRUE(up >= n && up - n < alignment) << n << " up to " << alignment;
      EXPECT_TRUE(down <= n && n - down < alignment) << n << " down to " << alignment;
    }
  }
}

TEST(Bits, BytesToPagesRoundsUpAndDoesNotOverflow) {
  EXPECT_EQ(bytes_to_pages(0), 0u);
  EXPECT_EQ(bytes_to_pages(1), 1u);
  EXPECT_EQ(bytes_to_pages(page_size), 1u);
  EXPECT_EQ(bytes_to_pages(page_size + 1), 2u);
  EXPECT_EQ(bytes_to_pages(SIZE_MAX), std::size_t{1} << (64 - page_shift));
}

TEST(Bits, LogarithmsAreTheBoundsOfTheNumber) {
  for (std::size_t n = 1; n <= 70'000; n++) {
    const unsigned floor = floor_log2(n), ceil = ceil_log2(n);
    EXPECT_TRUE((std::size_t{1} << floor) <= n && n < (std::size_t{2} << floor)) << n;
    EXPECT_TRUE(n <= (std::size_t{1} << ceil) && (ceil == 0 || n > (std::size_t{1} << (ceil - 1))))
        << n;
    EXPECT_EQ(order_of_pages(n), ceil);
  }
  EXPECT_EQ(floor_log2(SIZE_MAX), 63u);
  EXPECT_EQ(ceil_log2(std::size_t{1} << 63), 63u);
}

TEST(Bits, MultiplyingSaysWhenTheProductDoesNotFit) {
  std::size_t product = 0;
  EXPECT_TRUE(checked_multiply(0, SIZE_MAX, &product));
  EXPECT_EQ(product, 0u);
  EXPECT_TRUE(checked_multiply(SIZE_MAX, 1, &product));
  EXPECT_EQ(product, SIZE_MAX);
  EXPECT_TRUE(checked_multiply(UINT32_MAX, UINT32_MAX, &product));
  EXPECT_EQ(product, std::size_t{UINT32_MAX} * UINT32_MAX);
  EXPECT_FALSE(checked_multiply(std::size_t{1} << 32, std::size_t{1} << 32, &product));
  EXPECT_FALSE(checked_multiply(SIZE_MAX / 2 + 1, 2, &product));
  EXPECT_FALSE(checked_multiply(3, SIZE_MAX / 2, &product));
}

}  // namespace
