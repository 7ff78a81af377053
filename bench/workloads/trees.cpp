// Trees, as a compiler or a document has them, of nodes of different sizes: each thread keeps a
// few, tears one down and builds another, over and over. By operator new and delete.
//
// One operation: a node built and torn down.
#include "workload.h"

namespace quarry::bench {

namespace {

std::uint64_t nodes_per_tree = 2000;
std::uint64_t trees_per_thread = 10;

constexpr std::uint64_t most_children = 4;
constexpr std::uint64_t most_payload = 4;  // In words, of which the first and the last are used.

// The children, then the payload, follow.
struct node {
  std::uint32_t children;
  std::uint32_t payload;

  std::size_t size() const { return sizeof(node) + (children + payload) * word; }
  node** child() { return reinterpret_cast<node**>(this + 1); }
  std::uint64_t* data() { return reinterpret_cast<std::uint64_t*>(child() + children); }
};

// A tree of so many nodes.
template <typename Heap>
node* build(std::uint64_t nodes, random_bits& random) {
  const std::uint64_t below = nodes - 1;
  const std::uint64_t drawn = random.next();
  const std::uint64_t children = std::min(below, most_children);
  const std::uint64_t payload = 1 + (drawn >> 32) % most_payload;
  const node head{static_cast<std::uint32_t>(children), static_cast<std::uint32_t>(payload)};
  auto* made = static_cast<node*>(Heap::create(head.size()));
  *made = head;
  const std::uint64_t each = children == 0 ? 0 : below / children;
  for (std::uint64_t i = 0; i < children; ++i)
    made->child()[i] = build<Heap>(i == 0 ? below - each * (children - 1) : each, random);
  made->data()[0] = drawn;
  made->data()[payload - 1] = ~drawn;
  return made;
}

template <typename Heap>
std::uint64_t tear_down(node* torn) {
  std::uint64_t sum = torn->data()[0] + torn->data()[torn->payload - 1];
  for (std::uint32_t i = 0; i < torn->children; ++i)
    sum += tear_down<Heap>(torn->child()[i]);
  Heap::destroy(torn, torn->size());
  return sum;
}

template <typename Heap>
std::uint64_t plant(random_bits random, std::uint64_t trees) {
  std::vector<node*> standing(std::min(trees, trees_per_thread));
  std::uint64_t checksum = 0;
  for (std::uint64_t i = 0; i < trees; ++i) {
    node*& place = i < standing.size() ? standing[i] : standing[random.below(standing.size())];
    if (place != nullptr) checksum += tear_down<Heap>(place);
    place = build<Heap>(nodes_per_tree, random);
  }
  for (node* tree : standing)
    checksum += tear_down<Heap>(tree);
  return checksum;
}

template <typename Heap>
result grow(const settings& given) {
  const std::uint64_t trees = std::max(given.operations / nodes_per_tree, given.threads);
  const outcome all = run_threads(given.threads, [&](std::uint64_t index) {
    return plant<Heap>(random_bits(given.seed, index), share(trees, given.threads, index));
  });
  return {trees * nodes_per_tree, all.seconds, all.checksum};
}

}  // namespace

}  // namespace quarry::bench

int main(int count, char** arguments) {
  using namespace quarry::bench;
  const settings given =
      parse(count, arguments, {.threads = 1, .operations = 20'000'000},
            {{"nodes", nodes_per_tree, 1, 1'000'000}, {"trees", trees_per_thread, 1, 1'000'000}});
  return run(given, grow<heap<untimed>>, grow<heap<timed>>);
}
