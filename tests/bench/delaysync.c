/* A disk of which every sync takes the same time, and that counts: what a queue does shows, not how busy
 * the disk of this machine is.
 *
 *   DELAYSYNC_US   microseconds that fsync, fdatasync and sync_file_range take in place of what they do;
 *                  unset: they do what they do, and are counted
 *
 * Compiled without _FILE_OFFSET_BITS: it defines both names that a call of pwrite may have. */
#define _GNU_SOURCE
#include "tests/bench/delaysync.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t syncs, writes, write_bytes;
static _Atomic long delay_us = -2; /* -2: not looked up yet, -1: no delay */
static _Thread_local int fine_timer;

__attribute__((visibility("default"))) void delaysync_read(struct delaysync_counts *out) {
  out->syncs = atomic_load(&syncs);
  out->writes = atomic_load(&writes);
  out->write_bytes = atomic_load(&write_bytes);
}

static int delayed(void) {
  long us = atomic_load(&delay_us);
  struct timespec time;
  atomic_fetch_add(&syncs, 1);
  if (us == -2) {
    const char *text = getenv("DELAYSYNC_US");
    us = text != NULL ? strtol(text, NULL, 10) : -1;
    atomic_store(&delay_us, us);
  }
  if (us < 0) return 0;
  if (!fine_timer) { /* the kernel adds 50 us to a sleep unless told otherwise */
    fine_timer = 1;
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
  }
  time.tv_sec = us / 1000000;
  time.tv_nsec = us % 1000000 * 1000;
  if (us > 0) nanosleep(&time, NULL);
  return 1;
}

#define REAL(type, name) ((type)dlsym(RTLD_NEXT, name))

typedef int (*sync_fn)(int);
__attribute__((visibility("default"))) int fsync(int fd) {
  static _Atomic(sync_fn) real;
  if (delayed()) return 0;
  if (real == NULL) real = REAL(sync_fn, "fsync");
  return real(fd);
}

__attribute__((visibility("default"))) int fdatasync(int fd) {
  static _Atomic(sync_fn) real;
  if (delayed()) return 0;
  if (real == NULL) real = REAL(sync_fn, "fdatasync");
  return real(fd);
}

typedef int (*range_fn)(int, off64_t, off64_t, unsigned);
__attribute__((visibility("default"))) int sync_file_range(int fd, off64_t at, off64_t size, unsigned flags) {
  static _Atomic(range_fn) real;
  if (delayed()) return 0;
  if (real == NULL) real = REAL(range_fn, "sync_file_range");
  return real(fd, at, size, flags);
}

static ssize_t counted(ssize_t n) {
  atomic_fetch_add(&writes, 1);
  if (n > 0) atomic_fetch_add(&write_bytes, (uint64_t)n);
  return n;
}

typedef ssize_t (*pwrite_fn)(int, const void *, size_t, off_t);
__attribute__((visibility("default"))) ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
  static _Atomic(pwrite_fn) real;
  if (real == NULL) real = REAL(pwrite_fn, "pwrite");
  return counted(real(fd, data, size, at));
}

typedef ssize_t (*pwrite64_fn)(int, const void *, size_t, off64_t);
__attribute__((visibility("default"))) ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
  static _Atomic(pwrite64_fn) real;
  if (real == NULL) real = REAL(pwrite64_fn, "pwrite64");
  return counted(real(fd, data, size, at));
}
