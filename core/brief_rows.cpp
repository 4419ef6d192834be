#include "core/brief_rows.h"

#include <algorithm>

#include "core/store.h"

namespace hf {

BriefRows::BriefRows(Db& db)
    : db_(db),
      rows_(db, GatheredRows::kBrief),
      move_(db,
            "INSERT INTO job(id,lane,state,nprio,due,attempts,created,finished,at,expires,ukey,opts,error,history,payload)"
            " SELECT id,lane,?2,nprio,due,attempts,created,finished,at,expires,ukey,opts,error,history,payload FROM hf_brief WHERE id=?1") {}

void BriefRows::load() {
  ids_.clear();
  Stmt all(db_, "SELECT id FROM hf_brief ORDER BY id");
  while (all.step()) {
    if (all.i64(0) <= (ids_.empty() ? 0 : ids_.back())) return db_.damaged("the ids of jobs that run are out of order");
    ids_.push_back(all.i64(0));
  }
  committed();
  if (ids_.empty()) return;
  Stmt twice(db_, "SELECT id FROM hf_brief WHERE id IN (SELECT id FROM job) LIMIT 1");
  if (twice.step()) db_.damaged("job " + std::to_string(twice.i64(0)) + " is in two tables");
}

void BriefRows::rollback() {
  rows_.drop();
  // There was room for as many.
  for (const JobId id : went_) ids_.insert(std::lower_bound(ids_.begin(), ids_.end(), id), id);
  for (const JobId id : came_) {
    if (has(id)) erase(id);
  }
  committed();
}

void BriefRows::erase(JobId id) { ids_.erase(std::lower_bound(ids_.begin(), ids_.end(), id)); }

void BriefRows::insert(const JobRow& row, std::string_view payload, int64_t state) {
  came_.push_back(row.id);
  const auto at = ids_.empty() || ids_.back() < row.id ? ids_.end() : std::lower_bound(ids_.begin(), ids_.end(), row.id);
  ids_.insert(at, row.id);  // before it is gathered: that may write
  rows_.insert(row, payload, state);
}

bool BriefRows::has(JobId id) const { return std::binary_search(ids_.begin(), ids_.end(), id); }

std::vector<JobId> BriefRows::newest(JobId below, int limit) const {
  const auto end = std::lower_bound(ids_.begin(), ids_.end(), below);
  const auto begin = end - std::min<std::ptrdiff_t>(limit, end - ids_.begin());
  return {std::make_reverse_iterator(end), std::make_reverse_iterator(begin)};
}

void BriefRows::remove(JobId id) {
  if (rows_.inserts(id)) db_.settle();  // while ids_ has it
  went_.push_back(id);
  erase(id);
  rows_.remove(id);
}

void BriefRows::move(JobId id, int64_t state) {
  move_.bind(id).bind(state).run();
  remove(id);
}

}  // namespace hf
