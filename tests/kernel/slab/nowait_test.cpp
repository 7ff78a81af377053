// GFP_ATOMIC and GFP_NOWAIT: no system call and no wait, under a seccomp filter that ends the child
// on any but exit.
#include <quarry/page.h>
#include <quarry/slab.h>
#include <sched.h>

#include <thread>
#include <vector>

#include "../../preload/child.h"
#include "../../seccomp.h"

using preload_test::run_in_child;
using seccomp_test::enter_silence;

namespace {

constexpr int no_filter = 77;

// `before` may make some.
void expect_no_system_call(
    void (*body)(), void (*before)() = [] {}) {
  const auto result = run_in_child([=] {
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here);
    free(malloc(12 << 20));  // what is committed and free
    for (int i = 0; i < 10; i++)
      free(malloc(100));  // the first on this CPU commits its area
    before();
    if (!enter_silence()) _exit(no_filter);
    body();
    syscall(SYS_exit_group, 0);
  });
  if (WIFEXITED(result.status) && WEXITSTATUS(result.status) == no_filter) {
    GTEST_SKIP() << "no seccomp filters here";
  }
  EXPECT_TRUE(result.succeeded()) << "status " << result.status << "\n" << result.errors;
}

kmem_cache_t* cache;
kmem_cache_t* checked;
kmem_cache_t* fresh;

class Nowait : public testing::Test {
 protected:
  void SetUp() override {
    cache = kmem_cache_create("nowait", 100, 0, 0, nullptr, nullptr);
    checked = kmem_cache_create("checked", 100, 0, SLAB_RED_ZONE | SLAB_POISON, nullptr, nullptr);
    fresh = kmem_cache_create("fresh", 100, 0, 0, nullptr, nullptr);
    __free_page(alloc_page(GFP_KERNEL));  // from now on the zone keeps a reserve
    for (kmem_cache_t* c : {cache, checked}) {
      void* objects[500];
      ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, 500, objects), 500);
      kmem_cache_free_bulk(c, 500, objects);
      void* one = kmem_cache_alloc(c, GFP_KERNEL);
      kmem_cache_free(c, one);
    }
  }
  void TearDown() override {
    for (kmem_cache_t* c : {cache, checked, fresh})
      EXPECT_EQ(kmem_cache_destroy(c), 0);
  }
};

TEST_F(Nowait, ObjectsAreHadWithoutASystemCallUntilTheyEnd) {
  expect_no_system_call([] {
    for (kmem_cache_t* c : {fresh, cache, checked}) {
      unsigned taken = 0;
      while (taken < 2'000 && kmem_cache_alloc(c, taken % 2 ? GFP_ATOMIC : GFP_NOWAIT))
        taken++;
      // A fresh cache gets slabs of the zone's reserve.
      if (taken < (c == fresh ? 1000 : 400)) syscall(SYS_exit_group, 1);
    }
  });
}

// Once this CPU has an array of the cache: to make one takes system calls.
TEST_F(Nowait, ObjectsComeAndGoWithoutASystemCall) {
  const auto take_and_give = [] {
    for (kmem_cache_t* c : {cache, checked}) {
      for (int i = 0; i < 10'000; i++) {
        void* object = kmem_cache_zalloc(c, GFP_ATOMIC);
        if (!object) syscall(SYS_exit_group, 2);
        kmem_cache_free(c, object);
      }
    }
  };
  expect_no_system_call(take_and_give, take_and_give);
}

TEST_F(Nowait, ManyThatCannotAllBeHadGoBackWithoutASystemCall) {
  expect_no_system_call([] {
    static void* objects[1 << 20];
    for (int i = 0; i < 20; i++) {
      if (kmem_cache_alloc_bulk(fresh, GFP_ATOMIC, 1 << 20, objects)) syscall(SYS_exit_group, 4);
      if (kmem_cache_alloc_bulk(fresh, GFP_ATOMIC, 100, objects) != 100) {
        syscall(SYS_exit_group, 5);
      }
    }
  });
}

TEST_F(Nowait, BlocksGrowWithoutASystemCall) {
  expect_no_system_call([] {
    for (int i = 0; i < 2000; i++) {
      char* block = static_cast<char*>(kmalloc(20, GFP_ATOMIC));
      if (!block) syscall(SYS_exit_group, 6);
      block[19] = 1;
      for (size_t size = 40; size < 200'000; size *= 3) {
        if (void* moved = krealloc(block, size, GFP_ATOMIC)) block = static_cast<char*>(moved);
      }
      if (block[19] != 1) syscall(SYS_exit_group, 7);
      kfree(block);
    }
  });
}

TEST_F(Nowait, LargeBlocksAreHadOfWhatIsCommitted) {
  expect_no_system_call([] {
    for (size_t size : {40'000, 300'000, 3'000'000}) {
      char* block = static_cast<char*>(kzalloc(size, GFP_ATOMIC));
      if (!block || block[0] || block[size - 1]) syscall(SYS_exit_group, 3);
      block[size - 1] = 1;
      kfree(block);
    }
  });
}

TEST_F(Nowait, BlocksAreHadWithoutASystemCall) {
  expect_no_system_call([] {
    for (size_t size = 1; size < 2'000'000; size += size / 8 + 1) {
      void* block = kmalloc(size, GFP_ATOMIC);
      kfree(kzalloc(size, GFP_NOWAIT));
      block = krealloc(block, size / 2 + 1, GFP_ATOMIC);
      kfree(block);
    }
  });
}

// Whoever may wait still gets the lock from one who may not, and the other way round.
TEST_F(Nowait, ThreadsThatMayWaitGetAlongWithThoseThatMayNot) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; t++) {
    threads.emplace_back([t] {
      for (int i = 0; i < 300; i++) {
        std::vector<void*> objects;
        for (int n = 0; n < 300; n++) {
          if (void* object = kmem_cache_alloc(cache, t % 2 ? GFP_KERNEL : GFP_ATOMIC)) {
            objects.push_back(object);
          } else {
            EXPECT_EQ(t % 2, 0);
          }
        }
        for (void* object : objects)
          kmem_cache_free(cache, object);
      }
    });
  }
  for (std::thread& t : threads)
    t.join();
}

}  // namespace
