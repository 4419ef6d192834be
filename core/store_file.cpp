// The file as a whole: made, verified and checked at the opening, kept with room, copied. The rows are in store.cpp.
#include <algorithm>
#include <cstdlib>

#include "core/schema.h"
#include "core/store.h"

namespace hf {

Status Store::create(const Options& options) {
  Db& db = *db_;
  int64_t application = db.query_i64("PRAGMA application_id");
  int64_t version = db.query_i64("PRAGMA user_version");
  bool empty = db.query_i64("SELECT count(*) FROM sqlite_schema") == 0;
  if (!db.ok()) {
    Error error = db.error();
    if (error.code == HF_E_INTERNAL) error.code = HF_E_CORRUPT;  // a schema or a header that SQLite cannot make out
    return error;
  }
  if (application != kApplicationId && (application != 0 || version != 0 || !empty)) {
    return Error{HF_E_FOREIGN, "the file is a database of another application (application_id " +
                                   std::to_string(application) + "); it was left untouched"};
  }
  if (application == kApplicationId && empty) return Error{HF_E_CORRUPT, "the file is damaged: its tables are gone"};
  if (application == kApplicationId) HF_TRY(verify());

  if (empty && db.page_count() > 0) {
    auto damage = find_damage("PRAGMA integrity_check(1)");
    if (!damage) return damage.error();
    if (!damage->empty()) return Error{HF_E_CORRUPT, "the file is damaged, and holds no tables"};
  }
  made_ = empty;
  if (empty) {
    db.set_page_size(options.page_size);
    db.exec("PRAGMA auto_vacuum=INCREMENTAL");
  }
  std::string mode = db.query_text("PRAGMA journal_mode=WAL");
  if (!db.ok()) return db.error();
  if (mode != "wal") return Error{HF_E_IO, "the file system does not allow a write-ahead log (journal mode " + mode + ")"};
  db.exec("PRAGMA synchronous=NORMAL");  // checkpoints wait for the disk; which commits do says set_synchronous()
  db.exec(("PRAGMA journal_size_limit=" + std::to_string(kLogKeep)).c_str());
  db.set_synchronous(true);
  const int64_t left = empty ? kClean : meta("clean", kClean);
  left_ = left == kClean && options.log == LogFile::present ? kUnclean : left == kClean || left == kCopied ? static_cast<Left>(left) : kUnclean;
  if (!empty && left_ != kClean) HF_TRY(check_unclean());  // before anything is written to the file
  db.count_writes(true);
  // A log that another process left may have parts that its failed sync lost (Db::log_safe). It would not have told
  // us, so what is new does not go behind it: from here on the log begins anew.
  if (!options.log_safe.known()) db.checkpoint();
  db.begin();
  db.settle();
  db.count_writes(true);  // a log that is new is there now
  if (empty) {
    db.exec(kSchema);
    db.exec(("PRAGMA application_id=" + std::to_string(kApplicationId)).c_str());
    db.exec(("PRAGMA user_version=" + std::to_string(kSchemaVersion)).c_str());
    set_meta("min_reader", kSchemaVersion);
    set_meta("file_id", options.new_file_id);
  }
  if (!empty && (version < kSchemaVersion || !has_brief())) upgrade();
  if (!db.commit()) return db.error();
  file_id_ = static_cast<uint32_t>(meta("file_id", 0));
  look_at_ids();
  // Without the log that was moved into it, what the file says of ids may be newer than its rows.
  if (left_ == kUnclean && options.log == LogFile::absent) recent_from_ = recent_committed_ = 1;
  db.page_count();
  page_size_ = db.page_size();
  if (!db.ok()) return db.error();
  return ok_status();
}

namespace {
// What came with format 2: the text that makes it.
std::string brief_table() {
  const std::string_view schema = kSchema;
  const size_t at = schema.find("CREATE TABLE hf_brief(");
  return std::string(schema.substr(at, schema.find(";\n", at) + 2 - at));
}
}  // namespace

bool Store::has_brief() { return db_->query_i64("SELECT count(*) FROM sqlite_schema WHERE name='hf_brief'") != 0; }

// A file of format 1: in the transaction of the opening, so that an older Holdfast has it whole or not at all.
void Store::upgrade() {
  if (!has_brief()) db_->exec(brief_table().c_str());
  db_->exec(("PRAGMA user_version=" + std::to_string(kSchemaVersion)).c_str());
  set_meta("min_reader", kSchemaVersion);
}

Status Store::verify() {
  int64_t version = db_->query_i64("PRAGMA user_version");
  if (version > kSchemaVersion) {
    int64_t min_reader = meta("min_reader", version);
    if (!db_->ok()) return db_->error();
    if (min_reader > kSchemaVersion) {
      return Error{HF_E_VERSION, "the database has format " + std::to_string(version) + " and needs a Holdfast that reads " +
                                     std::to_string(min_reader) + "; this one reads up to " +
                                     std::to_string(kSchemaVersion)};
    }
  }
  // Bits that flipped in the description of the file: SQLite would look for other names, or count pages otherwise.
  // A SQLite without UTF-16 (toolchains/deps/small.sh) has no pragma for the encoding: bits that flipped there are not found by it.
  const std::string encoding = db_->query_text("PRAGMA encoding");
  bool sound = db_->query_i64("PRAGMA auto_vacuum") == 2 && (encoding == "UTF-8" || encoding.empty());
  // What has another name is the program's (or SQLite's own, as of ANALYZE): it is not looked at.
  if (version <= kSchemaVersion) {
    std::string expected = kSchema;
    if (version < kSchemaVersion && !has_brief()) expected.erase(expected.find(brief_table()), brief_table().size());
    std::string schema = "\n";
    Stmt one(*db_, "SELECT sql FROM sqlite_schema WHERE name=?1");
    for (std::string_view name : kOurNames) {
      if (one.bind_text(name).step()) schema.append(one.text(0)).append(";\n");
      one.reset();
    }
    sound = sound && schema == expected;
  }
  if (!db_->ok()) return db_->error();
  return sound ? ok_status() : Status(Error{HF_E_CORRUPT, "the file is damaged: its description is not what was written"});
}

namespace {
constexpr int kChecksAlike = 3, kCheckTries = 5;

// To SQLite's check what cannot be read, or finds no memory, looks like damage.
bool says_unread(const std::string& found) {
  if (found.find("failed to get page") != found.npos) return true;
  constexpr std::string_view kCode = "error code=";
  const size_t at = found.find(kCode);
  return at != found.npos && error_code_of_sqlite(std::atoi(found.c_str() + at + kCode.size())) != HF_E_CORRUPT;
}
}  // namespace

// "" if the file is sound. Damage is what kChecksAlike in a row say, while all bytes could be read.
Result<std::string> Store::find_damage(const char* check) {
  std::string before;
  int alike = 0;
  for (int i = 0; i < kCheckTries; ++i) {
    std::string found = db_->query_text(check);
    if (db_->ok() && found == "ok") return std::string();
    db_->read_all();
    if (!db_->ok()) return db_->error();
    std::replace(found.begin(), found.end(), '\n', ' ');
    alike = says_unread(found) ? 0 : found == before ? alike + 1 : 1;
    if (alike == kChecksAlike) return found;
    before = std::move(found);
  }
  return Error{HF_E_IO, "the file cannot be read to check it: " + before};
}

// What a power cut or a kill leaves is sound; what is not comes from the medium. Better found now than met by a job.
Status Store::check_unclean() {
  const int64_t pages = db_->page_count();
  const int64_t size = pages * db_->page_size();
  if (size > kQuickCheckMax || !db_->ok()) return db_->ok() ? ok_status() : Status(db_->error());
  auto damage = find_damage(size <= kCheckMax ? "PRAGMA integrity_check(1)" : "PRAGMA quick_check(1)");
  if (!damage) return damage.error();
  return damage->empty() ? ok_status() : Status(Error{HF_E_CORRUPT, "the file is damaged: " + *damage});
}

void Store::vacuum_some(int pages) { db_->exec(("PRAGMA incremental_vacuum(" + std::to_string(pages) + ")").c_str()); }

std::string Store::check() {
  std::string text;
  for (const std::string& line : db_->query_all_text("PRAGMA integrity_check(10)", 10)) {
    if (line != "ok") text += (text.empty() ? "" : "\n") + line;
  }
  // Some damage stops the check itself.
  if (!db_->ok() && db_->error().code == HF_E_CORRUPT) {
    text += (text.empty() ? "" : "\n") + db_->error().message;
    db_->clear_error();
  }
  return text;
}

std::vector<std::pair<int, int64_t>> Store::pending_by_lane() {
  // One lane after the other: that is a quarter of what GROUP BY costs, and there may be a million jobs.
  std::vector<std::pair<int, int64_t>> counts;
  Stmt next(*db_, "SELECT lane FROM job WHERE state=0 AND lane>?1 ORDER BY lane LIMIT 1");
  Stmt count(*db_, "SELECT count(*) FROM job WHERE state=0 AND lane=?1");
  for (int64_t lane = INT64_MIN; next.bind(lane).step() && next.i64(0) > lane && count.bind(next.i64(0)).step(); count.reset()) {
    lane = next.i64(0);
    counts.emplace_back(static_cast<int>(std::clamp<int64_t>(lane, 0, INT32_MAX)), count.i64(0));
    next.reset();
  }
  return counts;
}

void Store::set_room(Room room, int64_t ballast) {
  owed_ = only_reads(room) || ballast <= 0 ? -1 : room == Room::enough ? ballast / 2 : 0;
  log_room_ = std::min(std::max<int64_t>(ballast, 0) / 2, kLogKeep);
}

void Store::shrink_log() {
  if (db_->log_bytes() > kLogKeep) {
    db_->truncate_log();
    // A log without a header cannot keep room: one page is written as it is.
    if (db_->log_bytes() == 0) db_->touch();
  }
  db_->checkpoint();
  keep_room();
}

void Store::keep_room() { db_->keep_room(log_room_); }

bool Store::sync_log() {
  db_->sync_log();
  ++synced_commits_;
  unsynced_ = false;
  return db_->ok();
}

bool Store::checkpoint() {
  db_->checkpoint();
  ++synced_commits_;
  unsynced_ = false;
  return db_->ok();
}

Status Store::try_write() {
  rows_->drop();  // of a turn that failed
  brief_->rollback();
  return db_->try_write();
}

int64_t Store::used_bytes() { return std::max<int64_t>(db_->page_count() - db_->free_pages(), 0) * page_size_; }

Status Store::backup(const std::string& path, uint32_t copy_id) {
  Stmt(*db_, "VACUUM INTO ?1").bind_text(path).run();
  // The copy is told from the file, so that a log which lies beside it is not taken for its own. This write waits for
  // the disk, and all that went before with it.
  Stmt(*db_, "ATTACH ?1 AS backup").bind_text(path).run();
  const std::string mark = "INSERT OR REPLACE INTO backup.meta(key,value) VALUES('clean'," + std::to_string(kCopied) + "),('copy'," + std::to_string(copy_id) + ")";
  db_->exec("PRAGMA backup.synchronous=FULL");
  db_->exec(mark.c_str());
  db_->exec("DETACH backup");
  if (db_->ok()) return ok_status();
  Error error = db_->error();
  db_->clear_error();  // the copy failed, not the queue
  return error;
}

}  // namespace hf
