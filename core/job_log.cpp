#include "core/job_log.h"

#include <algorithm>
#include <utility>

#include "core/names.h"

namespace hf {

void JobLog::add(std::string_view text) {
  while (!text.empty()) add_line(take_until(&text, '\n'));
}

void JobLog::add_line(std::string_view line) {
  while (line.ends_with('\r')) line.remove_suffix(1);
  line = line.substr(line.rfind('\r') + 1);  // of a bar that grows its last state
  std::string clean(cut_utf8(line, HF_LOG_LINE_MAX));
  std::replace(clean.begin(), clean.end(), '\t', ' ');
  lines_ += one_line(clean) + '\n';
  // The newline at the end is not shown.
  while (mark().size() + lines_.size() > HF_JOB_LOG_MAX + 1) {
    lines_.erase(0, lines_.find('\n') + 1);
    ++gone_;
  }
}

std::string JobLog::mark() const {
  if (gone_ == 0) return "";
  return "... " + std::to_string(gone_) + (gone_ == 1 ? " line before is gone\n" : " lines before are gone\n");
}

std::string JobLog::text() const {
  std::string text = mark() + lines_;
  if (!text.empty()) text.pop_back();
  return text;
}

void add_attempt(std::vector<Attempt>* history, Attempt attempt) {
  const auto deferred = [&](const Attempt& a) { return a.outcome == "deferred" && a.number == attempt.number && a.delivery == attempt.delivery; };
  // Deferrals spend no attempt, and come as often as they like: they drive out no failure.
  if (deferred(attempt) && !history->empty() && deferred(history->back())) history->pop_back();
  history->push_back(std::move(attempt));
  if (history->size() > HF_HISTORY_MAX) history->erase(history->begin());
  bound_logs(history);
}

void bound_logs(std::vector<Attempt>* history) {
  size_t left = HF_JOB_LOG_MAX;
  for (auto attempt = history->rbegin(); attempt != history->rend(); ++attempt) {
    // Where one has no room those before it have none, either.
    if (attempt->log.size() > left) left = 0;
    if (left == 0) attempt->log.clear();
    left -= attempt->log.size();
  }
}

void forget_logs(std::vector<Attempt>* history) {
  for (Attempt& attempt : *history) attempt.log.clear();
}

}  // namespace hf
