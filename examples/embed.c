/* A job queue inside a program: enqueue, run, read back. C99, no C++.
 *
 *   cc -std=c99 embed.c $(pkg-config --cflags --libs holdfast) -o embed && ./embed /tmp/embed.db
 */
#include <holdfast.h>
#include <stdio.h>
#include <string.h>

/* Runs on a worker thread of the library. The key is the same on every attempt: hand it to whatever must
 * not be done twice. */
static int measure(hf_job *job, void *user) {
  size_t len;
  const char *sensor = hf_job_payload(job, &len);
  char result[128];
  (void)user;
  if (hf_job_attempt(job) == 1) {
    hf_job_error(job, "sensor is warming up");
    return HF_RETRY;
  }
  snprintf(result, sizeof result, "{\"sensor\":\"%.*s\",\"celsius\":21.5}", (int)len, sensor);
  hf_job_result(job, result, strlen(result));
  return HF_OK;
}

int main(int argc, char **argv) {
  hf_engine *engine;
  hf_job_spec job = HF_JOB_SPEC_INIT;
  hf_job_info info = HF_JOB_INFO_INIT;
  hf_job_id id;
  int code = hf_open(argc > 1 ? argv[1] : "embed.db", NULL, &engine);
  if (code != HF_OK) {
    fprintf(stderr, "hf_open: %s: %s\n", hf_strerror(code), hf_errmsg(NULL));
    return 1;
  }
  hf_register(engine, "measure", measure, NULL, NULL);
  hf_start(engine);

  job.type = "measure";
  job.payload = "kitchen";
  job.payload_len = strlen("kitchen");
  job.backoff.base_ms = 50;
  code = hf_enqueue(engine, &job, &id); /* on the disk when it returns */
  if (code != HF_OK) {
    fprintf(stderr, "hf_enqueue: %s: %s\n", hf_strerror(code), hf_errmsg(engine));
    return 1;
  }
  /* A program with something better to do would not wait here. */
  do {
    hf_job_info_free(&info);
    if (hf_get(engine, id, &info) != HF_OK) return 1;
  } while (info.state == HF_STATE_PENDING || info.state == HF_STATE_RUNNING);

  printf("job %lld %s after %d attempts: %.*s\n", (long long)id,
         info.state == HF_STATE_COMPLETED ? "completed" : "failed", info.attempts, (int)info.result_len,
         (const char *)info.result);
  hf_job_info_free(&info);
  hf_stop(engine, 5000);
  return hf_close(engine) == HF_OK ? 0 : 1;
}
