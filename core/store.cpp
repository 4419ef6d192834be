#include "core/store_statements.h"

#include <algorithm>
#include <functional>

namespace hf {

namespace {
// A damaged file holds any number; the engine gets the nearest one that it could have written.
int64_t count_in(const Stmt& s, int col, int64_t max = kTimeMax) { return std::clamp<int64_t>(s.i64(col), 0, max); }
int64_t due_in(const Stmt& s, int col) { return s.i64(col) == kNever ? kNever : count_in(s, col); }
int nprio_of(int64_t level) { return static_cast<int>(std::clamp<int64_t>(level, -HF_PRIORITY_MAX, HF_PRIORITY_MAX)); }
// What a job that runs has in `state` while no index has it.
constexpr int64_t kRecent = -1;
State state_in(const Stmt& s, int col) {
  const int64_t state = s.i64(col);
  return state == kRecent ? State::running : static_cast<State>(std::clamp<int64_t>(state, 0, kStates - 1));
}
int lane_in(const Stmt& s, int col) { return static_cast<int>(count_in(s, col, INT32_MAX)); }
int attempts_in(const Stmt& s, int col) { return static_cast<int>(count_in(s, col, 1 << 20)); }
// Where the payload (0) or the result (1) of a job is.
int64_t body_id(JobId id, int which) { return static_cast<int64_t>(static_cast<uint64_t>(id) * 2 + static_cast<uint64_t>(which)); }
}  // namespace

// ---- opening ---------------------------------------------------------------------------------------

Result<std::unique_ptr<Store>> Store::open(const Options& options) {
  auto db = Db::open({.path = options.path, .vfs = options.vfs, .log_safe = options.log_safe});
  if (!db) return db.error();
  std::unique_ptr<Store> store(new Store);
  store->db_ = std::move(*db);
  store->sql_ = std::make_unique<Statements>(*store->db_);
  store->gather();
  HF_TRY(store->create(options));
  return store;
}

Store::~Store() {
  if (db_) db_->write_before({});
}

void Store::gather() {
  rows_.emplace(*db_, GatheredRows::kJob);
  brief_.emplace(*db_);
  db_->write_before([this] {
    brief_->write();
    rows_->write(false);
  });
}

size_t Store::gathered() const { return rows_->size() + brief_->gathered(); }

void Store::resume() {
  sql_ = std::make_unique<Statements>(*db_);  // none is in the middle of its rows
  gather();
  rollback();
  db_->clear_error();
  look_at_ids();  // the commit that failed may have been written
  left_ = kUnclean;
  unsynced_ = false;  // what was read since is said by an engine that acknowledges nothing
}

Status Store::close(bool keep_log) {
  sql_.reset();
  db_->write_before({});
  rows_.reset();
  brief_.reset();
  db_->set_synchronous(true);
  if (keep_log) {
    db_->checkpoint();
  } else {
    db_->query_i64("PRAGMA wal_checkpoint(TRUNCATE)");
    if (db_->ok()) db_->checkpoint_on_close(true);  // and the log goes
  }
  db_->close();
  return db_->ok() ? ok_status() : Status(db_->error());
}

void Store::begin(bool wait_for_disk) {
  db_->set_synchronous(wait_for_disk);  // not possible inside a transaction
  waits_ = wait_for_disk;
  changes_before_ = db_->total_changes();
  db_->begin();
}

bool Store::wrote() const { return gathered() > 0 || db_->total_changes() != changes_before_; }

bool Store::commit() {
  constexpr int64_t kRowPages = kPagesAChange + 2 * int64_t{kBodyInlineMax} / 512;
  const auto rows = static_cast<int64_t>(gathered());
  if (owed_ < 0 || db_->has_reserved(owed_, std::max<int64_t>(rows, 1) * kRowPages)) {
    rows == 1 ? db_->settle_alone() : db_->settle();
  } else {
    db_->settle();  // before it is known how much room it takes
    db_->reserve(owed_);
  }
  if (!db_->commit()) return false;
  recent_committed_ = recent_from_;
  brief_->committed();
  ++commits_;
  const bool wrote = this->wrote();
  // SQLite syncs nothing for a transaction that wrote nothing; what it read, and its reply rests on, may have been
  // committed without waiting.
  if (waits_ && !wrote && unsynced_) return sync_log();
  if (waits_) ++synced_commits_;
  unsynced_ = !waits_ && (unsynced_ || wrote);
  return true;
}

// ---- jobs -----------------------------------------------------------------------------------------

bool Store::write_body(int64_t body_id, std::string_view bytes) {
  if (bytes.size() <= kBodyInlineMax) return false;
  sql_->put_body.bind(body_id).bind_blob(bytes).run();
  return true;
}

std::string Store::read_body(int64_t body_id) {
  std::string out;
  if (sql_->get_body.bind(body_id).step()) out = sql_->get_body.blob(0);
  sql_->get_body.reset();
  return out;
}

void Store::insert(const JobRow& row, std::string_view payload, bool brief) {
  const int64_t state = row.state == State::running ? running(row.id) : static_cast<int64_t>(row.state);
  if (GatheredRows::fits(row, payload)) return brief ? brief_->insert(row, payload, kRecent) : rows_->insert(row, payload, state);
  bool apart = write_body(body_id(row.id, 0), payload);
  Stmt& s = sql_->insert;
  s.bind(row.id).bind(row.lane).bind(state);
  s.bind(-row.priority).bind(row.due_ms).bind(row.attempts).bind(row.created_ms).bind_opt(row.at_wall_ms, 0).bind_opt(row.expires_ms, 0);
  s.bind_opt_text(row.unique_key).bind_opt_blob(row.opts);
  apart ? s.bind_null() : s.bind_blob(payload);
  s.run();
}

bool Store::restore(const FullRow& row, bool payload_apart, bool result_apart) {
  const JobRow& job = row.job;
  const int64_t before = db_->total_changes();
  Stmt& s = sql_->restore;
  s.bind(job.id).bind(job.lane).bind(static_cast<int64_t>(job.state)).bind(-job.priority).bind(job.due_ms);
  s.bind(job.attempts).bind(job.created_ms).bind_opt(job.at_wall_ms, 0).bind_opt(job.expires_ms, 0);
  s.bind_opt_text(job.unique_key).bind_opt_blob(job.opts);
  payload_apart ? s.bind_null() : s.bind_blob(row.payload);
  s.bind_opt(row.finished_ms, 0).bind_opt_text(row.error).bind_opt_blob(row.history);
  result_apart ? s.bind_null() : s.bind_opt_blob(row.result);
  s.run();
  return db_->total_changes() != before;
}

void Store::restore_body(int64_t body_id, std::string_view bytes) { sql_->restore_body.bind(body_id).bind_blob(bytes).run(); }

bool Store::has_body(int64_t body_id) {
  const bool there = sql_->body_size.bind(body_id).step();
  sql_->body_size.reset();
  return there;
}

void Store::remove_bodies_without_job() { db_->exec("DELETE FROM body WHERE id/2 NOT IN (SELECT id FROM job)"); }

// What changes a row has it in `job`.
Stmt& Store::change(Stmt& statement, JobId id) {
  if (brief_->has(id)) brief_->move(id, running(id));
  return statement.bind(id);
}

int64_t Store::running(JobId id) const { return id >= recent_from_ ? kRecent : static_cast<int64_t>(State::running); }

void Store::set_running(JobId id, int attempts) { sql_->set_running.bind(id).bind(running(id)).bind(attempts).run(); }

void Store::reserve_ids(JobId until) {
  set_meta("next_id", until);
  recent_from_ = std::max(recent_from_, until - kRecentIds);
  // From the last commit on: what was done since may have been taken back.
  sql_->index_recent.bind(recent_committed_).bind(recent_from_).run();
}

void Store::look_at_ids() {
  recent_from_ = recent_committed_ = std::clamp<int64_t>(meta("next_id", 1), kRecentIds + 1, kLargestId) - kRecentIds;
  brief_->load();
}

void Store::rollback() {
  rows_->drop();
  brief_->rollback();
  db_->rollback();
  recent_from_ = recent_committed_;
}

void Store::end_run(const EndOfRun& e) {
  bool apart = e.set_result && write_body(body_id(e.id, 1), e.result);
  Stmt& s = e.set_failure ? sql_->end_failure : e.set_result ? sql_->end_result : sql_->end_plain;
  change(s, e.id).bind(e.lane).bind(static_cast<int64_t>(e.state)).bind(e.due_ms).bind(e.attempts);
  s.bind_opt(e.finished_ms, 0).bind(e.keep_unique);
  if (e.set_failure) {
    s.bind_opt_text(e.error).bind_opt_blob(e.history);
  } else if (e.set_result) {
    apart ? s.bind_null() : s.bind_opt_blob(e.result);
  }
  s.run();
}

void Store::remove(JobId id, bool inlined) {
  brief_->has(id) ? brief_->remove(id) : rows_->remove(id);
  if (!inlined) sql_->remove_body.bind(body_id(id, 0)).run();
}

void Store::make_pending(JobId id, int lane, int priority, int64_t due_ms, int64_t at_wall_ms, int attempts) {
  change(sql_->make_pending, id).bind(lane).bind(-priority).bind(due_ms).bind_opt(at_wall_ms, 0).bind(attempts).run();
}

void Store::make_final(JobId id, State state, int64_t finished_ms, bool keep_unique) {
  change(sql_->make_final, id).bind(static_cast<int64_t>(state)).bind(finished_ms).bind(keep_unique).run();
}

void Store::set_error(JobId id, std::string_view error) { change(sql_->set_error, id).bind_opt_text(error).run(); }

void Store::set_payload(JobId id, std::string_view payload) {
  bool apart = write_body(body_id(id, 0), payload);
  if (!apart) sql_->delete_body.bind(body_id(id, 0)).run();
  Stmt& s = change(sql_->set_payload, id);
  apart ? s.bind_null() : s.bind_blob(payload);
  s.run();
}

void Store::set_opts(JobId id, std::string_view opts) { change(sql_->set_opts, id).bind_opt_blob(opts).run(); }

void Store::set_order(JobId id, int priority, int64_t due_ms, int64_t at_wall_ms, std::string_view opts) {
  change(sql_->set_order, id).bind(-priority).bind(due_ms).bind_opt(at_wall_ms, 0).bind_opt_blob(opts).run();
}

void Store::release_unique(JobId id) { change(sql_->release_unique, id).run(); }

void Store::set_unique(JobId id, std::string_view key) { change(sql_->set_unique, id).bind_text(key).run(); }

void Store::set_expiry(JobId id, int64_t expires_ms) { change(sql_->set_expiry, id).bind_opt(expires_ms, 0).run(); }

RunRow Store::read_for_run(JobId id, bool delivery) {
  RunRow row;
  Stmt& s = delivery ? sql_->read_delivery : sql_->read_run;
  if (!s.bind(id).step()) return row;
  row.found = true;
  row.opts = s.blob(0);
  row.created_ms = count_in(s, 1);
  row.expires_ms = count_in(s, 2);
  row.attempts = attempts_in(s, 3);
  bool apart = s.null(4);
  if (!apart) row.bytes = s.blob(4);
  s.reset();
  if (apart) row.bytes = read_body(body_id(id, delivery ? 1 : 0));
  return row;
}

FullRow Store::read(JobId id, bool with_bodies) {
  FullRow row;
  const bool brief = brief_->has(id);
  Stmt& s = brief ? sql_->read_brief : sql_->read;
  if (!s.bind(id).step()) return row;
  row.found = true;
  row.job.id = id;
  row.job.lane = lane_in(s, 0);
  row.job.state = state_in(s, 1);
  row.job.priority = -nprio_of(s.i64(2));
  row.job.due_ms = due_in(s, 3);
  row.job.attempts = attempts_in(s, 4);
  row.job.created_ms = count_in(s, 5);
  row.job.at_wall_ms = count_in(s, 6);
  row.job.expires_ms = count_in(s, 7);
  row.job.unique_key = s.text(8);
  row.job.opts = s.blob(9);
  row.finished_ms = count_in(s, 10);
  row.error = s.text(11);
  row.history = s.blob(12);
  bool sizes_apart[2] = {s.null(13), s.null(14)};
  row.payload_size = s.i64(13);
  row.result_size = s.i64(14);
  s.reset();
  Stmt& bodies = brief ? sql_->read_brief_bodies : sql_->read_bodies;
  if (with_bodies && bodies.bind(id).step()) {
    row.payload = bodies.blob(0);
    row.result = bodies.blob(1);
  }
  bodies.reset();
  for (int i = 0; i < 2; ++i) {
    if (!sizes_apart[i]) continue;
    if (sql_->body_size.bind(body_id(id, i)).step()) (i == 0 ? row.payload_size : row.result_size) = sql_->body_size.i64(0);
    sql_->body_size.reset();
    if (with_bodies) (i == 0 ? row.payload : row.result) = read_body(body_id(id, i));
  }
  return row;
}

void Store::set_history(JobId id, std::string_view history) { change(sql_->set_history, id).bind_opt_blob(history).run(); }

std::string Store::read_history(JobId id) {
  std::string out;
  if (sql_->read_history.bind(id).step()) out = sql_->read_history.blob(0);
  sql_->read_history.reset();
  return out;
}

namespace {
int64_t first(Stmt& s, int64_t absent) {
  int64_t v = s.step() ? s.i64(0) : absent;
  s.reset();
  return v;
}
std::vector<JobId> all_ids(Stmt& s) {
  std::vector<JobId> ids;
  while (s.step()) ids.push_back(s.i64(0));
  return ids;
}
}  // namespace

JobId Store::find_unique(std::string_view key) { return first(sql_->find_unique.bind_text(key), 0); }

// ---- order ----------------------------------------------------------------------------------------

// The priority level behind `level`, kNever at the end. A damaged index may name one that is not behind it: that is the
// end too, or the walk would not end.
int64_t Store::level_after(int lane, int64_t level) {
  const int64_t next = first(sql_->next_level.bind(lane).bind(level), kNever);
  return next > level ? next : kNever;
}

bool Store::ready(int lane, int64_t now_ms, const Order& order, size_t limit, std::vector<ReadyEntry>& out) {
  // The index (lane, nprio, due, id) is walked level by level: one seek a priority in use. With aging also the levels behind
  // a full one, each as far as it goes before what was found.
  const auto comes_first = [&](const ReadyEntry& a, const ReadyEntry& b) { return before(a, b, order); };
  out.clear();
  bool more = false;
  int64_t level = -HF_PRIORITY_MAX - 1;
  while (db_->ok()) {
    level = level_after(lane, level);
    if (level == kNever) break;
    Stmt& s = (order.newest ? sql_->newest_level : sql_->ready_level).bind(lane).bind(level).bind(now_ms).bind(static_cast<int64_t>(limit));
    while (s.step()) {
      const ReadyEntry entry{nprio_of(level), s.i64(0), s.i64(1)};
      if (more && !before(entry, out.back(), order)) break;
      if (more) out.pop_back();
      out.insert(std::upper_bound(out.begin(), out.end(), entry, comes_first), entry);
      more = out.size() >= limit;
    }
    s.reset();
    if (more && (order.newest || order.aging_ms == 0)) break;
  }
  return more;
}

int64_t Store::next_due(int lane, int64_t now_ms) {
  int64_t best = kNever;
  int64_t level = -HF_PRIORITY_MAX - 1;
  while (db_->ok()) {
    level = level_after(lane, level);
    if (level == kNever) break;
    best = std::min(best, first(sql_->next_due.bind(lane).bind(level).bind(now_ms), kNever));
  }
  return best;
}

std::vector<JobId> Store::first_pending(int lane, int64_t now_ms, const Order& order, size_t limit) {
  std::vector<ReadyEntry> first;
  ready(lane, now_ms, order, limit, first);
  std::vector<JobId> ids;
  for (const ReadyEntry& e : first) ids.push_back(e.id);
  const size_t most = limit - std::min(limit, first.size());
  std::vector<std::array<int64_t, 3>> later;  // by due time, then by priority and id
  int64_t level = -HF_PRIORITY_MAX - 1;
  while (most > 0 && db_->ok()) {
    level = level_after(lane, level);
    if (level == kNever) break;
    const auto before = static_cast<std::ptrdiff_t>(later.size());
    Stmt& s = sql_->later_level.bind(lane).bind(level).bind(now_ms).bind(static_cast<int64_t>(most));
    while (s.step()) later.push_back({s.i64(0), level, s.i64(1)});
    s.reset();
    std::inplace_merge(later.begin(), later.begin() + before, later.end());
    if (later.size() > most) later.resize(most);
  }
  for (const auto& [due, nprio, id] : later) ids.push_back(id);
  return ids;
}

void Store::each_pending(int lane, const std::function<bool(int, JobId)>& each) {
  Stmt& s = sql_->pending_of.bind(lane);
  while (s.step()) {
    if (!each(-nprio_of(s.i64(0)), s.i64(1))) break;
  }
  s.reset();
}

// A file that was closed has none out of the index.
std::vector<JobId> Store::left_running(int limit) {
  return left_ == kClean ? all_ids(sql_->running_page.bind(kNever).bind(limit)) : ids_by_state(State::running, 0, 0, limit);
}
std::vector<JobId> Store::wall_due(int64_t wall_ms, int limit) { return all_ids(sql_->wall_due.bind(wall_ms).bind(limit)); }
std::vector<Store::WallWaiting> Store::wall_waiting(int limit) {
  std::vector<WallWaiting> rows;
  Stmt& s = sql_->wall_waiting.bind(limit);
  while (s.step()) rows.push_back({s.i64(0), static_cast<int>(s.i64(1))});
  return rows;
}
std::vector<JobId> Store::expired(int64_t now_ms, int limit) { return all_ids(sql_->expired.bind(now_ms).bind(limit)); }
int64_t Store::next_expiry() { return first(sql_->next_expiry, kNever); }

std::vector<Store::Finished> Store::finished(State state, int64_t after_ms, JobId after_id, int64_t until_ms, int limit) {
  std::vector<Finished> rows;
  Stmt& s = sql_->finished.bind(static_cast<int64_t>(state)).bind(after_ms).bind(after_id).bind(until_ms).bind(limit);
  while (s.step()) rows.push_back({s.i64(0), count_in(s, 1), s.i64(2) != 0, static_cast<int>(s.i64(3))});
  return rows;
}

void Store::each_finished(State state, int64_t after_ms, JobId after_id, const std::function<bool(const Finished&)>& each) {
  Stmt& s = sql_->finished.bind(static_cast<int64_t>(state)).bind(after_ms).bind(after_id).bind(kNever).bind(-1);
  while (s.step()) {
    if (!each({s.i64(0), count_in(s, 1), s.i64(2) != 0, static_cast<int>(s.i64(3))})) break;
  }
  s.reset();
}

int64_t Store::latest_time() {
  int64_t latest = std::max(db_->query_i64("SELECT created FROM job ORDER BY id DESC LIMIT 1"), db_->query_i64("SELECT max(created) FROM hf_brief"));
  Stmt finished(*db_, "SELECT max(finished) FROM job WHERE state>=2 AND state=?1");
  for (State state : {State::completed, State::dead, State::cancelled}) latest = std::max(latest, first(finished.bind(static_cast<int64_t>(state)), 0));
  return std::min(latest, kTimeMax);
}

// ---- listing and counting -----------------------------------------------------------------------------

namespace {
// The first of both, which have the newest first.
std::vector<JobId> newest(const std::vector<JobId>& a, const std::vector<JobId>& b, int limit) {
  std::vector<JobId> ids(a.size() + b.size());
  std::merge(a.begin(), a.end(), b.begin(), b.end(), ids.begin(), std::greater<>());
  ids.resize(std::min(ids.size(), static_cast<size_t>(limit)));
  return ids;
}
}  // namespace

std::vector<JobId> Store::ids_by_state(State state, int64_t finished_ms, JobId before, int limit) {
  if (state == State::running) {
    const JobId below = before == 0 ? kNever : before;
    const std::vector<JobId> indexed = all_ids(sql_->running_page.bind(below).bind(limit));
    return newest(newest(indexed, all_ids(sql_->recent_running.bind(recent_from_).bind(below).bind(limit)), limit), brief_->newest(below, limit), limit);
  }
  return all_ids(sql_->final_page.bind(static_cast<int64_t>(state)).bind(finished_ms).bind(before == 0 ? kNever : before).bind(limit));
}

std::vector<JobId> Store::ids(JobId before, int limit) {
  const JobId below = before == 0 ? kNever : before;
  return newest(all_ids(sql_->page.bind(below).bind(limit)), brief_->newest(below, limit), limit);
}

int64_t Store::count(State state) {
  if (is_final(state)) return first(sql_->count_final.bind(static_cast<int64_t>(state)), 0);
  if (state == State::pending) return db_->query_i64("SELECT count(*) FROM job WHERE state=0");
  return db_->query_i64("SELECT count(*) FROM job WHERE state=1") + first(sql_->count_recent.bind(recent_from_), 0) + static_cast<int64_t>(brief_->size());
}

// ---- names, queues, schedules, meta ---------------------------------------------------------------------

std::vector<LaneRow> Store::lanes() {
  std::vector<LaneRow> rows;
  Stmt s(*db_, "SELECT id,queue,type,key,origin FROM lane ORDER BY id");
  while (s.step()) {
    rows.push_back({lane_in(s, 0), std::string(s.text(1)), std::string(s.text(2)), std::string(s.text(3)), lane_in(s, 4)});
  }
  return rows;
}

void Store::insert_lane(const LaneRow& lane) {
  sql_->insert_lane.bind(lane.id).bind_text(lane.queue).bind_text(lane.type).bind_text(lane.key).bind(lane.origin).run();
}

QueueRow queue_row(std::string_view name, bool paused, std::string_view bytes) {
  QueueRow row;
  row.name = name;
  row.set = decode_queue(bytes, &row.pause);
  row.pause.on = paused;
  if (!paused) row.pause = Pause();
  return row;
}

std::vector<QueueRow> Store::queues() {
  std::vector<QueueRow> rows;
  Stmt s(*db_, "SELECT name,paused,settings FROM queue ORDER BY name");
  while (s.step()) {
    rows.push_back(queue_row(s.text(0), s.i64(1) != 0, s.blob(2)));
  }
  return rows;
}

void Store::put_queue(const QueueRow& row) {
  sql_->put_queue.bind_text(row.name).bind(row.pause.on).bind_blob(encode_queue(row.set, row.pause)).run();
}

std::vector<ScheduleRow> Store::schedules() {
  std::vector<ScheduleRow> rows;
  Stmt s(*db_, "SELECT name,spec,paused,next,fire,last,last_job,fired,skipped,failures FROM schedule ORDER BY name");
  while (s.step()) {
    ScheduleRow row;
    row.spec = decode_schedule(s.blob(1));
    row.spec.name = s.text(0);
    row.paused = s.i64(2) != 0;
    row.next_ms = due_in(s, 3);
    row.fire_ms = row.next_ms == kNever ? kNever : due_in(s, 4);
    row.last_wall_ms = count_in(s, 5);
    row.last_job = s.i64(6);
    row.fired = count_in(s, 7);
    row.skipped = count_in(s, 8);
    row.failures = attempts_in(s, 9);
    rows.push_back(std::move(row));
  }
  return rows;
}

void Store::put_schedule(const ScheduleRow& row) {
  const std::string spec = encode_schedule(row.spec);
  Stmt& s = sql_->put_schedule.bind_text(row.spec.name).bind_blob(spec);
  s.bind(row.paused).bind(row.next_ms).bind(row.fire_ms).bind(row.last_wall_ms).bind(row.last_job);
  s.bind(row.fired).bind(row.skipped).bind(row.failures).run();
}

void Store::remove_schedule(const std::string& name) { sql_->remove_schedule.bind_text(name).run(); }

int64_t Store::meta(const char* key, int64_t absent) { return std::min(first(sql_->get_meta.bind_text(key), absent), kTimeMax); }
void Store::set_meta(const char* key, int64_t value) { sql_->put_meta.bind_text(key).bind(value).run(); }

void Store::drop_meta(const char* from, const char* to, int64_t most) { sql_->drop_meta.bind_text(from).bind_text(to).bind(most).run(); }

std::string Store::meta_text(const char* key) {
  std::string out;
  if (sql_->get_meta.bind_text(key).step()) out = sql_->get_meta.text(0);
  sql_->get_meta.reset();
  return out;
}
void Store::set_meta_text(const char* key, std::string_view value) { sql_->put_meta.bind_text(key).bind_text(value).run(); }

}  // namespace hf
