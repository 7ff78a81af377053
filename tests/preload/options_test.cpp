// QUARRY_CONF: what is not understood gets one clear line and the default, and the program runs on.

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <regex>
#include <string>

#include "child.h"

using namespace preload_test;

namespace {

TEST(Options, ThatAreGoodAreTakenWithoutAWord) {
  for (const char* good : {"rseq:on", "rseq:off", "background:on", "background:off", "stats:off",
                           "rseq:off,background:off,stats:off"}) {
    const child_result result = run_with_options(good);
    EXPECT_TRUE(result.succeeded()) << good;
    EXPECT_EQ(result.errors, "") << good;
  }
}

TEST(Options, ThatAreEmptyAreTakenWithoutAWord) {
  for (const char* empty : {"", ",", ",,,", "rseq:on,", ",rseq:on", "rseq:on,,background:on,"}) {
    const child_result result = run_with_options(empty);
    EXPECT_TRUE(result.succeeded()) << '"' << empty << '"';
    EXPECT_EQ(result.errors, "") << '"' << empty << '"';
  }
}

TEST(Options, WithAnUnknownNameGetOneLine) {
  for (const char* name : {"foo", "rse", "rseqq", "RSEQ", "statistics"}) {
    const child_result result = run_with_options(std::string(name) + ":on");
    EXPECT_TRUE(result.succeeded()) << name;
    EXPECT_EQ(result.errors, "quarry: QUARRY_CONF: unknown option \"" + std::string(name) + "\"\n");
  }
}

// The line may go on with what the value can be.
std::string bad_value_line(const std::string& name, const std::string& value) {
  return "quarry: QUARRY_CONF: bad value \"" + value + "\" for \"" + name + "\"[^\n]*\n";
}

bool matches(const std::string& text, const std::string& pattern) {
  return std::regex_match(text, std::regex(pattern));
}

TEST(Options, WithABadValueGetOneLine) {
  for (const char* name : {"rseq", "background", "stats"}) {
    for (const char* value : {"maybe", "ON", "onn", "1", "on|off", "o"}) {
      const child_result result = run_with_options(std::string(name) + ":" + value);
      EXPECT_TRUE(result.succeeded()) << name << ":" << value;
      EXPECT_EQ(result.lines(), 1) << result.errors;
      EXPECT_TRUE(result.errors.starts_with("quarry: QUARRY_CONF: bad value \"" +
                                            std::string(value) + "\" for \"" + name + "\""))
          << result.errors;
    }
  }
}

TEST(Options, WithoutAValueGetOneLine) {
  for (const char* option : {"rseq", "rseq:"}) {
    const child_result result = run_with_options(option);
    EXPECT_TRUE(result.succeeded());
    EXPECT_EQ(result.lines(), 1) << result.errors;
    EXPECT_TRUE(matches(result.errors, bad_value_line("rseq", ""))) << result.errors;
  }
}

TEST(Options, GetALineForEachMistake) {
  const child_result result = run_with_options("foo:1,rseq:maybe,bar,background:on");
  EXPECT_TRUE(result.succeeded());
  EXPECT_EQ(result.lines(), 3) << result.errors;
  EXPECT_TRUE(matches(result.errors, "quarry: QUARRY_CONF: unknown option \"foo\"\n" +
                                         bad_value_line("rseq", "maybe") +
                                         "quarry: QUARRY_CONF: unknown option \"bar\"\n"))
      << result.errors;
}

TEST(Options, MayHaveBlanksAroundThem) {
  for (const char* blanks :
       {" ", " rseq:on", "rseq:on ", "rseq: on", "rseq :on", "rseq:on , stats:off "}) {
    const child_result result = run_with_options(blanks);
    EXPECT_TRUE(result.succeeded()) << '"' << blanks << '"';
    EXPECT_EQ(result.errors, "") << '"' << blanks << '"';
  }
}

TEST(Options, OfAnyLengthAreSurvived) {
  const child_result result = run_with_options(std::string(100'000, 'x') + ":on");
  EXPECT_TRUE(result.succeeded());
  EXPECT_EQ(result.lines(), 1) << result.errors.substr(0, 1000);
  EXPECT_TRUE(result.errors.starts_with("quarry: QUARRY_CONF: unknown option \"xxx"));
}

// What a public function of the library writes into a file descriptor.
std::string written_by(const char* name) {
  const auto write_to = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, name));
  if (!write_to) return std::string("no function ") + name;
  return run_in_child([=] { write_to(STDERR_FILENO); }).errors;
}

TEST(Options, AreAllPrinted) {
  const std::string text = written_by("quarry_print_options");
  for (const char* name : {"rseq", "background", "stats"}) {
    EXPECT_NE(text.find(name), std::string::npos) << text;
  }
}

// A program that allocates, which closes its standard streams before it ends.
const char* const lister = "/bin/ls";

TEST(StatsAtExit, AreTheTableOfTheSlabs) {
  const child_result result = run_with_options("stats:exit", lister);
  EXPECT_TRUE(result.succeeded());
  EXPECT_GE(result.lines(), 10) << result.errors;
  const std::string table = written_by("quarry_slabinfo");
  const std::string heading = table.substr(0, table.find('\n'));
  EXPECT_TRUE(result.errors.starts_with(heading + "\n"))
      << "no heading \"" << heading << "\" in: " << result.errors;
}

TEST(StatsAtExit, AreNotPrintedUnlessAskedFor) {
  EXPECT_EQ(run_with_options("", lister).errors, "");
  EXPECT_EQ(run_with_options("stats:off", lister).errors, "");
  EXPECT_EQ(run_with_options("stats:perhaps", lister).lines(), 1)
      << "a bad value means the default, off";
}

TEST(StatsAtExit, ArePrintedThoughAnotherOptionIsBad) {
  const child_result result = run_with_options("rseq:maybe,stats:exit", lister);
  EXPECT_TRUE(result.errors.starts_with("quarry: QUARRY_CONF: bad value \"maybe\""))
      << result.errors;
  EXPECT_GE(result.lines(), 11) << result.errors;
}

}  // namespace
