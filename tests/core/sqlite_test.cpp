// The thin face over SQLite: values, the sticky error, and what its codes mean to a user.
#include "core/sqlite.h"

#include <sqlite3.h>

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "core/schema.h"
#include "faulty_vfs.h"
#include "tests/temp_folder.h"

using namespace hf;

namespace {
std::unique_ptr<Db> memory() {
  auto db = Db::open({.path = ":memory:", .vfs = ""});
  REQUIRE(db.ok());
  return std::move(*db);
}
}  // namespace

TEST_CASE("values go in and come out: numbers, text, bytes with NUL, null") {
  auto db = memory();
  db->exec("CREATE TABLE t(a,b,c,d)");
  {
    Stmt put(*db, "INSERT INTO t VALUES(?1,?2,?3,?4)");
    put.bind(INT64_MIN).bind_text("text").bind_blob(std::string_view("a\0b", 3)).bind_null().run();
    put.bind(INT64_MAX).bind_text("").bind_blob("").bind_opt(7, 7).run();
  }
  Stmt get(*db, "SELECT a,b,c,d FROM t ORDER BY rowid");
  REQUIRE(get.step());
  CHECK(get.i64(0) == INT64_MIN);
  CHECK(get.text(1) == "text");
  CHECK(get.blob(2) == std::string_view("a\0b", 3));
  CHECK(get.null(3));
  REQUIRE(get.step());
  CHECK(get.i64(0) == INT64_MAX);
  CHECK_FALSE(get.null(1));
  CHECK_FALSE(get.null(2));
  CHECK(get.null(3));
  CHECK_FALSE(get.step());
}

TEST_CASE("a statement that was left in the middle begins anew when it is bound") {
  auto db = memory();
  db->exec("CREATE TABLE t(a); INSERT INTO t VALUES(1),(2),(3)");
  Stmt s(*db, "SELECT a FROM t WHERE a>=?1 ORDER BY a");
  REQUIRE(s.bind(1).step());
  REQUIRE(s.bind(3).step());
  CHECK(s.i64(0) == 3);
  CHECK_FALSE(s.step());
}

TEST_CASE("the first error stays, and what follows it is nothing") {
  auto db = memory();
  db->exec("CREATE TABLE t(a UNIQUE)");
  db->begin();
  db->exec("INSERT INTO t VALUES(1)");
  db->exec("INSERT INTO t VALUES(1)");
  CHECK_FALSE(db->ok());
  Error first = db->error();
  db->exec("NO SQL");
  CHECK(db->error().message == first.message);
  CHECK_FALSE(db->commit());
  db->clear_error();
  CHECK(db->query_i64("SELECT count(*) FROM t") == 0);
}

TEST_CASE("a statement is parsed once, whatever is bound to it, and uses its index") {
  auto db = memory();
  db->exec(kSchema);
  const char* sql = "SELECT id FROM job WHERE state>=2 AND state=?1 AND (finished,id)>(?2,0) ORDER BY finished,id";
  Stmt finished(*db, sql);
  for (int state = 2; state < 5; ++state) CHECK_FALSE(finished.bind(state).bind(state * 1000).step());
  CHECK(sqlite3_stmt_status(sqlite3_next_stmt(db->raw(), nullptr), SQLITE_STMTSTATUS_REPREPARE, 0) == 0);
  const std::string explain = std::string("EXPLAIN QUERY PLAN ") + sql;
  Stmt plan(*db, explain.c_str());
  REQUIRE(plan.bind(2).bind(0).step());
  CHECK(std::string(plan.text(3)).find("job_final (state=? AND finished>?)") != std::string::npos);
}

TEST_CASE("half a frame that a failed commit left behind the log is not one that is safe") {
  TempFolder folder;
  hf::test::FaultyVfs disk;
  const std::string path = folder / "q.db";
  auto open = [&](LogPoint log_safe) {
    auto db = Db::open({.path = path, .vfs = disk.name(), .log_safe = log_safe});
    REQUIRE(db.ok());
    (*db)->exec("PRAGMA journal_mode=WAL");
    return std::move(*db);
  };
  auto insert = [](Db& db) {
    db.begin();
    db.exec("INSERT INTO t VALUES(zeroblob(100))");
    return db.commit();
  };
  auto db = open({});
  db->exec("CREATE TABLE t(a)");
  for (int i = 0; i < 5; ++i) REQUIRE(insert(*db));
  db->checkpoint();
  REQUIRE(insert(*db));  // at the beginning of the log; what was there before lies behind it
  CHECK_FALSE(db->log_safe().known());  // nothing has failed
  auto fails = [&] {
    disk.fail_pages = true;
    REQUIRE_FALSE(insert(*db));
    disk.fail_pages = false;
    return db->log_safe();
  };
  const LogPoint safe = fails();
  REQUIRE(safe.frames > 0);
  db = nullptr;
  db = open(safe);
  CHECK_FALSE(db->log_safe().known());  // it was written again
  CHECK(fails() == safe);
  db = nullptr;
  db = open(safe);
  CHECK(insert(*db));
  CHECK(fails().frames > safe.frames);
  db = nullptr;
  CHECK(open({})->query_i64("SELECT count(*) FROM t") == 7);
}

namespace {
std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
}  // namespace

// A power cut in the middle of a write may spoil what was there. Were that a log that is half moved into the database,
// what the cut leaves of both does not fit together.
TEST_CASE("what is safe of the log is not written again") {
  TempFolder folder;
  hf::test::FaultyVfs disk;
  const std::string path = folder / "q.db";
  auto open = [&](LogPoint log_safe = {}) {
    auto db = Db::open({.path = path, .vfs = disk.name(), .log_safe = log_safe});
    REQUIRE(db.ok());
    (*db)->exec("PRAGMA journal_mode=WAL");
    (*db)->exec("PRAGMA synchronous=NORMAL");
    return std::move(*db);
  };
  auto insert = [](Db& db, int bytes) {
    db.begin();
    db.exec(("INSERT INTO t VALUES(zeroblob(" + std::to_string(bytes) + "))").c_str());
    return db.commit();
  };
  auto db = open();
  db->exec("CREATE TABLE t(a)");
  REQUIRE(insert(*db, 20000));
  int64_t room = INT64_MAX / 2;
  SUBCASE("a checkpoint moved all of it, and the next commit fails before it begins the log anew") {}
  SUBCASE("a checkpoint found no room for some of it") { room = 0; }
  SUBCASE("... of a log that another process left") {
    db = nullptr;
    db = open();
    room = 0;
  }
  disk.room = room;
  db->checkpoint();
  disk.room = INT64_MAX / 2;
  REQUIRE(db->ok());
  const std::string log = bytes_of(path + "-wal");
  const LogPoint safe = db->log_known_safe();
  REQUIRE(safe.frames > 0);
  db->fail(SQLITE_IOERR_READ, "a test");
  CHECK(db->log_safe() == safe);
  db = nullptr;
  int writes = disk.writes;
  db = open(safe);
  CHECK(disk.writes == writes);
  CHECK(bytes_of(path + "-wal") == log);
  // What comes behind it is, if it cannot be synced.
  for (int i = 0; i < 2; ++i) {
    CAPTURE(i);
    REQUIRE(insert(*db, 100));
    const LogPoint synced = db->log_known_safe();
    disk.fail_syncs = true;
    CHECK_FALSE(insert(*db, 100));
    disk.fail_syncs = false;
    CHECK(db->log_safe() == synced);
    db = nullptr;
    writes = disk.writes;
    db = open(synced);
    CHECK(disk.writes == writes + 1);
    CHECK(db->log_known_safe().generation == synced.generation);
    CHECK(db->log_known_safe().frames > synced.frames);
    db->checkpoint();  // and the log begins anew
    REQUIRE(db->ok());
  }
  CHECK(db->query_i64("SELECT count(*) FROM t") == 5);
}

TEST_CASE("want of room is no failed sync: nothing of the log needs to be written again") {
  TempFolder folder;
  hf::test::FaultyVfs disk;
  auto opened = Db::open({.path = folder / "q.db", .vfs = disk.name()});
  REQUIRE(opened.ok());
  Db& db = **opened;
  db.exec("PRAGMA journal_mode=WAL");
  db.exec("CREATE TABLE t(a)");
  disk.room = 0;
  db.begin();
  db.exec("INSERT INTO t VALUES(zeroblob(100000))");
  CHECK_FALSE(db.commit());
  CHECK(db.error().code == HF_E_FULL);
  CHECK_FALSE(db.log_safe().known());
}

TEST_CASE("SQLite's codes as a user knows them") {
  CHECK(error_code_of_sqlite(SQLITE_FULL) == HF_E_FULL);
  CHECK(error_code_of_sqlite(SQLITE_NOMEM) == HF_E_NO_MEMORY);
  CHECK(error_code_of_sqlite(SQLITE_IOERR_NOMEM) == HF_E_NO_MEMORY);
  CHECK(error_code_of_sqlite(SQLITE_IOERR_FSYNC) == HF_E_IO);
  CHECK(error_code_of_sqlite(SQLITE_BUSY) == HF_E_LOCKED);
  CHECK(error_code_of_sqlite(SQLITE_CORRUPT_INDEX) == HF_E_CORRUPT);
  CHECK(error_code_of_sqlite(SQLITE_NOTADB) == HF_E_FOREIGN);
  CHECK(error_code_of_sqlite(SQLITE_READONLY_DIRECTORY) == HF_E_READ_ONLY);
  CHECK(error_code_of_sqlite(SQLITE_TOOBIG) == HF_E_TOO_LARGE);
  CHECK(error_code_of_sqlite(SQLITE_MISUSE) == HF_E_INTERNAL);
  CHECK(error_code_of_sqlite(SQLITE_OK) == HF_OK);
}
