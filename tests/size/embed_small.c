/* The smallest useful program on Holdfast: opens, registers, schedules, enqueues, runs, tries again, closes. Its size is what
 * docs/size.md states; ctest runs it, too. */
#include <holdfast.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The first attempt fails. */
static int work(hf_job *job, void *user) {
  const int *done = user;
  if (hf_job_attempt(job) == 1) {
    hf_job_error(job, "not yet");
    return HF_RETRY;
  }
  hf_job_result(job, "ok", 2);
  return write(done[1], "", 1) == 1 ? HF_OK : HF_RETRY;
}

static int fail(const char *what, int code, hf_engine *engine) {
  printf("%s: %s: %s\n", what, hf_strerror(code), hf_errmsg(engine));
  return 1;
}

int main(int argc, char **argv) {
  hf_engine *engine = NULL;
  hf_options options = HF_OPTIONS_INIT;
  hf_handler_options handler = HF_HANDLER_OPTIONS_INIT;
  hf_schedule_spec schedule = HF_SCHEDULE_SPEC_INIT;
  hf_job_spec job = HF_JOB_SPEC_INIT;
  hf_job_info info = HF_JOB_INFO_INIT;
  hf_job_id id;
  int done[2], code;
  char byte;
  if (argc != 2 || pipe(done) != 0) return 2;
  options.workers = 1;
  if ((code = hf_open(argv[1], &options, &engine)) != HF_OK) return fail("hf_open", code, NULL);
  handler.backoff.base_ms = 10;
  if ((code = hf_register(engine, "work", work, done, &handler)) != HF_OK) return fail("hf_register", code, engine);
  if ((code = hf_start(engine)) != HF_OK) return fail("hf_start", code, engine);
  schedule.name = "nightly";
  schedule.cron = "30 3 * * *";
  schedule.job.type = "work";
  if ((code = hf_schedule_put(engine, &schedule)) != HF_OK) return fail("hf_schedule_put", code, engine);
  job.type = "work";
  job.payload = "21.5";
  job.payload_len = strlen("21.5");
  if ((code = hf_enqueue(engine, &job, &id)) != HF_OK) return fail("hf_enqueue", code, engine);
  if (read(done[0], &byte, 1) != 1) return 1;
  if ((code = hf_stop(engine, 10000)) != HF_OK) return fail("hf_stop", code, engine);
  if ((code = hf_get(engine, id, &info)) != HF_OK) return fail("hf_get", code, engine);
  code = info.state == HF_STATE_COMPLETED && info.attempts == 2 ? 0 : 1;
  printf("job %lld: state %d after %d attempts\n", (long long)id, info.state, info.attempts);
  hf_job_info_free(&info);
  return hf_close(engine) == HF_OK ? code : 1;
}
