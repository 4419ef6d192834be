// The table hf_brief: jobs that began in the turn that they came in, and leave nothing behind when they complete. Where nothing is kept
// of completed jobs most are such.
//
// It has no index, and no rows but those of jobs that run: a life in it costs a fraction of what one in `job` does, where six
// indexes are opened for each statement, and the trees are as deep as the crowd that waits. A job of which more is to be
// known than that it runs moves to `job`.
//
// Owner and thread: the Store's.
#pragma once

#include <string_view>
#include <vector>

#include "core/gathered_rows.h"
#include "core/sqlite.h"
#include "core/types.h"

namespace hf {

class BriefRows {
 public:
  explicit BriefRows(Db& db);

  void load();  // at an opening; an id that is in `job` as well is damage
  // REQUIRES: GatheredRows::fits(). `state`: as in the file.
  void insert(const JobRow& row, std::string_view payload, int64_t state);
  bool has(JobId id) const;
  void remove(JobId id);                    // which is there
  void move(JobId id, int64_t state);       // which is there: it is in `job` now, with that state
  size_t size() const { return ids_.size(); }
  std::vector<JobId> newest(JobId below, int limit) const;  // ids, the newest first

  void write() { rows_.write(ids_.size() == rows_.inserts()); }
  size_t gathered() const { return rows_.size(); }
  void committed() { came_.clear(), went_.clear(); }
  void rollback();

 private:
  void erase(JobId id);

  Db& db_;
  GatheredRows rows_;
  std::vector<JobId> ids_;          // those of rows_ too, and none that it removes
  std::vector<JobId> came_, went_;  // in the open transaction
  Stmt move_;
};

}  // namespace hf
