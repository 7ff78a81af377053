#include "workload.h"

#include <errno.h>
#include <getopt.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace quarry::bench {

namespace {

constexpr std::uint64_t most_operations = 1'000'000'000'000;
constexpr std::uint64_t most_threads = 10'000;

std::uint64_t number(const flag& asked, const char* text) {
  char* end = nullptr;
  errno = 0;
  const std::uint64_t value = std::strtoull(text, &end, 10);
  const bool digits = *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
  if (!digits || value < asked.least || value > asked.most) {
    refuse(std::string("--") + asked.name + ": " + text + " is not a number of " +
           std::to_string(asked.least) + " to " + std::to_string(asked.most));
  }
  return value;
}

[[noreturn]] void print_help(const std::vector<flag>& flags) {
  std::printf("usage: %s [--latency FILE]", program_invocation_short_name);
  for (const flag& known : flags)
    std::printf(" [--%s %" PRIu64 "]", known.name, known.value);
  std::puts("");
  std::exit(0);
}

}  // namespace

void refuse(const std::string& reason) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, reason.c_str());
  std::exit(2);
}

void out_of_memory(std::size_t size) {
  std::fprintf(stderr, "%s: no memory for %zu bytes\n", program_invocation_short_name, size);
  std::_Exit(1);
}

settings parse(int count, char** arguments, settings given, std::initializer_list<flag> own) {
  std::vector<flag> flags{{"threads", given.threads, 1, most_threads},
                          {"operations", given.operations, 1, most_operations},
                          {"seed", given.seed, 0, UINT64_MAX}};
  for (const flag& one : own)
    flags.push_back(one);
  const int latency = static_cast<int>(flags.size());
  std::vector<option> options;
  for (int i = 0; i < latency; ++i)
    options.push_back({flags[i].name, required_argument, nullptr, i});
  options.push_back({"latency", required_argument, nullptr, latency});
  options.push_back({"help", no_argument, nullptr, latency + 1});
  options.push_back({});
  for (int chosen; (chosen = getopt_long(count, arguments, "", options.data(), nullptr)) != -1;) {
    if (chosen == '?') std::exit(2);  // It has said why.
    if (chosen == latency + 1) print_help(flags);
    if (chosen == latency) {
      given.latency = optarg;
    } else {
      flags[chosen].value = number(flags[chosen], optarg);
    }
  }
  if (optind < count) refuse(std::string("what is ") + arguments[optind] + "?");
  return given;
}

std::uint64_t resident_bytes() {
  std::uint64_t pages = 0;
  std::uint64_t resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

void print(const result& printed) {
  std::printf("operations %" PRIu64 "\n", printed.operations);
  std::printf("seconds %.6f\n", printed.seconds);
  std::printf("operations_per_second %.0f\n",
              static_cast<double>(printed.operations) / printed.seconds);
  std::printf("checksum %016" PRIx64 "\n", printed.checksum);
  for (const figure& shown : printed.figures)
    std::printf("%s %.10g\n", shown.name, shown.value);
}

}  // namespace quarry::bench
