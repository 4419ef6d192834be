#include "core/queries.h"

#include <algorithm>

#include "core/job_info.h"
#include "core/names.h"
#include "core/units.h"

namespace hf {

Result<JobInfo> Queries::get(JobId id, bool with_bodies) {
  jobs_.flush();
  FullRow row = turn_.store.read(id, with_bodies);
  if (!row.found) return Error{HF_E_NOT_FOUND, "there is no job " + std::to_string(id)};
  return job_info(turn_, jobs_, row);
}

void Queries::remember_end(JobId id, int64_t finished_ms) {
  ends_.emplace_back(id, finished_ms);
  if (ends_.size() > kListEndsMax) ends_.pop_front();
}

Result<int64_t> Queries::finish_of(State state, JobId id) {
  for (auto it = ends_.rbegin(); it != ends_.rend(); ++it) {
    if (it->first == id) return it->second;
  }
  FullRow row = turn_.store.read(id, false);
  if (row.found && row.job.state == state) return row.finished_ms;
  return Error{HF_E_NOT_FOUND, "job " + std::to_string(id) + ", behind which the list was to go on, is not " + state_name(state) + " any more: start from the newest"};
}

Result<JobPage> Queries::list(const ListQuery& q) {
  HF_TRY(check_range("limit", q.limit, 1, 1000));
  jobs_.flush();
  JobPage page;
  JobId before = q.before;
  // Final and running jobs come from their index; the others by id, of which so many are looked at and no more.
  bool by_state = q.state && *q.state != State::pending;
  int64_t finished = kNever;
  if (by_state && is_final(*q.state) && before != 0) {
    Result<int64_t> from = finish_of(*q.state, before);
    if (!from) return from.error();
    finished = *from;
  }
  auto last = std::pair{finished, before == 0 ? kNever : before};
  for (int looked = 0; looked < kListScanMax && turn_.store.ok();) {
    constexpr int kChunk = 200;
    std::vector<JobId> ids = by_state ? turn_.store.ids_by_state(*q.state, finished, before, kChunk) : turn_.store.ids(before, kChunk);
    for (JobId id : ids) {
      ++looked;
      before = id;
      FullRow row = turn_.store.read(id, false);
      finished = row.finished_ms;
      // What names a job that is not there, in another state, or twice, is damaged.
      const auto here = std::pair{by_state && is_final(*q.state) ? finished : kNever, id};
      if (!row.found || (by_state && row.job.state != *q.state) || here >= last) {
        turn_.store.damaged("a list of jobs has job " + std::to_string(id) + ", which does not belong there");
        return turn_.store.error();
      }
      last = here;
      if (q.state && row.job.state != *q.state) continue;
      const Lane& lane = *turn_.lanes.by_id(row.job.lane);
      const Lane& home = lane.delivery() ? *lane.origin : lane;
      if (!q.queue.empty() && home.queue->name != q.queue && lane.queue->name != q.queue) continue;
      if (!q.type.empty() && home.type != q.type) continue;
      JobInfo job = job_info(turn_, jobs_, row);
      if (q.scheduled && job.scheduled != *q.scheduled) continue;
      forget_logs(&job.history);
      page.jobs.push_back(std::move(job));
      if (page.jobs.size() == static_cast<size_t>(q.limit)) {
        page.next = id;
        if (row.finished_ms != 0) remember_end(id, finished);
        return page;
      }
    }
    if (ids.size() < kChunk) return page;
  }
  page.next = before;
  if (finished != 0 && before != 0) remember_end(before, finished);
  return page;
}

Result<WhyInfo> Queries::why(JobId id) {
  jobs_.flush();
  FullRow row = turn_.store.read(id, false);
  if (!row.found) return Error{HF_E_NOT_FOUND, "there is no job " + std::to_string(id)};
  WhyInfo w;
  w.job = job_info(turn_, jobs_, row);
  const Lane& lane = *turn_.lanes.by_id(row.job.lane);
  switch (row.job.state) {
    case State::pending:
      w.gates = dispatcher_.closed_gates(lane, row);
      if (w.gates.empty()) {
        w.summary = "every gate is open: it runs when those before it in queue " + lane.queue->name + " have started";
      } else {
        w.summary = w.gates.front().why;
        for (size_t i = 1; i < w.gates.size(); ++i) w.summary += "; " + w.gates[i].why;
      }
      break;
    case State::running: w.summary = "it runs: attempt " + std::to_string(row.job.attempts) + " of " + std::to_string(w.job.max_attempts); break;
    case State::completed: w.summary = "it is completed"; break;
    case State::dead: w.summary = "it is in the dead letters: " + (row.error.empty() ? std::string("no reason was given") : row.error); break;
    case State::cancelled: w.summary = "it was cancelled"; break;
  }
  return w;
}

Result<std::vector<QueueInfo>> Queries::queues(const std::string& name) {
  std::vector<QueueInfo> infos;
  std::vector<std::string_view> known;
  for (auto& [key, q] : turn_.lanes.queues()) {
    known.push_back(key);
    if (!name.empty() && key != name) continue;
    QueueInfo& info = infos.emplace_back();
    info.name = key;
    info.paused = q->pause.on;
    info.pause_reason = q->pause.reason;
    if (q->pause.until_ms != 0) info.resumes_wall_ms = turn_.wall_of(q->pause.until_ms);
    info.draining = q->draining;
    info.settings = q->settings;
    info.set = q->set;
    info.open = q->window.open();
    if (const int64_t at = q->window.changes_wall_ms(); at != kNever) info.changes_wall_ms = at;
    info.pending = q->pending;
    info.running = q->running;
  }
  if (!name.empty() && infos.empty()) {
    std::string text = "there is no queue " + quoted(name);
    if (auto near = nearest_name(name, known)) text += "; did you mean " + std::string(*near) + "?";
    return Error{HF_E_NOT_FOUND, text};
  }
  return infos;
}

Stats Queries::stats() {
  Stats s = turn_.stats;
  s.commits = turn_.store.commits();
  s.synced_commits = turn_.store.synced_commits();
  s.file_bytes = turn_.store.used_bytes();
  s.max_jobs = turn_.limits.max_jobs;
  s.max_bytes = turn_.limits.max_bytes;
  s.link = turn_.budgets.link();
  s.budgets = turn_.budgets.infos(turn_.now_ms);
  s.conditions = *turn_.conditions.list("", turn_.now_ms, turn_.offset_ms);
  s.losses = turn_.losses.list(turn_.wall_ms, turn_.now_ms);
  Result<std::vector<QueueInfo>> queues = this->queues("");
  s.queues = std::move(*queues);
  return s;
}

}  // namespace hf
