#include "core/sqlite.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/names.h"
#include "core/wal_format.h"

namespace hf {

namespace {
constexpr int kCheckpointFrames = 1000;
}

int error_code_of_sqlite(int code) {
  switch (code) {
    case SQLITE_IOERR_NOMEM: return HF_E_NO_MEMORY;
    default: break;
  }
  switch (code & 0xff) {
    case SQLITE_OK: case SQLITE_ROW: case SQLITE_DONE: return HF_OK;
    case SQLITE_NOMEM: return HF_E_NO_MEMORY;
    case SQLITE_FULL: return HF_E_FULL;
    case SQLITE_BUSY: case SQLITE_LOCKED: return HF_E_LOCKED;
    case SQLITE_NOTADB: return HF_E_FOREIGN;
    case SQLITE_CORRUPT: return HF_E_CORRUPT;
    case SQLITE_READONLY: case SQLITE_PERM: return HF_E_READ_ONLY;
    case SQLITE_IOERR: case SQLITE_CANTOPEN: case SQLITE_NOLFS: return HF_E_IO;
    case SQLITE_TOOBIG: return HF_E_TOO_LARGE;
    default: return HF_E_INTERNAL;
  }
}

// ---- Stmt ----------------------------------------------------------------------------------------

Stmt::~Stmt() { sqlite3_finalize(stmt_); }

bool Stmt::prepare() {
  if (!db_.ok()) return false;
  if (stmt_ == nullptr) {
    int rc = sqlite3_prepare_v3(db_.db_, sql_, -1, SQLITE_PREPARE_PERSISTENT, &stmt_, nullptr);
    if (rc != SQLITE_OK) {
      db_.fail(rc, sql_);
      return false;
    }
  }
  if (stepping_) reset();
  return true;
}

Stmt& Stmt::bound(int rc) {
  if (rc != SQLITE_OK) db_.fail(rc, sql_);
  return *this;
}

Stmt& Stmt::bind(int64_t v) { return prepare() ? bound(sqlite3_bind_int64(stmt_, next_param_++, v)) : *this; }
Stmt& Stmt::bind_double(double v) { return prepare() ? bound(sqlite3_bind_double(stmt_, next_param_++, v)) : *this; }
Stmt& Stmt::bind_null() { return prepare() ? bound(sqlite3_bind_null(stmt_, next_param_++)) : *this; }

Stmt& Stmt::bind_text(std::string_view v) {
  if (!prepare()) return *this;
  db_.bytes_bound_ += static_cast<int64_t>(v.size());
  return bound(sqlite3_bind_text(stmt_, next_param_++, v.data() ? v.data() : "", static_cast<int>(v.size()), SQLITE_STATIC));
}

Stmt& Stmt::bind_blob(std::string_view v) {
  if (!prepare()) return *this;
  db_.bytes_bound_ += static_cast<int64_t>(v.size());
  return bound(sqlite3_bind_blob(stmt_, next_param_++, v.data() ? v.data() : "", static_cast<int>(v.size()), SQLITE_STATIC));
}

bool Stmt::step() {
  if (!stepping_) db_.settle();
  if (!db_.ok()) return false;  // what failed may have ended the transaction
  if (stmt_ == nullptr && !prepare()) return false;
  stepping_ = true;
  int rc = sqlite3_step(stmt_);
  if (rc == SQLITE_ROW) return true;
  if (rc != SQLITE_DONE) db_.fail(sqlite3_extended_errcode(db_.db_), sql_);
  reset();
  return false;
}

void Stmt::run() {
  while (step()) {
  }
}

void Stmt::reset() {
  if (stmt_ != nullptr) sqlite3_reset(stmt_);
  stepping_ = false;
  next_param_ = 1;
}

int64_t Stmt::i64(int col) const { return sqlite3_column_int64(stmt_, col); }
bool Stmt::null(int col) const { return sqlite3_column_type(stmt_, col) == SQLITE_NULL; }
std::string_view Stmt::text(int col) const { return blob(col); }
std::string_view Stmt::blob(int col) const {
  const void* data = sqlite3_column_blob(stmt_, col);
  int size = sqlite3_column_bytes(stmt_, col);
  return data == nullptr ? std::string_view{} : std::string_view{static_cast<const char*>(data), static_cast<size_t>(size)};
}

// ---- Db ------------------------------------------------------------------------------------------

namespace {
// SQLite says "cannot open" for this too; it is what a person can mend.
bool folder_is_read_only(const Db::Options& options) {
  const size_t slash = options.path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : options.path.substr(0, slash + 1);
  sqlite3_vfs* vfs = sqlite3_vfs_find(options.vfs.empty() ? nullptr : options.vfs.c_str());
  int exists = 0;
  int writable = 0;
  if (vfs == nullptr || vfs->xAccess(vfs, folder.c_str(), SQLITE_ACCESS_EXISTS, &exists) != SQLITE_OK) return false;
  return exists != 0 && vfs->xAccess(vfs, folder.c_str(), SQLITE_ACCESS_READWRITE, &writable) == SQLITE_OK && writable == 0;
}
}  // namespace

namespace {
// Up to the end of the last transaction, as SQLite's recovery has it: what is behind that is no part of the log, and the
// next transaction is written over it. `log`: null if there is none.
Status find_log_end(const RawFile* log, LogPoint& end, int64_t& frame_size) {
  constexpr int64_t kHeader = wal::kHeader;
  end = {.frames = 0};
  if (log == nullptr || log->size() < kHeader) return ok_status();
  std::string header(wal::kHeader, 0);
  HF_TRY(log->read_all_of(0, static_cast<int>(kHeader), header.data()));
  end.generation = wal::generation(header);
  std::string frame(wal::kFrameHeader + std::min<uint32_t>(wal::u32(header, 8), 65536), 0);
  frame_size = static_cast<int64_t>(frame.size());
  const bool big = wal::u32(header, 0) & 1;
  wal::Sum sum = wal::sum_in_header(header);
  for (int64_t n = 0; kHeader + (n + 1) * frame_size <= log->size(); ++n) {
    HF_TRY(log->read_all_of(kHeader + n * frame_size, static_cast<int>(frame.size()), frame.data()));
    sum = wal::sum_after(sum, frame, big);
    if (frame.compare(8, 8, header, 16, 8) != 0 || sum != wal::sum_in_frame(frame)) break;
    if (wal::u32(frame, 4) != 0) end.frames = n + 1;
  }
  return ok_status();
}
}  // namespace

// After a sync that failed, Linux takes the pages for clean: they can be read, a checkpoint would copy them, and no
// later sync writes them (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). So what
// was not known to be safe is written again. What was safe is not touched: a power cut could spoil it.
Status Db::write_log_again(const Options& options, LogPoint& end) {
  Result<std::unique_ptr<RawFile>> opened = RawFile::open(options.path, options.vfs, true);
  if (!opened) return opened.error();
  int64_t frame_size = 0;
  HF_TRY(find_log_end(opened->get(), end, frame_size));
  auto end_of = [&](int64_t n) { return static_cast<int64_t>(wal::kHeader) + n * frame_size; };
  const int64_t safe = options.log_safe.generation == end.generation ? options.log_safe.frames : 0;
  if (safe >= end.frames) return ok_status();
  return (*opened)->write_again(safe == 0 ? 0 : end_of(safe), end_of(end.frames));
}

Result<std::unique_ptr<Db>> Db::open(const Options& options) {
  std::unique_ptr<Db> db(new Db);
  db->path_ = options.path;
  db->vfs_ = options.vfs;
  if (options.log_safe.known()) {
    HF_TRY(write_log_again(options, db->log_safe_));
    db->log_frames_ = db->log_safe_.frames;
    if (db->log_frames_ > 0) db->log_generation_ = db->log_safe_.generation;  // else SQLite may give it another
  }
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  int rc = sqlite3_open_v2(options.path.c_str(), &db->db_, flags,
                           options.vfs.empty() ? nullptr : options.vfs.c_str());
  if (rc != SQLITE_OK) {
    const bool read_only = (rc & 0xff) == SQLITE_CANTOPEN && folder_is_read_only(options);
    db->fail(read_only ? SQLITE_READONLY_DIRECTORY : rc, "open");
    return db->error();
  }
  // No plan depends on a bound value; else some statements would be parsed anew each time that one is bound.
  sqlite3_db_config(db->db_, SQLITE_DBCONFIG_ENABLE_QPSG, 1, nullptr);
  sqlite3_wal_hook(db->db_, on_commit, db.get());
  db->checkpoint_on_close(false);
  // The lock of the first read is kept: no other process can open the file, no -shm file is needed, and no
  // lock call is made again.
  db->exec("PRAGMA locking_mode=EXCLUSIVE");
  std::string cache = "PRAGMA cache_size=-" + std::to_string(options.cache_kib);
  db->exec(cache.c_str());
  db->exec("PRAGMA temp_store=MEMORY");
  db->exec("PRAGMA foreign_keys=OFF");
  if (!db->ok()) return db->error();
  return db;
}

Db::~Db() { close(); }

void Db::close() {
  begin_.reset();
  commit_.reset();
  if (db_ == nullptr) return;
  count_writes(false);
  // Other statements are finalized by their owners; close_v2 lets one that is left linger rather than leak the lock.
  sqlite3_close_v2(db_);
  db_ = nullptr;
}

void Db::checkpoint_on_close(bool on) {
  sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, on ? 0 : 1, nullptr);
}

void Db::note_io(int code) {
  io_failed_ |= (code & 0xff) == SQLITE_IOERR && code != SQLITE_IOERR_NOMEM;
}

void Db::fail(int code, std::string_view doing) {
  note_io(code);
  if (error_code_ != 0) return;
  if ((code & 0xff) == SQLITE_IOERR && db_ != nullptr && sqlite3_system_errno(db_) == EROFS) return fail_read_only();
  error_code_ = code == SQLITE_OK ? SQLITE_ERROR : code;
  const char* text = db_ != nullptr ? sqlite3_errmsg(db_) : sqlite3_errstr(code);
  error_text_ = one_line(path_ + ": " + (text != nullptr ? text : "error"));  // it may quote a damaged schema
  if (error_code_of_sqlite(error_code_) == HF_E_INTERNAL) error_text_.append(" in ").append(doing);
}

void Db::damaged(std::string_view what) {
  if (error_code_ != 0) return;
  error_code_ = SQLITE_CORRUPT;
  error_text_ = path_ + ": the file is damaged: " + std::string(what);
}

Error Db::error() const { return Error{error_code_of_sqlite(error_code_), error_text_}; }

void Db::exec(const char* sql) {
  settle();
  if (!ok()) return;
  int rc = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (rc != SQLITE_OK) fail(rc, sql);
}

void Db::touch() { exec(("PRAGMA application_id=" + std::to_string(query_i64("PRAGMA application_id"))).c_str()); }

int64_t Db::query_i64(const char* sql) {
  Stmt stmt(*this, sql);
  return stmt.step() ? stmt.i64(0) : 0;
}

std::string Db::query_text(const char* sql) {
  Stmt stmt(*this, sql);
  return stmt.step() ? std::string(stmt.text(0)) : std::string();
}

std::vector<std::string> Db::query_all_text(const char* sql, size_t limit) {
  std::vector<std::string> rows;
  Stmt stmt(*this, sql);
  while (rows.size() < limit && stmt.step()) rows.emplace_back(stmt.text(0));
  return rows;
}

void Db::begin_transaction() {
  if (!begin_) begin_ = std::make_unique<Stmt>(*this, "BEGIN IMMEDIATE");
  begin_->run();
}

bool Db::commit() {
  if (!commit_) commit_ = std::make_unique<Stmt>(*this, "COMMIT");
  const bool ended = std::exchange(alone_, false) || (!owes_ && std::exchange(to_begin_, false));
  if (!ended) commit_->run();
  if (ok() && wait_for_disk_ && total_changes() != changes_before_) sync_log();
  if (ok()) return true;
  rollback();
  return false;
}

sqlite3_file* Db::file(int which) {
  sqlite3_file* file = nullptr;
  const int rc = sqlite3_file_control(db_, "main", which, &file);
  return rc == SQLITE_OK && file != nullptr && file->pMethods != nullptr ? file : nullptr;
}

// Linux makes a file system read-only when it meets an error in it. To SQLite that is an I/O error like others.
void Db::fail_read_only() {
  error_code_ = SQLITE_READONLY;
  error_text_ = path_ + ": the file system is read-only";
}

void Db::fail_beside(int code, const char* end) {
  note_io(code);
  if (error_code_ != 0) return;
  if ((code & 0xff) == SQLITE_IOERR && errno == EROFS) return fail_read_only();
  error_code_ = code;
  error_text_ = path_ + end + ": " + sqlite3_errstr(code);
}

// What synchronous=FULL does at the end of a commit. Here, since to change that setting for each transaction is to
// parse a PRAGMA each time.
void Db::sync_log() {
  sqlite3_file* log = file(SQLITE_FCNTL_JOURNAL_POINTER);
  const int rc = log == nullptr ? SQLITE_ERROR : log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
  if (rc != SQLITE_OK) return fail_beside(rc, "-wal");
  log_is_safe(log_frames_);
}

void Db::log_is_safe(int64_t frames) {
  log_frames_ = frames;
  if (frames > 0 && log_generation_ == 0) {
    std::array<char, wal::kHeader> header{};
    sqlite3_file* log = file(SQLITE_FCNTL_JOURNAL_POINTER);
    const int rc = log == nullptr ? SQLITE_ERROR : log->pMethods->xRead(log, header.data(), static_cast<int>(header.size()), 0);
    if (rc != SQLITE_OK) return fail_beside(rc, "-wal");
    log_generation_ = wal::generation({header.data(), header.size()});
  }
  log_safe_ = {frames, frames > 0 ? log_generation_ : 0};
}

// As SQLite's own automatic checkpoint, which keeps a failed sync to itself.
int Db::on_commit(void* self, sqlite3*, const char*, int frames) {
  auto* db = static_cast<Db*>(self);
  db->log_frames_ = frames;
  if (std::exchange(db->log_moved_, false)) db->log_generation_ = 0;
  if (frames >= kCheckpointFrames) db->checkpoint();
  return SQLITE_OK;
}

void Db::checkpoint() {
  if (!ok()) return;
  file_has_ = 0;
  int in_log = 0;
  int moved = 0;
  int rc = sqlite3_wal_checkpoint_v2(db_, "main", SQLITE_CHECKPOINT_PASSIVE, &in_log, &moved);
  // Without room for the database to grow the log goes on; it was synced before that was met.
  if (rc == SQLITE_FULL) return log_frames_ >= 0 ? log_is_safe(log_frames_) : find_log();
  if (rc != SQLITE_OK) return fail(rc, "checkpoint");
  if (in_log < 0 || in_log != moved) return;
  log_is_safe(in_log);
  log_moved_ = true;  // the next commit begins it anew
}

void Db::find_log() {
  Result<std::unique_ptr<RawFile>> log = RawFile::open(path_, vfs_, true);
  int64_t frame_size = 0;
  const Status found = log ? find_log_end(log->get(), log_safe_, frame_size) : Status(log.error());
  if (!found) return fail_beside(SQLITE_IOERR_READ, "-wal");
  log_frames_ = log_safe_.frames;
  log_generation_ = log_safe_.generation;
}

// Zeros at the end, of which SQLite sees nothing: how many pages there are says the header, or the log's last commit,
// and frames of the log count by their salts. (SQLITE_FCNTL_CHUNK_SIZE makes files longer in the same way.)
int Db::fill(sqlite3_file* file, int64_t from, int64_t to) {
  constexpr int64_t kPart = 65536;
  const std::vector<char> zeros(static_cast<size_t>(std::clamp<int64_t>(to - from, 0, kPart)));
  int rc = SQLITE_OK;
  for (int64_t at = from; at < to && rc == SQLITE_OK; at += kPart) {
    rc = file->pMethods->xWrite(file, zeros.data(), static_cast<int>(std::min(kPart, to - at)), at);
  }
  return rc;
}

// To count them is a PRAGMA, which SQLite parses anew each time.
int64_t Db::pages_at_most() const {
  return pages_ + (total_changes() - changes_then_) * kPagesAChange + 2 * bytes_bound_ / std::max<int64_t>(page_size_, 512);
}

bool Db::has_reserved(int64_t owed, int64_t more_pages) const {
  return length_safe_ && (pages_at_most() + more_pages) * page_size_ - owed <= file_has_;
}

void Db::reserve(int64_t owed) {
  if (has_reserved(owed)) return;
  const int64_t bytes = page_count() * page_size_;  // with those of the open transaction
  const int64_t wanted = bytes - owed;
  if (!ok() || (length_safe_ && wanted <= file_has_)) return;
  sqlite3_file* db = file(SQLITE_FCNTL_FILE_POINTER);
  sqlite3_int64 size = 0;
  int rc = db == nullptr ? SQLITE_ERROR : db->pMethods->xFileSize(db, &size);
  // Beside a log without a commit SQLite takes the number of pages from the file's length, which the next commit then
  // says too. If a killed process left it longer, and a power cut took that back, the log would be taken for damaged.
  if (rc == SQLITE_OK && !length_safe_ && size > bytes) rc = db->pMethods->xSync(db, SQLITE_SYNC_NORMAL);
  length_safe_ = rc == SQLITE_OK;
  if (rc == SQLITE_OK && size < wanted) {
    const int64_t to = owed > 0 ? wanted + kReserveStep : wanted;
    rc = fill(db, size, to);
    if (rc == SQLITE_OK) size = to;
    else db->pMethods->xTruncate(db, size);
  }
  if (rc != SQLITE_OK) return fail_beside(rc, "");
  file_has_ = size;
}

Status Db::run_guarded(std::string_view sql, const Allowed& allowed) {
  auto ask = [](void* user, int action, const char* first, const char* second, const char* database, const char*) {
    const bool main = database == nullptr || std::strcmp(database, "main") == 0;
    return main && (*static_cast<const Allowed*>(user))(action, first != nullptr ? first : "", second != nullptr ? second : "") ? SQLITE_OK : SQLITE_DENY;
  };
  sqlite3_set_authorizer(db_, ask, const_cast<Allowed*>(&allowed));
  sqlite3_stmt* stmt = nullptr;
  const char* rest = sql.data();
  int rc = sqlite3_prepare_v2(db_, sql.data(), static_cast<int>(sql.size()), &stmt, &rest);
  const std::string_view behind = sql.substr(static_cast<size_t>(rest - sql.data()));
  if (rc == SQLITE_OK && (stmt == nullptr || behind.find_first_not_of(" \t\r\n;") != behind.npos)) rc = SQLITE_MISUSE;
  while (rc == SQLITE_OK || rc == SQLITE_ROW) rc = sqlite3_step(stmt);
  Status status = ok_status();
  if (rc != SQLITE_DONE) status = Error{error_code_of_sqlite(rc), one_line(rc == SQLITE_MISUSE ? "not one statement" : sqlite3_errmsg(db_))};
  sqlite3_finalize(stmt);
  sqlite3_set_authorizer(db_, nullptr, nullptr);
  note_io(rc);
  return status;
}

int64_t Db::log_bytes() {
  sqlite3_file* log = file(SQLITE_FCNTL_JOURNAL_POINTER);
  sqlite3_int64 size = 0;
  return log != nullptr && log->pMethods->xFileSize(log, &size) == SQLITE_OK ? size : 0;
}

// What finds no room is missing. The database's part is for pages that a cancel splits; each checkpoint cuts it off.
void Db::keep_room(int64_t bytes) {
  if (!ok()) return;
  sqlite3_file* log = file(SQLITE_FCNTL_JOURNAL_POINTER);
  const int64_t size = log_bytes();
  if (size > 0) fill(log, size, bytes);  // 0: its header is to come, and must not be zeros
  if (file_has_ == 0) reserve(-kReserveStep);
  if (error_code_ == SQLITE_FULL) clear_error();
}

void Db::truncate_log() {
  if (!ok()) return;
  file_has_ = 0;
  const int rc = sqlite3_wal_checkpoint_v2(db_, "main", SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  if (rc == SQLITE_FULL) return;
  if (rc != SQLITE_OK) return fail(rc, "checkpoint");
  log_is_safe(0);
  log_moved_ = true;
}

Status Db::try_write() {
  rollback();
  clear_error();
  // What a failed sync lost is not made safe by one that follows, and must not be moved into the file.
  const LogPoint safe = log_safe_;
  sqlite3_wal_hook(db_, nullptr, nullptr);
  begin();
  touch();
  if (ok()) commit();
  if (ok()) sync_log();
  rollback();
  sqlite3_wal_hook(db_, on_commit, this);
  log_safe_ = safe;
  const Status status = ok() ? ok_status() : Status(error());
  clear_error();
  return status;
}

void Db::read_all() {
  constexpr sqlite3_int64 kPart = 4096;  // many reads: one that fails now and then is met
  std::vector<char> bytes(kPart);
  for (int which : {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER}) {
    sqlite3_file* one = file(which);
    if (one == nullptr) continue;
    sqlite3_int64 size = 0;
    int rc = one->pMethods->xFileSize(one, &size);
    for (sqlite3_int64 at = 0; at < size && rc == SQLITE_OK; at += kPart) {
      rc = one->pMethods->xRead(one, bytes.data(), static_cast<int>(std::min(kPart, size - at)), at);
    }
    if (rc != SQLITE_OK) return fail_beside(rc, "");
  }
}

void Db::rollback() {
  to_begin_ = alone_ = false;
  // Not through exec(): it must happen after an error too. SQLite may have rolled back by itself already.
  if (db_ != nullptr && sqlite3_get_autocommit(db_) == 0) {
    sqlite3_exec(db_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

void Db::set_page_size(int bytes) {
  exec(("PRAGMA page_size=" + std::to_string(bytes)).c_str());
  page_size_ = 0;  // it may have been asked for before
}

int64_t Db::total_changes() const { return sqlite3_total_changes64(db_) + schema_changes_; }

int64_t Db::page_count() {
  if (page_size_ == 0) page_size_ = query_i64("PRAGMA page_size");
  pages_ = query_i64("PRAGMA page_count");
  changes_then_ = total_changes();
  bytes_bound_ = 0;
  return pages_;
}
int64_t Db::free_pages() { return query_i64("PRAGMA freelist_count"); }

// ---- RawFile ---------------------------------------------------------------------------------------

Result<std::unique_ptr<RawFile>> RawFile::open(const std::string& path, const std::string& vfs_name, bool log) {
  sqlite3_vfs* vfs = sqlite3_vfs_find(vfs_name.empty() ? nullptr : vfs_name.c_str());
  if (vfs == nullptr) return Error{HF_E_IO, "there is no vfs " + vfs_name};
  std::string full(static_cast<size_t>(vfs->mxPathname) + 1, 0);
  int rc = vfs->xFullPathname(vfs, path.c_str(), static_cast<int>(full.size()), full.data());
  if ((rc & 0xff) != SQLITE_OK) return Error{HF_E_IO, path + ": " + sqlite3_errstr(rc)};
  full.resize(full.find('\0'));
  std::unique_ptr<RawFile> raw(new RawFile);
  raw->name_ = const_cast<char*>(sqlite3_create_filename(full.c_str(), (full + "-journal").c_str(), (full + "-wal").c_str(), 0, nullptr));
  if (raw->name_ == nullptr) return Error{HF_E_NO_MEMORY, "out of memory"};
  const char* name = log ? sqlite3_filename_wal(raw->name_) : raw->name_;
  int exists = 0;
  rc = vfs->xAccess(vfs, name, SQLITE_ACCESS_EXISTS, &exists);
  if (rc == SQLITE_OK && exists == 0) return std::unique_ptr<RawFile>();
  raw->memory_.resize(static_cast<size_t>(vfs->szOsFile) / sizeof(uint64_t) + 1);
  // A log whose database is gone cannot be opened as a log: the VFS would look for the database's rights.
  int main_exists = 0;
  if (rc == SQLITE_OK && log) rc = vfs->xAccess(vfs, raw->name_, SQLITE_ACCESS_EXISTS, &main_exists);
  if (rc == SQLITE_OK) {
    const int kind = log && main_exists != 0 ? SQLITE_OPEN_WAL : SQLITE_OPEN_MAIN_DB;
    rc = vfs->xOpen(vfs, name, raw->file(), SQLITE_OPEN_READWRITE | kind, nullptr);
    raw->open_ = raw->file()->pMethods != nullptr;
  }
  sqlite3_int64 size = 0;
  if (rc == SQLITE_OK) rc = raw->file()->pMethods->xFileSize(raw->file(), &size);
  if (rc != SQLITE_OK) return Error{error_code_of_sqlite(rc), std::string(name) + ": " + sqlite3_errstr(rc)};
  raw->size_ = size;
  return raw;
}

RawFile::~RawFile() {
  if (open_) file()->pMethods->xClose(file());
  sqlite3_free_filename(name_);
}

sqlite3_file* RawFile::file() const { return reinterpret_cast<sqlite3_file*>(const_cast<uint64_t*>(memory_.data())); }

Status RawFile::lock() {
  int rc = SQLITE_OK;
  for (int level : {SQLITE_LOCK_SHARED, SQLITE_LOCK_RESERVED, SQLITE_LOCK_EXCLUSIVE}) {
    if (rc == SQLITE_OK) rc = file()->pMethods->xLock(file(), level);
  }
  return rc == SQLITE_OK ? ok_status() : failed(rc);
}

int RawFile::try_read(int64_t at, int bytes, void* to) const { return file()->pMethods->xRead(file(), to, bytes, at); }

namespace {
constexpr int64_t kSector = 512;
constexpr int kReadTries = 3;
constexpr int64_t kBadSectorsMost = 1000;  // without a good one among them
}  // namespace

std::string RawFile::read(int64_t at, size_t bytes) const {
  std::string out(bytes, 0);
  if (at < 0 || at >= size_) return out;
  const int64_t end = std::min<int64_t>(at + static_cast<int64_t>(bytes), size_);
  if (try_read(at, static_cast<int>(end - at), out.data()) == SQLITE_OK) return out;
  std::fill(out.begin(), out.end(), '\0');
  for (int64_t from = at, to; from < end; from = to) {
    to = std::min((from / kSector + 1) * kSector, end);
    char* part = out.data() + (from - at);
    if (try_read(from, static_cast<int>(to - from), part) != SQLITE_OK) std::fill_n(part, to - from, '\0');
  }
  return out;
}

int64_t RawFile::unreadable_sectors() const {
  constexpr int64_t kPart = 65536;
  std::vector<char> part(kPart);
  int64_t bad = 0, good = 0;
  for (int64_t at = 0; at < size_; at += kPart) {
    const int64_t end = std::min(at + kPart, size_);
    if (try_read(at, static_cast<int>(end - at), part.data()) == SQLITE_OK) {
      ++good;
      continue;
    }
    for (int64_t from = at; from < end; from += kSector) {
      int rc = SQLITE_ERROR;
      for (int i = 0; i < kReadTries && rc != SQLITE_OK; ++i) rc = try_read(from, static_cast<int>(std::min(kSector, end - from)), part.data());
      ++(rc == SQLITE_OK ? good : bad);
    }
    if (good == 0 && bad >= kBadSectorsMost) break;
  }
  return bad > 0 && good == 0 ? -1 : bad;
}

Status RawFile::failed(int rc) const { return Error{error_code_of_sqlite(rc), std::string(name_) + ": " + sqlite3_errstr(rc)}; }

Status RawFile::read_all_of(int64_t at, int bytes, void* to) const {
  const int rc = try_read(at, bytes, to);
  return rc == SQLITE_OK ? ok_status() : failed(rc);
}

Status RawFile::write_again(int64_t from, int64_t to) {
  std::vector<char> bytes(65536);
  for (int n = 0; from < to; from += n) {
    n = static_cast<int>(std::min<int64_t>(static_cast<int64_t>(bytes.size()), to - from));
    HF_TRY(read_all_of(from, n, bytes.data()));
    const int rc = file()->pMethods->xWrite(file(), bytes.data(), n, from);
    if (rc != SQLITE_OK) return failed(rc);
  }
  const int rc = file()->pMethods->xSync(file(), SQLITE_SYNC_NORMAL);
  return rc == SQLITE_OK ? ok_status() : failed(rc);
}

}  // namespace hf
