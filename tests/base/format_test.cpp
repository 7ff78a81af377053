// Text put together without allocation, beside snprintf.
#include "base/format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <string>

using namespace quarry;

namespace {

constexpr u64 numbers[] = {0, 1, 9, 10, 99, 100, 4096, 18446744073709551615u};

template <class... argument_types>
std::string printed(const char* format, argument_types... arguments) {
  char buffer[200];
  return {buffer, static_cast<std::size_t>(snprintf(buffer, sizeof buffer, format, arguments...))};
}

TEST(Format, NumbersAreDecimal) {
  for (u64 n : numbers) {
    text line;
    line << n;
    EXPECT_EQ(line.view(), printed("%" PRIu64, n));
  }
}

TEST(Format, NumbersStandAtTheRightOfTheirColumn) {
  for (u64 n : numbers) {
    for (unsigned width : {0u, 1u, 7u, 20u, 30u}) {
      text line;
      line.decimal(n, width);
      EXPECT_EQ(line.view(), printed("%*" PRIu64, static_cast<int>(width), n));
    }
  }
}

TEST(Format, WordsStandAtTheLeftOfTheirColumnAndAreNotCut) {
  for (const char* word : {"", "a", "size-256", "a name longer than the column"}) {
    text line;
    line.padded(word, 12) << '|';
    EXPECT_EQ(line.view(), printed("%-12s|", word));
  }
}

TEST(Format, AddressesAreHexadecimal) {
  for (uptr n : {uptr{1}, uptr{0xf}, uptr{0x10}, uptr{0x7f00'1234'abcd}, UINTPTR_MAX}) {
    text line;
    line.address(reinterpret_cast<void*>(n));
    EXPECT_EQ(line.view(), printed("0x%" PRIxPTR, n));
  }
  text line;
  line.address(nullptr);
  EXPECT_EQ(line.view(), "0x0");
}

TEST(Format, PartsFollowOneAnother) {
  text line;
  line << "free(" << u64{12} << ')' << '\n';
  EXPECT_EQ(line.view(), "free(12)\n");
  EXPECT_EQ(line.size(), 9u);
}

TEST(Format, WhatDoesNotFitIsCutAndNothingBehindTheTextIsWritten) {
  struct {
    text line;
    char behind[16];
  } memory;
  std::fill(std::begin(memory.behind), std::end(memory.behind), '#');
  const std::string tens(10, 'x');
  for (int i = 0; i < 100; i++)
    memory.line << tens;
  memory.line.decimal(123, 300);
  EXPECT_LT(memory.line.size(), 1000u);
  EXPECT_GE(memory.line.size(), 256u);
  EXPECT_EQ(memory.line.view(), std::string(memory.line.size(), 'x'));
  memory.line << "\n\n";
  EXPECT_EQ(memory.line.view(), std::string(memory.line.size() - 1, 'x') + '\n') << "a line still";
  EXPECT_EQ(std::string_view(memory.behind, 16), std::string(16, '#'));
}

}  // namespace
