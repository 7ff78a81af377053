// What the kernel says of the mapping that an address lies in: proc(5), smaps.
#pragma once

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

// What follows the field's name, with a space on either side; "" where there is no such mapping.
inline std::string smaps_field(const void* address, const std::string& name) {
  std::ifstream mappings("/proc/self/smaps");
  bool is_it = false;
  for (std::string line; std::getline(mappings, line);) {
    std::istringstream fields(line);
    uintptr_t begin, end;
    char dash;
    if (fields >> std::hex >> begin >> dash >> end && dash == '-') {
      const auto at = reinterpret_cast<uintptr_t>(address);
      is_it = begin <= at && at < end;
    }
    if (is_it && line.starts_with(name + ":")) return line.substr(name.size() + 1) + " ";
  }
  return "";
}

// Whether the mapping has one of the two-letter flags.
inline bool has_flag(const void* address, const std::string& flag) {
  return smaps_field(address, "VmFlags").find(" " + flag + " ") != std::string::npos;
}
