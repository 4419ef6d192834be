#include "core/gathered_rows.h"

#include <algorithm>

#include "core/store.h"

namespace hf {

// OR FAIL: a statement that fails ends the turn, so SQLite need not keep what pages were before it.
#define HF_INSERT "INSERT OR FAIL INTO job(id,lane,state,nprio,due,attempts,created,payload) VALUES"
#define HF_ROW "(?,?,?,?,?,?,?,?)"

GatheredRows::GatheredRows(Db& db)
    : db_(db),
      insert_one_(db, HF_INSERT HF_ROW),
      insert_many_(db, HF_INSERT HF_ROW "," HF_ROW "," HF_ROW "," HF_ROW "," HF_ROW "," HF_ROW "," HF_ROW "," HF_ROW),
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
  to.state = state;
  to.nprio = -row.priority;
  to.due_ms = row.due_ms;
  to.attempts = row.attempts;
  to.created_ms = row.created_ms;
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

void GatheredRows::bind(Stmt& statement, const Row& row) {
  statement.bind(row.id).bind(row.lane).bind(row.state).bind(row.nprio).bind(row.due_ms).bind(row.attempts).bind(row.created_ms).bind_blob(row.payload);
}

void GatheredRows::write_inserts() {
  const size_t rows = std::exchange(inserts_, 0);
  const bool together = rows == kRows;
  for (size_t i = 0; i < rows; ++i) {
    Stmt& statement = together ? insert_many_ : insert_one_;
    bind(statement, rows_[i]);
    if (!together || i + 1 == rows) statement.run();
  }
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

}  // namespace hf
