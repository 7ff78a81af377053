// QUARRY_CONF: what is not understood gets one clear line and the default, and the program runs on.

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/auxv.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <regex>
#include <string>

#include "child.h"

using namespace preload_test;

namespace {

TEST(Options, ThatAreGoodAreTakenWithoutAWord) {
  for (const char* good :
       {"rseq:on", "rseq:off", "background:on", "background:off", "checks:off", "checks:on",
        "stats:off", "rseq:off,background:off,checks:on,stats:off"}) {
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

// ld.so takes its own name off the stack, where the environment is read from before libc has one.
TEST(Options, AreReadWhereTheLoaderRunsTheProgramAndNotFromItsArguments) {
  Dl_info loader;
  ASSERT_NE(dladdr(reinterpret_cast<void*>(getauxval(AT_BASE)), &loader), 0);
  for (const char* conf : {"foo:on", "rseq:on"}) {
    const child_result result = run_in_child([&] {
      setenv("QUARRY_CONF", conf, 1);
      execl(loader.dli_fname, loader.dli_fname, "/bin/true", "QUARRY_CONF=bar:on", nullptr);
      _exit(127);
    });
    EXPECT_TRUE(result.succeeded()) << result.status;
    const bool is_bad = std::string(conf) == "foo:on";
    EXPECT_EQ(result.errors, is_bad ? "quarry: QUARRY_CONF: unknown option \"foo\"\n" : "");
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
  for (const char* name : {"rseq", "background", "checks", "stats"}) {
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
  for (const char* name : {"rseq", "background", "checks", "stats"}) {
    EXPECT_NE(text.find(name), std::string::npos) << text;
  }
}

// A program that allocates, which closes its standard streams before it ends.
const char* const lister = "/bin/ls";

constexpr const char* table_names[] = {"slabinfo", "buddyinfo", "zoneinfo", "vmallocinfo"};

// What stands under each heading; fails where they are not those, in that order.
std::map<std::string, std::string> parse_tables(const std::string& printed) {
  std::map<std::string, std::string> tables;
  std::size_t at = 0;
  for (const std::string name : table_names) {
    const std::string heading = "quarry: " + name + "\n";
    EXPECT_EQ(printed.compare(at, heading.size(), heading), 0) << printed.substr(at);
    const std::size_t begin = at + heading.size();
    at = std::min(printed.find("quarry: ", begin), printed.size());
    if (begin <= at) tables[name] = printed.substr(begin, at - begin);
  }
  EXPECT_EQ(at, printed.size()) << printed.substr(at);
  return tables;
}

TEST(StatsAtExit, AreTheFourTables) {
  const child_result result = run_with_options("stats:exit", lister);
  EXPECT_TRUE(result.succeeded());
  auto tables = parse_tables(result.errors);
  const std::string table = written_by("quarry_slabinfo");
  const std::string heading = table.substr(0, table.find('\n') + 1);
  EXPECT_TRUE(tables["slabinfo"].starts_with(heading)) << tables["slabinfo"];
  EXPECT_GE(std::count(tables["slabinfo"].begin(), tables["slabinfo"].end(), '\n'), 5);
  EXPECT_TRUE(matches(tables["buddyinfo"], "Node 0, zone   Normal( +[0-9]+)+ \n"))
      << tables["buddyinfo"];
  EXPECT_TRUE(tables["zoneinfo"].starts_with("Node 0, zone   Normal\n  pages free     "))
      << tables["zoneinfo"];
  EXPECT_EQ(tables["vmallocinfo"], "");
}

// A test of this program by itself, in a process of its own with that option and standard input.
child_result run_alone(const char* test, int input) {
  return run_in_child([=] {
    setenv("QUARRY_CONF", "stats:exit", 1);
    dup2(input, STDIN_FILENO);
    dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
    const std::string filter = std::string("--gtest_filter=StatsAtExitOf.") + test;
    execl("/proc/self/exe", "test", filter.c_str(), "--gtest_also_run_disabled_tests", nullptr);
    _exit(127);
  });
}

TEST(StatsAtExitOf, DISABLED_AProgramWithALargeBlock) {
  EXPECT_NE(malloc(std::size_t{2} << 30), nullptr);  // of vmalloc
}

TEST(StatsAtExit, HaveALineForEachBlockOfVmalloc) {
  const int nothing = open("/dev/null", O_RDONLY);
  const child_result result = run_alone("DISABLED_AProgramWithALargeBlock", nothing);
  close(nothing);
  EXPECT_TRUE(result.succeeded());
  EXPECT_TRUE(matches(parse_tables(result.errors)["vmallocinfo"],
                      "0x[0-9a-f]+-0x[0-9a-f]+ 2147487744 pages=524288 vmalloc\n"))
      << result.errors;
}

TEST(StatsAtExitOf, DISABLED_AProgramThatOpensOthersInPlaceOfAllDescriptors) {
  for (int fd = STDERR_FILENO; fd < 200; fd++)
    dup2(STDIN_FILENO, fd);
}

TEST(StatsAtExit, NeverGoIntoAFileOfTheProgram) {
  FILE* file = tmpfile();
  const child_result result =
      run_alone("DISABLED_AProgramThatOpensOthersInPlaceOfAllDescriptors", fileno(file));
  EXPECT_TRUE(result.succeeded());
  EXPECT_EQ(lseek(fileno(file), 0, SEEK_END), 0);
  EXPECT_EQ(result.errors, "");
  fclose(file);
}

TEST(StatsAtExit, ArePrintedWhereFewDescriptorsAreAllowed) {
  const child_result result = run_in_child([] {
    setenv("QUARRY_CONF", "stats:exit", 1);
    execl("/bin/sh", "sh", "-c", "ulimit -n 20; exec true", nullptr);
    _exit(127);
  });
  EXPECT_TRUE(result.succeeded());
  EXPECT_TRUE(parse_tables(result.errors).contains("slabinfo")) << result.errors;
}

// Where there is still one of the program before, the next has its own behind it.
TEST(StatsAtExit, LeaveNoDescriptorToAProgramThatIsExecuted) {
  const child_result result = run_in_child([] {
    setenv("QUARRY_CONF", "stats:exit", 1);
    execl("/bin/sh", "sh", "-c",
          "exec sh -c '[ -e /proc/self/fd/64 ] && [ ! -e /proc/self/fd/65 ]'", nullptr);
    _exit(127);
  });
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << result.errors;
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
