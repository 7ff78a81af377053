// Small files and descriptors without libc's streams.
#include "os/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>

using namespace quarry;

namespace {

// A file with these contents, gone at the end.
class file_of {
 public:
  explicit file_of(const std::string& contents) {
    const int fd = mkstemp(path_);
    EXPECT_EQ(write(fd, contents.data(), contents.size()), static_cast<ssize_t>(contents.size()));
    close(fd);
  }
  ~file_of() { unlink(path_); }
  const char* path() const { return path_; }

 private:
  char path_[32] = "/tmp/quarry-test-XXXXXX";
};

int lowest_free_descriptor() {
  const int fd = dup(0);
  close(fd);
  return fd;
}

TEST(File, IsReadAsFarAsTheBufferGoes) {
  const file_of file("twelve bytes");
  char buffer[16] = "###############";
  EXPECT_EQ(os::read_file(file.path(), buffer, sizeof buffer), 12u);
  EXPECT_EQ(std::string(buffer, 12), "twelve bytes");
  EXPECT_EQ(buffer[12], '#');
  EXPECT_EQ(os::read_file(file.path(), buffer, 6), 6u);
  EXPECT_EQ(std::string(buffer, 6), "twelve");
}

TEST(File, ReadingOneThatDoesNotExistGivesNothingAndKeepsErrno) {
  char buffer[4];
  errno = EXDEV;
  EXPECT_EQ(os::read_file("/nowhere/nothing", buffer, sizeof buffer), 0u);
  EXPECT_EQ(errno, EXDEV);
}

TEST(File, IsTheSameUnderEachOfItsDescriptors) {
  const file_of one("x"), other("x");
  const int fd = open(one.path(), O_RDONLY), again = dup(fd),
            different = open(other.path(), O_RDONLY);
  EXPECT_EQ(os::identity_of(fd), os::identity_of(again));
  EXPECT_NE(os::identity_of(fd), os::identity_of(different));
  for (int open_one : {fd, again, different})
    close(open_one);
  EXPECT_EQ(os::identity_of(fd), os::file_identity{});
}

TEST(File, ReadingLeavesNoDescriptorOpen) {
  const file_of file("x");
  const int before = lowest_free_descriptor();
  char buffer[4];
  for (int i = 0; i < 10; i++)
    os::read_file(file.path(), buffer, sizeof buffer);
  EXPECT_EQ(lowest_free_descriptor(), before);
}

TEST(File, AllIsWrittenThoughADescriptorTakesItInPieces) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const std::string sent(1 << 20, 'q');
  std::string received;
  std::thread reader([&] {
    char buffer[4096];
    for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;) {
      received.append(buffer, static_cast<std::size_t>(got));
    }
  });
  os::write_all(ends[1], sent);
  close(ends[1]);
  reader.join();
  close(ends[0]);
  EXPECT_EQ(received, sent);
}

TEST(File, WritingToABadDescriptorEndsAndKeepsErrno) {
  errno = EXDEV;
  os::write_all(-1, "lost");
  EXPECT_EQ(errno, EXDEV);
}

TEST(File, ADecimalNumberEndsAtTheFirstOtherCharacter) {
  EXPECT_EQ(os::parse_decimal("123 456"), 123u);
  EXPECT_EQ(os::parse_decimal("0-3"), 0u);
  EXPECT_EQ(os::parse_decimal("18446744073709551615\n"), UINT64_MAX);
  EXPECT_EQ(os::parse_decimal(""), 0u);
  EXPECT_EQ(os::parse_decimal("-1"), 0u);
}

}  // namespace
