// What slabinfo says of a cache: its line, by name.
#pragma once

#include <gtest/gtest.h>
#include <quarry/slab.h>
#include <quarry/stats.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <sstream>
#include <string>

namespace kernel_test {

struct slab_line {
  size_t active_objects, objects, object_size, objects_per_slab, pages_per_slab;
  size_t limit, batchcount, shared;
  size_t active_slabs, slabs, shared_available;
};

inline std::map<std::string, slab_line> read_slabinfo() {
  FILE* file = tmpfile();
  quarry_slabinfo(fileno(file));
  std::string text(static_cast<size_t>(lseek(fileno(file), 0, SEEK_END)), 0);
  EXPECT_EQ(pread(fileno(file), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  fclose(file);
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  std::getline(lines, line);
  std::map<std::string, slab_line> caches;
  while (std::getline(lines, line)) {
    std::istringstream fields(line);
    std::string name, colon, word;
    slab_line l{};
    fields >> name >> l.active_objects >> l.objects >> l.object_size >> l.objects_per_slab >>
        l.pages_per_slab >> colon >> word >> l.limit >> l.batchcount >> l.shared >> colon >> word >>
        l.active_slabs >> l.slabs >> l.shared_available;
    EXPECT_TRUE(fields) << line;
    caches[name] = l;
  }
  return caches;
}

// Destroys its cache at the end of a test, and expects that no object is out.
struct cache_guard {
  kmem_cache_t* cache;
  ~cache_guard() { EXPECT_EQ(kmem_cache_destroy(cache), 0); }
};

}  // namespace kernel_test
