// Rows of the program and jobs in one commit (core/guest.h, Transact): what is kept, what is undone, what is not allowed.
#include "core/guest.h"

#define SQLITE_CORE 1  // the struct of functions, and no macros in their place
#if __has_include(<holdfast/sqlite3ext.h>)
#include <holdfast/sqlite3ext.h>
#else
#include <sqlite3ext.h>
#endif

#include "core/schema.h"
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

const sqlite3_api_routines& sql() { return *guest_routines(); }

Status did(sqlite3* db, const char* text) {
  char* error = nullptr;
  if (sql().exec(db, text, nullptr, nullptr, &error) == SQLITE_OK) return ok_status();
  const std::string why = error != nullptr ? error : "error";
  sql().free(error);
  return Error{7, why};
}
int64_t number(sqlite3* db, const char* text) {
  sqlite3_stmt* stmt = nullptr;
  REQUIRE(sql().prepare_v2(db, text, -1, &stmt, nullptr) == SQLITE_OK);
  REQUIRE(sql().step(stmt) == SQLITE_ROW);
  const int64_t value = sql().column_int64(stmt, 0);
  REQUIRE(sql().finalize(stmt) == SQLITE_OK);
  return value;
}

class TransactFixture : public EngineFixture {
 public:
  TransactFixture() { REQUIRE(transact([](Transaction& t) { return did(t.connection, "CREATE TABLE reading(id INTEGER PRIMARY KEY, job INTEGER, v UNIQUE)"); }).ok()); }

  static Status status(const Reply& reply) {
    if (auto* error = std::get_if<Error>(&reply)) return *error;
    REQUIRE(std::holds_alternative<std::vector<JobId>>(reply));
    return ok_status();
  }
  Status transact(std::function<Status(Transaction&)> body) { return status(tick({transaction(std::move(body))}).front()); }
  Error undone(std::function<Status(Transaction&)> body) {
    const Status done = transact(std::move(body));
    REQUIRE_FALSE(done);
    return done.error();
  }
  Error undone(const char* text) { return undone([&](Transaction& t) { return did(t.connection, text); }); }
  bool kept(const char* text) { return transact([&](Transaction& t) { return did(t.connection, text); }).ok(); }
  int64_t read(const char* text) {
    int64_t value = 0;
    Transact t = transaction([&](Transaction& inside) { return value = number(inside.connection, text), ok_status(); });
    t.reads_only = true;
    REQUIRE(status(tick({std::move(t)}).front()).ok());
    return value;
  }
  int64_t rows() { return read("SELECT count(*) FROM reading"); }
  static Status insert(Transaction& t, int64_t job, int v) {
    return did(t.connection, ("INSERT INTO reading(job,v) VALUES(" + std::to_string(job) + "," + std::to_string(v) + ")").c_str());
  }
  // A row and its job.
  static Status both(Transaction& t, int v, JobId* out = nullptr) {
    Result<JobId> id = t.enqueue(spec("upload", std::to_string(v)));
    if (!id) return id.error();
    if (out != nullptr) *out = *id;
    return insert(t, *id, v);
  }
};

}  // namespace

TEST_CASE_FIXTURE(TransactFixture, "rows and jobs are there together, also after a kill") {
  JobId first = 0, second = 0;
  const auto ids = ask<std::vector<JobId>>(transaction([&](Transaction& t) -> Status {
    HF_TRY(both(t, 1, &first));
    return both(t, 2, &second);
  }));
  CHECK(ids == std::vector<JobId>{first, second});
  CHECK(get(first).payload == "1");
  crash();
  CHECK(rows() == 2);
  CHECK(read("SELECT job FROM reading WHERE v=2") == second);
  CHECK(get(second).payload == "2");
  CHECK(add(spec("upload")) > second);
}

TEST_CASE_FIXTURE(TransactFixture, "a failure undoes what the function did, and nothing else of its turn") {
  JobId promised = 0;
  std::vector<Op> ops;
  ops.push_back(Enqueue{{spec("before")}});
  ops.push_back(transaction([&](Transaction& t) -> Status {
    HF_TRY(both(t, 1, &promised));
    return Error{42, "no"};
  }));
  ops.push_back(Enqueue{{spec("after")}});
  const std::vector<Reply> replies = tick(std::move(ops));
  CHECK(std::get<Error>(replies[1]).code == 42);
  CHECK(rows() == 0);
  CHECK(refused(Get{promised}).code == HF_E_NOT_FOUND);
  CHECK(stats().by_state[0] == 2);
  CHECK(get(std::get<std::vector<JobId>>(replies[0]).front()).type == "before");
  CHECK(add(spec("upload")) != promised);
}

TEST_CASE_FIXTURE(TransactFixture, "a savepoint of its own is the program's") {
  CHECK(kept("SAVEPOINT a; INSERT INTO reading(v) VALUES(1); ROLLBACK TO a; INSERT INTO reading(v) VALUES(2)"));
  CHECK(rows() == 1);
  CHECK(undone("RELEASE holdfast").message.find("not allowed here: the savepoint") != std::string::npos);
}

TEST_CASE_FIXTURE(TransactFixture, "one of a turn is called; the next is told to come again") {
  int calls = 0;
  std::vector<Op> ops;
  for (int v : {1, 2}) {
    ops.push_back(transaction([&calls, v](Transaction& t) {
      ++calls;
      return both(t, v);
    }));
  }
  const std::vector<Reply> replies = tick(std::move(ops));
  CHECK(status(replies[0]).ok());
  CHECK(std::get<Error>(replies[1]).code == HF_E_BUSY);
  CHECK(calls == 1);
  CHECK(rows() == 1);
}

TEST_CASE_FIXTURE(TransactFixture, "what is not the program's is refused, and said") {
  const std::pair<std::string, const char*> kRefused[] = {
      {"SELECT * FROM job", "reading \"job\""},
      {"SELECT * FROM Lane", "reading"},
      {"UPDATE job SET state=2", "writing \"job\""},
      {"INSERT INTO meta VALUES('clean',1)", "writing \"meta\""},
      {"DELETE FROM body", "writing \"body\""},
      {"DROP TABLE job", "\"job\""},
      {"DROP INDEX job_pending", "\"job_pending\""},
      {"CREATE INDEX mine ON job(state)", "\"job\""},
      {"CREATE TRIGGER mine AFTER INSERT ON job BEGIN DELETE FROM reading; END", "\"job\""},
      {"CREATE TRIGGER mine AFTER INSERT ON reading BEGIN DELETE FROM job; END; INSERT INTO reading(v) VALUES(1)", "\"job\""},
      {"CREATE VIEW mine AS SELECT * FROM job; SELECT * FROM mine", "\"job\""},
      {"ALTER TABLE job RENAME TO mine", "\"job\""},
      {"CREATE TABLE hf_later(x)", "\"hf_later\""},
      {"CREATE TABLE HF_Later(x)", "\"HF_Later\""},
      {"BEGIN", "the transaction is the engine's"},
      {"COMMIT", "the transaction is the engine's"},
      {"ROLLBACK", "the transaction is the engine's"},
      {"ATTACH ':memory:' AS other", "ATTACH"},
      {"PRAGMA journal_mode=DELETE", "PRAGMA journal_mode"},
      {"PRAGMA user_version=7", "PRAGMA user_version"},
      {"PRAGMA writable_schema=1", "PRAGMA writable_schema"},
      {"ANALYZE", "ANALYZE"},
      {"REINDEX", "reindexing \"job_"},
      {"CREATE TEMP TABLE t(x)", "temporary"},
      {"CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT)", "AUTOINCREMENT"},
  };
  for (const auto& [text, why] : kRefused) {
    const Error error = undone(text.c_str());
    CAPTURE(text);
    CAPTURE(error.message);
    CHECK(error.message.find(std::string("not allowed here: ")) != std::string::npos);
    CHECK(error.message.find(why) != std::string::npos);
  }
  CHECK(undone("VACUUM").code == 7);
  CHECK(undone("UPDATE sqlite_schema SET sql=''").code == 7);
  CHECK(kept("PRAGMA table_info(reading); SELECT count(*) FROM sqlite_schema"));
  CHECK(ask<std::string>(Check{}) == "");
  CHECK(rows() == 0);
}

TEST_CASE_FIXTURE(TransactFixture, "tables are such that a salvage can read them") {
  const std::pair<std::string, const char*> kRefused[] = {
      {"CREATE TABLE t(k TEXT PRIMARY KEY) WITHOUT ROWID", "\"t\": WITHOUT ROWID is not allowed"},
      {"CREATE TABLE t(a, b AS (a+1))", "\"t\": a generated column is not allowed"},
      {"CREATE TABLE t(a, b AS (a+1) STORED)", "\"t\": a generated column is not allowed"},
      {"CREATE TABLE t(a); ALTER TABLE t RENAME TO hf_t", "\"hf_t\": this name is not allowed"},
  };
  for (const auto& [text, why] : kRefused) {
    const Error error = undone(text.c_str());
    CAPTURE(text);
    CAPTURE(error.message);
    CHECK(error.code == HF_E_INVALID);
    CHECK(error.message.find(why) != std::string::npos);
    CHECK(read("SELECT count(*) FROM sqlite_schema WHERE name IN ('t','hf_t','sqlite_sequence')") == 0);
  }
  const Status made = transact([](Transaction& t) { return did(t.connection, "CREATE TABLE \"a table\"(a TEXT UNIQUE, b REAL CHECK(b>0), c BLOB NOT NULL DEFAULT x'00') STRICT;"
             "CREATE INDEX by_b ON \"a table\"(b); CREATE VIEW v AS SELECT a FROM \"a table\";"
             "CREATE TRIGGER tr AFTER DELETE ON \"a table\" BEGIN DELETE FROM reading; END;"
             "ALTER TABLE reading ADD COLUMN at INTEGER DEFAULT 5; ALTER TABLE reading RENAME COLUMN at TO taken_at;"
             "DROP INDEX by_b; INSERT INTO \"a table\" VALUES('x',1.5,x'01')"); });
  INFO((made ? "" : made.error().message));
  CHECK(made.ok());
  close_cleanly();
  open();
  CHECK(read("SELECT count(*) FROM v") == 1);
}

TEST_CASE_FIXTURE(TransactFixture, "so many tables, indexes, views and triggers, and no more") {
  CHECK(transact([](Transaction& t) -> Status {
    for (int i = 2; i < kHostObjectsMax; ++i) HF_TRY(did(t.connection, ("CREATE TABLE t" + std::to_string(i) + "(x)").c_str()));
    return ok_status();
  }).ok());  // with reading and its index
  const Error error = undone("CREATE VIEW more AS SELECT 1");
  CHECK(error.code == HF_E_FULL);
  CHECK(error.message.find("201 tables, indexes, views and triggers of programs; at most 200") != std::string::npos);
  crash();
  CHECK(rows() == 0);
}

namespace {
constexpr const char* kLong = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<10000000) ";
}

TEST_CASE_FIXTURE(TransactFixture, "what takes too long is ended and undone; the others of its turn are not") {
  for (const char* tail : {"SELECT count(*) FROM n", "INSERT INTO reading(v) SELECT -i FROM n"}) {
    int asked = 0;
    bool went_on = false;
    std::vector<Op> ops;
    ops.push_back(Enqueue{{spec("other")}});
    Transact t = transaction([&](Transaction& inside) -> Status {
      (void)both(inside, 1);
      const Status done = did(inside.connection, (std::string(kLong) + tail).c_str());
      went_on = done.ok();
      if (!done) CHECK(done.error().message == "interrupted");
      return ok_status();
    });
    t.overdue = [&] { return ++asked >= 3; };
    ops.push_back(std::move(t));
    const int64_t before = stats().by_state[0];
    const std::vector<Reply> replies = tick(std::move(ops));
    CHECK_FALSE(went_on);
    CHECK(std::get<Error>(replies[1]).code == HF_E_TIMEOUT);
    CHECK(rows() == 0);
    CHECK(stats().by_state[0] == before + 1);
  }
  Transact late = transaction([](Transaction& t) { return both(t, 1); });
  late.overdue = [] { return true; };  // it slept, say
  CHECK(refused(std::move(late)).code == HF_E_TIMEOUT);
  CHECK(rows() == 0);
}

TEST_CASE_FIXTURE(TransactFixture, "a statement that takes back the whole transaction takes nothing of the others") {
  REQUIRE(kept("INSERT INTO reading(v) VALUES(1)"));
  REQUIRE(kept("CREATE TRIGGER t BEFORE DELETE ON reading BEGIN SELECT RAISE(ROLLBACK,'never'); END"));
  for (const char* text : {"INSERT OR ROLLBACK INTO reading(v) VALUES(1)", "DELETE FROM reading"}) {
    for (bool says_ok : {false, true}) {
      JobId promised = 0;
      std::vector<Op> ops;
      ops.push_back(Enqueue{{spec("other")}});
      ops.push_back(transaction([&](Transaction& t) -> Status {
        (void)both(t, 5, &promised);
        sqlite3_stmt* before = nullptr;
        sql().prepare_v2(t.connection, "INSERT INTO reading(v) VALUES(6)", -1, &before, nullptr);
        const Status done = did(t.connection, text);
        // Whatever it goes on to do would be committed by itself.
        CHECK(sql().exec(t.connection, "INSERT INTO reading(v) VALUES(7)", nullptr, nullptr, nullptr) == SQLITE_ABORT_ROLLBACK);
        CHECK(sql().step(before) == SQLITE_ABORT_ROLLBACK);
        CHECK(sql().finalize(before) == SQLITE_OK);
        CHECK(sql().prepare_v2(t.connection, "SELECT 1", -1, &before, nullptr) == SQLITE_ABORT_ROLLBACK);
        return says_ok ? ok_status() : done;
      }));
      const std::vector<Reply> replies = tick(std::move(ops));
      CHECK(std::get<Error>(replies[1]).code == (says_ok ? HF_E_STATE : 7));
      CHECK(rows() == 1);
      const JobId other = std::get<std::vector<JobId>>(replies[0]).front();
      CHECK(get(other).type == "other");
      crash();
      CHECK(get(other).type == "other");
      CHECK(refused(Get{promised}).code == HF_E_NOT_FOUND);
      CHECK(add(spec("next")) > promised);  // the ids that were set aside were set aside once more
    }
  }
}

TEST_CASE_FIXTURE(TransactFixture, "ids that are set aside for a function stay so, whatever becomes of it") {
  for (int i = 0; i < 30; ++i) add(spec("other"));  // so many that a new block is needed
  CHECK(undone([](Transaction& t) -> Status {
    (void)t.enqueue(spec("upload"));
    return did(t.connection, "INSERT INTO reading(v) VALUES(1); INSERT OR ROLLBACK INTO reading(v) VALUES(1)");
  }).code == 7);
  const auto many = ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(1010, spec("other"))});
  crash();
  CHECK(add(spec("other")) > many.back());
}

TEST_CASE_FIXTURE(TransactFixture, "a statement that is left open undoes it") {
  sqlite3_stmt* stmt = nullptr;
  sqlite3* kept_db = nullptr;
  const Error error = undone([&](Transaction& t) -> Status {
    kept_db = t.connection;
    HF_TRY(both(t, 1));
    sql().prepare_v2(t.connection, "SELECT * FROM reading", -1, &stmt, nullptr);
    return sql().step(stmt) == SQLITE_ROW ? ok_status() : Status(Error{1, "no row"});
  });
  CHECK(error.code == HF_E_STATE);
  CHECK(error.message == "the function left a statement open (sqlite3_finalize): SELECT * FROM reading");
  CHECK(rows() == 0);
  // After it nothing can be done.
  CHECK(sql().finalize(stmt) == SQLITE_MISUSE);
  CHECK(sql().exec(kept_db, "SELECT 1", nullptr, nullptr, nullptr) == SQLITE_MISUSE);
  CHECK(sql().prepare_v2(kept_db, "SELECT 1", -1, &stmt, nullptr) == SQLITE_MISUSE);
  CHECK(stmt == nullptr);
}

TEST_CASE_FIXTURE(TransactFixture, "jobs are checked when they are enqueued, against the others of the same function too") {
  const JobId holds = add([] { JobSpec s = spec("upload"); s.unique_key = "held"; return s; }());
  ask<Done>(QueueDrain{"closing"});
  JobId a = 0, b = 0, c = 0;
  const auto ids = ask<std::vector<JobId>>(transaction([&](Transaction& t) -> Status {
    CHECK(t.enqueue(spec("no such name!")).error().code == HF_E_INVALID);
    JobSpec s = spec("upload", "first");
    s.queue = "closing";
    CHECK(t.enqueue(s).error().code == HF_E_CONFLICT);
    s.queue = "default";
    s.unique_key = "held";
    s.on_conflict = OnConflict::reject;
    CHECK(t.enqueue(s).error().code == HF_E_CONFLICT);
    s.on_conflict = OnConflict::keep;
    a = *t.enqueue(s);
    s.unique_key = "new";
    s.delay_ms = 1000;
    b = *t.enqueue(s);
    s.on_conflict = OnConflict::replace;
    s.payload = "second";
    c = *t.enqueue(s);
    s.on_conflict = OnConflict::reject;
    CHECK(t.enqueue(s).error().code == HF_E_CONFLICT);
    return ok_status();
  }));
  CHECK(ids == std::vector<JobId>{holds, b, b});
  CHECK(a == holds);
  CHECK(c == b);
  CHECK(get(b).payload == "second");
  CHECK(stats().by_state[0] == 2);
}

TEST_CASE_FIXTURE(TransactFixture, "limits, each at its edge") {
  SUBCASE("jobs of one transaction") {
    CHECK(transact([](Transaction& t) -> Status {
      for (int i = 0; i < HF_TRANSACT_JOBS_MAX; ++i) {
        if (!t.enqueue(spec("upload"))) return Error{1, "refused"};
      }
      CHECK(t.enqueue(spec("upload")).error().code == HF_E_FULL);
      return ok_status();
    }).ok());
    CHECK(stats().by_state[0] == HF_TRANSACT_JOBS_MAX);
  }
  SUBCASE("jobs in the file") {
    Limits few;
    few.max_jobs = 3;
    ask<Done>(SetLimits{few});
    add(spec("upload"));
    CHECK(transact([](Transaction& t) -> Status {
      HF_TRY(both(t, 1));
      HF_TRY(both(t, 2));
      CHECK(t.enqueue(spec("upload")).error().code == HF_E_FULL);
      return ok_status();
    }).ok());
    CHECK(rows() == 2);
  }
  SUBCASE("bytes of the file: rows count, and can be deleted") {
    Limits small;
    small.max_bytes = 1 << 20;
    ask<Done>(SetLimits{small});
    add(spec("upload"));
    int kept_rows = 0;
    Status filled = ok_status();
    while (filled && kept_rows < 1000) {
      filled = transact([&](Transaction& t) { return did(t.connection, "INSERT INTO reading(v) VALUES(randomblob(20000))"); });
      kept_rows += filled ? 1 : 0;
    }
    CHECK(filled.error().code == HF_E_FULL);
    CHECK(filled.error().message.find("(max_bytes)") != std::string::npos);
    CHECK(kept_rows > 10);
    CHECK(refused(Enqueue{{spec("upload", std::string(100000, 'p'))}}).code == HF_E_FULL);
    CHECK(rows() == kept_rows);
    CHECK(kept("DELETE FROM reading WHERE id<5"));
    CHECK(kept("INSERT INTO reading(v) VALUES(randomblob(20000))"));
  }
}

TEST_CASE_FIXTURE(TransactFixture, "what only reads writes nothing, and reads on a full and on a read-only disk") {
  REQUIRE(transact([](Transaction& t) { return both(t, 1); }).ok());
  for (const char* text : {"INSERT INTO reading(v) VALUES(2)", "CREATE TABLE t(x)", "DROP TABLE reading", "DELETE FROM reading"}) {
    Transact t = transaction([&](Transaction& inside) { return did(inside.connection, text); });
    t.reads_only = true;
    CHECK(refused(std::move(t)).message.find("in a transaction that only reads") != std::string::npos);
  }
  Transact adds = transaction([&](Transaction& t) -> Status { return t.enqueue(spec("upload")) ? ok_status() : Status(Error{HF_E_STATE, "not here"}); });
  adds.reads_only = true;
  CHECK(refused(std::move(adds)).code == HF_E_STATE);
  for (Room room : {Room::little, Room::none, Room::read_only}) {
    ask<Done>(SetRoom{room});
    CHECK(rows() == 1);
    bool called = false;
    const Error error = undone([&](Transaction&) { return called = true, ok_status(); });
    CHECK(error.code == (room == Room::read_only ? HF_E_READ_ONLY : HF_E_FULL));
    CHECK_FALSE(called);
  }
}

TEST_CASE_FIXTURE(TransactFixture, "its commit waits for the disk, also of a table alone; or not, if it says so") {
  auto syncs_of = [&](bool durable, const char* text) {
    const int before = disk.syncs;
    Transact t = transaction([&](Transaction& inside) { return did(inside.connection, text); });
    t.durable = durable;
    REQUIRE(status(tick({std::move(t)}).front()).ok());
    return disk.syncs - before;
  };
  tick();
  CHECK(syncs_of(true, "INSERT INTO reading(v) VALUES(1)") == 1);
  CHECK(syncs_of(true, "CREATE TABLE other(x)") == 1);
  CHECK(syncs_of(false, "INSERT INTO reading(v) VALUES(2)") == 0);
  CHECK(syncs_of(true, "SELECT 1") >= 1);  // what it read had not been waited for
}

TEST_CASE_FIXTURE(TransactFixture, "an error of the file is the engine's, whatever the function makes of it") {
  disk.fail_writes = true;
  auto failed = try_tick({transaction([](Transaction& t) -> Status {
    (void)both(t, 1);
    (void)did(t.connection, "INSERT INTO reading(v) SELECT randomblob(3000) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1000) SELECT i FROM n)");
    return ok_status();
  })});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == HF_E_FULL);
  disk.fail_writes = false;
  crash();
  CHECK(rows() == 0);
  CHECK(transact([](Transaction& t) { return both(t, 1); }).ok());
}

TEST_CASE_FIXTURE(TransactFixture, "unique keys are judged by the time of the turn, not of the one before") {
  handler("x");
  JobSpec s = spec("x");
  s.unique_key = "k";
  s.unique_for_ms = 3600'000;
  const JobId before = add(s);
  end(take_started(), Outcome::done);
  now.boot_ms += 36'000'000;  // no turn meanwhile
  now.wall_ms += 36'000'000;
  JobId id = 0;
  CHECK(transact([&](Transaction& t) -> Status {
    Result<JobId> enqueued = t.enqueue(s);
    if (!enqueued) return enqueued.error();
    id = *enqueued;
    return ok_status();
  }).ok());
  CHECK(id > before);
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(TransactFixture, "what was promised goes in before all else of its turn, whatever the order of the requests") {
  JobSpec s = spec("x", "guest");
  s.unique_key = "k";
  JobId promised = 0;
  const auto body = [&](Transaction& t) -> Status {
    Result<JobId> enqueued = t.enqueue(s);
    if (!enqueued) return enqueued.error();
    promised = *enqueued;
    return ok_status();
  };
  JobSpec other = s;
  other.payload = "other";
  std::vector<Reply> replies = tick({Enqueue{{other}}, transaction(body)});
  CHECK(status(replies[1]).ok());
  CHECK(std::get<std::vector<JobId>>(replies[0]).front() == promised);
  CHECK(get(promised).payload == "guest");
  other.on_conflict = s.on_conflict = OnConflict::replace;
  s.payload = "again";
  replies = tick({Remove{promised}, transaction(body)});  // it is replaced, and then removed
  CHECK(status(replies[1]).ok());
  CHECK(stats().by_state[0] == 0);
}
