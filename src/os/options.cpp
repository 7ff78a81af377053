#include "os/options.h"

#include <unistd.h>

#include <string_view>
#include <utility>

#include "base/format.h"
#include "os/auxv.h"
#include "os/file.h"

// Where the kernel has put the arguments' number; of ld.so (glibc) since 2.1.
extern "C" void* __libc_stack_end __attribute__((weak));

namespace quarry::os {

namespace {

using std::string_view;

struct description {
  string_view name;
  string_view values;  // separated by '|', the default first
  string_view help;
};

constexpr description descriptions[] = {
#define QUARRY_OPTION(name, values, help) {#name, values, help},
#include "os/options.inc"
#undef QUARRY_OPTION
};

constexpr unsigned option_count = static_cast<unsigned>(option::count);

// Which of its values an option has; of a range, how far from the first.
constinit unsigned chosen[option_count] = {};

string_view trimmed(string_view s) {
  while (!s.empty() && s.front() == ' ')
    s.remove_prefix(1);
  while (!s.empty() && s.back() == ' ')
    s.remove_suffix(1);
  return s;
}

// Cuts the part before `separator` off the front of `rest`.
string_view next_part(string_view* rest, char separator) {
  const std::size_t end = rest->find(separator);
  // Not substr(): it may throw, and so would need libstdc++.
  if (end == string_view::npos) return std::exchange(*rest, {});
  const string_view part(rest->data(), end);
  rest->remove_prefix(end + 1);
  return part;
}

// What is quoted of a word in a message: enough to find it.
string_view shortened(string_view word) {
  constexpr std::size_t longest = 40;
  if (word.size() > longest) word.remove_suffix(word.size() - longest);
  return word;
}

void bad_value(const description& d, string_view value) {
  text line;
  line << "quarry: QUARRY_CONF: bad value \"" << shortened(value) << "\" for \"" << d.name
       << "\" (can be " << d.values << ")\n";
  write_all(STDERR_FILENO, line.view());
}

void unknown_option(string_view name) {
  text line;
  line << "quarry: QUARRY_CONF: unknown option \"" << shortened(name) << "\"\n";
  write_all(STDERR_FILENO, line.view());
}

// Values from one digit to another, such as "1-8".
bool is_range(string_view values) {
  return values.size() == 3 && values[1] == '-';
}

void set_number(unsigned o, string_view value) {
  const string_view range = descriptions[o].values;
  const bool is_in = value.size() == 1 && value[0] >= range[0] && value[0] <= range[2];
  if (!is_in) return bad_value(descriptions[o], value);
  chosen[o] = static_cast<unsigned>(value[0] - range[0]);
}

void set_option(unsigned o, string_view value) {
  string_view values = descriptions[o].values;
  if (is_range(values)) return set_number(o, value);
  for (unsigned i = 0; !values.empty(); i++) {
    if (next_part(&values, '|') != value) continue;
    chosen[o] = i;
    return;
  }
  bad_value(descriptions[o], value);
}

void parse_setting(string_view setting) {
  const string_view name = trimmed(next_part(&setting, ':'));
  for (unsigned o = 0; o < option_count; o++) {
    if (descriptions[o].name == name) return set_option(o, trimmed(setting));
  }
  unknown_option(name);
}

// The environment, from libc or, where malloc is called before libc has one, from the stack that
// the kernel began the program with: the arguments' number, they, null, and the environment
// (psABI 3.4.1).
char** environment() {
  if (environ || !&__libc_stack_end) return environ;
  auto* count = static_cast<long*>(__libc_stack_end);
  return reinterpret_cast<char**>(count + 1 + *count + 1);
}

// What follows `key` in `entry`, nullptr where it does not begin so. Without strlen, which in a
// small program may be the only call to its page of libc.
const char* value_of(const char* entry, string_view key) {
  for (char c : key)
    if (*entry++ != c) return nullptr;
  return entry;
}

// QUARRY_CONF's value, nullptr where there is none.
const char* configuration() {
  for (char** entry = environment(); entry && *entry; entry++)
    if (const char* value = value_of(*entry, "QUARRY_CONF=")) return value;
  return nullptr;
}

}  // namespace

void read_options() {
  const char* value = configuration();
  if (!value || auxv(AT_SECURE)) return;
  string_view settings = value;
  while (!settings.empty()) {
    const string_view setting = trimmed(next_part(&settings, ','));
    if (!setting.empty()) parse_setting(setting);
  }
}

bool is_default(option o) {
  return chosen[static_cast<unsigned>(o)] == 0;
}

unsigned number_of(option o) {
  const unsigned index = static_cast<unsigned>(o);
  return static_cast<unsigned>(descriptions[index].values[0] - '0') + chosen[index];
}

void print_options(int fd) {
  for (const description& d : descriptions) {
    text line;
    line.padded(d.name, 12).padded(d.values, 10) << d.help << '\n';
    write_all(fd, line.view());
  }
}

}  // namespace quarry::os
