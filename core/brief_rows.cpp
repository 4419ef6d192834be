#include "core/brief_rows.h"

#include <algorithm>

#include "core/store.h"

namespace hf {

BriefRows::BriefRows(Db& db)
    : db_(db),
      rows_(db, GatheredRows::kBrief),
      move_(db,
            "INSERT INTO job(id,lane,state,nprio,due,attempts,created,finished,at,expires,ukey,opts,error,history,payload)"
            " SELECT id,lane,?2,nprio,due,attempts,created,finished,at,expires,ukey,opts,error,history,payload FROM hf_brief WHERE id=?1"),
      moved_(db, "DELETE FROM hf_brief WHERE id=?1") {}

void BriefRows::load() {
  ids_.clear();
  Stmt all(db_, "SELECT id FROM hf_brief ORDER BY id");
  while (all.step()) ids_.push_back(all.i64(0));
  committed_ = ids_;
}

bool BriefRows::insert(const JobRow& row, std::string_view payload, int64_t state) {
  const auto at = ids_.empty() || ids_.back() < row.id ? ids_.end() : std::lower_bound(ids_.begin(), ids_.end(), row.id);
  const auto place = ids_.insert(at, row.id);  // before it is gathered: that may write
  if (rows_.insert(row, payload, state)) return true;
  ids_.erase(place);
  return false;
}

bool BriefRows::has(JobId id) const { return std::binary_search(ids_.begin(), ids_.end(), id); }

std::vector<JobId> BriefRows::newest(JobId below, int limit) const {
  const auto end = std::lower_bound(ids_.begin(), ids_.end(), below);
  const auto begin = end - std::min<std::ptrdiff_t>(limit, end - ids_.begin());
  return {std::make_reverse_iterator(end), std::make_reverse_iterator(begin)};
}

void BriefRows::remove(JobId id) {
  if (rows_.inserts(id)) db_.settle();  // while ids_ has it
  ids_.erase(std::lower_bound(ids_.begin(), ids_.end(), id));
  rows_.remove(id);
}

void BriefRows::move(JobId id, int64_t state) {
  move_.bind(id).bind(state).run();
  moved_.bind(id).run();
  ids_.erase(std::lower_bound(ids_.begin(), ids_.end(), id));
}

}  // namespace hf
