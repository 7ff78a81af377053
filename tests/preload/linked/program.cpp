// A C++ program that has Quarry linked in: operator new and its failures, exceptions, containers,
// threads and fork.

#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "check.h"

namespace {

volatile size_t impossible = PTRDIFF_MAX;

// Made before main, as objects of static storage are.
const std::vector<std::string> early(1000, std::string(100, 'e'));

void check_failures() {
  bool caught = false;
  try {
    free(operator new(impossible));
  } catch (const std::bad_alloc&) {
    caught = true;
  }
  CHECK(caught);
  caught = false;
  try {
    free(operator new (impossible, std::align_val_t{4096}));
  } catch (const std::bad_alloc&) {
    caught = true;
  }
  CHECK(caught);
  CHECK(operator new(impossible, std::nothrow) == nullptr);
  CHECK(operator new[](impossible, std::align_val_t{64}, std::nothrow) == nullptr);
}

int handler_calls = 0;

// nothrow new is to return null when the handler throws.
void check_new_handler() {
  std::set_new_handler([] {
    ++handler_calls;
    throw std::bad_alloc();
  });
  CHECK(operator new(impossible, std::nothrow) == nullptr);
  CHECK(handler_calls == 1);
  std::set_new_handler(nullptr);
}

struct alignas(1024) page_part {
  char bytes[1024];
};

void check_operators() {
  const auto aligned = std::make_unique<page_part>();
  CHECK(reinterpret_cast<uintptr_t>(aligned.get()) % 1024 == 0);
  const std::unique_ptr<int[]> array(new (std::nothrow) int[1000]());
  CHECK(array && array[999] == 0);
}

void fill_table(int salt) {
  std::unordered_map<std::string, std::string> table;
  for (int i = 0; i < 5000; ++i)
    table[std::to_string(i)] = std::to_string(i * salt);
  for (int i = 0; i < 5000; ++i)
    CHECK(table.at(std::to_string(i)) == std::to_string(i * salt));
}

void check_threads() {
  std::vector<std::thread> threads;
  for (int i = 1; i <= 4; ++i)
    threads.emplace_back(fill_table, i);
  for (std::thread& thread : threads)
    thread.join();
}

void check_fork() {
  const std::string text(10'000, 'f');
  const pid_t child = fork();
  if (child == 0) {
    CHECK(text == std::string(10'000, 'f'));
    check_threads();
    check_failures();
    _exit(7);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

}  // namespace

int main() {
  const bool is_quarrys = free_is_quarrys();
  printf("malloc is Quarry's: %s\n", is_quarrys ? "true" : "false");
  CHECK(is_quarrys);
  CHECK(early.size() == 1000 && early[999] == std::string(100, 'e'));
  check_all_sizes();
  check_operators();
  check_failures();
  check_new_handler();
  check_threads();
  check_fork();
  return 0;
}
