#include "base/format.h"

namespace quarry {

text& text::address(const void* p) {
  const auto n = reinterpret_cast<uptr>(p);
  *this << "0x";
  int shift = 60;
  while (shift > 0 && (n >> shift) == 0)
    shift -= 4;
  for (; shift >= 0; shift -= 4)
    put("0123456789abcdef"[n >> shift & 15]);
  return *this;
}

text& text::decimal(u64 n, unsigned width) {
  char digits[20];
  unsigned count = 0;
  do {
    digits[count++] = static_cast<char>('0' + n % 10);
    n /= 10;
  } while (n);
  for (unsigned i = count; i < width; i++)
    put(' ');
  while (count)
    put(digits[--count]);
  return *this;
}

text& text::padded(std::string_view s, unsigned width) {
  *this << s;
  for (std::size_t i = s.size(); i < width; i++)
    put(' ');
  return *this;
}

}  // namespace quarry
