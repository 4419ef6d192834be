// Rows of a table of jobs that come and go in a turn, gathered so that one statement writes several.
//
// SQLite opens a table with its indexes anew for each statement, which is half of the work of a row. So plain jobs, of which
// each has eight values, are inserted up to sixteen at a time, and jobs that leave with neighbours are deleted as a range of ids, or
// all at once. Of those that differ in id, lane and payload alone, as those that come and begin in one turn do, the other values
// are handed over once.
//
// Nobody sees that they are not there yet: the Db has its owner (Store) write what was gathered before any other statement begins,
// a commit too.
//
// Owner and thread: the Store's.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "core/sqlite.h"
#include "core/types.h"

namespace hf {

struct JobRow;

class GatheredRows {
 public:
  struct Statements {  // literals; of one table
    const char *insert_one, *insert_some, *insert_alike, *remove_one, *remove_range, *remove_all;
  };
  static const Statements kJob, kBrief;  // of the tables job and hf_brief

  GatheredRows(Db& db, const Statements& statements);

  // It is a plain one, with bytes up to kBodyInlineMax.
  static bool fits(const JobRow& row, std::string_view payload);
  // REQUIRES: it fits. `state`: as in the file.
  void insert(const JobRow& row, std::string_view payload, int64_t state);
  void remove(JobId id);
  // `all`: of the rows that are in the table, each is to be removed.
  void write(bool all);
  void drop() { inserts_ = 0, removes_.clear(); }  // the transaction is taken back
  size_t inserts() const { return inserts_; }
  bool inserts(JobId id) const;
  size_t size() const { return inserts_ + removes_.size(); }

 private:
  static constexpr size_t kRows = 16;         // of one INSERT
  static constexpr size_t kRemovesMax = 1000;
  struct Rest {
    int64_t state = 0, nprio = 0, due_ms = 0, attempts = 0, created_ms = 0;
    bool operator==(const Rest&) const = default;
  };
  struct Row {
    JobId id = 0;
    int64_t lane = 0;
    std::string payload;
    Rest rest;
  };
  static void bind(Stmt& statement, const Row& row) { statement.bind(row.id).bind(row.lane).bind_blob(row.payload); }
  static void bind(Stmt& statement, const Rest& rest) { statement.bind(rest.state).bind(rest.nprio).bind(rest.due_ms).bind(rest.attempts).bind(rest.created_ms); }
  void write_inserts();
  void write_removes(bool all);

  Db& db_;
  std::array<Row, kRows> rows_;  // the first inserts_ of them
  size_t inserts_ = 0;
  std::vector<JobId> removes_;
  Stmt insert_one_, insert_some_, insert_alike_, remove_one_, remove_range_, remove_all_;
};

}  // namespace hf
