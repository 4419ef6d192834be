/* A host program that does nothing but have an engine: what is its memory? Then it waits to be killed.
 *
 *   idle FILE    prints {"rss_kib": ..., "rss_anon_kib": ...}
 *
 * A handler, a schedule and a job due next month are there, as in any program that waits. */
#include <holdfast.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int nothing(hf_job *job, void *user) {
  (void)job;
  (void)user;
  return HF_OK;
}

static long status_kib(const char *field) {
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  long value = 0;
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, field, strlen(field)) == 0) sscanf(line + strlen(field), ": %ld", &value);
  }
  if (file != NULL) fclose(file);
  return value;
}

int main(int argc, char **argv) {
  hf_engine *engine;
  hf_job_spec job = HF_JOB_SPEC_INIT;
  hf_schedule_spec schedule = HF_SCHEDULE_SPEC_INIT;
  hf_stats_info stats = HF_STATS_INFO_INIT;
  int code = argc == 2 ? hf_open(argv[1], NULL, &engine) : HF_E_INVALID;
  if (code == HF_OK) code = hf_register(engine, "report", nothing, NULL, NULL);
  if (code == HF_OK) code = hf_start(engine);
  job.type = "report";
  job.delay_ms = 30LL * 86400 * 1000;
  if (code == HF_OK) code = hf_enqueue(engine, &job, NULL);
  schedule.name = "yearly";
  schedule.cron = "0 0 1 1 *";
  schedule.job.type = "report";
  if (code == HF_OK) code = hf_schedule_put(engine, &schedule);
  if (code == HF_OK) code = hf_stats(engine, &stats); /* what the calls above set going is done */
  if (code != HF_OK) {
    fprintf(stderr, "idle: %s: %s\n", hf_strerror(code), hf_errmsg(NULL));
    return 1;
  }
  printf("{\"rss_kib\": %ld, \"rss_anon_kib\": %ld}\n", status_kib("VmRSS"), status_kib("RssAnon"));
  fflush(stdout);
  pause();
  return 0;
}
