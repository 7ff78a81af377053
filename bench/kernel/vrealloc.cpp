// A block of vmalloc whose 1 GiB is in memory grows: by 64 KiB at its place; to 8 GiB, which has to
// be elsewhere; and the same by copying. A copy needs pages of its own: `faults`, the pages that
// the kernel had to find for one step, tells whether there was one.
#include <quarry/vmalloc.h>
#include <sys/resource.h>

#include <cstring>

#include "compare.h"

namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t gib = kib * kib * kib;

double page_faults() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_minflt);
}

char* full_block() {
  auto* block = static_cast<char*>(vmalloc(gib));
  std::memset(block, 1, gib);
  return block;
}

// A step from 1 GiB to 8 GiB, or the copy, timed; the blocks are made and freed outside.
template <class grow_type>
void moved(benchmark::State& state, grow_type grow) {
  double faults = 0;
  for (auto _ : state) {
    char* block = full_block();
    const double before = page_faults();
    state.SetIterationTime(compare::seconds([&] { block = grow(block); }));
    faults += page_faults() - before;
    if (!block || block[0] != 1 || block[gib - 1] != 1) state.SkipWithError("contents were lost");
    vfree(block);
  }
  state.counters["faults"] = benchmark::Counter(faults, benchmark::Counter::kAvgIterations);
}

void vrealloc_elsewhere(benchmark::State& state) {
  moved(state, [](char* block) {
    auto* grown = static_cast<char*>(vrealloc(block, 8 * gib, GFP_KERNEL));
    return grown == block ? nullptr : grown;
  });
}

void copy(benchmark::State& state) {
  moved(state, [](char* block) {
    auto* grown = static_cast<char*>(vmalloc(8 * gib));
    std::memcpy(grown, block, gib);
    vfree(block);
    return grown;
  });
}

void vrealloc_in_place(benchmark::State& state) {
  char* block = full_block();
  std::size_t size = gib;
  const double before = page_faults();
  for (auto _ : state) {
    size += 64 * kib;
    if (vrealloc(block, size, GFP_KERNEL) != block) state.SkipWithError("moved");
  }
  state.counters["faults"] =
      benchmark::Counter(page_faults() - before, benchmark::Counter::kAvgIterations);
  vfree(block);
}

BENCHMARK(vrealloc_in_place)->Iterations(10'000);
BENCHMARK(vrealloc_elsewhere)->Iterations(5)->UseManualTime();
BENCHMARK(copy)->Iterations(5)->UseManualTime();

}  // namespace
