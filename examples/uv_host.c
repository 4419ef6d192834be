/* A program with a libuv loop of its own: jobs are enqueued without blocking it, and the answers arrive on it.
 *
 *   cc -std=c99 uv_host.c $(pkg-config --cflags --libs holdfast libuv) -o uv_host && ./uv_host /tmp/uv_host.db
 *
 * The program's libuv is the program's: the library has one inside, under other names, and uses yours only for the
 * one handle by which it wakes your loop.
 */
#define _POSIX_C_SOURCE 200809L /* for uv.h, under -std=c99 */
#include <holdfast.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#define JOBS 5

struct host {
  uv_loop_t *loop;
  hf_engine *engine;
  uv_async_t wake;       /* handlers run on threads of the library; this is how they reach the loop */
  uv_thread_t loop_thread;
  uv_mutex_t mutex;
  int ran;               /* guarded by mutex */
  int stored;            /* loop thread */
  int failures;
};

/* A worker thread of the library. */
static int blink(hf_job *job, void *user) {
  struct host *host = user;
  (void)job;
  uv_mutex_lock(&host->mutex);
  host->ran++;
  uv_mutex_unlock(&host->mutex);
  uv_async_send(&host->wake);
  return HF_OK;
}

static void on_loop(struct host *host) {
  uv_thread_t self = uv_thread_self();
  if (!uv_thread_equal(&self, &host->loop_thread)) host->failures++;
}

static void finish_if_done(struct host *host) {
  int ran;
  uv_mutex_lock(&host->mutex);
  ran = host->ran;
  uv_mutex_unlock(&host->mutex);
  if (ran < JOBS || host->stored < JOBS) return;
  /* Nothing of ours is on the loop any more after this, and uv_run() returns. */
  uv_close((uv_handle_t *)&host->wake, NULL);
}

/* The loop's thread: the job is on the disk, or was refused. */
static void stored(int code, hf_job_id id, void *user) {
  struct host *host = user;
  on_loop(host);
  if (code != HF_OK) {
    fprintf(stderr, "not taken: %s\n", hf_strerror(code));
    host->failures++;
  } else {
    printf("job %lld is on the disk\n", (long long)id);
  }
  host->stored++;
  finish_if_done(host);
}

static void woken(uv_async_t *wake) {
  on_loop(wake->data);
  finish_if_done(wake->data);
}

static int fail(const char *what, int code, hf_engine *engine) {
  fprintf(stderr, "%s: %s: %s\n", what, hf_strerror(code), hf_errmsg(engine));
  return 1;
}

int main(int argc, char **argv) {
  struct host host;
  hf_job_spec job = HF_JOB_SPEC_INIT;
  int code, i;
  memset(&host, 0, sizeof host);
  host.loop = uv_default_loop();
  host.loop_thread = uv_thread_self();
  uv_mutex_init(&host.mutex);
  uv_async_init(host.loop, &host.wake, woken);
  host.wake.data = &host;

  if ((code = hf_open(argc > 1 ? argv[1] : "uv_host.db", NULL, &host.engine)) != HF_OK) return fail("hf_open", code, NULL);
  if ((code = hf_register(host.engine, "blink", blink, &host, NULL)) != HF_OK) return fail("hf_register", code, host.engine);
  if ((code = hf_start_on(host.engine, host.loop)) != HF_OK) return fail("hf_start_on", code, host.engine);

  job.type = "blink";
  for (i = 0; i < JOBS; i++) {
    code = hf_enqueue_async(host.engine, &job, stored, &host);
    if (code != HF_OK) return fail("hf_enqueue_async", code, host.engine);
  }
  uv_run(host.loop, UV_RUN_DEFAULT);

  /* On the loop's thread, outside of callbacks. Answers that were still on their way are called here. */
  if ((code = hf_close(host.engine)) != HF_OK) return fail("hf_close", code, NULL);
  uv_run(host.loop, UV_RUN_DEFAULT); /* once more: libuv now forgets the library's handle */
  uv_mutex_destroy(&host.mutex);
  code = uv_loop_close(host.loop);
  if (code != 0) fprintf(stderr, "uv_loop_close: %s\n", uv_strerror(code));
  printf("%d stored, %d ran\n", host.stored, host.ran);
  return code == 0 && host.failures == 0 ? 0 : 1;
}
