// One block taken and given back at once, by malloc and by operator new.
#include <new>

#include "row.h"

namespace {

void malloc_pair(benchmark::State& state) {
  const std::size_t size = row::argument(state);
  for (auto _ : state)
    std::free(row::written(std::malloc(size)));
}

void new_pair(benchmark::State& state) {
  const std::size_t size = row::argument(state);
  for (auto _ : state)
    ::operator delete(row::written(::operator new(size)), size);
}

void sizes(benchmark::internal::Benchmark* pair) {
  for (const std::size_t size :
       {std::size_t{8}, std::size_t{16}, std::size_t{64}, std::size_t{256}, row::kib, 4 * row::kib,
        16 * row::kib, 64 * row::kib, 256 * row::kib, row::mib}) {
    pair->Arg(static_cast<std::int64_t>(size));
  }
}

BENCHMARK(malloc_pair)->Apply(sizes)->MeasureProcessCPUTime();
BENCHMARK(new_pair)->Apply(sizes)->MeasureProcessCPUTime();

}  // namespace
