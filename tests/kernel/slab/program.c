// A C program on object caches and kmalloc, linked as a user's would be.
#include <pthread.h>
#include <quarry/slab.h>
#include <quarry/stats.h>

#include "../../preload/linked/check.h"

struct session {
  pthread_mutex_t lock;
  int uses;
};

static int constructed, destructed;

static void construct(void* object, kmem_cache_t* cache, unsigned long flags) {
  struct session* s = object;
  CHECK(strcmp(kmem_cache_name(cache), "session") == 0);
  CHECK(flags & SLAB_CTOR_CONSTRUCTOR);
  pthread_mutex_init(&s->lock, NULL);
  s->uses = 0;
  constructed++;
}

static void destruct(void* object, kmem_cache_t* cache, unsigned long flags) {
  struct session* s = object;
  CHECK(cache && flags == 0);
  pthread_mutex_destroy(&s->lock);
  destructed++;
}

int main(void) {
  kmem_cache_t* cache = kmem_cache_create("session", sizeof(struct session), 0,
                                          SLAB_HWCACHE_ALIGN | SLAB_PANIC, construct, destruct);
  CHECK(kmem_cache_size(cache) == sizeof(struct session));
  struct session* sessions[100];
  for (int i = 0; i < 100; i++) {
    CHECK((sessions[i] = kmem_cache_alloc(cache, GFP_KERNEL)));
    pthread_mutex_lock(&sessions[i]->lock);
    sessions[i]->uses++;
    pthread_mutex_unlock(&sessions[i]->lock);
  }
  for (int i = 0; i < 100; i++)
    kmem_cache_free(cache, sessions[i]);
  CHECK(kmem_cache_destroy(cache) == 0);
  CHECK(constructed >= 100 && destructed == constructed);

  char* text = kmalloc(20, GFP_KERNEL);
  strcpy(text, "text");
  text = krealloc(text, 100000, GFP_KERNEL);
  CHECK(strcmp(text, "text") == 0 && ksize(text) >= 100000);
  free(text);
  int* numbers = kcalloc(1000, sizeof *numbers, GFP_KERNEL);
  CHECK(numbers && numbers[999] == 0);
  kfree(numbers);
  CHECK(quarry_slab_tune("size-64", 100, 50, 4) == 0);
  CHECK(free_is_quarrys());
  return 0;
}
