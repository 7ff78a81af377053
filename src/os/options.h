// Options from the environment variable QUARRY_CONF, read once at start-up.
#pragma once

#include "base/types.h"

namespace quarry::os {

enum class option : unsigned {
#define QUARRY_OPTION(name, values, help) name,
#include "os/options.inc"
#undef QUARRY_OPTION
  count
};

// Parses QUARRY_CONF, unless the process runs with raised privileges (AT_SECURE, getauxval(3)).
// An unknown name or a bad value prints one line on standard error and leaves the default.
void read_options();

// True where the option has its default, the first of its values.
bool is_default(option o);

// The number chosen, of an option whose values are a range.
unsigned number_of(option o);

// One line per option: name, values, what it does.
void print_options(int fd);

}  // namespace quarry::os
