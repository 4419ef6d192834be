#include "core/gathered_rows.h"

#include <algorithm>
#include <span>

#include "core/store.h"

namespace hf {

// OR FAIL: a statement that fails ends the turn, so SQLite need not keep what pages were before it.
#define HF_INSERT "INSERT OR FAIL INTO job(id,lane,payload,state,nprio,due,attempts,created) VALUES"
#define HF_ROW "(?,?,?,?,?,?,?,?)"
#define HF_ALIKE "(?,?,?,?1,?2,?3,?4,?5)"

GatheredRows::GatheredRows(Db& db)
    : db_(db),
      insert_one_(db, HF_INSERT HF_ROW),
      insert_many_(db, HF_INSERT HF_ROW "," HF_ROW "," HF_ROW "," HF_ROW "," HF_ROW "," HF_ROW "," HF_ROW "," HF_ROW),
      insert_alike_(db, HF_INSERT "(?6,?7,?8,?1,?2,?3,?4,?5)," HF_ALIKE "," HF_ALIKE "," HF_ALIKE "," HF_ALIKE "," HF_ALIKE "," HF_ALIKE "," HF_ALIKE),
      remove_one_(db, "DELETE FROM job WHERE id=?1"),
      remove_range_(db, "DELETE FROM job WHERE id BETWEEN ?1 AND ?2") {
  db_.write_before([this] { write_all(); });
}

bool GatheredRows::insert(const JobRow& row, std::string_view payload, int64_t state) {
  if (row.at_wall_ms != 0 || row.expires_ms != 0 || !row.unique_key.empty() || !row.opts.empty() || payload.size() > kBodyInlineMax) return false;
  Row& to = rows_[inserts_];
  to.payload = payload;  // its place was used before
  to.id = row.id;
  to.lane = row.lane;
  to.rest = {state, -row.priority, row.due_ms, row.attempts, row.created_ms};
  ++inserts_;
  db_.owe();
  if (inserts_ == kRows) write();
  return true;
}

void GatheredRows::remove(JobId id) {
  const auto inserted = std::find_if(rows_.begin(), rows_.begin() + static_cast<std::ptrdiff_t>(inserts_), [id](const Row& row) { return row.id == id; });
  if (inserted != rows_.begin() + static_cast<std::ptrdiff_t>(inserts_)) write();
  removes_.push_back(id);
  db_.owe();
  if (removes_.size() == kRemovesMax) write();
}

// What goes makes room for what comes.
void GatheredRows::write_all() {
  write_removes();
  write_inserts();
}

void GatheredRows::write_inserts() {
  const std::span<const Row> rows(rows_.data(), std::exchange(inserts_, 0));
  const bool together = rows.size() == kRows;
  const bool alike = together && std::all_of(rows.begin() + 1, rows.end(), [&](const Row& row) { return row.rest == rows.front().rest; });
  Stmt& statement = alike ? insert_alike_ : together ? insert_many_ : insert_one_;
  if (alike) bind(statement, rows.front().rest);
  for (const Row& row : rows) {
    bind(statement, row);
    if (!alike) bind(statement, row.rest);
    if (!together) statement.run();
  }
  if (together) statement.run();
}

void GatheredRows::write_removes() {
  if (removes_.size() > 1) std::sort(removes_.begin(), removes_.end());
  for (size_t first = 0, next = 0; first < removes_.size(); first = next) {
    for (next = first + 1; next < removes_.size() && removes_[next] - removes_[next - 1] <= 1; ++next) continue;
    const JobId from = removes_[first], to = removes_[next - 1];
    from == to ? remove_one_.bind(from).run() : remove_range_.bind(from).bind(to).run();
  }
  removes_.clear();
}

#undef HF_INSERT
#undef HF_ROW
#undef HF_ALIKE

}  // namespace hf
