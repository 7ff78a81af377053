// zoneinfo, read the way tools read the kernel's.
#include <map>
#include <sstream>

#include "../preload/child.h"
#include "quarry/page.h"
#include "quarry/stats.h"

namespace {

// One zone's fields by name.
std::map<std::string, size_t> normal_zone() {
  std::istringstream text(
      preload_test::run_in_child([] { quarry_zoneinfo(STDERR_FILENO); }).errors);
  std::string line;
  while (std::getline(text, line) && line != "Node 0, zone   Normal") {
  }
  std::map<std::string, size_t> fields;
  while (std::getline(text, line) && !line.starts_with("Node")) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name == "pages") {
      words >> name;
      name = "pages " + name;
    }
    size_t value;
    if (words >> value) fields[name] = value;
  }
  return fields;
}

TEST(Zoneinfo, CountsTheFreePagesOfAZoneAndItsSize) {
  auto before = normal_zone();
  EXPECT_EQ(before["pages free"], before["nr_free_pages"]);
  EXPECT_GE(before["spanned"], before["present"]);
  EXPECT_GE(before["present"], before["pages free"]);
  EXPECT_GT(before["start_pfn:"], 0u);
  struct page* page = alloc_pages(GFP_KERNEL, 8);
  auto during = normal_zone();
  EXPECT_EQ(during["present"] - during["pages free"],
            before["present"] - before["pages free"] + 256);
  __free_pages(page, 8);
}

TEST(Zoneinfo, HasTheWatermarksOfWhoeverAsksByFlags) {
  __free_page(alloc_page(GFP_KERNEL));
  put_page(alloc_pages(GFP_KERNEL, 5));
  auto zone = normal_zone();
  EXPECT_GT(zone["min"], 0u);
  EXPECT_EQ(zone["low"], zone["min"] + zone["min"] / 4);
  EXPECT_EQ(zone["high"], zone["min"] + zone["min"] / 2);
  EXPECT_GE(zone["pages free"], zone["min"]);
}

}  // namespace
