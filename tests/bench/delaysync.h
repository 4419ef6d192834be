/* What delaysync.c counted since the process began. Link it in, or preload it (libdelaysync.so). */
#ifndef HOLDFAST_TESTS_BENCH_DELAYSYNC_H
#define HOLDFAST_TESTS_BENCH_DELAYSYNC_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct delaysync_counts {
  uint64_t syncs;       /* fsync, fdatasync, sync_file_range */
  uint64_t writes;      /* pwrite: of files alone, as a socket or an eventfd has no offset */
  uint64_t write_bytes;
};
void delaysync_read(struct delaysync_counts *out);

#ifdef __cplusplus
}
#endif
#endif
