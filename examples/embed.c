/* A job queue inside a program: enqueue, run, read back. C99, no C++.
 *
 *   cc -std=c99 embed.c $(pkg-config --cflags --libs holdfast) -o embed && ./embed /tmp/embed.db
 */
#include <holdfast.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Runs on a worker thread of the library. hf_job_key(job) is the same on every attempt: hand it to whatever must not
 * be done twice. */
static int measure(hf_job *job, void *user) {
  const int *measured = user;
  size_t len;
  const char *sensor = hf_job_payload(job, &len); /* bytes: no NUL at the end */
  char result[128];
  if (hf_job_attempt(job) == 1) {
    hf_job_error(job, "sensor is warming up");
    return HF_RETRY;
  }
  snprintf(result, sizeof result, "{\"sensor\":\"%.*s\",\"celsius\":21.5}", (int)len, sensor);
  hf_job_result(job, result, strlen(result));
  return write(measured[1], "", 1) == 1 ? HF_OK : HF_RETRY;
}

static int fail(const char *what, int code, hf_engine *engine) {
  fprintf(stderr, "%s: %s: %s\n", what, hf_strerror(code), hf_errmsg(engine));
  hf_close(engine);
  return 1;
}

int main(int argc, char **argv) {
  hf_engine *engine = NULL;
  hf_handler_options handler = HF_HANDLER_OPTIONS_INIT;
  hf_job_spec job = HF_JOB_SPEC_INIT;
  hf_job_info info = HF_JOB_INFO_INIT;
  hf_job_id id;
  int measured[2]; /* a pipe, by which the handler tells that it is done */
  char byte;
  int code;
  if (pipe(measured) != 0) return 1;

  code = hf_open(argc > 1 ? argv[1] : "embed.db", NULL, &engine);
  if (code != HF_OK) return fail("hf_open", code, NULL);
  handler.timeout_ms = 10000;
  handler.backoff.base_ms = 50; /* the first retry after at most 50 ms, then 100, 200, ... */
  code = hf_register(engine, "measure", measure, measured, &handler);
  if (code != HF_OK) return fail("hf_register", code, engine);
  code = hf_start(engine);
  if (code != HF_OK) return fail("hf_start", code, engine);

  job.type = "measure";
  job.payload = "kitchen";
  job.payload_len = strlen("kitchen");
  code = hf_enqueue(engine, &job, &id); /* on the disk when it returns */
  if (code != HF_OK) return fail("hf_enqueue", code, engine);

  if (read(measured[0], &byte, 1) != 1) return fail("read", HF_E_IO, engine);
  code = hf_stop(engine, 5000); /* the run that is about to return is waited for */
  if (code != HF_OK) return fail("hf_stop", code, engine);

  code = hf_get(engine, id, &info);
  if (code != HF_OK) return fail("hf_get", code, engine);
  printf("job %lld %s after %d attempts: %.*s\n", (long long)id,
         info.state == HF_STATE_COMPLETED ? "completed" : "is not complete", info.attempts, (int)info.result_len,
         (const char *)info.result);
  code = info.state == HF_STATE_COMPLETED ? 0 : 1;
  hf_job_info_free(&info);
  if (hf_close(engine) != HF_OK) code = 1;
  close(measured[0]);
  close(measured[1]);
  return code;
}
