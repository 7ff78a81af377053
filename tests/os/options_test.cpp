// Options from QUARRY_CONF. They are read once per process, so each reading is a child of its own.
#include "os/options.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <string>

#include "../preload/child.h"

using namespace quarry;
using os::option;
using preload_test::run_in_child;

namespace {

// Which options have their default, and what was said of the variable.
struct reading {
  bool rseq, background, checks, stats;
  std::string errors;

  bool all_default() const { return rseq && background && checks && stats; }
};

reading read_with(const std::function<void()>& prepare) {
  const auto ended = run_in_child([&] {
    prepare();
    os::read_options();
    _exit(is_default(option::rseq) | is_default(option::background) << 1 |
          is_default(option::checks) << 2 | is_default(option::stats) << 3);
  });
  EXPECT_TRUE(WIFEXITED(ended.status)) << ended.errors;
  const int status = WEXITSTATUS(ended.status);
  return {(status & 1) != 0, (status & 2) != 0, (status & 4) != 0, (status & 8) != 0, ended.errors};
}

reading read_from(const std::string& value) {
  return read_with([&] { setenv("QUARRY_CONF", value.c_str(), 1); });
}

TEST(Options, AreTheDefaultsWithoutTheVariableOrWithAnEmptyOne) {
  const reading unset = read_with([] { unsetenv("QUARRY_CONF"); });
  EXPECT_TRUE(unset.all_default());
  EXPECT_EQ(unset.errors, "");
  for (const char* nothing : {"", ",", " , ", "   "}) {
    const reading r = read_from(nothing);
    EXPECT_TRUE(r.all_default());
    EXPECT_EQ(r.errors, "") << '"' << nothing << '"';
  }
}

TEST(Options, AreSetByNameAndValue) {
  const reading r = read_from("rseq:off,stats:exit");
  EXPECT_FALSE(r.rseq);
  EXPECT_TRUE(r.background);
  EXPECT_FALSE(r.stats);
  EXPECT_EQ(r.errors, "");
  EXPECT_FALSE(read_from("background:off").background);
  EXPECT_FALSE(read_from("checks:on").checks);
  EXPECT_TRUE(read_from("rseq:on,background:on,checks:off,stats:off").all_default());
}

TEST(Options, ANumberIsOneOfItsRange) {
  const auto nodes_from = [](const char* value) {
    const auto ended = run_in_child([=] {
      setenv("QUARRY_CONF", value, 1);
      os::read_options();
      _exit(static_cast<int>(os::number_of(option::nodes)) + 10 * is_default(option::nodes));
    });
    EXPECT_EQ(ended.lines() != 0, ended.errors.starts_with("quarry: QUARRY_CONF: bad value"));
    return WEXITSTATUS(ended.status) + (ended.errors.empty() ? 0 : 100);
  };
  EXPECT_EQ(nodes_from(""), 11);
  EXPECT_EQ(nodes_from("nodes:1"), 11);
  EXPECT_EQ(nodes_from("nodes:2"), 2);
  EXPECT_EQ(nodes_from("nodes:8"), 8);
  for (const char* bad : {"nodes:0", "nodes:9", "nodes:", "nodes:12", "nodes:1-8", "nodes:x"})
    EXPECT_EQ(nodes_from(bad), 111) << bad;
}

TEST(Options, MayStandAmongSpaces) {
  const reading r = read_from("  rseq : off ,  background:off  ");
  EXPECT_FALSE(r.rseq);
  EXPECT_FALSE(r.background);
  EXPECT_EQ(r.errors, "");
}

TEST(Options, TheLastSettingOfANameHolds) {
  EXPECT_TRUE(read_from("rseq:off,rseq:on").rseq);
  EXPECT_FALSE(read_from("rseq:on,rseq:off").rseq);
}

TEST(Options, AnUnknownNameIsNamedInOneLineAndTheOthersHold) {
  const reading r = read_from("foo:1,rseq:off");
  EXPECT_FALSE(r.rseq);
  EXPECT_TRUE(r.errors.starts_with("quarry: QUARRY_CONF: unknown option \"foo\"")) << r.errors;
  EXPECT_EQ(std::count(r.errors.begin(), r.errors.end(), '\n'), 1);
  EXPECT_TRUE(r.errors.ends_with('\n'));
}

TEST(Options, NamesAreWholeAndInTheirCase) {
  for (const char* wrong : {"rse:off", "rseqs:off", "RSEQ:off", ":off", "off"}) {
    const reading r = read_from(wrong);
    EXPECT_TRUE(r.all_default()) << wrong;
    EXPECT_NE(r.errors.find("unknown option"), std::string::npos) << wrong;
  }
}

TEST(Options, ABadValueIsNamedInOneLineAndLeavesTheDefault) {
  for (std::string value : {"x", "", "o", "onn", "on:off", "on|off", "exit"}) {
    const reading r = read_from("rseq:" + value);
    EXPECT_TRUE(r.rseq) << value;
    const std::string wanted = "quarry: QUARRY_CONF: bad value \"" + value + "\" for \"rseq\"";
    EXPECT_TRUE(r.errors.starts_with(wanted)) << r.errors;
    EXPECT_EQ(std::count(r.errors.begin(), r.errors.end(), '\n'), 1) << r.errors;
  }
  EXPECT_NE(read_from("stats").errors.find("bad value \"\" for \"stats\""), std::string::npos);
}

TEST(Options, HoweverLongANameOrValueIsTheLineEnds) {
  for (const std::string& setting : {std::string(2000, 'n'), "rseq:" + std::string(2000, 'v')}) {
    const reading r = read_from(setting);
    EXPECT_TRUE(r.all_default());
    EXPECT_TRUE(r.errors.starts_with("quarry: QUARRY_CONF: "));
    EXPECT_TRUE(r.errors.ends_with('\n')) << "the line's end was cut off";
  }
}

// Malloc may be called before libc has set up its environment.
TEST(Options, ComeFromTheKernelWhereLibcHasNoEnvironmentYet) {
  const reading libc = read_with([] {});
  const reading kernel = read_with([] { environ = nullptr; });
  EXPECT_EQ(kernel.rseq, libc.rseq);
  EXPECT_EQ(kernel.errors, libc.errors);
}

TEST(Options, PrintedEachHasALineWithItsNameAndValues) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  os::print_options(ends[1]);
  close(ends[1]);
  std::array<char, 4096> buffer{};
  const auto length = read(ends[0], buffer.data(), buffer.size());
  close(ends[0]);
  const std::string printed(buffer.data(), static_cast<std::size_t>(length));
  EXPECT_EQ(std::count(printed.begin(), printed.end(), '\n'), static_cast<long>(option::count));
  for (const char* begin : {"rseq        on|off", "background  on|off", "nodes       1-8",
                            "checks      off|on", "stats       off|exit"}) {
    EXPECT_NE(printed.find(begin), std::string::npos) << begin;
  }
}

}  // namespace
