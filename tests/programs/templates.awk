# Writes a C++ program that is heavy on the compiler: many instances of many templates.
BEGIN {
  print "#include <algorithm>\n#include <functional>\n#include <iostream>\n#include <map>"
  print "#include <numeric>\n#include <string>\n#include <tuple>\n#include <vector>\n"
  print "template <unsigned N> struct chain { static constexpr unsigned long value ="
  print "    chain<N - 1>::value * 6364136223846793005ul + N; };"
  print "template <> struct chain<0> { static constexpr unsigned long value = 1; };"
  print "template <unsigned... I> auto make(std::integer_sequence<unsigned, I...>) {"
  print "  return std::make_tuple(chain<I>::value...); }\n"
  for (i = 0; i < 10; i++) {
    print "struct key" i " { int a; std::string b; auto operator<=>(const key" i "&) const = default; };"
    print "static unsigned long use" i "() {"
    print "  std::map<key" i ", std::vector<int>> table;"
    print "  for (int n = 0; n < 50; n++) table[{n % " i + 3 ", std::to_string(n)}].push_back(n);"
    print "  unsigned long sum = 0;"
    print "  for (auto& [k, v] : table) {"
    print "    std::sort(v.begin(), v.end(), [&](int x, int y) { return x % " i + 2 " < y % " i + 2 "; });"
    print "    sum += std::accumulate(v.begin(), v.end(), k.b.size()); }"
    print "  return sum; }\n"
  }
  print "int main() {"
  print "  auto t = make(std::make_integer_sequence<unsigned, 60>());"
  print "  std::cout << std::get<59>(t) << '\\n';"
  for (i = 0; i < 10; i++) print "  std::cout << use" i "() << '\\n';"
  print "}"
}
