/* What alloccount.c counted since the process began. Where it is not linked in, there is no such function. */
#ifndef HOLDFAST_TESTS_BENCH_ALLOCCOUNT_H
#define HOLDFAST_TESTS_BENCH_ALLOCCOUNT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct alloccount_counts {
  uint64_t all;    /* calls of malloc, calloc, realloc and their like; operator new calls them, too */
  uint64_t engine; /* of these, on the engine's thread */
  uint64_t own;    /* of these, through operator new: not SQLite's */
};
__attribute__((weak)) void alloccount_read(struct alloccount_counts *out);
void alloccount_new(void); /* operator new was called */

#ifdef __cplusplus
}
#endif
#endif
