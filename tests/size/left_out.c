/* What a build says of the components that it does not have: each function of the C API is there, and answers HF_E_UNSUPPORTED with
 * the switch that is off. Of the build of `smallest`, which has none of them. */
#include <holdfast.h>
#include <holdfast_admin.h>
#include <holdfast_sqlite.h>
#include <stdio.h>
#include <string.h>

static int failures;
static hf_engine *engine;

static void expect(const char *what, int code, int expected, const char *said) {
  if (code == expected && strstr(hf_errmsg(engine), said) != NULL) return;
  printf("%s: %s, \"%s\"; expected %s and \"%s\"\n", what, hf_errname(code), hf_errmsg(engine), hf_errname(expected), said);
  ++failures;
}

static int ask(void *user, char *why, size_t size) {
  (void)user;
  (void)why;
  (void)size;
  return 1;
}
static int rows(hf_transaction *transaction, sqlite3 *db, void *user) {
  (void)transaction;
  (void)db;
  (void)user;
  return HF_OK;
}

int main(int argc, char **argv) {
  hf_job_spec job = HF_JOB_SPEC_INIT, unique = HF_JOB_SPEC_INIT;
  hf_subscription_spec subscription = HF_SUBSCRIPTION_SPEC_INIT;
  hf_schedule_spec schedule = HF_SCHEDULE_SPEC_INIT;
  hf_queue_settings queue = HF_QUEUE_SETTINGS_INIT;
  char *json = NULL;
  if (argc != 2 || hf_open(argv[1], NULL, &engine) != HF_OK) return 2;
  job.type = unique.type = "work";

#define LEFT_OUT(component, call) expect(#call, call, HF_E_UNSUPPORTED, "not in this build (HOLDFAST_WITH_" component "=OFF)")
  LEFT_OUT("ADMIN", hf_serve(engine, "/tmp/left_out.sock", NULL));
  LEFT_OUT("CONFIG", hf_load_config(engine, "left_out.json"));
  LEFT_OUT("JSON", hf_stats_json(engine, &json));
  LEFT_OUT("GATES", hf_condition(engine, "power", ask, NULL, NULL));
  LEFT_OUT("GATES", hf_condition_tell(engine, "power", 1, NULL, 0));
  LEFT_OUT("GATES", hf_condition_remove(engine, "power"));
  LEFT_OUT("GATES", hf_link_set(engine, "lte"));
  queue.windows = "22:00-06:00";
  LEFT_OUT("GATES", hf_queue_set(engine, "night", &queue));
  subscription.name = "doors";
  subscription.event = "door.opened";
  subscription.job = &job;
  LEFT_OUT("EVENTS", hf_subscribe(engine, &subscription));
  LEFT_OUT("EVENTS", hf_unsubscribe(engine, "doors"));
  LEFT_OUT("EVENTS", hf_emit(engine, "door.opened", NULL, 0, NULL, NULL, NULL));
  LEFT_OUT("TRANSACT", hf_transact(engine, rows, NULL, NULL));
  unique.unique_by = HF_UNIQUE_BY_PAYLOAD;
  LEFT_OUT("HTTP", hf_enqueue(engine, &unique, NULL));
  if (hf_sqlite_api() != NULL) printf("hf_sqlite_api is there\n"), ++failures;

  /* A zone of a schedule is an argument, and wrong: the text is the same. */
  schedule.name = "nightly";
  schedule.cron = "30 3 * * *";
  schedule.job = job;
  schedule.time_zone = "Europe/Berlin";
  expect("a zone", hf_schedule_put(engine, &schedule), HF_E_INVALID, "not in this build (HOLDFAST_WITH_ZONES=OFF)");
  schedule.time_zone = "UTC";
  if (hf_schedule_put(engine, &schedule) != HF_OK) printf("UTC: %s\n", hf_errmsg(engine)), ++failures;

  /* What is there goes on as ever. */
  queue.windows = NULL;
  queue.concurrency = 1;
  if (hf_queue_set(engine, "night", &queue) != HF_OK) printf("a queue: %s\n", hf_errmsg(engine)), ++failures;
  if (hf_enqueue(engine, &job, NULL) != HF_OK) printf("a job: %s\n", hf_errmsg(engine)), ++failures;
  if (hf_close(engine) != HF_OK) ++failures;
  printf("%d wrong\n", failures);
  return failures != 0;
}
