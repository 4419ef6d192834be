/* A program's own table in the queue's file: a reading and the job that uploads it are there together, or neither.
 *
 *   cc -std=c99 rows.c $(pkg-config --cflags --libs holdfast) -o rows && ./rows /tmp/rows.db
 */
#include <holdfast_sqlite.h>
#include <stdio.h>

SQLITE_EXTENSION_INIT1

static int make_table(hf_transaction *transaction, sqlite3 *db, void *user) {
  (void)transaction, (void)user;
  return sqlite3_exec(db, "CREATE TABLE IF NOT EXISTS reading(id INTEGER PRIMARY KEY, celsius REAL, job INTEGER)", NULL, NULL, NULL);
}

/* Called inside the engine's transaction. What is not 0 undoes both. */
static int measure(hf_transaction *transaction, sqlite3 *db, void *user) {
  hf_job_spec job = HF_JOB_SPEC_INIT;
  hf_job_id id;
  sqlite3_stmt *insert;
  int code;
  job.type = "upload";
  code = hf_transaction_enqueue(transaction, &job, &id);
  if (code != HF_OK) return code;
  code = sqlite3_prepare_v2(db, "INSERT INTO reading(celsius, job) VALUES(?1, ?2)", -1, &insert, NULL);
  if (code != SQLITE_OK) return code;
  sqlite3_bind_double(insert, 1, *(const double *)user);
  sqlite3_bind_int64(insert, 2, id);
  sqlite3_step(insert);
  return sqlite3_finalize(insert); /* 0, or why the step failed */
}

static int show(hf_transaction *transaction, sqlite3 *db, void *user) {
  sqlite3_stmt *rows;
  int code = sqlite3_prepare_v2(db, "SELECT id, celsius, job FROM reading ORDER BY id", -1, &rows, NULL);
  (void)transaction, (void)user;
  if (code != SQLITE_OK) return code;
  while (sqlite3_step(rows) == SQLITE_ROW) {
    printf("reading %d: %.1f C, job %lld\n", sqlite3_column_int(rows, 0), sqlite3_column_double(rows, 1), (long long)sqlite3_column_int64(rows, 2));
  }
  return sqlite3_finalize(rows);
}

static int fail(const char *what, int code, hf_engine *engine) {
  fprintf(stderr, "%s: %s\n", what, engine != NULL ? hf_errmsg(engine) : hf_strerror(code));
  hf_close(engine);
  return 1;
}

int main(int argc, char **argv) {
  hf_engine *engine = NULL;
  hf_transact_options reading = HF_TRANSACT_OPTIONS_INIT;
  double celsius = 21.5;
  int code;
  SQLITE_EXTENSION_INIT2(hf_sqlite_api());
  code = hf_open(argc > 1 ? argv[1] : "rows.db", NULL, &engine);
  if (code != HF_OK) return fail("hf_open", code, NULL);
  code = hf_transact(engine, make_table, NULL, NULL);
  if (code != HF_OK) return fail("make_table", code, engine);
  code = hf_transact(engine, measure, &celsius, NULL); /* both on the disk when it returns */
  if (code != HF_OK) return fail("measure", code, engine);
  reading.read_only = 1;
  code = hf_transact(engine, show, NULL, &reading);
  if (code != HF_OK) return fail("show", code, engine);
  return hf_close(engine) == HF_OK ? 0 : 1;
}
