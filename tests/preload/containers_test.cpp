// The standard library's users of the allocator: containers, shared pointers, exceptions, streams
// and memory resources keep what is put into them and give everything back.

#include <gtest/gtest.h>

#include <deque>
#include <exception>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <numeric>
#include <sstream>
#include <string>
#include <thread>
#include <unordered_map>

#include "block.h"

using namespace preload_test;

namespace {

// Runs `use` once to warm up what stays for good, then again, and expects that nothing was kept.
template <typename user>
void expect_nothing_kept(user use) {
  use();
  const size_t before = bytes_in_use();
  use();
  EXPECT_LE(bytes_in_use(), before + (64 << 10));
}

TEST(Containers, KeepTheirElements) {
  expect_nothing_kept([] {
    std::vector<int> vector;
    std::deque<int> deque;
    std::list<int> list;
    std::map<int, std::string> map;
    std::unordered_map<std::string, int> table;
    for (int i = 0; i < 20'000; ++i) {
      vector.push_back(i);
      deque.push_front(i);
      list.push_back(i);
      map[i] = std::string(i % 100, 'x');
      table[std::to_string(i)] = i;
    }
    const long long sum = 20'000LL * 19'999 / 2;
    EXPECT_EQ(std::accumulate(vector.begin(), vector.end(), 0LL), sum);
    EXPECT_EQ(std::accumulate(deque.begin(), deque.end(), 0LL), sum);
    EXPECT_EQ(std::accumulate(list.begin(), list.end(), 0LL), sum);
    for (int i = 0; i < 20'000; ++i)
      ASSERT_EQ(map[i], std::string(i % 100, 'x'));
    for (int i = 0; i < 20'000; ++i)
      ASSERT_EQ(table[std::to_string(i)], i);
  });
}

struct alignas(256) cache_lines {
  char bytes[256];
};

TEST(Containers, HoldTypesWithAnAlignmentOfTheirOwn) {
  expect_nothing_kept([] {
    std::vector<cache_lines> vector;
    std::list<cache_lines> list;
    for (int i = 0; i < 5000; ++i) {
      vector.emplace_back();
      list.emplace_back();
      ASSERT_TRUE(is_aligned(&vector.front(), 256));
      ASSERT_TRUE(is_aligned(&list.back(), 256));
    }
  });
}

TEST(Streams, GrowTheirBuffers) {
  expect_nothing_kept([] {
    std::ostringstream stream;
    for (int i = 0; i < 100'000; ++i)
      stream << i << '\n';
    std::istringstream back(stream.str());
    for (int i = 0, number; i < 100'000; ++i) {
      back >> number;
      ASSERT_EQ(number, i);
    }
  });
}

void use_resource(std::pmr::memory_resource* resource) {
  std::pmr::map<int, std::pmr::string> map(resource);
  for (int i = 0; i < 10'000; ++i)
    map.emplace(i, std::pmr::string(i % 300, 'y', resource));
  for (int i = 0; i < 10'000; i += 2)
    map.erase(i);
  for (int i = 1; i < 10'000; i += 2)
    ASSERT_EQ(map.at(i).size(), i % 300u);
}

TEST(MemoryResources, StandOnOperatorNew) {
  expect_nothing_kept([] { use_resource(std::pmr::new_delete_resource()); });
  expect_nothing_kept([] {
    std::pmr::monotonic_buffer_resource resource;
    use_resource(&resource);
  });
  expect_nothing_kept([] {
    std::pmr::unsynchronized_pool_resource resource;
    use_resource(&resource);
  });
}

TEST(MemoryResources, ServeThreads) {
  expect_nothing_kept([] {
    std::pmr::synchronized_pool_resource resource;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back(use_resource, &resource);
    for (std::thread& thread : threads)
      thread.join();
  });
}

TEST(Exceptions, CarryWhatTheyWereThrownWithToAnotherThread) {
  expect_nothing_kept([] {
    for (int i = 0; i < 100; ++i) {
      std::exception_ptr caught;
      std::thread([&] {
        try {
          throw std::runtime_error(std::string(1000, 'z'));
        } catch (...) {
          caught = std::current_exception();
        }
      }).join();
      try {
        std::rethrow_exception(caught);
      } catch (const std::runtime_error& error) {
        ASSERT_EQ(error.what(), std::string(1000, 'z'));
      }
    }
  });
}

TEST(SharedPointers, FreeWithTheLastOwnerOnWhicheverThread) {
  expect_nothing_kept([] {
    std::vector<std::shared_ptr<std::string>> owners;
    for (int i = 0; i < 10'000; ++i)
      owners.push_back(std::make_shared<std::string>(500, 'w'));
    std::thread([taken = std::move(owners)]() mutable {
      for (const auto& owner : taken)
        ASSERT_EQ(owner->size(), 500u);
      taken.clear();
    }).join();
  });
}

}  // namespace
