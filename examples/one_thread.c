/* A job queue in a program of one thread, whose loop is poll(): handlers run in it, so that they share its data without a lock.
 *
 *   cc -std=c99 one_thread.c $(pkg-config --cflags --libs holdfast) -o one_thread && ./one_thread /tmp/one_thread.db
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <holdfast.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

enum { kReadings = 5 };

static int sent, failed; /* of the loop's thread alone */

static int send_reading(hf_job *job, void *user) {
  size_t len;
  const char *reading = hf_job_payload(job, &len);
  (void)user;
  if (sent == 2 && !failed) { /* the third one fails once */
    failed = 1;
    return HF_RETRY;
  }
  printf("sent %.*s, attempt %d\n", (int)len, reading, hf_job_attempt(job));
  ++sent;
  return HF_OK;
}

static int fail(const char *what, int code, hf_engine *engine) {
  fprintf(stderr, "%s: %s: %s\n", what, hf_strerror(code), hf_errmsg(engine));
  hf_close(engine);
  return 1;
}

int main(int argc, char **argv) {
  hf_engine *engine = NULL;
  hf_options options = HF_OPTIONS_INIT;
  hf_handler_options handler = HF_HANDLER_OPTIONS_INIT;
  struct pollfd work = {-1, POLLIN, 0};
  int code, taken = 0;

  options.workers = HF_NO_WORKERS; /* handlers run in hf_work, and nowhere else */
  code = hf_open(argc > 1 ? argv[1] : "one_thread.db", &options, &engine);
  if (code != HF_OK) return fail("hf_open", code, NULL);
  handler.backoff.base_ms = 50;
  code = hf_register(engine, "reading", send_reading, NULL, &handler);
  if (code == HF_OK) code = hf_start(engine);
  if (code == HF_OK) code = hf_work_fd(engine, &work.fd);
  if (code != HF_OK) return fail("starting", code, engine);

  while (sent < kReadings) {
    if (taken < kReadings) { /* what the loop does otherwise: here, a reading each round */
      char text[32];
      hf_job_spec job = HF_JOB_SPEC_INIT;
      snprintf(text, sizeof text, "reading %d", ++taken);
      job.type = "reading";
      job.payload = text;
      job.payload_len = strlen(text);
      code = hf_enqueue(engine, &job, NULL);
      if (code != HF_OK) return fail("hf_enqueue", code, engine);
    }
    if (poll(&work, 1, taken < kReadings ? 10 : 10000) < 0) {
      if (errno != EINTR) break;
      continue;
    }
    if (work.revents == 0) continue;
    code = hf_work(engine, 0); /* one handler; the end is recorded when it returns */
    if (code != HF_OK && code != HF_E_TIMEOUT) return fail("hf_work", code, engine);
  }
  printf("%d of %d sent\n", sent, kReadings);
  return hf_close(engine) == HF_OK && sent == kReadings ? 0 : 1;
}
