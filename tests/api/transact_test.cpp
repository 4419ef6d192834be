// hf_transact as a program uses it: SQLite by its own names, which here are those of the library's table.
#include <holdfast_sqlite.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "api_fixture.h"

SQLITE_EXTENSION_INIT1

using hf::test::ApiFixture;

namespace {

int run(sqlite3* db, const char* text) { return sqlite3_exec(db, text, nullptr, nullptr, nullptr) == SQLITE_OK ? HF_OK : sqlite3_errcode(db); }

class TransactFixture : public ApiFixture {
 public:
  using Body = std::function<int(hf_transaction*, sqlite3*)>;
  TransactFixture() {
    SQLITE_EXTENSION_INIT2(hf_sqlite_api());
    REQUIRE(transact([](hf_transaction*, sqlite3* db) { return run(db, "CREATE TABLE reading(id INTEGER PRIMARY KEY, celsius REAL, job INTEGER, sent INTEGER DEFAULT 0)"); }) == HF_OK);
  }
  int transact(const Body& body, const hf_transact_options* opts = nullptr) {
    return hf_transact(engine, [](hf_transaction* t, sqlite3* db, void* user) { return (*static_cast<const Body*>(user))(t, db); },
                       const_cast<Body*>(&body), opts);
  }
  std::string why() { return hf_errmsg(engine); }
  int64_t number(const char* text) {
    int64_t value = -1;
    hf_transact_options opts = HF_TRANSACT_OPTIONS_INIT;
    opts.read_only = 1;
    const int code = transact([&](hf_transaction*, sqlite3* db) {
      sqlite3_stmt* stmt = nullptr;
      if (sqlite3_prepare_v2(db, text, -1, &stmt, nullptr) != SQLITE_OK) return SQLITE_ERROR;
      if (sqlite3_step(stmt) == SQLITE_ROW) value = sqlite3_column_int64(stmt, 0);
      return sqlite3_finalize(stmt);
    }, &opts);
    CHECK(code == HF_OK);
    return value;
  }
  // A reading, and the job that uploads it, which knows it by its rowid.
  static int measure(hf_transaction* t, sqlite3* db, double celsius) {
    sqlite3_stmt* stmt = nullptr;
    if (sqlite3_prepare_v2(db, "INSERT INTO reading(celsius) VALUES(?1)", -1, &stmt, nullptr) != SQLITE_OK) return SQLITE_ERROR;
    sqlite3_bind_double(stmt, 1, celsius);
    sqlite3_step(stmt);
    if (sqlite3_finalize(stmt) != SQLITE_OK) return SQLITE_ERROR;
    const std::string row = std::to_string(sqlite3_last_insert_rowid(db));
    hf_job_spec job = HF_JOB_SPEC_INIT;
    job.type = "upload";
    job.payload = row.data();
    job.payload_len = row.size();
    hf_job_id id = 0;
    const int code = hf_transaction_enqueue(t, &job, &id);
    if (code != HF_OK) return code;
    return run(db, ("UPDATE reading SET job=" + std::to_string(id) + " WHERE id=" + row).c_str());
  }
};

}  // namespace

TEST_CASE_FIXTURE(TransactFixture, "a reading and its upload go in together; the handler finds it, and says that it was sent") {
  hf::test::Count sent;
  on("upload", [&](hf_job* job) {
    size_t len = 0;
    const void* payload = hf_job_payload(job, &len);
    const std::string row(static_cast<const char*>(payload), len);
    const int code = transact([&](hf_transaction*, sqlite3* db) { return run(db, ("UPDATE reading SET sent=1 WHERE id=" + row).c_str()); });
    sent.add();
    return code;
  });
  for (double celsius : {20.5, 21.0, 21.5}) CHECK(transact([&](hf_transaction* t, sqlite3* db) { return measure(t, db, celsius); }) == HF_OK);
  CHECK(number("SELECT count(*) FROM reading WHERE job IS NOT NULL AND sent=0") == 3);
  REQUIRE(hf_start(engine) == HF_OK);
  sent.wait(3);
  CHECK(number("SELECT count(*) FROM reading WHERE sent=1") == 3);
  close();
  open();
  CHECK(number("SELECT count(*) FROM reading WHERE sent=1 AND celsius>20") == 3);
}

TEST_CASE_FIXTURE(TransactFixture, "what the function returns is returned, and undoes it unless it is 0") {
  for (int code : {1, 19, -42, int{HF_E_CONFLICT}}) {
    CHECK(transact([&](hf_transaction* t, sqlite3* db) {
      CHECK(measure(t, db, 1) == HF_OK);
      return code;
    }) == code);
    CHECK(why() == "the function returned " + std::to_string(code) + "; nothing of it was kept");
  }
  CHECK(transact([](hf_transaction*, sqlite3* db) { return run(db, "PRAGMA synchronous=OFF"); }) == SQLITE_AUTH);
  CHECK(why() == "the function returned 23; nothing of it was kept; not allowed here: PRAGMA synchronous");
  CHECK(transact([](hf_transaction*, sqlite3*) -> int { throw std::runtime_error("no"); }) == HF_E_INTERNAL);
  CHECK(why() == "the function threw; nothing of it was kept");
  CHECK(number("SELECT count(*) FROM reading") == 0);
  hf_stats_info stats = HF_STATS_INFO_INIT;
  REQUIRE(hf_stats(engine, &stats) == HF_OK);
  CHECK(stats.pending == 0);
}

TEST_CASE_FIXTURE(TransactFixture, "its time is bounded") {
  hf_transact_options opts = HF_TRANSACT_OPTIONS_INIT;
  opts.timeout_ms = 20;
  const int code = transact([](hf_transaction* t, sqlite3* db) {
    CHECK(measure(t, db, 1) == HF_OK);
    CHECK(run(db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n") == SQLITE_INTERRUPT);
    return HF_OK;
  }, &opts);
  CHECK(code == HF_E_TIMEOUT);
  CHECK(why() == "the function took longer than it may; nothing of it was kept");
  CHECK(number("SELECT count(*) FROM reading") == 0);
}

TEST_CASE_FIXTURE(TransactFixture, "bad arguments are told, and what waits for the engine is refused inside") {
  hf_transact_options opts = HF_TRANSACT_OPTIONS_INIT;
  auto never = [](hf_transaction*, sqlite3*, void*) {
    FAIL("called");
    return int{HF_OK};
  };
  CHECK(hf_transact(nullptr, never, nullptr, nullptr) == HF_E_STATE);
  CHECK(hf_transact(engine, nullptr, nullptr, nullptr) == HF_E_INVALID);
  for (int64_t ms : {int64_t{-1}, int64_t{10001}}) {
    opts.timeout_ms = ms;
    CHECK(hf_transact(engine, never, nullptr, &opts) == HF_E_INVALID);
    CHECK(why() == "timeout_ms is " + std::to_string(ms) + "; allowed is 1 to 10000");
  }
  opts = HF_TRANSACT_OPTIONS_INIT;
  opts.read_only = 2;
  CHECK(hf_transact(engine, never, nullptr, &opts) == HF_E_INVALID);
  opts = HF_TRANSACT_OPTIONS_INIT;
  opts.durability = 3;
  CHECK(hf_transact(engine, never, nullptr, &opts) == HF_E_INVALID);
  opts = HF_TRANSACT_OPTIONS_INIT;
  opts.struct_size = 0;
  CHECK(hf_transact(engine, never, nullptr, &opts) == HF_E_INVALID);
  hf_job_spec job = HF_JOB_SPEC_INIT;
  CHECK(hf_transaction_enqueue(nullptr, &job, nullptr) == HF_E_INVALID);

  CHECK(transact([&](hf_transaction* t, sqlite3*) {
    CHECK(hf_transaction_enqueue(t, nullptr, nullptr) == HF_E_INVALID);
    CHECK(hf_transaction_enqueue(t, &job, nullptr) == HF_E_INVALID);
    CHECK(std::string(hf_errmsg(nullptr)).find("type") != std::string::npos);
    job.type = "upload";
    CHECK(hf_enqueue(engine, &job, nullptr) == HF_E_THREAD);
    CHECK(hf_transact(engine, never, nullptr, nullptr) == HF_E_THREAD);
    CHECK(hf_stop(engine, 1000) == HF_E_THREAD);
    CHECK(hf_close(engine) == HF_E_THREAD);
    return HF_OK;
  }) == HF_OK);
  opts = HF_TRANSACT_OPTIONS_INIT;
  opts.read_only = 1;
  CHECK(transact([&](hf_transaction* t, sqlite3* db) {
    CHECK(hf_transaction_enqueue(t, &job, nullptr) == HF_E_STATE);
    return run(db, "DELETE FROM reading");
  }, &opts) == SQLITE_AUTH);
}

TEST_CASE_FIXTURE(TransactFixture, "from many threads at once, among other requests") {
  constexpr int kThreads = 6, kEach = 30;
  std::atomic<int> calls{0}, refused{0};
  std::vector<std::thread> threads;
  for (int n = 0; n < kThreads; ++n) {
    threads.emplace_back([&, n] {
      for (int i = 0; i < kEach; ++i) {
        const bool fails = (n + i) % 3 == 0;
        const int code = transact([&](hf_transaction* t, sqlite3* db) {
          calls.fetch_add(1);
          const int done = measure(t, db, n);
          return fails ? 77 : done;
        });
        if (code != (fails ? 77 : HF_OK)) refused.fetch_add(1);
        hf_job_spec job = HF_JOB_SPEC_INIT;
        job.type = "other";
        if (hf_enqueue(engine, &job, nullptr) != HF_OK) refused.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(refused == 0);
  CHECK(calls == kThreads * kEach);
  CHECK(number("SELECT count(*) FROM reading") == kThreads * kEach * 2 / 3);
  hf_stats_info stats = HF_STATS_INFO_INIT;
  REQUIRE(hf_stats(engine, &stats) == HF_OK);
  CHECK(stats.pending == kThreads * kEach + kThreads * kEach * 2 / 3);
}
