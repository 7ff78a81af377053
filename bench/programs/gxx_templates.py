"""g++ on a file of templates: containers and tuples of many types of its own."""

import re

import generate
from row import row

HEAD = """\
#include <map>
#include <tuple>
#include <vector>

template <unsigned n> struct chain { static constexpr unsigned long value = chain<n - 1>::value * 31 + n; };
template <> struct chain<0> { static constexpr unsigned long value = 1; };
"""
TYPE = """
struct TYPE {
  MEMBERS
  auto operator<=>(const TYPE&) const = default;
};
unsigned long use(const std::vector<TYPE>& given) {
  std::map<TYPE, std::vector<std::tuple<TYPE, OTHER>>> table;
  for (const TYPE& one : given) table[one].emplace_back(one, OTHER());
  unsigned long sum = 0;
  for (auto& [key, values] : table)
    for (const auto& [value, other] : values) sum += (value < key) + sizeof other + chain<DEPTH>::value;
  return sum;
}
"""
MEMBERS = ["int", "double", "std::vector<int>", "std::tuple<int, double>", "std::map<int, long>",
           "std::vector<std::vector<char>>", "std::pair<char, float>"]


def prepare(directory, quick):
    numbers = generate.source("g++")
    with (directory / "templates.cpp").open("w") as file:
        file.write(HEAD)
        for number in range(1 if quick else 8):
            members = [f"{kind} m{index};" for index, kind in enumerate(numbers.sample(MEMBERS, 3))]
            parts = {"TYPE": f"type_{number}", "MEMBERS": " ".join(members), "DEPTH": str(100 + number),
                     "OTHER": numbers.choice(MEMBERS)}
            file.write(re.sub("|".join(parts), lambda match: parts[match[0]], TYPE))


PROGRAM = "/usr/bin/g++"
COMPILE = f"{PROGRAM} -std=c++20 -S templates.cpp && /usr/bin/cksum templates.s"
rows = [row("g++", {"g++": PROGRAM}, prepare, ["/bin/sh", "-c", COMPILE])]
