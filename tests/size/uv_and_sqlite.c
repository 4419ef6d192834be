/* What a program has anyway that keeps rows and has a loop: a statement, a timer, a thread's word. Its size is what Holdfast's is
 * compared with. */
#include <sqlite3.h>
#include <stdio.h>
#include <uv.h>

static sqlite3 *db;

static void run(const char *sql) {
  sqlite3_stmt *stmt = NULL;
  if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) printf("%s\n", sqlite3_errmsg(db));
  while (sqlite3_step(stmt) == SQLITE_ROW) printf("%lld\n", (long long)sqlite3_column_int64(stmt, 0));
  sqlite3_finalize(stmt);
}
static void woken(uv_async_t *wake) { uv_close((uv_handle_t *)wake, NULL); }
static void ring(uv_timer_t *timer) {
  run("INSERT INTO t VALUES (1)");
  uv_async_send(timer->data);
  uv_close((uv_handle_t *)timer, NULL);
}

int main(int argc, char **argv) {
  uv_loop_t loop;
  uv_timer_t timer;
  uv_async_t wake;
  if (argc != 2 || sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK) return 1;
  run("PRAGMA journal_mode=WAL");
  run("CREATE TABLE IF NOT EXISTS t (n)");
  uv_loop_init(&loop);
  uv_async_init(&loop, &wake, woken);
  uv_timer_init(&loop, &timer);
  timer.data = &wake;
  uv_timer_start(&timer, ring, 1, 0);
  uv_run(&loop, UV_RUN_DEFAULT);
  run("SELECT count(*) FROM t");
  uv_loop_close(&loop);
  sqlite3_close(db);
  return 0;
}
