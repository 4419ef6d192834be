#include "core/gathered_rows.h"

#include <algorithm>
#include <span>

#include "core/store.h"

namespace hf {

// OR FAIL: a statement that fails ends the turn, so SQLite need not keep what pages were before it.
// The first parameter of those that insert several is how many there are.
#define HF_INSERT(table) "INSERT OR FAIL INTO " table "(id,lane,payload,state,nprio,due,attempts,created) "
#define HF_ROW(n) " UNION ALL SELECT ?,?,?,?,?,?,?,? WHERE ?1>" #n
#define HF_ALIKE(n) " UNION ALL SELECT ?,?,?,?2,?3,?4,?5,?6 WHERE ?1>" #n
#define HF_TO_16(row) row(1) row(2) row(3) row(4) row(5) row(6) row(7) row(8) row(9) row(10) row(11) row(12) row(13) row(14) row(15)
#define HF_STATEMENTS(table)                                                      \
  {HF_INSERT(table) "VALUES(?,?,?,?,?,?,?,?)",                                    \
   HF_INSERT(table) "SELECT ?2,?3,?4,?5,?6,?7,?8,?9 WHERE ?1>0" HF_TO_16(HF_ROW), \
   HF_INSERT(table) "SELECT ?7,?8,?9,?2,?3,?4,?5,?6 WHERE ?1>0" HF_TO_16(HF_ALIKE), \
   "DELETE FROM " table " WHERE id=?1",                                           \
   "DELETE FROM " table " WHERE id BETWEEN ?1 AND ?2",                            \
   "DELETE FROM " table}

constexpr GatheredRows::Statements GatheredRows::kJob = HF_STATEMENTS("job");
constexpr GatheredRows::Statements GatheredRows::kBrief = HF_STATEMENTS("hf_brief");

#undef HF_INSERT
#undef HF_ROW
#undef HF_ALIKE
#undef HF_TO_16
#undef HF_STATEMENTS

GatheredRows::GatheredRows(Db& db, const Statements& s)
    : db_(db),
      insert_one_(db, s.insert_one),
      insert_some_(db, s.insert_some),
      insert_alike_(db, s.insert_alike),
      remove_one_(db, s.remove_one),
      remove_range_(db, s.remove_range),
      remove_all_(db, s.remove_all) {}

bool GatheredRows::fits(const JobRow& row, std::string_view payload) {
  return row.at_wall_ms == 0 && row.expires_ms == 0 && row.unique_key.empty() && row.opts.empty() && payload.size() <= kBodyInlineMax;
}

void GatheredRows::insert(const JobRow& row, std::string_view payload, int64_t state) {
  Row& to = rows_[inserts_];
  to.payload = payload;  // its place was used before
  to.id = row.id;
  to.lane = row.lane;
  to.rest = {state, -row.priority, row.due_ms, row.attempts, row.created_ms};
  ++inserts_;
  db_.owe();
  if (inserts_ == kRows) db_.settle();
}

bool GatheredRows::inserts(JobId id) const {
  return std::any_of(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(inserts_), [id](const Row& row) { return row.id == id; });
}

void GatheredRows::remove(JobId id) {
  if (inserts(id)) db_.settle();
  removes_.push_back(id);
  db_.owe();
  if (removes_.size() == kRemovesMax) db_.settle();
}

// What goes makes room for what comes.
void GatheredRows::write(bool all) {
  write_removes(all);
  write_inserts();
}

void GatheredRows::write_inserts() {
  const std::span<const Row> rows(rows_.data(), std::exchange(inserts_, 0));
  if (rows.empty()) return;
  const Rest& rest = rows.front().rest;
  const bool one = rows.size() == 1;
  const bool alike = !one && std::all_of(rows.begin() + 1, rows.end(), [&](const Row& row) { return row.rest == rest; });
  Stmt& statement = one ? insert_one_ : alike ? insert_alike_ : insert_some_;
  if (!one) statement.bind(static_cast<int64_t>(rows.size()));
  if (alike) bind(statement, rest);
  for (const Row& row : rows) {
    bind(statement, row);
    if (!alike) bind(statement, row.rest);
  }
  statement.run();
}

void GatheredRows::write_removes(bool all) {
  if (removes_.empty()) return;
  if (all) {
    // SQLite drops the pages of the table without a look at their rows.
    const auto rows = static_cast<int64_t>(removes_.size());
    removes_.clear();
    const int64_t before = db_.total_changes();
    remove_all_.run();
    if (!db_.ok()) return;
    if (db_.total_changes() - before != rows) return db_.damaged("rows of jobs that run are not those that began");
    return db_.took_no_page(rows);
  }
  std::sort(removes_.begin(), removes_.end());
  for (size_t first = 0, next = 0; first < removes_.size(); first = next) {
    for (next = first + 1; next < removes_.size() && removes_[next] - removes_[next - 1] <= 1; ++next) continue;
    const JobId from = removes_[first], to = removes_[next - 1];
    from == to ? remove_one_.bind(from).run() : remove_range_.bind(from).bind(to).run();
  }
  removes_.clear();
}

}  // namespace hf
