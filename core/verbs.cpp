// What people do to jobs that are there: cancel, retry, delete, edit. The rest of class Jobs is in jobs.cpp.
#include <algorithm>
#include <set>
#include <utility>

#include "core/jobs.h"
#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

constexpr int kRetryLook = 500;  // dead jobs that are looked at together

Error not_found(JobId id) { return Error{HF_E_NOT_FOUND, "there is no job " + std::to_string(id)}; }
Error wrong_state(JobId id, State s, const char* what) {
  return Error{HF_E_STATE, "job " + std::to_string(id) + " is " + state_name(s) + "; " + what};
}

}  // namespace

Status Jobs::cancel(JobId id) {
  flush();
  FullRow row = turn_.store.read(id, false);
  if (!row.found) return not_found(id);
  if (is_final(row.job.state)) return wrong_state(id, row.job.state, "only a pending or running job can be cancelled");
  if (Run* run = turn_.running.find(id)) {
    ask_to_stop(*run, StopReason::cancel);
    set_cancel_asked(id, run->opts, true);
    return ok_status();
  }
  Lane& lane = *turn_.lanes.by_id(row.job.lane);
  const JobOpts opts = decode_opts(row.job.opts);
  turn_.lanes.removed(lane, id);
  turn_.store.make_final(id, State::cancelled, turn_.now_ms, keeps_unique(opts));
  count(State::pending, State::cancelled);
  turn_.came_to_end(State::cancelled, lane, id);
  ++turn_.stats.cancelled;
  turn_.tell(Change::cancelled, id, &lane);
  ended(id, lane, opts, State::cancelled);
  let_followers_go();
  return ok_status();
}

// On the disk: a cancel that was acknowledged holds when the process dies before the run has ended.
void Jobs::set_cancel_asked(JobId id, JobOpts& opts, bool asked) {
  if (opts.cancel_asked == asked) return;
  opts.cancel_asked = asked;
  turn_.store.set_opts(id, encode_opts(opts));
}

Status Jobs::requeue(const FullRow& row, int64_t due_ms) {
  JobId id = row.job.id;
  JobOpts opts = decode_opts(row.job.opts);
  if (is_final(row.job.state)) HF_TRY(take_unique(id, opts));
  Lane& lane = *turn_.lanes.by_id(row.job.lane);
  ReadyEntry entry{-row.job.priority, due_ms, id};
  bool was_pending = row.job.state == State::pending;
  turn_.store.make_pending(id, lane.id, row.job.priority, due_ms, 0, was_pending ? row.job.attempts : 0);
  if (row.job.expires_ms != 0) turn_.store.set_expiry(id, 0);
  if (!opts.after.empty() || (!was_pending && (opts.crashes != 0 || opts.reboots != 0))) {
    if (!was_pending) opts.crashes = opts.reboots = 0;
    opts.after.clear();  // it waits for nobody any more
    turn_.store.set_opts(id, encode_opts(opts));
  }
  set_cancel_asked(id, opts, false);
  if (was_pending) {
    turn_.lanes.moved(lane, id, entry, turn_.now_ms);
  } else {
    count(row.job.state, State::pending);
    turn_.left_end(row, lane);
    turn_.lanes.added(lane, entry, turn_.now_ms);
  }
  turn_.tell(Change::requeued, id, &lane);
  return ok_status();
}

Status Jobs::retry(JobId id) {
  flush();
  FullRow row = turn_.store.read(id, false);
  if (!row.found) return not_found(id);
  if (row.job.state == State::running || row.job.state == State::completed) {
    return wrong_state(id, row.job.state, "only a dead, cancelled or pending job can be retried");
  }
  return requeue(row, turn_.now_ms);
}

Result<int64_t> Jobs::retry_all_dead(const RetryAllDead& which) {
  HF_TRY(check_range("limit", which.limit, 1, kRetryAllMax));
  if (!which.queue.empty()) HF_TRY(check_name("queue", which.queue));
  if (!which.type.empty()) HF_TRY(check_name("type", which.type));
  if (which.over_ms != 0) HF_TRY(check_duration("over", which.over_ms, 1, kBackoffMaxMs));
  flush();
  const auto is_meant = [&](const Lane& lane) {
    const std::string& queue = lane.delivery() ? lane.origin->queue->name : lane.queue->name;
    return (which.queue.empty() || queue == which.queue) && (which.type.empty() || lane.type == which.type);
  };
  // Oldest first; one whose unique key another job holds now stays, or will, when an older one has taken it.
  std::vector<FullRow> meant;
  std::set<std::string> taken;
  const auto is_free = [&](JobId id, const std::string& key) {
    if (key.empty()) return true;
    const JobId by = holder(key);
    return (by == 0 || by == id) && taken.insert(key).second;
  };
  const size_t most = static_cast<size_t>(turn_.rows(which.limit));
  Store::Finished last;
  for (bool more = true; more && meant.size() < most;) {
    const auto rows = turn_.store.finished(State::dead, last.finished_ms, last.id, kNever, kRetryLook);
    for (const Store::Finished& dead : rows) {
      if (meant.size() == most || !is_meant(*turn_.lanes.by_id(dead.lane))) continue;
      FullRow row = turn_.store.read(dead.id, false);
      if (row.found && is_free(dead.id, decode_opts(row.job.opts).unique_key)) meant.push_back(std::move(row));
    }
    more = rows.size() == kRetryLook;
    if (more) last = rows.back();
  }
  int64_t n = 0;
  for (const FullRow& row : meant) {
    const int64_t due_ms = turn_.now_ms + which.over_ms * n / static_cast<int64_t>(meant.size());
    if (requeue(row, due_ms)) ++n;
  }
  return n;
}

Status Jobs::remove(JobId id) {
  flush();
  FullRow row = turn_.store.read(id, false);
  if (!row.found) return not_found(id);
  if (row.job.state == State::running) return wrong_state(id, row.job.state, "cancel it first");
  Lane& lane = *turn_.lanes.by_id(row.job.lane);
  if (row.job.state == State::pending) {
    turn_.lanes.removed(lane, id);
    ended(id, lane, decode_opts(row.job.opts), State::cancelled);
  }
  turn_.store.remove(id);
  --turn_.stats.by_state[static_cast<int>(row.job.state)];
  turn_.left_end(row, lane);
  turn_.tell(Change::removed, id, &lane);
  let_followers_go();
  return ok_status();
}

// Of unique_by payload: another payload is another key. HF_E_CONFLICT: another job holds that.
Status Jobs::rename_by_payload(const FullRow& row, JobOpts& opts, const std::string& payload) {
  if (!opts.unique_key.starts_with(kPayloadKeyPrefix)) return ok_status();
  JobSpec was, is;
  was.type = is.type = turn_.lanes.by_id(row.job.lane)->type;
  was.unique_by = is.unique_by = UniqueBy::payload;
  was.payload = turn_.store.read(row.job.id, true).payload;
  is.payload = payload;
  HF_TRY(name_by_payload(was));
  if (opts.unique_key != was.unique_key) return ok_status();  // somebody's own
  HF_TRY(name_by_payload(is));
  const bool holds = holder(opts.unique_key) == row.job.id;
  opts.unique_key = is.unique_key;
  return holds ? take_unique(row.job.id, opts) : ok_status();
}

Status Jobs::edit(const Edit& edit) {
  flush();
  FullRow row = turn_.store.read(edit.id, false);
  if (!row.found) return not_found(edit.id);
  if (row.job.state == State::running || row.job.state == State::completed) {
    return wrong_state(edit.id, row.job.state, "only a pending, dead or cancelled job can be edited");
  }
  Lane& lane = *turn_.lanes.by_id(row.job.lane);
  JobOpts opts = decode_opts(row.job.opts);
  JobSpec like;  // what the edited job would look like as a new one, for the same checks
  like.type = lane.type;
  like.payload = edit.payload.value_or("");
  like.priority = edit.priority.value_or(row.job.priority);
  like.delay_ms = edit.delay_ms.value_or(0);
  like.at_wall_ms = edit.at_wall_ms.value_or(0);
  like.tags = edit.tags.value_or(opts.tags);
  like.policy = opts.policy;
  if (edit.at_wall_ms && *edit.at_wall_ms < 1) return Error{HF_E_INVALID, "at is " + std::to_string(*edit.at_wall_ms) + "; allowed is a time after 1970"};
  if (edit.max_attempts) {
    if (*edit.max_attempts < 1) return Error{HF_E_INVALID, "max_attempts is " + std::to_string(*edit.max_attempts) + "; allowed is 1 to " + std::to_string(HF_ATTEMPTS_MAX)};
    like.policy.max_attempts = *edit.max_attempts;
  }
  HF_TRY(validate(like));
  if (row.job.state != State::pending && (edit.delay_ms || edit.at_wall_ms)) {
    return wrong_state(edit.id, row.job.state, "only a pending job has a due time; retry it first");
  }
  if (edit.payload) {
    HF_TRY(rename_by_payload(row, opts, *edit.payload));
    turn_.store.set_payload(edit.id, *edit.payload);
    opts.memo.clear();  // what it says is of the old one
  }
  opts.tags = like.tags;
  opts.policy = like.policy;
  int64_t due = row.job.due_ms;
  int64_t at = row.job.at_wall_ms;
  if (edit.delay_ms || edit.at_wall_ms) opts.after.clear();
  if (edit.delay_ms) due = turn_.now_ms + *edit.delay_ms, at = 0;
  if (edit.at_wall_ms) due = kNever, at = *edit.at_wall_ms;
  turn_.store.set_order(edit.id, like.priority, due, at, encode_opts(opts));
  if (row.job.state == State::pending) turn_.lanes.moved(lane, edit.id, {-like.priority, due, edit.id}, turn_.now_ms);
  wall_jobs_next_ = 0;
  turn_.tell(Change::edited, edit.id, &lane);
  return ok_status();
}

}  // namespace hf
