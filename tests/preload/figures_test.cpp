// The figures of mallinfo, mallinfo2, malloc_info and malloc_stats are true: they follow what the
// program holds, to within what rounding to a size class explains (glibc manual 3.2.3.9).

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "block.h"
#include "child.h"

using namespace preload_test;

namespace {

// Blocks of one size, held until the end of the scope.
class holding {
 public:
  holding(size_t count, size_t size)
      : blocks_(count), requested_(count * size), before_(bytes_in_use()) {
    for (void*& block : blocks_)
      block = malloc(size);
    for (void* block : blocks_)
      usable_ += malloc_usable_size(block);
  }
  ~holding() { release(); }

  size_t requested() const { return requested_; }
  // The figure before the first block, with the list of them.
  size_t before() const { return before_; }
  size_t usable() const { return usable_; }
  // glibc has a header of 8 bytes per block, and up to a page and a header beside a block of its
  // own.
  size_t most() const { return usable_ + blocks_.size() * (16 + usable_ / blocks_.size() / 16); }

  void release() {
    for (void* block : blocks_)
      free(block);
    blocks_.clear();
  }

 private:
  std::vector<void*> blocks_;
  size_t requested_;
  size_t before_;
  size_t usable_ = 0;
};

struct amount {
  size_t count, size;
};

void PrintTo(const amount& a, std::ostream* out) {
  *out << a.count << " blocks of " << a.size;
}

class Figures : public testing::TestWithParam<amount> {};

// What a cache of free blocks may hide: a fraction of what moves here.
constexpr size_t slack = 256 << 10;

TEST_P(Figures, FollowWhatIsAllocatedAndFreed) {
  holding held(GetParam().count, GetParam().size);
  const size_t during = bytes_in_use();
  EXPECT_GE(during + slack, held.before() + held.usable());
  EXPECT_LE(during, held.before() + held.most() + slack);
  held.release();
  EXPECT_LE(bytes_in_use(), held.before() + slack);
}

INSTANTIATE_TEST_SUITE_P(Amounts, Figures,
                         testing::Values(amount{500'000, 24}, amount{200'000, 100},
                                         amount{20'000, 1000}, amount{5'000, 5000},
                                         amount{400, 100'000}, amount{30, 1'000'000},
                                         amount{4, 100'000'000}),
                         [](const auto& info) { return "Of" + std::to_string(info.param.size); });

TEST(Mallinfo, AgreesWithMallinfo2) {
  const auto old_call = reinterpret_cast<struct mallinfo (*)()>(dlsym(RTLD_DEFAULT, "mallinfo"));
  ASSERT_NE(old_call, nullptr);
  holding held(1000, 1000);
  const struct mallinfo2 now = mallinfo2();
  const struct mallinfo old = old_call();
  EXPECT_EQ(old.uordblks, static_cast<int>(now.uordblks));
  EXPECT_EQ(old.hblkhd, static_cast<int>(now.hblkhd));
}

// arena is all that was obtained outside of single mappings: what is in use and what is free.
TEST(Mallinfo2, CountsNoMoreInUseThanWasObtained) {
  holding held(10'000, 1000);
  const struct mallinfo2 info = mallinfo2();
  EXPECT_LE(info.uordblks, info.arena);
  EXPECT_LE(info.fordblks, info.arena);
}

// A well-formed document, as far as malloc_info needs XML: elements, attributes in quotes, text.
class xml_reader {
 public:
  explicit xml_reader(const std::string& text) : text_(text) {}

  bool is_one_element() {
    skip_space();
    if (!read_element()) return false;
    skip_space();
    return at_ == text_.size();
  }

 private:
  bool next_is(const std::string& token) const {
    return text_.compare(at_, token.size(), token) == 0;
  }
  bool take(const std::string& token) {
    if (!next_is(token)) return false;
    at_ += token.size();
    return true;
  }
  void skip_space() {
    while (at_ < text_.size() && isspace(static_cast<unsigned char>(text_[at_])))
      ++at_;
  }
  std::string read_name() {
    const size_t begin = at_;
    while (at_ < text_.size() && (isalnum(static_cast<unsigned char>(text_[at_])) || next_is("_")))
      ++at_;
    return text_.substr(begin, at_ - begin);
  }

  bool read_attributes() {
    for (skip_space(); !next_is(">") && !next_is("/>"); skip_space()) {
      if (read_name().empty() || !take("=\"")) return false;
      const size_t end = text_.find_first_of("\"<", at_);
      if (end == std::string::npos || text_[end] != '"') return false;
      at_ = end + 1;
    }
    return true;
  }

  bool read_element() {
    if (!take("<")) return false;
    const std::string name = read_name();
    if (name.empty() || !read_attributes()) return false;
    if (take("/>")) return true;
    if (!take(">")) return false;
    while (at_ < text_.size() && !next_is("</")) {
      if (!next_is("<")) {
        ++at_;
      } else if (!read_element()) {
        return false;
      }
    }
    return take("</" + name + ">");
  }

  const std::string& text_;
  size_t at_ = 0;
};

std::string malloc_info_text() {
  char* text = nullptr;
  size_t size = 0;
  FILE* stream = open_memstream(&text, &size);
  EXPECT_EQ(malloc_info(0, stream), 0);
  fclose(stream);
  const std::string copy(text, size);
  free(text);
  return copy;
}

// The figures for which a document or a message stands: its largest number.
size_t largest_number(const std::string& text) {
  size_t largest = 0;
  for (size_t at = 0; (at = text.find_first_of("0123456789", at)) != std::string::npos;) {
    char* end;
    largest = std::max<size_t>(largest, strtoull(text.c_str() + at, &end, 10));
    at = end - text.c_str();
  }
  return largest;
}

TEST(MallocInfo, WritesOneElementNamedMalloc) {
  const std::string text = malloc_info_text();
  EXPECT_TRUE(xml_reader(text).is_one_element()) << text;
  EXPECT_TRUE(text.starts_with("<malloc version=\"")) << text;
}

TEST(MallocInfo, ShowsWhatIsHeld) {
  holding held(200'000, 1000);
  EXPECT_GE(largest_number(malloc_info_text()), held.requested());
  EXPECT_LE(largest_number(malloc_info_text()), 4 * held.requested());
}

// malloc_info(3): there are no options, so any is an error (glibc returns EINVAL, the manual says
// -1).
TEST(MallocInfo, RefusesOptions) {
  errno = 0;
  EXPECT_NE(malloc_info(1, stdout), 0);
  EXPECT_EQ(errno, EINVAL);
}

TEST(MallocStats, WritesWhatIsHeldToStandardError) {
  holding held(200'000, 1000);
  const child_result result = run_in_child([] { malloc_stats(); });
  EXPECT_TRUE(result.succeeded());
  EXPECT_GE(largest_number(result.errors), held.requested()) << result.errors;
  EXPECT_LE(largest_number(result.errors), 4 * held.requested()) << result.errors;
}

}  // namespace
