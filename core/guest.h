// The program's own statements on the queue's connection, inside the engine's transaction (include/holdfast_sqlite.h).
//
// A guest has its own tables in the file and does not touch ours: SQLite's authorizer is asked when a statement is prepared.
// It is under a savepoint, so that its failure undoes what it did and nothing else; it ends in time, by the progress handler;
// it leaves no statement open and no table that a salvage could not read. Thread: the engine's.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <utility>

#include "core/sqlite.h"

struct sqlite3_api_routines;

namespace hf {

struct GuestRules {
  bool reads_only = false;
  std::function<bool()> overdue;  // asked again and again; true: it is undone, HF_E_TIMEOUT
  int64_t max_bytes = 0;          // of the file, if the guest makes it larger: else it is undone, HF_E_FULL
};

class Guest {
 public:
  // REQUIRES: a transaction in which nothing was written yet but what may be written again. SQLite takes back a whole transaction
  // where a statement says so, or is interrupted in its writing: then a new one has been begun, and all_undone().
  Guest(Db& db, GuestRules rules) : db_(db), rules_(std::move(rules)) {}
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  sqlite3* connection() { return db_.raw(); }
  // Calls `body` once. Its error is ours, and nothing of it is kept then. Where the file is at fault Db::ok() is false, as after
  // any statement of ours.
  Status run(const std::function<Status()>& body);
  bool all_undone() const { return all_undone_; }

  // What the engine does itself while the guest is there is not the guest's.
  template <class F>
  auto as_engine(F work) {
    own_ = true;
    auto result = work();
    own_ = false;
    return result;
  }

 private:
  friend struct GuestCalls;
  static int authorize(void* db, int action, const char* a, const char* b, const char* schema, const char* inside);
  static int progress(void* guest);
  int judge(int action, const char* a, const char* b);
  int refuse(std::string what);
  void begin();
  Status end(Status done);
  Status look_at_schema();
  std::string finalize_left();
  int note(int code);

  Db& db_;
  const GuestRules rules_;
  bool own_ = true;
  bool overdue_ = false, schema_changed_ = false, all_undone_ = false;
  int file_error_ = 0;       // SQLite's code, where it is the file that failed
  std::string refused_;      // the first thing that the guest was not allowed
  std::set<sqlite3_stmt*> open_;
  int64_t used_before_ = 0;  // pages
};

// SQLite's functions for guests, as an extension has them. What is null there would outlive the guest's turn or pass by its rules.
// Each that takes a connection answers SQLITE_MISUSE but in a guest's turn, on its thread.
const sqlite3_api_routines* guest_routines();

}  // namespace hf
