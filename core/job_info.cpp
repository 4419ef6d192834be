#include "core/job_info.h"

#include <algorithm>

namespace hf {

JobInfo job_info(const Turn& turn, const Jobs& jobs, const FullRow& row) {
  const Lane& lane = *turn.lanes.by_id(row.job.lane);
  const Lane& home = lane.delivery() ? *lane.origin : lane;
  JobOpts opts = decode_opts(row.job.opts);
  ResolvedPolicy policy = jobs.policy_of(lane, opts);
  JobInfo i;
  i.id = row.job.id;
  i.state = row.job.state;
  i.delivering = lane.delivery() && row.job.state != State::completed;
  i.attempts = row.job.attempts;
  i.max_attempts = policy.max_attempts;
  i.timeout_ms = policy.timeout_ms;
  i.priority = row.job.priority;
  i.created_wall_ms = turn.wall_of(row.job.created_ms);
  if (row.job.state == State::pending) {
    const bool waits = row.job.due_ms == kNever && !opts.after.empty();
    i.due_wall_ms = waits ? 0 : row.job.at_wall_ms != 0 ? row.job.at_wall_ms : turn.wall_of(row.job.due_ms);
    i.scheduled = row.job.at_wall_ms != 0 || row.job.due_ms > turn.now_ms;
  }
  if (row.finished_ms != 0) i.finished_wall_ms = turn.wall_of(row.finished_ms);
  if (row.job.expires_ms != 0) i.expires_wall_ms = turn.wall_of(row.job.expires_ms);
  i.occurrence_wall_ms = opts.occurrence_wall_ms;
  i.type = home.type;
  i.queue = home.queue->name;
  i.sink = lane.delivery() ? lane.queue->name.text().substr(5) : jobs.sink_of(lane, opts);
  i.callback = jobs.callback_of(lane, opts, State::completed);
  i.failure_callback = jobs.callback_of(lane, opts, State::dead);
  i.tags = opts.tags;
  i.schedule = opts.schedule;
  i.unique_key = opts.unique_key;
  if (row.job.state == State::pending) i.after = opts.after;
  i.concurrency_key = home.key;
  i.key = turn.key_of(row.job.id).text();
  i.error = row.error;
  i.payload = row.payload;
  i.result = row.result;
  i.payload_size = row.payload_size;
  i.result_size = row.result_size;
  i.history = decode_history(row.history);
  for (Attempt& a : i.history) {
    if (a.started_ms != 0) a.started_ms = turn.wall_of(a.started_ms);
  }
  if (Run* run = row.job.state == State::running ? turn.running.find(row.job.id) : nullptr) {
    i.in_use = true;
    i.progress = run->progress;
    i.progress_note = run->note;
    if (run->log != nullptr && !run->log->empty()) {
      i.history.push_back({run->attempt, lane.delivery(), turn.wall_of(run->started_ms), turn.now_ms - run->started_ms, "", "", run->log->text()});
    }
  }
  return i;
}

}  // namespace hf
