#include "tests/bench/bare.h"

#include <sqlite3.h>

#include "tests/bench/meter.h"

namespace hf::bench {
namespace {

class Bare {
 public:
  explicit Bare(const std::string& path) : payload_(kPayloadBytes, 'p') {
    check(sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr));
    exec("PRAGMA page_size=1024; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA locking_mode=EXCLUSIVE;"
         "PRAGMA journal_mode=WAL; PRAGMA cache_size=-1024; PRAGMA synchronous=FULL;"
         "CREATE TABLE job(id INTEGER PRIMARY KEY, lane INTEGER NOT NULL, state INTEGER NOT NULL,"
         " nprio INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL, created INTEGER NOT NULL,"
         " payload BLOB);"
         "CREATE INDEX pending ON job(lane, nprio, due) WHERE state=0;");
    insert_ = prepare("INSERT INTO job VALUES(?1,1,1,0,?2,1,?2,?3)");
    remove_ = prepare("DELETE FROM job WHERE id=?1");
    begin_ = prepare("BEGIN IMMEDIATE");
    commit_ = prepare("COMMIT");
  }
  ~Bare() {
    for (sqlite3_stmt* s : {insert_, remove_, begin_, commit_}) sqlite3_finalize(s);
    sqlite3_close(db_);
  }
  Bare(const Bare&) = delete;
  Bare& operator=(const Bare&) = delete;

  void exec(const char* sql) { check(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr)); }
  void set_normal() { exec("PRAGMA synchronous=NORMAL"); }  // commits do not wait for the disk
  void sync() {  // what was committed; as cheap as a commit of synchronous=FULL does it, while the next one need not
    sqlite3_file* log = nullptr;
    check(sqlite3_file_control(db_, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log));
    check(log->pMethods->xSync(log, SQLITE_SYNC_NORMAL));
  }
  void begin() { run(begin_); }
  void commit() { run(commit_); }
  void insert(int64_t id) {
    check(sqlite3_bind_int64(insert_, 1, id));
    check(sqlite3_bind_int64(insert_, 2, 1000000 + id));
    check(sqlite3_bind_blob(insert_, 3, payload_.data(), kPayloadBytes, SQLITE_STATIC));
    run(insert_);
  }
  void remove(int64_t id) {
    check(sqlite3_bind_int64(remove_, 1, id));
    run(remove_);
  }

 private:
  void check(int code) const {
    if (code == SQLITE_OK) return;
    std::fprintf(stderr, "bare: %s\n", sqlite3_errmsg(db_));
    std::exit(1);
  }
  sqlite3_stmt* prepare(const char* sql) {
    sqlite3_stmt* s = nullptr;
    check(sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &s, nullptr));
    return s;
  }
  void run(sqlite3_stmt* s) {
    int code = sqlite3_step(s);
    if (code != SQLITE_DONE) check(code);
    check(sqlite3_reset(s));
  }

  sqlite3* db_ = nullptr;
  sqlite3_stmt *insert_, *remove_, *begin_, *commit_;
  std::string payload_;
};

}  // namespace

void bare_insert(const std::string& path, int jobs) {
  Bare db(path);
  std::vector<int64_t> took;
  Meter meter;
  for (int i = 1; i <= jobs; ++i) {
    int64_t begin = now_ns();
    db.begin();
    db.insert(i);
    db.commit();
    took.push_back(now_ns() - begin);
  }
  Line().add(meter.cost(), jobs).add("p50_us", median(took) / 1000).print();
}

void bare_sequential(const std::string& path, int jobs, bool durable) {
  Bare db(path);
  db.set_normal();
  Meter meter;
  for (int i = 1; i <= jobs; ++i) {
    db.begin();
    db.insert(i);
    db.commit();
    if (durable) db.sync();
    db.begin();
    db.remove(i);
    db.commit();
  }
  Line().add(meter.cost(), jobs).print();
}

void bare_pipeline(const std::string& path, int jobs, int depth) {
  Bare db(path);
  Meter meter;
  for (int first = 1; first <= jobs; first += depth) {
    db.begin();
    for (int i = first; i < first + depth; ++i) {
      if (i > depth) db.remove(i - depth);
      db.insert(i);
    }
    db.commit();
  }
  Line().add(meter.cost(), jobs).print();
}

}  // namespace hf::bench
