// A page, or a block of four, through the per-CPU lists, beside a block of 64 bytes of malloc.
#include <quarry/page.h>

#include <cstdlib>

#include "compare.h"

namespace {

constexpr std::size_t operations = 4000;

void small_blocks() {
  for (std::size_t i = 0; i < operations; i++) {
    void* block = std::malloc(64);
    benchmark::DoNotOptimize(block);
    std::free(block);
  }
}

void page(benchmark::State& state) {
  const auto pages = [] {
    for (std::size_t i = 0; i < operations; i++) {
      struct page* one = alloc_page(GFP_KERNEL);
      benchmark::DoNotOptimize(one);
      __free_page(one);
    }
  };
  compare::run(state, operations, pages, small_blocks);
}

void four_pages(benchmark::State& state) {
  const auto blocks = [] {
    for (std::size_t i = 0; i < operations; i++) {
      struct page* block = alloc_pages(GFP_KERNEL, 2);
      benchmark::DoNotOptimize(block);
      __free_pages(block, 2);
    }
  };
  compare::run(state, operations, blocks, small_blocks);
}

BENCHMARK(page)->Apply(compare::settings);
BENCHMARK(four_pages)->Apply(compare::settings);

}  // namespace
