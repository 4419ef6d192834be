// A thin face over SQLite: one connection, prepared statements, a sticky error.
//
// Style of use: the first failure is remembered in the Db and everything after it is a no-op until the
// transaction is rolled back, so callers read like prose and look at ok() once, before COMMIT. This fits
// the engine's rule that an error is a crash: nothing is repaired half-way, the engine is reopened.
// core/sqlite.cpp, core/guest.cpp and core/write_count.cpp are the files of core/ that include sqlite3.h.
//
// Thread: whoever owns the Db, one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "core/write_count.h"

struct sqlite3;
struct sqlite3_file;
struct sqlite3_stmt;

namespace hf {

class Db;
class Guest;

// A prepared statement, made at first use, reset by the next run() or first bind after a step.
class Stmt {
 public:
  // `sql` must outlive the Stmt (a literal).
  Stmt(Db& db, const char* sql) : db_(db), sql_(sql) {}
  ~Stmt();
  Stmt(const Stmt&) = delete;
  Stmt& operator=(const Stmt&) = delete;

  Stmt& bind(int64_t v);               // binds parameters in order, from ?1
  Stmt& bind_text(std::string_view v);  // the bytes must live until the statement is reset
  Stmt& bind_blob(std::string_view v);
  Stmt& bind_null();
  Stmt& bind_opt(int64_t v, int64_t null_value) { return v == null_value ? bind_null() : bind(v); }
  Stmt& bind_opt_text(std::string_view v) { return v.empty() ? bind_null() : bind_text(v); }
  Stmt& bind_opt_blob(std::string_view v) { return v.empty() ? bind_null() : bind_blob(v); }

  // Next row: true if there is one. False at the end and after an error (see Db::ok).
  bool step();
  // Runs to the end and resets: for statements without rows.
  void run();
  void reset();

  int64_t i64(int col) const;
  bool null(int col) const;
  std::string_view text(int col) const;  // valid until the next step or reset
  std::string_view blob(int col) const;

  Stmt& bind_double(double v);

 private:
  bool prepare();
  Stmt& bound(int rc);

  Db& db_;
  const char* sql_;
  sqlite3_stmt* stmt_ = nullptr;
  int next_param_ = 1;
  bool stepping_ = false;
};

inline constexpr int64_t kReserveStep = 65536;  // bytes: not each commit makes the file longer
inline constexpr int64_t kPagesAChange = 32;    // that one row takes at most, beside those of its bytes: what it splits in
                                                // each index

// A place in a log: behind so many frames of it, as long as it has not begun anew.
struct LogPoint {
  int64_t frames = -1;      // -1: nobody knows
  uint64_t generation = 0;  // the salts in its header
  bool known() const { return frames >= 0; }
  bool operator==(const LogPoint&) const = default;
};

class Db {
 public:
  struct Options {
    std::string path;
    std::string vfs;         // "": the system's
    int cache_kib = 1024;    // page cache
    LogPoint log_safe = {};  // after an error of the Db before: its log_safe()
  };
  static Result<std::unique_ptr<Db>> open(const Options& options);
  ~Db();
  Db(const Db&) = delete;
  Db& operator=(const Db&) = delete;

  bool ok() const { return error_code_ == 0; }
  Error error() const;            // REQUIRES: !ok(); the first failure, with an HF_E_* code
  void fail(int sqlite_code, std::string_view doing);
  void damaged(std::string_view what);        // ... which SQLite cannot see: HF_E_CORRUPT
  void clear_error() { error_code_ = 0; error_text_.clear(); }
  // After a failed commit and its rollback: whether the file can be written, tried with a page as it is. There is no
  // error() after it.
  Status try_write();

  void exec(const char* sql);                 // no rows wanted
  void touch();                               // writes a page as it is
  int64_t query_i64(const char* sql);         // first column of the first row; 0 if none
  std::string query_text(const char* sql);
  std::vector<std::string> query_all_text(const char* sql, size_t limit);

  // `write` is called before the next statement begins, whenever something is owed: what was gathered for it. Empty: nobody gathers.
  void write_before(std::function<void()> write) { write_owed_ = std::move(write); }
  void owe() { owes_ = true; }
  void settle() {
    const bool owed = std::exchange(owes_, false);
    if (std::exchange(to_begin_, false)) begin_transaction();
    if (owed && write_owed_) write_owed_();
  }
  // The same where what is owed is one statement, which may be the whole transaction: it is committed by itself.
  void settle_alone() {
    alone_ = std::exchange(to_begin_, false);
    settle();
  }

  // SQLite begins with the first statement: it is spared a transaction around none, or around one (settle_alone).
  void begin() {
    to_begin_ = true;
    changes_before_ = total_changes();
  }
  bool commit();    // false: failed, and rolled back
  void rollback();  // clears nothing: the error stays for the reader
  // How the next commits that changed rows reach the disk: full waits for it, otherwise only checkpoints do.
  void set_synchronous(bool full) { wait_for_disk_ = full; }

  void sync_log();  // what was committed without waiting is on the disk then
  // Syncs the log, moves its pages to the database and syncs that.
  void checkpoint();
  // Before a commit: the file itself has blocks for all of its pages but for `owed` bytes, so that a checkpoint which
  // finds no room for more than that can still move the log into it. HF_E_FULL if not, and nothing is to be committed.
  void reserve(int64_t owed);
  // It has by now, and would do nothing after a commit of so many pages more.
  bool has_reserved(int64_t owed, int64_t more_pages = 0) const;
  int64_t log_bytes();   // of the file that the log is in
  void count_writes(bool on);  // to what is open; off at the close (write_count.cpp)
  int64_t take_written() { return written_.take(); }  // bytes, of the file and its log, since the last time
  // With little room, after a checkpoint: the log's file has `bytes`, and the database kReserveStep behind its end, as far
  // as there is room. These blocks are nobody else's.
  void keep_room(int64_t bytes);
  void truncate_log();   // as checkpoint(), and its file has no byte then; not if there is no room in the database
  // Up to here the log is on the disk. When a sync has failed, nobody knows of the rest, not even if a later sync
  // succeeds: the next Db on this file has to be told (Options::log_safe). Not known: no call of the file has failed but
  // for want of room, so that what is there is as good as what a process leaves that is killed.
  LogPoint log_safe() const { return io_failed_ ? log_safe_ : LogPoint(); }
  LogPoint log_known_safe() const { return log_safe_; }  // the same, whatever has failed: for when the next opening fails

  // Every byte of the database and its log, to see whether that is possible: else there is an error().
  void read_all();

  int64_t total_changes() const;  // rows, since the opening; and changes of the schema that we were told of
  void schema_changed() { ++schema_changes_; }
  // Pages in the file and free pages among them, as SQLite counts them in memory.
  void took_no_page(int64_t changes) { changes_then_ += changes; }  // so many of total_changes()
  int64_t page_count();
  int64_t free_pages();
  int64_t page_size() const { return page_size_; }  // REQUIRES: page_count() was called
  void set_page_size(int bytes);                    // of a file that is empty

  // Closes; a clean close checkpoints and removes the WAL.
  void close();
  // Off from the opening on: the close leaves the WAL as it is, as a kill does. After an error it must not move pages
  // into a damaged file, nor from a log that a failed sync left with holes.
  void checkpoint_on_close(bool on);

  sqlite3* raw() { return db_; }

  // For text that is not ours: it must be one statement, and runs if `allowed` says so of all that it would do (the
  // arguments of sqlite3_set_authorizer; a null is ""). What fails is that statement: ok() stays as it is.
  using Allowed = std::function<bool(int action, std::string_view first, std::string_view second)>;
  Status run_guarded(std::string_view sql, const Allowed& allowed);

 private:
  friend class Stmt;
  friend class Guest;
  Db() = default;
  static int on_commit(void* self, sqlite3*, const char*, int frames);
  static Status write_log_again(const Options& options, LogPoint& end);
  // All that is in the log is on the disk.
  void log_is_safe(int64_t frames);
  void find_log();  // ... which another process left
  // SQLITE_FCNTL_FILE_POINTER: of the database, ..._JOURNAL_POINTER: of its log. Null if there is none.
  sqlite3_file* file(int which);
  int64_t pages_at_most() const;
  static int fill(sqlite3_file* file, int64_t from, int64_t to);
  void begin_transaction();
  void note_io(int code);
  void fail_beside(int code, const char* end);  // not from the connection, which knows nothing of it
  void fail_read_only();

  sqlite3* db_ = nullptr;
  WriteCount written_;
  std::unique_ptr<Stmt> begin_, commit_;
  std::string path_, vfs_;
  int error_code_ = 0;  // extended SQLite code
  std::string error_text_;
  std::function<void()> write_owed_;
  bool owes_ = false;
  bool to_begin_ = false, alone_ = false;  // of the transaction
  bool wait_for_disk_ = true;
  int64_t changes_before_ = 0, schema_changes_ = 0;
  Guest* guest_ = nullptr;  // core/guest.cpp, as what follows
  bool guarded_ = false;
  int64_t page_size_ = 0;
  int64_t pages_ = 0, changes_then_ = 0;  // as last counted, and the changes until then
  int64_t bytes_bound_ = 0;               // to statements since then
  int64_t file_has_ = 0;    // bytes, at least; 0 after what may have made it shorter
  bool length_safe_ = false;  // what was there at the opening is on the disk
  int64_t log_frames_ = -1;      // -1: not known
  uint64_t log_generation_ = 0;  // 0: to be read
  bool log_moved_ = false;       // all of it is in the database: the next commit begins it anew
  LogPoint log_safe_;
  bool io_failed_ = false;
};

// The bytes of a file as its VFS gives them, past SQLite: to look at one that may be damaged. Never written.
class RawFile {
 public:
  // Null if there is no such file. `log`: it is the write-ahead log of `path`, and not `path` itself.
  static Result<std::unique_ptr<RawFile>> open(const std::string& path, const std::string& vfs, bool log);
  ~RawFile();
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  Status lock();  // as one who writes would; HF_E_LOCKED. Until it is closed
  int64_t size() const { return size_; }  // at the opening
  // What cannot be read (a bad sector, the end) is zeros: a reader of damaged files goes on.
  std::string read(int64_t at, size_t bytes) const;
  Status read_all_of(int64_t at, int bytes, void* to) const;  // an error instead
  // Reads it all: how many sectors of 512 bytes fail each of three times; -1 if hardly one can be read, as when the
  // device is away.
  int64_t unreadable_sectors() const;
  // The same bytes, so that the system has them to write once more; then a sync.
  Status write_again(int64_t from, int64_t to);

 private:
  RawFile() = default;
  int try_read(int64_t at, int bytes, void* to) const;
  Status failed(int rc) const;
  std::vector<uint64_t> memory_;  // the VFS's sqlite3_file
  char* name_ = nullptr;      // as a VFS wants it; sqlite3_create_filename
  bool open_ = false;
  int64_t size_ = 0;
  sqlite3_file* file() const;
};

// The HF_E_* that a SQLite result code (extended or not) means to a user.
int error_code_of_sqlite(int sqlite_code);

}  // namespace hf
