// Web requests: each allocates many small blocks that die together at its end, beside a long-lived
// cache of objects from which the least recently used are dropped.
//
// One operation: a request.
#include "workload.h"

namespace quarry::bench {

namespace {

std::uint64_t pages = 20'000;         // That can be asked for.
std::uint64_t cache_bytes = 8 * mib;  // In each thread's cache.
std::uint64_t blocks_per_request = 60;

struct entry {
  entry* newer;
  entry* older;
  std::uint64_t key;
  block body;
};

struct distributions {
  drawn keys;
  drawn strings;
  drawn bodies;
};

template <typename Heap>
class cache {
 public:
  explicit cache(std::uint64_t keys) : entries_(keys) {}

  entry* find(std::uint64_t key) {
    entry* found = entries_[key];
    if (found != nullptr) {
      unlink(found);
      link(found);
    }
    return found;
  }

  entry* insert(std::uint64_t key, block body) {
    auto* made = static_cast<entry*>(Heap::allocate(sizeof(entry)));
    made->key = key;
    made->body = body;
    entries_[key] = made;
    bytes_ += body.size;
    link(made);
    return made;
  }

  // Drops what was not used for longest until no more than so much is left.
  std::uint64_t shrink(std::uint64_t bytes) {
    std::uint64_t checksum = 0;
    while (bytes_ > bytes) {
      entry* oldest = ends_.newer;
      unlink(oldest);
      entries_[oldest->key] = nullptr;
      bytes_ -= oldest->body.size;
      checksum += give_back<Heap>(oldest->body);
      Heap::release(oldest);
    }
    return checksum;
  }

 private:
  void link(entry* newest) {
    newest->older = ends_.older;
    newest->newer = &ends_;
    ends_.older->newer = newest;
    ends_.older = newest;
  }

  static void unlink(entry* one) {
    one->newer->older = one->older;
    one->older->newer = one->newer;
  }

  std::vector<entry*> entries_;
  std::uint64_t bytes_ = 0;
  entry ends_{&ends_, &ends_, 0, {}};  // Older than its `newer`, newer than its `older`.
};

template <typename Heap>
class site {
 public:
  site(const distributions& from, random_bits random)
      : random_(random),
        key_(from.keys, random_),
        string_(from.strings, random_),
        body_(from.bodies, random_),
        cache_(pages) {}

  std::uint64_t request() {
    for (block& string : strings_)
      string = take<Heap>(string_.next(), random_.next());
    const std::uint64_t key = key_.next();
    const entry* found = cache_.find(key);
    if (found == nullptr) found = cache_.insert(key, take<Heap>(body_.next(), random_.next()));
    const block response = take<Heap>(found->body.size, key);
    std::uint64_t checksum = give_back<Heap>(response);
    for (const block& string : strings_)
      checksum += give_back<Heap>(string);
    return checksum + cache_.shrink(cache_bytes);
  }

  std::uint64_t close() { return cache_.shrink(0); }

 private:
  random_bits random_;
  cursor key_;
  cursor string_;
  cursor body_;
  cache<Heap> cache_;
  std::vector<block> strings_ = std::vector<block>(blocks_per_request);
};

template <typename Heap>
result serve(const settings& given) {
  const distributions from{zipf_numbers(given.seed, pages),
                           pareto_numbers(given.seed + 1, 16, kib, 1),
                           pareto_numbers(given.seed + 2, kib, 256 * kib, 1.1)};
  const outcome all = run_threads(given.threads, [&](std::uint64_t index) {
    site<Heap> served(from, random_bits(given.seed, index));
    std::uint64_t checksum = 0;
    const std::uint64_t requests = share(given.operations, given.threads, index);
    for (std::uint64_t i = 0; i < requests; ++i)
      checksum += served.request();
    return checksum + served.close();
  });
  return {given.operations, all.seconds, all.checksum};
}

}  // namespace

}  // namespace quarry::bench

int main(int count, char** arguments) {
  using namespace quarry::bench;
  const settings given = parse(count, arguments, {.threads = 1, .operations = 400'000},
                               {{"pages", pages, 1, 10'000'000},
                                {"cache", cache_bytes, 1, 1024 * mib},
                                {"blocks", blocks_per_request, 1, 100'000}});
  return run(given, serve<heap<untimed>>, serve<heap<timed>>);
}
