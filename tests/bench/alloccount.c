/* Counts what a program asks of the heap: linked into it, these stand before the C library's own and call them. For glibc.
 * That each asks the kernel for the name of its thread makes them slow: not for where time counts. */
#include "tests/bench/alloccount.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

/* All that is built here is hidden unless it says otherwise, and libstdc++ has to find these. */
#define SEEN __attribute__((visibility("default")))

static _Atomic uint64_t all, engine, own;

void alloccount_read(struct alloccount_counts *out) {
  out->all = atomic_load(&all);
  out->engine = atomic_load(&engine);
  out->own = atomic_load(&own);
}

static int on_engine(void) {
  char name[16];
  return prctl(PR_GET_NAME, name) == 0 && strcmp(name, "hf-engine") == 0;
}

static void count(void) {
  atomic_fetch_add(&all, 1);
  if (on_engine()) atomic_fetch_add(&engine, 1);
}

void alloccount_new(void) {
  if (on_engine()) atomic_fetch_add(&own, 1);
}

SEEN void *malloc(size_t size) {
  count();
  return __libc_malloc(size);
}

SEEN void *calloc(size_t n, size_t size) {
  count();
  return __libc_calloc(n, size);
}

SEEN void *realloc(void *memory, size_t size) {
  count();
  return __libc_realloc(memory, size);
}

SEEN void *memalign(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}

SEEN void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

SEEN int posix_memalign(void **out, size_t alignment, size_t size) {
  void *memory = memalign(alignment, size);
  if (memory == NULL) return ENOMEM;
  *out = memory;
  return 0;
}
