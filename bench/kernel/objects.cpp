// Objects of a cache beside blocks of malloc of the same size: `live` are taken, then all are given
// back, the first first.
#include <quarry/slab.h>

#include <cstdlib>

#include "compare.h"

namespace {

template <class take_type, class give_type>
void take_and_give(std::vector<void*>* objects, std::size_t rounds, take_type take,
                   give_type give) {
  for (std::size_t i = 0; i < rounds; i++) {
    for (void*& object : *objects)
      object = compare::written(take());
    for (void* object : *objects)
      give(object);
  }
}

void objects(benchmark::State& state) {
  constexpr std::size_t operations = 4000;
  const auto size = static_cast<std::size_t>(state.range(0));
  std::vector<void*> live(static_cast<std::size_t>(state.range(1)));
  const std::size_t rounds = operations / live.size();
  kmem_cache_t* cache = kmem_cache_create("objects", size, 0, SLAB_PANIC, nullptr, nullptr);
  const auto of_cache = [&] {
    take_and_give(
        &live, rounds, [=] { return kmem_cache_alloc(cache, GFP_KERNEL); },
        [=](void* object) { kmem_cache_free(cache, object); });
  };
  const auto of_malloc = [&] {
    take_and_give(
        &live, rounds, [=] { return std::malloc(size); }, std::free);
  };
  compare::run(state, operations, of_cache, of_malloc);
  kmem_cache_destroy(cache);
}

BENCHMARK(objects)
    ->ArgNames({"size", "live"})
    ->ArgsProduct({{32, 64, 128, 256, 512, 1024}, {1, 100, 1000}})
    ->Apply(compare::settings);

}  // namespace
