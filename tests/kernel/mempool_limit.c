// The promise of pools when memory has really ended: under RLIMIT_AS, with all that there is taken,
// threads that may wait always get an element, and one that may not gets NULL only when the reserve
// is empty. The program sets the limit and executes itself, so that the heap starts under it.
#include <pthread.h>
#include <quarry/mempool.h>
#include <stdatomic.h>

#include "../preload/linked/check.h"

enum { reserve = 4, threads = 8, rounds = 2000, element_size = 20000 };

static mempool_t* pool;

static void* take_from_heap(gfp_t gfp, void* size) {
  (void)gfp;
  return malloc((size_t)size);
}

static void give_to_heap(void* element, void* size) {
  (void)size;
  free(element);
}

struct link {
  struct link* next;
};

static struct link* take_all_of(size_t size, struct link* chain) {
  struct link* block;
  while ((block = malloc(size))) {
    block->next = chain;
    chain = block;
  }
  return chain;
}

// All that the heap has, in a chain: large blocks first, then smaller ones, and what slabs of the
// elements' size have left.
static struct link* take_everything(void) {
  struct link* chain = NULL;
  for (size_t size = 1 << 20; size >= sizeof(struct link); size /= 2)
    chain = take_all_of(size, chain);
  return take_all_of(element_size, chain);
}

static void give_everything_back(struct link* chain) {
  while (chain) {
    struct link* next = chain->next;
    free(chain);
    chain = next;
  }
}

// Nobody else runs: the reserve can be counted.
static void check_who_may_not_wait(void) {
  void* elements[reserve];
  for (int i = 0; i < reserve; ++i)
    CHECK(elements[i] = mempool_alloc(pool, i % 2 ? GFP_NOWAIT : GFP_ATOMIC));
  CHECK(mempool_alloc(pool, GFP_NOWAIT) == NULL);
  CHECK(mempool_alloc(pool, GFP_ATOMIC) == NULL);
  for (int i = 0; i < reserve; ++i)
    mempool_free(elements[i], pool);
}

static atomic_int ready;
static atomic_int may_begin;

static void* contend(void* number) {
  const unsigned char mine = (unsigned char)(uintptr_t)number;
  ++ready;
  while (!may_begin)
    usleep(1000);
  for (int i = 0; i < rounds; ++i) {
    unsigned char* element = mempool_alloc(pool, GFP_KERNEL);
    CHECK(element);
    memset(element, mine, element_size);
    for (size_t at = 0; at < element_size; ++at)
      CHECK(element[at] == mine);
    mempool_free(element, pool);
  }
  return NULL;
}

static void run_under_the_limit(void) {
  CHECK(pool = mempool_create(reserve, take_from_heap, give_to_heap, (void*)(size_t)element_size));
  pthread_attr_t small_stack;
  CHECK(pthread_attr_init(&small_stack) == 0);
  CHECK(pthread_attr_setstacksize(&small_stack, 256 << 10) == 0);
  pthread_t all[threads];
  for (uintptr_t i = 0; i < threads; ++i)
    CHECK(pthread_create(&all[i], &small_stack, contend, (void*)i) == 0);
  while (ready < threads)
    usleep(1000);
  struct link* everything = take_everything();
  CHECK(everything);
  CHECK(malloc(element_size) == NULL);
  check_who_may_not_wait();
  may_begin = 1;
  for (int i = 0; i < threads; ++i)
    CHECK(pthread_join(all[i], NULL) == 0);
  CHECK(malloc(element_size) == NULL);
  check_who_may_not_wait();
  give_everything_back(everything);
  mempool_destroy(pool);
}

int main(int count, char** arguments) {
  if (count > 1) {
    run_under_the_limit();
    return 0;
  }
  const struct rlimit limit = {300 << 20, 300 << 20};
  CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
  char* again[] = {arguments[0], (char*)"limited", NULL};
  execv("/proc/self/exe", again);
  CHECK(!"executed");
}
