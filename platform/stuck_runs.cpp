#include "platform/stuck_runs.h"

#include <algorithm>
#include <set>

namespace hf {

void StuckRuns::stopped(Place& place, JobId id, const std::string& type, bool timed_out, int64_t now_ms) {
  {
    // Under the lock, so that a function which returns now finds it here.
    std::lock_guard lock(mutex_);
    int inside = kInside;
    if (!place.at.compare_exchange_strong(inside, kStuck)) return;  // it has returned, or it is known
    runs_[&place] = {id, type, now_ms};
  }
  if (timed_out) {
    log_.warn("handler_goes_on", {{"id", id}, {"type", type}, {"note", "its run timed out, and the function has not returned: it holds a worker thread"}});
  }
}

void StuckRuns::returned(Place& place) {
  if (place.at.exchange(kIdle) != kStuck) return;
  std::lock_guard lock(mutex_);
  runs_.erase(&place);
}

StuckReport StuckRuns::report(int64_t now_ms, int64_t after_ms) const {
  StuckReport report;
  report.threads = threads_.load();
  std::set<const void*> calls;
  std::lock_guard lock(mutex_);
  for (const auto& [place, since] : runs_) {
    if (now_ms - since.ms < after_ms) continue;
    report.runs.push_back({since.id, since.type, now_ms - since.ms});
    calls.insert(place->call);
  }
  report.held = static_cast<int>(calls.size());
  std::sort(report.runs.begin(), report.runs.end(), [](const auto& a, const auto& b) { return a.for_ms != b.for_ms ? a.for_ms > b.for_ms : a.id < b.id; });
  return report;
}

}  // namespace hf
