#include "core/guest.h"

#define SQLITE_CORE 1  // the struct of functions, and no macros in their place
#include <sqlite3.h>
#if __has_include(<holdfast/sqlite3ext.h>)
#include <holdfast/sqlite3ext.h>
#else
#include <sqlite3ext.h>
#endif

#include <algorithm>
#include <array>
#include <string_view>

#include "core/names.h"
#include "core/schema.h"
#include "core/units.h"

namespace hf {
namespace {

constexpr const char* kSavepoint = "holdfast";
constexpr int kStepsBetweenLooks = 1000;  // of SQLite's machine, some tens of microseconds

// What SQLite hands its callbacks is null or a name.
std::string_view name(const char* s) { return s != nullptr ? s : ""; }

constexpr std::array<std::string_view, 8> kPragmas = {"table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo",
                                                      "foreign_key_list", "foreign_key_check"};

// Which SQLite itself reads and writes where a statement changes the schema; who does it by hand is refused by SQLite.
bool is_schema_table(std::string_view table) {
  return table == "sqlite_master" || table == "sqlite_schema" || table == "sqlite_temp_master" || table == "sqlite_temp_schema";
}

// The functions below are called by the guest, through the table: they find it here.
thread_local Guest* guest_here = nullptr;

bool is_file_error(int code) {
  switch (error_code_of_sqlite(code)) {
    case HF_E_IO: case HF_E_CORRUPT: case HF_E_FOREIGN: case HF_E_FULL: case HF_E_READ_ONLY: case HF_E_LOCKED: return true;
    default: return false;
  }
}

}  // namespace

// ---- the rules -------------------------------------------------------------------------------------------

int Guest::refuse(std::string what) {
  if (refused_.empty()) refused_ = std::move(what);
  return SQLITE_DENY;
}

int Guest::authorize(void* db, int action, const char* a, const char* b, const char*, const char*) {
  Guest* guest = static_cast<Db*>(db)->guest_;
  return guest == nullptr || guest->own_ ? SQLITE_OK : guest->judge(action, a, b);
}

int Guest::judge(int action, const char* a, const char* b) {
  auto theirs = [&](const char* table, const char* verb) {
    return is_reserved_name(name(table)) ? refuse(std::string(verb) + " " + quoted(name(table)) + ": the name is Holdfast's own, or kept for it") : SQLITE_OK;
  };
  auto changes = [&](const char* object, const char* of_table, const char* verb) {
    if (rules_.reads_only) return refuse(std::string(verb) + " in a transaction that only reads");
    schema_changed_ = true;
    const int first = theirs(object, verb);
    return first != SQLITE_OK || of_table == nullptr ? first : theirs(of_table, verb);
  };
  switch (action) {
    case SQLITE_SELECT: case SQLITE_FUNCTION: case SQLITE_RECURSIVE: return SQLITE_OK;
    case SQLITE_READ: return is_schema_table(name(a)) ? SQLITE_OK : theirs(a, "reading");
    case SQLITE_INSERT: case SQLITE_UPDATE: case SQLITE_DELETE:
      if (rules_.reads_only) return refuse("writing in a transaction that only reads");
      return is_schema_table(name(a)) ? SQLITE_OK : theirs(a, "writing");
    case SQLITE_CREATE_TABLE: case SQLITE_CREATE_VIEW:
      if (name(a) == "sqlite_sequence") return refuse("AUTOINCREMENT");
      if (name(a).starts_with("sqlite_stat")) return refuse("ANALYZE");
      return changes(a, nullptr, "creating");
    case SQLITE_DROP_TABLE: case SQLITE_DROP_VIEW: return changes(a, nullptr, "dropping");
    case SQLITE_CREATE_INDEX: case SQLITE_CREATE_TRIGGER:
      // The index of a UNIQUE column has a name of SQLite's.
      return changes(name(a).starts_with("sqlite_autoindex_") ? b : a, b, "creating");
    case SQLITE_DROP_INDEX: case SQLITE_DROP_TRIGGER: return changes(name(a).starts_with("sqlite_autoindex_") ? b : a, b, "dropping");
    case SQLITE_ALTER_TABLE: return changes(b, nullptr, "altering");
    case SQLITE_SAVEPOINT: return name(b) == kSavepoint ? refuse("the savepoint \"holdfast\"") : SQLITE_OK;
    case SQLITE_TRANSACTION: return refuse(std::string(name(a)) + ": the transaction is the engine's; return HF_OK to keep what was done");
    case SQLITE_PRAGMA:
      for (std::string_view allowed : kPragmas) {
        if (sqlite3_stricmp(a, allowed.data()) == 0) return SQLITE_OK;
      }
      return refuse("PRAGMA " + std::string(name(a)));
    case SQLITE_ATTACH: case SQLITE_DETACH: return refuse("ATTACH and DETACH");
    case SQLITE_CREATE_VTABLE: case SQLITE_DROP_VTABLE: return refuse("a virtual table");
    case SQLITE_ANALYZE: return refuse("ANALYZE");
    case SQLITE_REINDEX:  // CREATE INDEX asks for it too
      return name(a).starts_with("sqlite_autoindex_") ? SQLITE_OK : changes(a, nullptr, "reindexing");
    default: return refuse("a temporary table, index, view or trigger");
  }
}

int Guest::progress(void* self) {
  auto* guest = static_cast<Guest*>(self);
  if (guest->own_) return 0;
  guest->overdue_ = guest->overdue_ || guest->rules_.overdue();
  return guest->overdue_ ? 1 : 0;
}

int Guest::note(int code) {
  if (file_error_ == 0 && is_file_error(code)) file_error_ = sqlite3_extended_errcode(db_.raw());
  return code;
}

// ---- a turn ----------------------------------------------------------------------------------------------

void Guest::begin() {
  used_before_ = db_.page_count() - db_.free_pages();
  db_.exec("SAVEPOINT holdfast");
  if (!std::exchange(db_.guarded_, true)) sqlite3_set_authorizer(db_.raw(), authorize, &db_);  // once: each time makes SQLite parse all statements anew
  sqlite3_progress_handler(db_.raw(), kStepsBetweenLooks, progress, this);
  db_.guest_ = this;
  guest_here = this;
}

Status Guest::run(const std::function<Status()>& body) {
  begin();
  if (!db_.ok()) return end(db_.error());
  own_ = false;
  Status done = body();
  own_ = true;
  return end(std::move(done));
}

std::string Guest::finalize_left() {
  std::string first;
  for (sqlite3_stmt* stmt : open_) {
    if (first.empty()) first = one_line(sqlite3_sql(stmt));
    sqlite3_finalize(stmt);
  }
  open_.clear();
  return first;
}

Status Guest::end(Status done) {
  guest_here = nullptr;
  db_.guest_ = nullptr;
  const std::string left = finalize_left();
  sqlite3_progress_handler(db_.raw(), 0, nullptr, nullptr);
  if (file_error_ != 0) db_.fail(file_error_, "hf_transact");
  if (!db_.ok()) return db_.error();
  overdue_ = overdue_ || rules_.overdue();
  if (overdue_) {
    done = Error{HF_E_TIMEOUT, "the function took longer than it may; nothing of it was kept"};
  } else if (!done && !refused_.empty()) {
    done = Error{done.error().code, done.error().message + "; not allowed here: " + refused_};
  } else if (done && !left.empty()) {
    done = Error{HF_E_STATE, "the function left a statement open (sqlite3_finalize): " + std::string(cut_utf8(left, 100))};
  }
  if (sqlite3_get_autocommit(db_.raw()) != 0) {
    all_undone_ = true;
    db_.begin();
    if (done) done = Error{HF_E_STATE, "a statement took the whole transaction back (OR ROLLBACK, RAISE(ROLLBACK)); nothing of it was kept"};
    return db_.ok() ? done : Status(db_.error());
  }
  if (done && schema_changed_) done = look_at_schema();
  // Also for Db::reserve(), which knows no other way how much was written.
  const int64_t used = db_.page_count() - db_.free_pages();
  if (done && used > used_before_ && used * db_.page_size() > rules_.max_bytes) {
    done = Error{HF_E_FULL, "the file would have " + format_size(used * db_.page_size()) + "; the limit is " + format_size(rules_.max_bytes) + " (max_bytes)"};
  }
  if (!done) db_.exec("ROLLBACK TO holdfast");
  db_.exec("RELEASE holdfast");
  if (done && schema_changed_) db_.schema_changed();
  return db_.ok() ? done : Status(db_.error());
}

// After a change of it. Tables are such that core/salvage.cpp can read their rows from pages.
Status Guest::look_at_schema() {
  auto not_allowed = [](const std::string& what, std::string_view object) {
    return Error{HF_E_INVALID, quoted(object) + ": " + what + " is not allowed in the queue's file"};
  };
  int objects = 0;
  Stmt all(db_, "SELECT name FROM sqlite_schema");
  while (all.step()) {
    const std::string_view object = all.text(0);
    if (std::find(kOurNames.begin(), kOurNames.end(), object) != kOurNames.end()) continue;
    ++objects;
    if (is_reserved_name(object) && !object.starts_with("sqlite_autoindex_")) return not_allowed("this name", object);
  }
  if (objects > kHostObjectsMax) {
    return Error{HF_E_FULL, "there would be " + std::to_string(objects) + " tables, indexes, views and triggers of programs; at most " + std::to_string(kHostObjectsMax)};
  }
  Stmt tables(db_, "SELECT name,wr FROM pragma_table_list WHERE schema='main' AND type<>'view'");
  std::vector<std::string> plain;
  while (tables.step()) {
    const std::string_view table = tables.text(0);
    if (is_reserved_name(table)) continue;
    if (tables.i64(1) != 0) return not_allowed("WITHOUT ROWID", table);
    plain.emplace_back(table);
  }
  Stmt generated(db_, "SELECT count(*) FROM pragma_table_xinfo(?1) WHERE hidden IN (2,3)");
  for (const std::string& table : plain) {
    generated.bind_text(table);
    if (generated.step() && generated.i64(0) > 0) return not_allowed("a generated column", table);
    generated.reset();
  }
  return ok_status();
}

// ---- the table of functions --------------------------------------------------------------------------------

// Those that are not SQLite's own.
struct GuestCalls {
  static Guest* guest_of(sqlite3* db) { return guest_here != nullptr && guest_here->db_.raw() == db ? guest_here : nullptr; }
  // Why it may not go on. Without its transaction, which SQLite took back, each statement would be committed by itself.
  static int refusal(const Guest* guest) {
    if (guest == nullptr) return SQLITE_MISUSE;
    return sqlite3_get_autocommit(guest->db_.raw()) != 0 ? SQLITE_ABORT_ROLLBACK : SQLITE_OK;
  }
  template <class Prepare>
  static int prepared(sqlite3* db, sqlite3_stmt** out, Prepare prepare) {
    if (out != nullptr) *out = nullptr;
    Guest* guest = guest_of(db);
    if (out == nullptr) return SQLITE_MISUSE;
    if (const int refused = refusal(guest); refused != SQLITE_OK) return refused;
    const int code = guest->note(prepare());
    if (*out != nullptr) guest->open_.insert(*out);
    return code;
  }
  static int prepare_v2(sqlite3* db, const char* sql, int bytes, sqlite3_stmt** out, const char** rest) {
    return prepared(db, out, [&] { return sqlite3_prepare_v2(db, sql, bytes, out, rest); });
  }
  static int prepare_v3(sqlite3* db, const char* sql, int bytes, unsigned flags, sqlite3_stmt** out, const char** rest) {
    return prepared(db, out, [&] { return sqlite3_prepare_v3(db, sql, bytes, flags, out, rest); });
  }
  static int step(sqlite3_stmt* stmt) {
    Guest* guest = stmt != nullptr ? guest_of(sqlite3_db_handle(stmt)) : nullptr;
    const int refused = refusal(guest);
    return refused != SQLITE_OK ? refused : guest->note(sqlite3_step(stmt));
  }
  static int finalize(sqlite3_stmt* stmt) {
    if (stmt == nullptr) return SQLITE_OK;
    if (guest_here == nullptr || guest_here->open_.erase(stmt) == 0) return SQLITE_MISUSE;  // gone: finalized with the turn's end
    return sqlite3_finalize(stmt);
  }
  static int exec(sqlite3* db, const char* sql, sqlite3_callback row, void* user, char** error) {
    if (error != nullptr) *error = nullptr;
    Guest* guest = guest_of(db);
    const int refused = refusal(guest);
    return refused != SQLITE_OK ? refused : guest->note(sqlite3_exec(db, sql, row, user, error));
  }
};

const sqlite3_api_routines* guest_routines() {
  static const sqlite3_api_routines routines = [] {
    sqlite3_api_routines r{};
    r.prepare = GuestCalls::prepare_v2;  // the old one, under its name: it only differs in worse errors
    r.prepare_v2 = GuestCalls::prepare_v2;
    r.prepare_v3 = GuestCalls::prepare_v3;
    r.step = GuestCalls::step;
    r.finalize = GuestCalls::finalize;
    r.exec = GuestCalls::exec;
#define HF_AS_IT_IS(name) r.name = sqlite3_##name
    HF_AS_IT_IS(bind_blob); HF_AS_IT_IS(bind_blob64); HF_AS_IT_IS(bind_double); HF_AS_IT_IS(bind_int); HF_AS_IT_IS(bind_int64);
    HF_AS_IT_IS(bind_null); HF_AS_IT_IS(bind_text); HF_AS_IT_IS(bind_text64); HF_AS_IT_IS(bind_value); HF_AS_IT_IS(bind_zeroblob);
    HF_AS_IT_IS(bind_zeroblob64); HF_AS_IT_IS(bind_parameter_count); HF_AS_IT_IS(bind_parameter_index); HF_AS_IT_IS(bind_parameter_name);
    HF_AS_IT_IS(clear_bindings); HF_AS_IT_IS(reset);
    HF_AS_IT_IS(column_blob); HF_AS_IT_IS(column_bytes); HF_AS_IT_IS(column_count); HF_AS_IT_IS(column_double); HF_AS_IT_IS(column_int);
    HF_AS_IT_IS(column_int64); HF_AS_IT_IS(column_name); HF_AS_IT_IS(column_text); HF_AS_IT_IS(column_type); HF_AS_IT_IS(column_value);
    HF_AS_IT_IS(data_count); HF_AS_IT_IS(db_handle); HF_AS_IT_IS(sql); HF_AS_IT_IS(expanded_sql); HF_AS_IT_IS(stmt_readonly);
    HF_AS_IT_IS(stmt_busy); HF_AS_IT_IS(changes); HF_AS_IT_IS(changes64); HF_AS_IT_IS(total_changes); HF_AS_IT_IS(total_changes64);
    HF_AS_IT_IS(last_insert_rowid); HF_AS_IT_IS(get_autocommit);
    HF_AS_IT_IS(errcode); HF_AS_IT_IS(extended_errcode); HF_AS_IT_IS(errmsg); HF_AS_IT_IS(errstr); HF_AS_IT_IS(error_offset);
    HF_AS_IT_IS(value_blob); HF_AS_IT_IS(value_bytes); HF_AS_IT_IS(value_double); HF_AS_IT_IS(value_int); HF_AS_IT_IS(value_int64);
    HF_AS_IT_IS(value_numeric_type); HF_AS_IT_IS(value_text); HF_AS_IT_IS(value_type); HF_AS_IT_IS(value_dup); HF_AS_IT_IS(value_free);
    HF_AS_IT_IS(malloc); HF_AS_IT_IS(malloc64); HF_AS_IT_IS(realloc); HF_AS_IT_IS(realloc64); HF_AS_IT_IS(free);
    HF_AS_IT_IS(mprintf); HF_AS_IT_IS(vmprintf);
    HF_AS_IT_IS(stricmp); HF_AS_IT_IS(strnicmp); HF_AS_IT_IS(strglob); HF_AS_IT_IS(strlike);
    HF_AS_IT_IS(libversion); HF_AS_IT_IS(libversion_number); HF_AS_IT_IS(sourceid);
#undef HF_AS_IT_IS
    r.xsnprintf = sqlite3_snprintf;
    r.xvsnprintf = sqlite3_vsnprintf;
    return r;
  }();
  return &routines;
}

}  // namespace hf
