// GFP_ATOMIC and GFP_NOWAIT: no system call and no wait, under a seccomp filter that ends the child
// on any but write and exit.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <quarry/slab.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <thread>
#include <vector>

#include "../../preload/child.h"

using preload_test::run_in_child;

namespace {

// False where the system does not let us.
bool forbid_system_calls() {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {sizeof code / sizeof *code, code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
}

constexpr int no_filter = 77;

void expect_no_system_call(void (*body)()) {
  const auto result = run_in_child([=] {
    if (!forbid_system_calls()) _exit(no_filter);
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
    for (kmem_cache_t* c : {cache, checked, fresh}) {
      unsigned taken = 0;
      while (taken < 100'000 && kmem_cache_alloc(c, taken % 2 ? GFP_ATOMIC : GFP_NOWAIT))
        taken++;
      if (taken < 1 && c != fresh) syscall(SYS_exit_group, 1);
    }
  });
}

TEST_F(Nowait, ObjectsComeAndGoWithoutASystemCall) {
  expect_no_system_call([] {
    for (kmem_cache_t* c : {cache, checked}) {
      for (int i = 0; i < 10'000; i++) {
        void* object = kmem_cache_zalloc(c, GFP_ATOMIC);
        if (!object) syscall(SYS_exit_group, 2);
        kmem_cache_free(c, object);
      }
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
