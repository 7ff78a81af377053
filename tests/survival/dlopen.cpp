// Libraries that allocate are loaded and unloaded again and again, from several threads at once.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "busy_threads.h"
#include "program.h"

namespace survival {
namespace {

using work_type = void*(std::size_t, std::uint64_t);

// Loads, uses and unloads; the block outlives the library.
bool use_once(const std::string& path, std::uint64_t seed) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    ADD_FAILURE() << dlerror();
    return false;
  }
  auto* work = reinterpret_cast<work_type*>(dlsym(library, "plugin_work"));
  block left{static_cast<unsigned char*>(work(900, seed)), 900, seed};
  // Another thread, so that its thread-local storage of the library is set up and torn down.
  block of_thread;
  std::thread([&] {
    of_thread = {static_cast<unsigned char*>(work(70000, seed)), 70000, seed};
  }).join();
  const bool unloaded = dlclose(library) == 0;
  return unloaded && give_back(left) && give_back(of_thread);
}

std::string plugin(int number) {
  return SURVIVAL_PROGRAMS "/libsurvival_plugin_" + std::to_string(number) + ".so";
}

TEST(Dlopen, EachThreadLoadsAndUnloadsALibraryOfItsOwn) {
  busy_threads busy(2);
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number) {
    threads.emplace_back([number, &good] {
      for (int i = 0; i < 150; ++i) {
        good += use_once(plugin(number), i);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(good, 4 * 150);
  EXPECT_EQ(busy.stop(), 0u);
}

TEST(Dlopen, ThreadsShareOneLibrary) {
  std::atomic<int> good{0};
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number) {
    threads.emplace_back([&good] {
      for (int i = 0; i < 150; ++i) {
        good += use_once(plugin(0), i);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(good, 4 * 150);
}

TEST(Dlopen, TheLibraryIsReallyGoneBetweenTwoUses) {
  ASSERT_TRUE(use_once(plugin(1), 1));
  EXPECT_EQ(dlopen(plugin(1).c_str(), RTLD_NOW | RTLD_NOLOAD), nullptr);
}

// The operators' references to the C++ library were null when the program was loaded.
TEST(Dlopen, ALibraryInCxxRunsOutOfMemoryInAProgramInC) {
  const std::string library = SURVIVAL_PROGRAMS "/libsurvival_late_cxx_library.so";
  const outcome result = run_program("late_cxx_program", {library});
  EXPECT_EQ(result.ending, "exit 0") << result.output;
}

}  // namespace
}  // namespace survival
