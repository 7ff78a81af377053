// The tables of quarry/stats.h, printed while threads make and destroy what they list: each line is
// whole and says what can be true.
#include <gtest/gtest.h>
#include <quarry/slab.h>
#include <quarry/stats.h>
#include <quarry/vmalloc.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <random>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t page = 4096;

std::vector<std::string> lines_of(void (*print)(int fd)) {
  FILE* file = tmpfile();
  print(fileno(file));
  std::string text(static_cast<std::size_t>(lseek(fileno(file), 0, SEEK_END)), 0);
  EXPECT_EQ(pread(fileno(file), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  fclose(file);
  EXPECT_TRUE(text.empty() || text.back() == '\n');
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);)
    lines.push_back(line);
  return lines;
}

const std::regex slab_layout(
    "([a-z-]+([0-9]+)) +([0-9]+) +([0-9]+) +([0-9]+) +([0-9]+) +([0-9]+)"
    " : tunables +[0-9]+ +[0-9]+ +[0-9]+ : slabdata +([0-9]+) +([0-9]+) +[0-9]+");

// Lines of what the threads make.
unsigned caches_seen = 0, blocks_seen = 0;

// The names of all caches here end with the size of their objects.
void expect_slabinfo() {
  const std::vector<std::string> lines = lines_of(quarry_slabinfo);
  ASSERT_GT(lines.size(), 2u);
  EXPECT_EQ(lines[0], "slabinfo - version: 2.1");
  EXPECT_TRUE(lines[1].starts_with("# name "));
  for (std::size_t i = 2; i < lines.size(); i++) {
    std::smatch m;
    ASSERT_TRUE(std::regex_match(lines[i], m, slab_layout)) << lines[i];
    EXPECT_EQ(m[2], m[5]) << lines[i];
    caches_seen += lines[i].starts_with("made-");
    EXPECT_EQ(std::stoul(m[4]), std::stoul(m[9]) * std::stoul(m[6])) << lines[i];
    EXPECT_LE(std::stoul(m[3]), std::stoul(m[4])) << lines[i];
    EXPECT_LE(std::stoul(m[8]), std::stoul(m[9])) << lines[i];
  }
}

void expect_buddyinfo() {
  const std::regex layout("Node 0, zone +(DMA|Normal|HighMem) ( +[0-9]+ ){19}");
  const std::vector<std::string> lines = lines_of(quarry_buddyinfo);
  EXPECT_FALSE(lines.empty());
  for (const std::string& line : lines)
    ASSERT_TRUE(std::regex_match(line, layout)) << line;
}

void expect_zoneinfo() {
  const std::regex layouts[] = {
      std::regex("Node 0, zone +(DMA|Normal|HighMem)"),
      std::regex("  pages free +[0-9]+"),
      std::regex("        min +[0-9]+"),
      std::regex("        low +[0-9]+"),
      std::regex("        high +[0-9]+"),
      std::regex("        spanned +[0-9]+"),
      std::regex("        present +[0-9]+"),
      std::regex("    nr_free_pages [0-9]+"),
      std::regex("        protection: \\([0-9]+, [0-9]+, [0-9]+\\)"),
      std::regex("  start_pfn: +[0-9]+"),
  };
  const std::vector<std::string> lines = lines_of(quarry_zoneinfo);
  EXPECT_FALSE(lines.empty());
  EXPECT_EQ(lines.size() % std::size(layouts), 0u);
  for (std::size_t i = 0; i < lines.size(); i++)
    ASSERT_TRUE(std::regex_match(lines[i], layouts[i % std::size(layouts)])) << lines[i];
}

void expect_vmallocinfo() {
  const std::regex layout("0x([0-9a-f]+)-0x([0-9a-f]+) +([0-9]+) pages=([0-9]+) vmalloc");
  std::uintptr_t last_end = 0;
  for (const std::string& line : lines_of(quarry_vmallocinfo)) {
    std::smatch m;
    ASSERT_TRUE(std::regex_match(line, m, layout)) << line;
    const std::uintptr_t begin = std::stoul(m[1], nullptr, 16), end = std::stoul(m[2], nullptr, 16);
    EXPECT_GE(begin, last_end) << line;
    EXPECT_EQ(end - begin, std::stoul(m[3])) << line;
    EXPECT_EQ(end - begin, (std::stoul(m[4]) + 1) * page) << line;
    last_end = end;
    blocks_seen++;
  }
}

void make_and_destroy_caches(unsigned seed) {
  std::minstd_rand random(seed);
  const std::size_t size = 8 * (1 + random() % 500);
  const std::string name = "made-" + std::to_string(size);
  kmem_cache_t* cache = kmem_cache_create(name.c_str(), size, 0, 0, nullptr, nullptr);
  std::vector<void*> objects(random() % 30);
  for (void*& object : objects)
    object = kmem_cache_alloc(cache, GFP_KERNEL);
  for (void* object : objects)
    kmem_cache_free(cache, object);
  EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

void make_and_free_blocks(unsigned seed) {
  std::minstd_rand random(seed);
  std::vector<void*> blocks(1 + random() % 20);
  for (void*& block : blocks)
    block = vmalloc(1 + random() % (1 << 20));
  for (void*& block : blocks)
    block = vrealloc(block, 1 + random() % (8 << 20), GFP_KERNEL);
  for (void* block : blocks)
    vfree(block);
}

TEST(Tables, AreWholeWhileWhatTheyListComesAndGoes) {
  std::atomic<bool> ended{false};
  std::atomic<unsigned> seed{1};
  std::vector<std::thread> threads;
  for (auto* work : {make_and_destroy_caches, make_and_free_blocks}) {
    threads.emplace_back([&, work] {
      while (!ended)
        work(seed++);
    });
  }
  for (int i = 0; i < 300 && !HasFailure(); i++) {
    expect_slabinfo();
    expect_buddyinfo();
    expect_zoneinfo();
    expect_vmallocinfo();
  }
  ended = true;
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_GT(caches_seen, 0u);
  EXPECT_GT(blocks_seen, 0u);
}

}  // namespace
