// The database file as input: sound, then damaged, by bytes as a disk does it or by values as a bug
// would. The engine refuses it with an error, or it works on: every request of a script is answered,
// in bounded work, with values that can be shown.
//
//   BASE   a byte: 0 closed in good order, 1 left by a kill with its log, 2 the rest is the file
//   then, up to the end, each with a leading byte:
//   even   a patch: 2 bytes offset, 1 byte (high bit: of the log; low 5 bits: length), the bytes
//   odd    a value: 1 byte column, 1 byte row, 1 byte kind, then 8 bytes for an integer (kind 0), one
//          for a small one (1), length and bytes for text (2) and a blob (3), nothing for NULL (4)
#include <set>

#include "apps/memory_vfs.h"
#include "core/engine.h"
#include "core/units.h"
#include "tests/fuzz/fuzz.h"

using namespace hf;
using namespace hf::fuzz;

namespace {

using Files = std::map<std::string, std::string>;
constexpr const char* kPath = "queue.db";
constexpr const char* kLog = "queue.db-wal";

MemoryVfs& disk() {
  static MemoryVfs vfs(size_t{16} << 20);
  return vfs;
}

// An engine on the files of disk(), reopened when a turn fails, as the host does it.
class Device {
 public:
  bool open() {
    EngineOptions o;
    o.path = kPath;
    o.vfs = disk().name();
    o.device = "gateway";
    o.boot_id = "boot";
    o.new_file_id = 0xabcd;
    o.now = now_;
    o.before = std::move(before_);
    auto opened = Engine::open(std::move(o));
    if (!opened) {
      must_be_told(opened.error());
      return false;
    }
    engine_ = std::move(*opened);
    std::vector<Op> ops;
    ops.push_back(SetDispatch{true});
    RunnerSpec report;
    report.name = "report";
    report.sink = "ingest";
    ops.push_back(SetRunner{report});
    RunnerSpec sink;
    sink.name = "sink:ingest";
    sink.batch = {.max_jobs = 3, .max_bytes = 2000, .max_wait_ms = 0};
    ops.push_back(SetRunner{sink});
    return turn(std::move(ops));
  }

  bool turn(std::vector<Op> ops) {
    std::vector<Request> requests;
    for (Op& op : ops) requests.push_back({std::move(op), {}, {}});
    std::vector<Request*> pointers;
    for (Request& r : requests) pointers.push_back(&r);
    const auto ticked = engine_->tick(now_, pointers);
    replies_.clear();
    for (Request& r : requests) replies_.push_back(std::move(r.reply));
    for (const Reply& reply : replies_) check(reply);
    if (!ticked) {
      must_be_told(ticked.error());
      before_ = engine_->handover();
      engine_.reset();
      return false;
    }
    for (const Action& action : ticked->actions) {
      if (const auto* start = std::get_if<StartRun>(&action)) started_.insert(started_.end(), start->jobs.begin(), start->jobs.end());
    }
    return true;
  }
  // One request alone; false: the engine is gone, and does not open any more.
  bool ask(Op op) {
    if (!engine_ && (++reopened_ > 3 || !open())) return false;
    std::vector<Op> ops;
    ops.push_back(std::move(op));
    turn(std::move(ops));
    return true;
  }
  // Ends what was started, each in another way.
  bool end_runs() {
    int n = 0;
    for (const RunJob& job : std::exchange(started_, {})) {
      RunEnded ended;
      ended.id = job.id;
      ended.attempt = job.attempt;
      ended.run = job.run;
      constexpr Outcome kOutcomes[] = {Outcome::done, Outcome::retry, Outcome::dead, Outcome::defer, Outcome::handed_back};
      ended.outcome = kOutcomes[n++ % 5];
      ended.result = "result";
      if (n > 64) break;
      if (!ask(std::move(ended))) return false;
    }
    return true;
  }
  void pass(int64_t ms) {
    now_.boot_ms += ms;
    now_.wall_ms += ms;
  }
  void close() {
    if (!ask(StopAll{true}) || !engine_) return;
    const auto closed = engine_->close(now_);
    if (!closed) must_be_told(closed.error());
    engine_.reset();
  }
  template <class T>
  const T* reply() const { return replies_.empty() ? nullptr : std::get_if<T>(&replies_.front()); }
  const std::vector<RunJob>& started() const { return started_; }

 private:
  static void check(const Reply& reply) {
    must(!std::holds_alternative<std::monostate>(reply));
    if (const auto* error = std::get_if<Error>(&reply)) must_be_told(*error);
    if (const auto* page = std::get_if<JobPage>(&reply)) {
      std::set<JobId> ids;
      for (const JobInfo& job : page->jobs) check(job), ids.insert(job.id);
      must(ids.size() == page->jobs.size());  // none twice
    }
    if (const auto* job = std::get_if<JobInfo>(&reply)) check(*job);
    if (const auto* why = std::get_if<WhyInfo>(&reply)) check(why->job), must(!why->summary.empty());
    if (const auto* stats = std::get_if<Stats>(&reply)) {
      must(stats->file_bytes >= 0);  // counts are kept beside the jobs, and may be what is damaged
    }
  }
  static void check(const JobInfo& job) {
    must(state_name(job.state) != nullptr && job.history.size() <= HF_HISTORY_MAX);
    must(job.max_attempts >= 1 && (job.timeout_ms == -1 || job.timeout_ms >= 1));
    for (const int64_t time : {job.created_wall_ms, job.due_wall_ms, job.finished_wall_ms, job.expires_wall_ms}) {
      must(!format_time(time).empty());
    }
  }

  Now now_{1000000, 1790000000000, true};
  std::unique_ptr<Engine> engine_;
  Handover before_;
  std::vector<RunJob> started_;
  std::vector<Reply> replies_;
  int reopened_ = 0;
};

JobSpec spec(std::string payload, std::string queue = "default") {
  JobSpec s;
  s.type = "report";
  s.queue = std::move(queue);
  s.payload = std::move(payload);
  return s;
}

// Of everything one: jobs in all states, short and long bodies, keys, schedules, queues.
void fill(Device& device) {
  must(device.open());
  ScheduleSpec nightly;
  nightly.name = "nightly";
  nightly.cron = "30 2 * * *";
  nightly.job = spec("nightly");
  must(device.ask(SchedulePut{nightly}));
  nightly.name = "often";
  nightly.cron = "@every 1h";
  nightly.catch_up = CatchUp::all;
  must(device.ask(SchedulePut{nightly}));
  must(device.ask(QueueSet{"uploads", {.concurrency = 2, .slack_ms = 1000, .windows = "00:00-24:00"}}));
  must(device.ask(QueuePause{"later", true}));
  JobSpec keyed = spec("keyed", "uploads");
  keyed.unique_key = "once";
  keyed.unique_for_ms = 3600000;
  keyed.concurrency_key = "disk";
  keyed.tags = "a,b";
  keyed.policy.backoff.kind = BackoffKind::list;
  keyed.policy.backoff.list_ms = {1000, 5000};
  JobSpec timed = spec("timed");
  timed.at_wall_ms = 1790000900000;
  JobSpec delayed = spec(std::string(700, 'x'));
  delayed.delay_ms = 60000;
  delayed.ttl_ms = 120000;
  delayed.priority = 7;
  must(device.ask(Enqueue{{spec("1"), spec("2"), spec("3"), spec("4"), spec("5"), keyed, timed, delayed, spec("6", "later"), spec("7", "later")}}));
  must(device.end_runs() && device.end_runs());
  must(device.ask(Cancel{9}));
}

const Files& base(bool left_by_kill) {
  static const auto made = [] {
    std::pair<Files, Files> files;
    disk().files.clear();
    Device first;
    fill(first);
    first.close();
    files.first = disk().files;
    Device second;
    must(second.open() && second.ask(Enqueue{{spec(std::string(900, 'y')), spec("running")}}));
    files.second = disk().files;
    return files;
  }();
  return left_by_kill ? made.second : made.first;
}

// ---- damage

struct Column {
  const char* table;
  const char* name;
};
constexpr Column kColumns[] = {
    {"job", "id"}, {"job", "lane"}, {"job", "state"}, {"job", "nprio"}, {"job", "due"}, {"job", "attempts"},
    {"job", "created"}, {"job", "finished"}, {"job", "at"}, {"job", "expires"}, {"job", "ukey"}, {"job", "opts"},
    {"job", "error"}, {"job", "history"}, {"job", "payload"}, {"job", "result"}, {"body", "id"}, {"body", "data"},
    {"lane", "id"}, {"lane", "queue"}, {"lane", "type"}, {"lane", "key"}, {"lane", "origin"}, {"meta", "key"},
    {"meta", "value"}, {"queue", "name"}, {"queue", "paused"}, {"queue", "settings"}, {"schedule", "name"},
    {"schedule", "spec"}, {"schedule", "paused"}, {"schedule", "next"}, {"schedule", "fire"},
    {"schedule", "last"}, {"schedule", "last_job"}, {"schedule", "fired"}, {"schedule", "skipped"},
    {"schedule", "failures"}};

void set_value(sqlite3* db, Input& input) {
  const Column& column = kColumns[input.byte() % std::size(kColumns)];
  const int row = input.byte() % 16;
  const std::string_view table = column.table;
  const std::string key = table == "meta" ? "key" : table == "queue" || table == "schedule" ? "name" : "id";
  const std::string sql = "UPDATE OR IGNORE " + std::string(table) + " SET " + column.name + "=?1 WHERE " + key + "=(SELECT " + key +
                          " FROM " + std::string(table) + " ORDER BY 1 LIMIT 1 OFFSET ?2)";
  sqlite3_stmt* statement = nullptr;
  must(sqlite3_prepare_v2(db, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK);
  const int kind = input.byte() % 5;
  std::string_view text;
  if (kind == 0) sqlite3_bind_int64(statement, 1, static_cast<int64_t>(input.number(8)));
  if (kind == 1) sqlite3_bind_int64(statement, 1, static_cast<int8_t>(input.byte()));
  if (kind == 2 || kind == 3) text = input.text(input.byte());
  if (kind == 2) sqlite3_bind_text(statement, 1, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
  if (kind == 3) sqlite3_bind_blob(statement, 1, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
  sqlite3_bind_int(statement, 2, row);
  sqlite3_step(statement);  // what the schema forbids stays as it was
  sqlite3_finalize(statement);
}

void damage(Input& input) {
  sqlite3* db = nullptr;
  std::vector<std::pair<std::string, std::pair<size_t, std::string>>> patches;  // after the values: these need a sound file
  for (int n = 0; !input.empty() && n < 32; ++n) {
    if (input.byte() % 2 != 0) {
      if (db == nullptr) {
        must(sqlite3_open_v2(kPath, &db, SQLITE_OPEN_READWRITE, disk().name()) == SQLITE_OK);
        sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE", nullptr, nullptr, nullptr);
      }
      set_value(db, input);
    } else {
      const size_t at = static_cast<size_t>(input.number(2));
      const int how = input.byte();
      patches.push_back({(how & 0x80) != 0 ? kLog : kPath, {at, std::string(input.text(static_cast<size_t>(how & 31)))}});
    }
  }
  sqlite3_close(db);
  for (const auto& [name, patch] : patches) {
    const auto file = disk().files.find(name);
    if (file == disk().files.end() || file->second.empty()) continue;
    std::string& bytes = file->second;
    for (size_t i = 0; i < patch.second.size(); ++i) bytes[(patch.first + i) % bytes.size()] = patch.second[i];
  }
}

// ---- the script

std::vector<JobId> list(Device& device, std::optional<State> state) {
  std::vector<JobId> ids;
  ListQuery query;
  query.state = state;
  query.limit = 4;
  for (int pages = 0; pages < 8; ++pages) {
    if (!device.ask(List{query})) return ids;
    const auto* page = device.reply<JobPage>();
    if (page == nullptr) return ids;
    for (const JobInfo& job : page->jobs) ids.push_back(job.id);
    if (page->next == 0) return ids;
    query.before = page->next;
  }
  return ids;
}

bool look(Device& device) {
  std::vector<JobId> ids = list(device, std::nullopt);
  for (const State state : {State::pending, State::running, State::completed, State::dead, State::cancelled}) list(device, state);
  for (size_t i = 0; i < ids.size() && i < 12; ++i) {
    if (!device.ask(Get{ids[i]}) || !device.ask(Why{ids[i]})) return false;
  }
  return device.ask(GetStats{}) && device.ask(ScheduleList{}) && device.ask(QueueList{}) && device.ask(Check{});
}

bool work(Device& device) {
  JobSpec keyed = spec("again", "uploads");
  keyed.unique_key = "once";
  keyed.on_conflict = OnConflict::replace;
  if (!device.ask(Enqueue{{spec("new"), keyed}})) return false;
  device.pass(1000);
  if (!device.end_runs()) return false;
  device.pass(130000);
  if (!device.end_runs() || !device.ask(ClockStepped{})) return false;
  for (JobId id = 1; id <= 12; ++id) {
    Edit edit;
    edit.id = id;
    edit.priority = 3;
    edit.payload = "edited";
    const Op ops[] = {Cancel{id}, Retry{id}, edit, Remove{id}};
    if (!device.ask(ops[id % 4])) return false;
  }
  return device.ask(RetryAllDead{}) && device.ask(ScheduleRun{"nightly"}) && device.ask(SchedulePause{"often", true}) &&
         device.ask(SchedulePause{"often", false}) && device.ask(QueuePause{"later", false}) && device.end_runs();
}

}  // namespace

HF_FUZZ(input) {
  const int from = input.byte() % 3;
  disk().files = base(from == 1);
  if (from == 2) {
    disk().files.clear();
    disk().files[kPath] = input.rest();
  } else {
    damage(input);
  }
  Device device;
  if (!device.open()) return;
  if (!look(device) || !work(device)) return;
  device.pass(int64_t{40} * 86400 * 1000);
  if (device.ask(Prune{}) && device.end_runs() && look(device)) device.close();
}
