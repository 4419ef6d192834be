#include "rows.h"

#include "core/guest.h"

#define SQLITE_CORE 1  // the struct of functions, and no macros in their place
#if __has_include(<holdfast/sqlite3ext.h>)
#include <holdfast/sqlite3ext.h>
#else
#include <sqlite3ext.h>
#endif

#include <memory>
#include <optional>
#include <set>

namespace hf::sim {
namespace {

constexpr const char* kPath = "/sim/queue.db";
constexpr int kListMax = 1000;

const sqlite3_api_routines& sql() { return *guest_routines(); }

Status run(sqlite3* db, const std::string& text) {
  return sql().exec(db, text.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK ? ok_status() : Status(Error{1, sql().errmsg(db)});
}

// How a transaction goes wrong, if it does.
enum class Way { well, says_no, constraint, bad_job, too_long, too_long_reading, takes_all_back, leaves_open, makes_table, makes_bad_table, kWays };
enum class Fault { none, call_fails, dies, power };

class RowsWorld {
 public:
  RowsWorld(uint64_t seed, bool apart, RowsPass& pass) : random_(seed), apart_(apart), pass_(pass) {
    disk_.on_call = [this](Call) { return --calls_left_ == 0 ? verdict_ : Verdict::ok; };
  }
  ~RowsWorld() {
    disk_.process_dies();
    engine_.reset();
  }

  // "" or what is wrong.
  std::string live(int transactions) {
    open();
    if (!transact({}, Way::makes_table, true)) return "the first table is not made";
    for (int i = 0; i < transactions && wrong_.empty(); ++i) {
      ++pass_.report.tried;
      one();
    }
    if (wrong_.empty()) look();
    return wrong_;
  }

 private:
  void open() {
    for (int tries = 0; !engine_; ++tries) {
      EngineOptions o;
      o.path = kPath;
      o.vfs = disk_.vfs();
      o.device = "gw";
      o.boot_id = std::to_string(boots_);
      o.new_file_id = 7;
      o.now = now_;
      o.before = before_;
      o.limits.max_jobs = 100000;
      auto opened = Engine::open(o);
      if (opened) {
        engine_ = std::move(*opened);
        return;
      }
      before_.opening_failed(opened.error().code);
      if (tries == 20) return wrong("does not open: " + opened.error().message);
    }
  }
  void wrong(const std::string& what) {
    if (wrong_.empty()) wrong_ = what;
  }

  // Null: the turn failed.
  std::optional<Reply> ask(Op op) {
    if (!engine_) return {};
    now_.boot_ms += 10;
    now_.wall_ms += 10;
    std::vector<Request> requests;
    requests.push_back({std::move(op), {}, {}});
    if (beside_) requests.push_back({Enqueue{{other()}}, {}, {}});
    std::vector<Request*> pointers;
    for (Request& r : requests) pointers.push_back(&r);
    auto tick = engine_->tick(now_, pointers);
    if (disk_.process_died()) return {};
    if (!tick) {
      if (tick.error().code == HF_E_CORRUPT) wrong("the file is damaged: " + tick.error().message);
      return {};
    }
    if (beside_) {
      auto* ids = std::get_if<std::vector<JobId>>(&requests[1].reply);
      if (ids == nullptr) wrong("a job of the same turn was refused: " + std::get<Error>(requests[1].reply).message);
      else others_.insert(ids->front());
    }
    return std::move(requests[0].reply);
  }
  static JobSpec other() {
    JobSpec s;
    s.type = "other";
    s.delay_ms = 86400000;
    return s;
  }

  // Sets of ids: of the rows, and of the jobs of this type.
  using Ids = std::set<JobId>;
  std::optional<Ids> rows() {
    Ids ids;
    Transact t;
    t.reads_only = true;
    t.overdue = [] { return false; };
    t.body = [&](Transaction& inside) -> Status {
      sqlite3_stmt* stmt = nullptr;
      if (sql().prepare_v2(inside.connection, "SELECT job FROM reading", -1, &stmt, nullptr) != SQLITE_OK) return Error{1, sql().errmsg(inside.connection)};
      while (sql().step(stmt) == SQLITE_ROW) ids.insert(sql().column_int64(stmt, 0));
      sql().finalize(stmt);
      return ok_status();
    };
    std::optional<Reply> reply = ask(std::move(t));
    if (!reply) return {};
    if (auto* error = std::get_if<Error>(&*reply)) wrong("the rows cannot be read: " + error->message);
    return ids;
  }
  std::optional<Ids> jobs(const char* type) {
    Ids ids;
    ListQuery query;
    query.limit = kListMax;
    query.type = type;
    while (true) {
      std::optional<Reply> reply = ask(List{query});
      if (!reply) return {};
      auto* page = std::get_if<JobPage>(&*reply);
      if (page == nullptr) return wrong("jobs cannot be listed: " + std::get<Error>(*reply).message), ids;
      for (const JobInfo& job : page->jobs) ids.insert(job.id);
      if (page->next == 0) return ids;
      query.before = page->next;
    }
  }

  // Rows against jobs, and both against what was acknowledged.
  void look() {
    verdict_ = Verdict::ok;
    beside_ = true;
    (void)ask(ReserveIds{1});  // what is seen now is on the disk, as the job beside it waits for that
    beside_ = false;
    const std::optional<Ids> with_rows = rows(), with_jobs = jobs("upload"), of_others = jobs("other");
    if (!with_rows || !with_jobs || !of_others) return wrong("a turn fails on a sound disk");
    for (JobId id : *with_rows) {
      if (!with_jobs->contains(id)) return wrong("a row without its job " + std::to_string(id));
    }
    for (JobId id : *with_jobs) {
      if (!with_rows->contains(id)) return wrong("job " + std::to_string(id) + " without its row");
      if (!known_.contains(id) && !doubtful_.contains(id)) return wrong("job " + std::to_string(id) + " was not kept, and is there");
    }
    for (JobId id : known_) {
      if (!with_jobs->contains(id)) return wrong("job " + std::to_string(id) + " was acknowledged, and is lost");
    }
    for (JobId id : others_) {
      if (!of_others->contains(id)) return wrong("job " + std::to_string(id) + " of another is lost");
    }
    known_ = *with_jobs;
    others_ = *of_others;
    doubtful_.clear();
  }

  void one() {
    const Way way = random_.below(2) == 0 ? Way::well : static_cast<Way>(random_.below(static_cast<uint64_t>(Way::kWays)));
    const Fault fault = random_.below(3) != 0 ? Fault::none : static_cast<Fault>(1 + random_.below(3));
    verdict_ = Verdict::ok;
    calls_left_ = 0;
    if (fault != Fault::none) {
      constexpr Verdict kFails[] = {Verdict::fail, Verdict::full, Verdict::land, Verdict::lose};
      verdict_ = fault == Fault::call_fails ? kFails[random_.below(4)] : Verdict::die;
      calls_left_ = 1 + random_.below(12);
    }
    beside_ = random_.below(3) == 0;
    const bool durable = fault != Fault::power || random_.below(4) != 0;
    Ids ids;
    const bool kept = transact(&ids, way, durable);
    const bool failed = !engine_alive_;
    if (kept && !durable) doubtful_.insert(ids.begin(), ids.end());
    else if (kept) known_.insert(ids.begin(), ids.end());
    else if (failed) doubtful_.insert(ids.begin(), ids.end());
    ++(kept ? pass_.kept : pass_.undone);
    if (failed) reopen(fault);
    if (!kept || random_.below(20) == 0) look();
  }

  void reopen(Fault fault) {
    verdict_ = Verdict::ok;
    if (!disk_.process_died()) {
      ++pass_.failed_turns;
      before_ = engine_->handover();
      engine_.reset();
      return open();
    }
    disk_.process_dies();
    engine_.reset();
    before_ = {};
    if (fault == Fault::power) {
      ++pass_.cuts;
      disk_.cut(kCuts[random_.below(std::size(kCuts))], random_);
      now_.boot_ms = 1000;
      now_.wall_ms += 5000;
      ++boots_;
      // What was not waited for may be gone, all of it together.
    } else {
      ++pass_.kills;
    }
    open();
  }

  bool transact(Ids* ids, Way way, bool durable) {
    int asked = 0;
    Ids promised;
    Transact t;
    t.durable = durable;
    t.overdue = [&] { return (way == Way::too_long || way == Way::too_long_reading) && ++asked > 2; };
    t.body = [&](Transaction& inside) { return body(inside, way, promised); };
    engine_alive_ = true;
    std::optional<Reply> reply = ask(std::move(t));
    if (ids != nullptr) *ids = promised;
    if (!reply) return engine_alive_ = false;
    return !std::holds_alternative<Error>(*reply);
  }

  Status body(Transaction& t, Way way, Ids& ids) {
    if (way == Way::makes_table && next_table_++ == 0) return run(t.connection, "CREATE TABLE reading(job INTEGER, v INTEGER UNIQUE, data BLOB)");
    if (way == Way::makes_table && next_table_ < 60) HF_TRY(run(t.connection, "CREATE TABLE more" + std::to_string(next_table_) + "(x)"));
    const int64_t first = next_v_;
    for (uint64_t n = 1 + random_.below(4); n > 0; --n) {
      JobSpec s;
      s.type = "upload";
      s.delay_ms = 86400000;
      s.payload.assign(random_.below(8) == 0 ? 2000 : 20, 'p');
      if (random_.below(6) == 0) s.unique_key = "k" + std::to_string(random_.below(50));
      Result<JobId> id = t.enqueue(s);
      if (!id) return id.error();
      ids.insert(*id);
      if (!apart_ || random_.below(2) == 0) {
        HF_TRY(run(t.connection, "INSERT INTO reading VALUES(" + std::to_string(*id) + "," + std::to_string(next_v_) + ",zeroblob(" + std::to_string(random_.below(8) == 0 ? 3000 : 10) + "))"));
      }
      ++next_v_;
    }
    const std::string again = "INTO reading VALUES(0," + std::to_string(first) + ",NULL)";
    constexpr const char* kLong = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1000000) ";
    switch (way) {
      case Way::well: case Way::makes_table: case Way::kWays: return ok_status();
      case Way::says_no: return Error{42, "no"};
      case Way::constraint: return run(t.connection, "INSERT " + again);
      case Way::bad_job: {
        JobSpec bad;
        return t.enqueue(bad) ? ok_status() : Status(Error{1, "refused"});
      }
      case Way::too_long: return run(t.connection, std::string(kLong) + "INSERT INTO reading SELECT 0, -i, NULL FROM n");
      case Way::too_long_reading: return run(t.connection, std::string(kLong) + "SELECT count(*) FROM n");
      case Way::takes_all_back:
        (void)run(t.connection, "INSERT OR ROLLBACK " + again);
        (void)run(t.connection, "INSERT INTO reading VALUES(-1,0,NULL)");  // of which nobody has a job
        return ok_status();
      case Way::leaves_open: {
        sqlite3_stmt* stmt = nullptr;
        sql().prepare_v2(t.connection, "SELECT * FROM reading", -1, &stmt, nullptr);
        sql().step(stmt);
        return ok_status();
      }
      case Way::makes_bad_table: return run(t.connection, "CREATE TABLE bad(k TEXT PRIMARY KEY) WITHOUT ROWID");
    }
    return ok_status();
  }

  Random random_;
  const bool apart_;
  RowsPass& pass_;
  Disk disk_;
  uint64_t calls_left_ = 0;
  Verdict verdict_ = Verdict::ok;
  Now now_{3000, 1790000000000, true};
  int boots_ = 0;
  Handover before_;
  std::unique_ptr<Engine> engine_;
  bool engine_alive_ = true, beside_ = false;
  int next_table_ = 0;
  int64_t next_v_ = 1;
  Ids known_, doubtful_, others_;
  std::string wrong_;
};

}  // namespace

RowsPass rows_and_jobs(uint64_t seed, int seeds, int transactions, bool apart) {
  RowsPass pass;
  for (uint64_t s = seed; s < seed + static_cast<uint64_t>(seeds); ++s) {
    RowsWorld world(s, apart, pass);
    const std::string what = world.live(transactions);
    if (!what.empty()) pass.report.add("seed " + std::to_string(s), what);
  }
  return pass;
}

}  // namespace hf::sim
