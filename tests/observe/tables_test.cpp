// slabinfo and buddyinfo, read the way tools read the kernel's.
#include "observe/tables.h"

#include <unistd.h>

#include <map>
#include <sstream>

#include "../page/started.h"
#include "heap/heap.h"
#include "observe/figures.h"
#include "page/zone.h"
#include "slab/cache.h"

using namespace page_test;

namespace {

std::string output_of(void (*print)(int fd)) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  print(ends[1]);
  close(ends[1]);
  std::string output;
  char buffer[4096];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;) {
    output.append(buffer, static_cast<std::size_t>(got));
  }
  close(ends[0]);
  return output;
}

// slabinfo(5), version 2.1.
struct slab_line {
  std::size_t active_objects, objects, object_size, objects_per_slab, pages_per_slab;
  std::size_t limit, batchcount, shared;
  std::size_t active_slabs, slabs, shared_available;
};

std::map<std::string, slab_line> parse_slabinfo(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "slabinfo - version: 2.1");
  std::getline(lines, line);
  EXPECT_TRUE(line.starts_with("# name "));
  std::map<std::string, slab_line> caches;
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string name, colon[2], word[2];
    slab_line l{};
    fields >> name >> l.active_objects >> l.objects >> l.object_size >> l.objects_per_slab >>
        l.pages_per_slab >> colon[0] >> word[0] >> l.limit >> l.batchcount >> l.shared >>
        colon[1] >> word[1] >> l.active_slabs >> l.slabs >> l.shared_available;
    EXPECT_TRUE(fields && (fields >> std::ws).eof()) << line;
    EXPECT_EQ(colon[0] + word[0] + colon[1] + word[1], ":tunables:slabdata") << line;
    EXPECT_TRUE(caches.try_emplace(name, l).second) << name << " stands there twice";
  }
  return caches;
}

class Tables : public testing::Test {
 protected:
  void SetUp() override {
    start_heap();
    trim(0);
  }
};

TEST_F(Tables, SlabinfoCountsTheObjectsThatTheProgramHolds) {
  std::vector<void*> blocks;
  for (int i = 0; i < 1000; i++)
    blocks.push_back(allocate(700));
  auto caches = parse_slabinfo(output_of(print_slabinfo));
  ASSERT_EQ(caches.count("size-704"), 1u);
  EXPECT_EQ(caches["size-704"].active_objects, 1000u);
  for (int i = 0; i < 400; i++) {
    release(blocks.back(), "free");
    blocks.pop_back();
  }
  caches = parse_slabinfo(output_of(print_slabinfo));
  EXPECT_EQ(caches["size-704"].active_objects, 600u);
  for (void* block : blocks)
    release(block, "free");
  trim(0);
  EXPECT_EQ(parse_slabinfo(output_of(print_slabinfo)).count("size-704"), 0u);
}

TEST_F(Tables, EveryLineOfSlabinfoIsConsistent) {
  std::vector<void*> blocks;
  for (std::size_t size = 1; size <= max_small_size; size += size / 4 + 1) {
    for (int i = 0; i < 20; i++)
      blocks.push_back(allocate(size));
  }
  const auto caches = parse_slabinfo(output_of(print_slabinfo));
  EXPECT_GT(caches.size(), 30u);
  for (const auto& [name, l] : caches) {
    SCOPED_TRACE(name);
    EXPECT_EQ(name, "size-" + std::to_string(l.object_size));
    EXPECT_EQ(l.objects, l.slabs * l.objects_per_slab);
    EXPECT_LE(l.active_objects, l.objects);
    EXPECT_LE(l.active_slabs, l.slabs);
    EXPECT_LE(l.objects_per_slab * l.object_size, l.pages_per_slab << page_shift);
    EXPECT_LE(l.shared_available, l.shared * l.batchcount);
    EXPECT_GE(l.batchcount, 1u);
    const quarry::kmem_cache& cache = general_caches[compute_class(l.object_size)];
    EXPECT_EQ(l.objects_per_slab, cache.shape().objects);
    EXPECT_EQ(l.pages_per_slab, cache.shape().pages);
  }
  for (void* block : blocks)
    release(block, "free");
}

TEST_F(Tables, BuddyinfoIsOneLineOfTheFreeBlocksOfEachOrder) {
  std::istringstream line(output_of(print_buddyinfo));
  std::string node, number, zone, name;
  line >> node >> number >> zone >> name;
  EXPECT_EQ(node + " " + number + " " + zone + " " + name, "Node 0, zone Normal");
  std::size_t pages = 0, blocks;
  unsigned orders = 0;
  for (; line >> blocks; orders++)
    pages += blocks << orders;
  EXPECT_EQ(orders, max_order + 1);
  EXPECT_EQ(pages, normal_zone.figures().free_pages);
}

TEST_F(Tables, StatsSayWhatTheFiguresSay) {
  void* block = allocate(3 * mib);
  void* of_vmalloc = allocate(2 * gib);
  const heap_figures f = take_figures();
  EXPECT_GE(f.vm_bytes, 2 * gib);
  const std::string stats = output_of(print_stats);
  for (std::size_t bytes :
       {f.small_in_use, f.runs_in_use + f.vm_bytes, f.free_pages, f.committed + f.vm_bytes}) {
    EXPECT_NE(stats.find(" " + std::to_string(bytes) + "\n"), std::string::npos) << bytes;
  }
  release(of_vmalloc, "free");
  release(block, "free");
}

}  // namespace
