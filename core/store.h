// The queue's file, in verbs of the domain. One transaction at a time: begin(), verbs, commit().
//
// Errors are sticky (see sqlite.h): verbs return what they can, ok() says whether it counts. The tables and
// what every column means: docs/disk-format.md. Thread: the engine's.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/brief_rows.h"
#include "core/gathered_rows.h"
#include "core/guest.h"
#include "core/record.h"
#include "core/sqlite.h"
#include "core/types.h"

namespace hf {

inline constexpr int kSchemaVersion = 2;             // PRAGMA user_version
inline constexpr int64_t kApplicationId = 0x486c6466;  // "Hldf"
inline constexpr size_t kBodyInlineMax = 512;        // longer payloads and results have a row of their own
inline constexpr int kLanesMax = 65536;              // distinct (queue, type, key)
// meta "clean": how the file was left.
enum Left : int64_t {
  kUnclean = 0,  // in use, or its process ended; its log goes with it
  kClean = 1,    // closed: counts are kept, there is no log
  kCopied = 2,   // made in one piece, by a backup or a salvage: no log, no counts
};
inline constexpr int64_t kCheckMax = 16LL << 20;       // bytes of a file whose check at an unclean start is whole
inline constexpr int64_t kQuickCheckMax = 64LL << 20;  // ... is quick: rows that an index lacks are not found
inline constexpr int64_t kLogKeep = 1 << 20;        // bytes of the log that are kept when it begins anew
inline constexpr int64_t kIdBlock = 1024;            // ids reserved on the disk at a time
inline constexpr int64_t kRecentIds = 2 * kIdBlock;  // of which a job that runs is in no index: reserve_ids()
inline constexpr int64_t kIdGap = 1000000;           // after a loss new ids begin so far above every id that was seen
inline constexpr int64_t kLargestId = int64_t{1} << 60;  // body ids are twice as large

// A lane is the set of jobs that share every gate but the due time. `origin` is the lane that a delivery
// came from, 0 for a run.
struct LaneRow {
  int id = 0;
  std::string queue, type, key;
  int origin = 0;
};

// A row of `job` as it is enqueued.
struct JobRow {
  JobId id = 0;
  int lane = 0;
  State state = State::pending;
  int priority = 0;
  int64_t due_ms = 0;          // kNever while it waits for the wall clock
  int attempts = 0;
  int64_t created_ms = 0;
  int64_t at_wall_ms = 0;      // 0: none
  int64_t expires_ms = 0;      // 0: never
  std::string unique_key;      // "" when it holds none
  std::string opts;            // encode_opts
};

// The parts of a row that a run needs.
struct RunRow {
  bool found = false;
  std::string opts, bytes;
  int64_t created_ms = 0, expires_ms = 0;
  int attempts = 0;
};

// Everything, for show and for moving a job between states.
struct FullRow {
  bool found = false;
  JobRow job;
  int64_t finished_ms = 0;
  std::string error, history;
  std::string payload, result;  // if asked for
  int64_t payload_size = 0, result_size = 0;
};

struct ReadyEntry {
  int nprio = 0;  // -priority
  int64_t due_ms = 0;
  JobId id = 0;
  bool operator==(const ReadyEntry&) const = default;
};
// Of the ready jobs of a lane.
struct Order {
  bool newest = false;    // of one priority the newest first; else the oldest
  int64_t aging_ms = 0;   // the wait that is worth a point of priority; 0: none is. Oldest first only
  bool operator==(const Order&) const = default;
};
// The smaller one goes first. Aging needs no clock: a job of priority p that is due at d goes as one of priority 0 that is due
// p * aging before d, and so it stays, however long both wait (the "virtual deadline" of linear ageing).
using Rank = std::array<int64_t, 3>;
inline Rank rank_of(const ReadyEntry& e, const Order& order) {
  if (order.newest) return {e.nprio, -e.due_ms, -e.id};
  if (order.aging_ms == 0) return {e.nprio, e.due_ms, e.id};
  return {e.due_ms + e.nprio * order.aging_ms, e.nprio, e.id};
}
inline bool before(const ReadyEntry& a, const ReadyEntry& b, const Order& order) { return rank_of(a, order) < rank_of(b, order); }

struct QueueRow {
  std::string name;
  Pause pause;
  QueueSettings set;
};
QueueRow queue_row(std::string_view name, bool paused, std::string_view settings);  // as the file has it

struct ScheduleRow {
  ScheduleSpec spec;
  bool paused = false;
  int failures = 0;          // dead jobs in a row
  int64_t next_ms = 0;       // next scheduled time: wall, or elapsed for @every; 0: not computed yet
  int64_t fire_ms = 0;       // next_ms plus this firing's jitter
  int64_t last_wall_ms = 0;
  JobId last_job = 0;
  int64_t fired = 0, skipped = 0;
};

struct EndOfRun {          // how a row leaves the running state
  JobId id = 0;
  int lane = 0;            // changes when the job moves to its sink
  State state = State::pending;
  int64_t due_ms = 0;      // pending
  int attempts = 0;
  int64_t finished_ms = 0; // final
  bool keep_unique = false;
  bool set_result = false; // `result` replaces what is there
  std::string_view result;
  bool set_failure = false;  // `error` and `history` replace what is there
  std::string_view error, history;
};

class Store {
 public:
  // The log beside a file that is to be opened: a file in use has one, one that was closed has none. One without a byte
  // says nothing: on a full disk it is emptied in use.
  enum class LogFile { unknown, absent, present };
  struct Options {
    std::string path, vfs;
    int page_size = 1024;
    uint32_t new_file_id = 0;  // goes into the idempotency keys of a file that is made now
    LogPoint log_safe = {};    // Db::Options
    LogFile log = LogFile::unknown;
  };
  // Opens, makes or refuses the file. One that was not closed cleanly is checked: up to kCheckMax whole, up to
  // kQuickCheckMax without its indexes, a larger one when damage is met (HF_E_FOREIGN, HF_E_VERSION, HF_E_CORRUPT, HF_E_LOCKED, HF_E_READ_ONLY).
  static Result<std::unique_ptr<Store>> open(const Options& options);
  ~Store();
  // After an error, in place of an opening: the file is what was committed.
  void resume();
  Status try_write();

  bool ok() const { return db_->ok(); }
  Error error() const { return db_->error(); }
  void damaged(std::string_view what) { db_->damaged(what); }
  // wait_for_disk: the commit returns when the log is on the disk; else a power cut may take it back (it
  // survives a kill of the process all the same).
  void begin(bool wait_for_disk);
  bool commit();
  void rollback();
  Guest guest(GuestRules rules) { return Guest(*db_, std::move(rules)); }
  bool wrote() const;  // the open transaction did
  int64_t take_written() { return db_->take_written(); }                  // bytes, since the last time; not of a backup
  bool sync_log();  // what was committed without waiting is on the disk when it returns true
  bool checkpoint();  // ... and moved into the file, so that the log begins anew
  // The halves of the ballast (-1: there is none): so much at most the file owes to what is committed, and so much is the
  // log's. With little room nothing more is owed: the log can always be moved into the file, and begins anew in its blocks.
  void set_room(Room room, int64_t ballast);
  // At an opening with little room: the log is moved into the file, and what it grew to beyond what it keeps given back.
  void shrink_log();
  void keep_room();  // after each turn with little room: the log has its half, as far as there is room
  uint32_t file_id() const { return file_id_; }
  Left left() const { return left_; }  // kUnclean too if it says kClean and a log is there
  bool made() const { return made_; }  // the opening made the tables

  // Ids below are taken. A job that runs is in no index while its id is one of the last kRecentIds of them, so that a short life
  // costs none: whoever looks for such jobs reads these rows. When more ids are taken those that still run are put into theirs.
  void reserve_ids(JobId until);

  // ---- jobs
  // brief: it runs, and is expected to leave nothing behind (BriefRows).
  void insert(const JobRow& row, std::string_view payload, bool brief = false);
  void set_running(JobId id, int attempts);
  void end_run(const EndOfRun& end);
  void remove(JobId id, bool inlined = false);  // inlined: it has no row in `body`
  void make_pending(JobId id, int lane, int priority, int64_t due_ms, int64_t at_wall_ms, int attempts);
  void make_final(JobId id, State state, int64_t finished_ms, bool keep_unique);
  void set_error(JobId id, std::string_view error);
  void set_payload(JobId id, std::string_view payload);
  void set_opts(JobId id, std::string_view opts);
  void set_order(JobId id, int priority, int64_t due_ms, int64_t at_wall_ms, std::string_view opts);
  void release_unique(JobId id);
  void set_unique(JobId id, std::string_view key);
  void set_expiry(JobId id, int64_t expires_ms);  // 0: never

  // For a salvage: a whole row, bodies apart if it says so. False if the id is there already.
  bool restore(const FullRow& row, bool payload_apart, bool result_apart);
  void restore_body(int64_t body_id, std::string_view bytes);  // unless it is there
  bool has_body(int64_t body_id);
  void remove_bodies_without_job();

  RunRow read_for_run(JobId id, bool delivery);
  FullRow read(JobId id, bool with_bodies);
  std::string read_history(JobId id);
  void set_history(JobId id, std::string_view history);
  JobId find_unique(std::string_view key);

  // ---- order. Appends to `out` the first `limit` entries of a lane that are due; true if there may be more.
  bool ready(int lane, int64_t now_ms, const Order& order, size_t limit, std::vector<ReadyEntry>& out);
  int64_t next_due(int lane, int64_t now_ms);  // the earliest due time after now; kNever if none
  // The first `limit` pending jobs of a lane: those that are due, in their order, and then the others, by their time.
  std::vector<JobId> first_pending(int lane, int64_t now_ms, const Order& order, size_t limit);
  // The pending jobs of a lane, the lowest priority first, until `each` says false.
  void each_pending(int lane, const std::function<bool(int priority, JobId id)>& each);

  std::vector<JobId> left_running(int limit);  // the newest
  std::vector<JobId> wall_due(int64_t wall_ms, int limit);  // by `at`, oldest first
  struct WallWaiting {
    int64_t at_wall_ms = 0;
    int lane = 0;
  };
  std::vector<WallWaiting> wall_waiting(int limit);         // the earliest ones
  std::vector<JobId> expired(int64_t now_ms, int limit);
  int64_t next_expiry();
  // Final jobs of `state`, oldest first: those behind (after_ms, after_id) that finished at until_ms or before.
  struct Finished {
    JobId id = 0;
    int64_t finished_ms = 0;
    bool has_key = false;  // a unique key
    int lane = 0;
  };
  std::vector<Finished> finished(State state, int64_t after_ms, JobId after_id, int64_t until_ms, int limit);
  // The same, one by one, until `each` says false. It may read other things, and change nothing.
  void each_finished(State state, int64_t after_ms, JobId after_id, const std::function<bool(const Finished& row)>& each);
  int64_t latest_time();                    // the latest time on the elapsed axis at which a row was made or finished; 0 if none

  // ---- listing; all bounded. Newest id first, below `before`.
  // Final states, by the time of their end: behind (finished_ms, before); and running.
  std::vector<JobId> ids_by_state(State state, int64_t finished_ms, JobId before, int limit);
  std::vector<JobId> ids(JobId before, int limit);

  // ---- counting
  int64_t count(State state);
  std::vector<std::pair<int, int64_t>> pending_by_lane();

  // ---- names, queues, schedules, meta
  std::vector<LaneRow> lanes();
  void insert_lane(const LaneRow& lane);
  std::vector<QueueRow> queues();
  void put_queue(const QueueRow& row);
  std::vector<ScheduleRow> schedules();
  void put_schedule(const ScheduleRow& row);
  void remove_schedule(const std::string& name);
  int64_t meta(const char* key, int64_t absent);
  void set_meta(const char* key, int64_t value);
  void drop_meta(const char* from, const char* to, int64_t most);  // keys in [from, to) with a number up to `most`
  std::string meta_text(const char* key);
  void set_meta_text(const char* key, std::string_view value);

  // ---- the file
  int64_t used_bytes();            // without free pages
  int64_t page_size() const { return page_size_; }
  void vacuum_some(int pages);     // gives free pages back
  std::string check();             // "" if sound; else what is wrong
  Status backup(const std::string& path, uint32_t copy_id);  // not inside a transaction
  LogPoint log_safe() const { return db_->log_safe(); }
  LogPoint log_known_safe() const { return db_->log_known_safe(); }
  int64_t commits() const { return commits_; }
  int64_t synced_commits() const { return synced_commits_; }
  Status close(bool keep_log = false);  // keep_log: its blocks are worth having when the disk is full

 private:
  Store() = default;
  struct Statements;
  Status create(const Options& options);
  Status verify();
  bool has_brief();
  void upgrade();
  Status check_unclean();
  Result<std::string> find_damage(const char* check);
  int64_t level_after(int lane, int64_t level);
  int64_t running(JobId id) const;  // what it has in `state`
  Stmt& change(Stmt& statement, JobId id);
  void gather();
  size_t gathered() const;  // rows
  void look_at_ids();
  bool write_body(int64_t body_id, std::string_view bytes);
  std::string read_body(int64_t body_id);

  std::unique_ptr<Db> db_;
  std::unique_ptr<Statements> sql_;
  std::optional<GatheredRows> rows_;  // of `job`
  std::optional<BriefRows> brief_;
  uint32_t file_id_ = 0;
  Left left_ = kClean;
  bool made_ = false;
  int64_t page_size_ = 0;
  JobId recent_from_ = 1, recent_committed_ = 1;  // reserve_ids()
  int64_t owed_ = -1, log_room_ = 0;  // set_room(); -1: any
  int64_t commits_ = 0, synced_commits_ = 0;
  int64_t changes_before_ = 0;
  bool waits_ = false;
  bool unsynced_ = false;  // something was committed that a power cut may take back
};

}  // namespace hf
