/* scullc in user space: the memory "device" of Corbet, Rubini and Kroah-Hartman, "Linux Device
   Drivers", chapter 8, written anew over Quarry's kernel interfaces.

   A device is a file that lies in memory. Its bytes are in quanta of 4000 bytes, all from one
   object cache; a quantum set is an array of pointers to 500 of them, and the sets form a list.
   Quanta that were never written do not exist, and read as zero.

       cc scullc.c -lquarry -lpthread && ./a.out

   checks the device against a flat array and prints what the cache looks like in slabinfo. */
#include <errno.h>
#include <pthread.h>
#include <quarry/slab.h>
#include <quarry/stats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { SCULLC_QUANTUM = 4000, SCULLC_QSET = 500 };

/* One cache for all devices, as in the driver. */
static kmem_cache_t* scullc_cache;

struct scullc_qset {
  struct scullc_qset* next;
  char** data; /* SCULLC_QSET pointers, NULL where nothing was written */
};

struct scullc_dev {
  struct scullc_qset* sets;
  size_t quantum;
  size_t qset;
  size_t size; /* bytes up to the end of the last one written */
  pthread_mutex_t lock;
};

/* An open device, as struct file is to a driver. */
struct scullc_file {
  struct scullc_dev* dev;
  size_t position;
};

static int scullc_init(void) {
  scullc_cache = kmem_cache_create("scullc", SCULLC_QUANTUM, 0, SLAB_HWCACHE_ALIGN, NULL, NULL);
  return scullc_cache ? 0 : -ENOMEM;
}

static void scullc_setup(struct scullc_dev* dev) {
  memset(dev, 0, sizeof *dev);
  dev->quantum = SCULLC_QUANTUM;
  dev->qset = SCULLC_QSET;
  pthread_mutex_init(&dev->lock, NULL);
}

/* Empties the device. With the lock held. */
static void scullc_trim(struct scullc_dev* dev) {
  struct scullc_qset* next;
  for (struct scullc_qset* set = dev->sets; set; set = next) {
    for (size_t i = 0; set->data && i < dev->qset; i++)
      kmem_cache_free(scullc_cache, set->data[i]); /* NULL is fine */
    kfree(set->data);
    next = set->next;
    kfree(set);
  }
  dev->sets = NULL;
  dev->size = 0;
}

/* The n-th set, made if need be with those before it; NULL when memory has ended. */
static struct scullc_qset* scullc_follow(struct scullc_dev* dev, size_t n) {
  struct scullc_qset** at = &dev->sets;
  for (;; at = &(*at)->next) {
    if (!*at) *at = kzalloc(sizeof **at, GFP_KERNEL);
    if (!*at || n-- == 0) return *at;
  }
}

/* Where a position lies. */
struct scullc_place {
  size_t set, index, offset;
};

static struct scullc_place scullc_place_of(const struct scullc_dev* dev, size_t position) {
  const size_t rest = position % (dev->quantum * dev->qset);
  return (struct scullc_place){position / (dev->quantum * dev->qset), rest / dev->quantum,
                               rest % dev->quantum};
}

/* At most up to the end of a quantum: callers that want more call again. */
static ssize_t scullc_read(struct scullc_file* file, char* buffer, size_t count) {
  struct scullc_dev* dev = file->dev;
  ssize_t result = 0;
  pthread_mutex_lock(&dev->lock);
  if (file->position < dev->size) {
    const struct scullc_place place = scullc_place_of(dev, file->position);
    if (count > dev->size - file->position) count = dev->size - file->position;
    if (count > dev->quantum - place.offset) count = dev->quantum - place.offset;
    const struct scullc_qset* set = dev->sets;
    for (size_t n = place.set; set && n; n--)
      set = set->next;
    const char* quantum = set && set->data ? set->data[place.index] : NULL;
    if (quantum) {
      memcpy(buffer, quantum + place.offset, count);
    } else {
      memset(buffer, 0, count);
    }
    file->position += count;
    result = (ssize_t)count;
  }
  pthread_mutex_unlock(&dev->lock);
  return result;
}

/* The quantum at a place, made if need be; NULL when memory has ended. */
static char* scullc_quantum_at(struct scullc_dev* dev, struct scullc_place place) {
  struct scullc_qset* set = scullc_follow(dev, place.set);
  if (!set) return NULL;
  if (!set->data) set->data = kcalloc(dev->qset, sizeof *set->data, GFP_KERNEL);
  if (!set->data) return NULL;
  char** quantum = &set->data[place.index];
  if (!*quantum) *quantum = kmem_cache_zalloc(scullc_cache, GFP_KERNEL);
  return *quantum;
}

static ssize_t scullc_write(struct scullc_file* file, const char* buffer, size_t count) {
  struct scullc_dev* dev = file->dev;
  ssize_t result = -ENOMEM;
  if (count == 0) return 0; /* the size stays, wherever the position is */
  pthread_mutex_lock(&dev->lock);
  const struct scullc_place place = scullc_place_of(dev, file->position);
  char* quantum = scullc_quantum_at(dev, place);
  if (quantum) {
    if (count > dev->quantum - place.offset) count = dev->quantum - place.offset;
    memcpy(quantum + place.offset, buffer, count);
    file->position += count;
    if (dev->size < file->position) dev->size = file->position;
    result = (ssize_t)count;
  }
  pthread_mutex_unlock(&dev->lock);
  return result;
}

static off_t scullc_llseek(struct scullc_file* file, off_t offset, int whence) {
  pthread_mutex_lock(&file->dev->lock);
  off_t position = -EINVAL;
  if (whence == SEEK_SET) position = offset;
  if (whence == SEEK_CUR) position = (off_t)file->position + offset;
  if (whence == SEEK_END) position = (off_t)file->dev->size + offset;
  if (position < 0) position = -EINVAL;
  if (position >= 0) file->position = (size_t)position;
  pthread_mutex_unlock(&file->dev->lock);
  return position;
}

static void scullc_release(struct scullc_dev* dev) {
  pthread_mutex_lock(&dev->lock);
  scullc_trim(dev);
  pthread_mutex_unlock(&dev->lock);
  pthread_mutex_destroy(&dev->lock);
}

/* The check. */

#define CHECK(condition)                                                  \
  do {                                                                    \
    if (!(condition)) {                                                   \
      fprintf(stderr, "scullc.c:%d: not so: %s\n", __LINE__, #condition); \
      exit(1);                                                            \
    }                                                                     \
  } while (0)

static void write_all(struct scullc_file* file, const char* from, size_t count) {
  while (count) {
    const ssize_t written = scullc_write(file, from, count);
    CHECK(written > 0);
    from += written;
    count -= (size_t)written;
  }
}

static size_t read_all(struct scullc_file* file, char* to, size_t count) {
  size_t got = 0;
  while (got < count) {
    const ssize_t length = scullc_read(file, to + got, count - got);
    CHECK(length >= 0);
    if (length == 0) break;
    got += (size_t)length;
  }
  return got;
}

enum { MODEL_SIZE = 12 << 20, LONGEST = 30000 };

/* Random reads and writes on one device, each compared with a flat array. */
static void* check_device(void* seed) {
  unsigned random = (unsigned)(size_t)seed;
  struct scullc_dev dev;
  scullc_setup(&dev);
  struct scullc_file file = {&dev, 0};
  char* model = calloc(1, MODEL_SIZE);
  char* buffer = malloc(LONGEST);
  CHECK(model && buffer);
  size_t size = 0;
  for (int i = 0; i < 3000; i++) {
    const size_t position = (size_t)rand_r(&random) % (MODEL_SIZE - LONGEST);
    const size_t count = (size_t)rand_r(&random) % LONGEST;
    CHECK(scullc_llseek(&file, (off_t)position, SEEK_SET) == (off_t)position);
    if (rand_r(&random) % 3 == 0) {
      memset(buffer, i, count);
      write_all(&file, buffer, count);
      memcpy(model + position, buffer, count);
      if (count && size < position + count) size = position + count;
    } else {
      const size_t there = position < size ? size - position : 0;
      CHECK(read_all(&file, buffer, count) == (count < there ? count : there));
      CHECK(memcmp(buffer, model + position, count < there ? count : there) == 0);
    }
    CHECK(scullc_llseek(&file, 0, SEEK_END) == (off_t)size);
    if (i == 1500) { /* opened for writing only: starts empty again */
      pthread_mutex_lock(&dev.lock);
      scullc_trim(&dev);
      pthread_mutex_unlock(&dev.lock);
      memset(model, 0, MODEL_SIZE);
      size = 0;
    }
  }
  CHECK(scullc_llseek(&file, -1, SEEK_SET) == -EINVAL);
  CHECK(scullc_llseek(&file, 100, SEEK_END) == (off_t)size + 100);
  CHECK(scullc_write(&file, buffer, 0) == 0 && dev.size == size);
  scullc_release(&dev);
  free(buffer);
  free(model);
  return NULL;
}

/* The line of the cache in slabinfo: how many quanta it says are in use. */
static unsigned long active_quanta(int print) {
  char line[300];
  unsigned long active = 0;
  FILE* file = tmpfile();
  CHECK(file);
  quarry_slabinfo(fileno(file));
  rewind(file);
  while (fgets(line, sizeof line, file)) {
    if (sscanf(line, "scullc %lu", &active) == 1 && print) fputs(line, stdout);
  }
  fclose(file);
  return active;
}

int main(void) {
  enum { quanta = 1000 };
  CHECK(scullc_init() == 0);
  struct scullc_dev dev;
  scullc_setup(&dev);
  struct scullc_file file = {&dev, 0};
  for (size_t i = 0; i < quanta; i++)
    write_all(&file, (char[SCULLC_QUANTUM]){0}, SCULLC_QUANTUM);
  CHECK(active_quanta(1) == quanta);
  for (size_t i = 0; i < quanta; i++)
    CHECK((size_t)dev.sets->data[i % SCULLC_QSET] % 64 == 0);
  CHECK(kmem_cache_destroy(scullc_cache) != 0); /* says on standard error what is still out */
  scullc_release(&dev);

  pthread_t threads[4];
  for (size_t i = 0; i < 4; i++)
    CHECK(pthread_create(&threads[i], NULL, check_device, (void*)(i + 1)) == 0);
  for (size_t i = 0; i < 4; i++)
    CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(active_quanta(0) == 0);
  CHECK(kmem_cache_destroy(scullc_cache) == 0);
  puts("scullc: every byte as it should be");
  return 0;
}
