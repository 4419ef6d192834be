#include "core/jobs.h"

#include <algorithm>

#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

constexpr int kSweep = 200;             // rows that one turn expires or wakes; the next turn follows at once
constexpr size_t kResultOnFullMax = 4096;  // bytes; a larger one waits: end_adds()
constexpr size_t kLeftMax = 1000;       // that wait for those that expire in one turn, before the last of these
constexpr size_t kWallLook = 16;        // `at` jobs that are looked at for the one that lets sleep least

}  // namespace

const char* state_name(State s) {
  static constexpr const char* kNames[kStates] = {"pending", "running", "completed", "dead", "cancelled"};
  return kNames[static_cast<int>(s)];
}

const char* change_name(Change c) {
  static constexpr const char* kNames[] = {"enqueued", "started", "completed", "delivering", "retried",
      "deferred", "died", "cancelled", "expired", "recovered", "handed_back", "requeued", "removed", "displaced", "edited",
      "fired", "runner_parked", "safe_mode", "safe_mode_over", "schedule_paused", "clock_stepped", "clock_trusted", "clock_untrusted", "window_opened", "window_closed",
      "condition_opened", "condition_closed", "emitted",
      "disk_full", "disk_full_over", "file_system_read_only", "file_system_read_only_over"};
  return kNames[static_cast<int>(c)];
}

void Jobs::count(State from, State to) {
  --turn_.stats.by_state[static_cast<int>(from)];
  ++turn_.stats.by_state[static_cast<int>(to)];
}

namespace {
const Policy& own_policy(const Lane& lane, const JobOpts& opts) {
  static const Policy kUnset;
  return lane.delivery() ? kUnset : opts.policy;
}
}  // namespace

ResolvedPolicy Jobs::policy_of(const Lane& lane, const JobOpts& opts) const { return resolve(own_policy(lane, opts), lane.runner->spec.policy); }
AttemptLimits Jobs::attempt_limits_of(const Lane& lane, const JobOpts& opts) const { return attempt_limits(own_policy(lane, opts), lane.runner->spec.policy); }

// ---- how a run ends -----------------------------------------------------------------------------------

void Jobs::release_slot(Run& run) {
  Lane& lane = *run.lane;
  const int64_t started_ms = run.started_ms;
  const bool ready = run.ready;
  const bool last = turn_.running.remove(run.id);  // frees `run`
  turn_.lanes.run_ended(lane, last);
  if (!last) return;
  --lane.runner->running;
  lane.runner->breaker.ended(started_ms, ready);
}

std::string Jobs::history_with(const Run& run, const char* outcome, std::string_view error) {
  std::vector<Attempt> history = decode_history(turn_.store.read_history(run.id));
  add_attempt(&history, {run.attempt, run.lane->delivery(), run.started_ms, turn_.now_ms - run.started_ms, outcome,
                         std::string(cut_utf8(error, HF_ERROR_TEXT_MAX)), run.log ? run.log->text() : ""});
  if (turn_.room != Room::enough) forget_logs(&history);  // on a full disk what lasts is small
  std::string bytes = encode_history(history);
  take_room(bytes.size());
  return bytes;
}

// Of an end that is no failure, and has a place in the history only for what the run said.
void Jobs::keep_log(const Run& run, const char* outcome, std::string_view error) {
  if (run.log == nullptr || run.log->empty() || turn_.room != Room::enough) return;
  turn_.store.set_history(run.id, history_with(run, outcome, error));
}

// Whatever came of the run, the process outlived it.
void Jobs::ran_orderly(Run& run) {
  if (run.opts.crashes == 0 && run.opts.reboots == 0) return;
  run.opts.crashes = run.opts.reboots = 0;
  turn_.store.set_opts(run.id, encode_opts(run.opts));
  turn_.suspects.remove(run.id);
}

void Jobs::put_back(Run& run, const PutBack& how) {
  ran_orderly(run);
  Lane& lane = *run.lane;
  std::string history = how.outcome != nullptr ? history_with(run, how.outcome, how.error) : "";
  EndOfRun end;
  end.id = run.id;
  end.lane = lane.id;
  end.state = State::pending;
  end.due_ms = how.due_ms;
  end.attempts = how.attempts;
  end.keep_unique = true;
  if (how.outcome != nullptr) {
    end.set_failure = true;
    end.error = cut_utf8(how.error, HF_ERROR_TEXT_MAX);
    end.history = history;
  }
  turn_.store.end_run(end);
  if (how.change == Change::deferred) keep_log(run, "deferred", how.error);
  count(State::running, State::pending);
  Transition& t = turn_.tell(how.change, run.id, &lane);
  t.attempt = run.attempt;
  t.detail = how.error;
  t.wait_ms = std::max<int64_t>(how.due_ms - turn_.now_ms, 0);
  t.took_ms = turn_.now_ms - run.started_ms;
  ReadyEntry entry{-run.priority, how.due_ms, run.id};
  release_slot(run);
  turn_.lanes.added(lane, entry, turn_.now_ms);
}

void Jobs::finish(Run& run, State state, Change change, const char* outcome, std::string_view error) {
  ran_orderly(run);
  std::string history = history_with(run, outcome, error);
  EndOfRun end;
  end.id = run.id;
  end.lane = run.lane->id;
  end.state = state;
  end.due_ms = run.due_ms;
  end.attempts = run.attempt;
  end.finished_ms = turn_.now_ms;
  end.keep_unique = keeps_unique(run.opts);
  end.set_failure = true;
  end.error = cut_utf8(error, HF_ERROR_TEXT_MAX);
  end.history = history;
  turn_.store.end_run(end);
  count(State::running, state);
  turn_.came_to_end(state, *run.lane, run.id);
  ended(run.id, *run.lane, run.opts, state);
  if (change == Change::died && !run.opts.schedule.empty()) turn_.scheduled_ends.push_back({run.opts.schedule, true});
  Transition& t = turn_.tell(change, run.id, run.lane);
  t.attempt = run.attempt;
  t.detail = error;
  t.took_ms = turn_.now_ms - run.started_ms;
  release_slot(run);
}

void Jobs::fail(Run& run, std::string_view error, bool permanent, int64_t retry_after_ms, const char* outcome) {
  ++turn_.stats.failed;
  ResolvedPolicy policy = policy_of(*run.lane, run.opts);
  if (permanent || run.attempt >= policy.max_attempts) {
    ++turn_.stats.dead;
    std::string text(error);
    if (!permanent) text += std::string(text.empty() ? "" : " ") + "(attempt " + std::to_string(run.attempt) + " of " + std::to_string(policy.max_attempts) + ")";
    finish(run, State::dead, Change::died, permanent ? "dead" : outcome, text);
    return;
  }
  int64_t wait = retry_after_ms;
  if (const auto& hook = run.lane->runner->spec.backoff_hook; wait < 0 && hook) wait = hook(run.id, run.attempt, error);
  wait = wait >= 0 ? std::min(wait, kBackoffMaxMs) : delay_ms(policy.backoff, run.attempt, turn_.random);
  ++turn_.stats.retried;
  put_back(run, {retry_ms(*run.lane->queue, wait), run.attempt, outcome, error, Change::retried});
}

// Each retry is booked as it is decided. Once the budget is spent it is put off until there is some again, and never refused.
int64_t Jobs::retry_ms(Queue& queue, int64_t wait_ms) {
  const int64_t due_ms = turn_.now_ms + wait_ms;
  const Rate budget = queue.settings.retry_budget.value_or(Rate{});
  if (budget.none() && queue.retries.rate_limit.rate().none()) return due_ms;
  queue.retries.ahead_ms = kBackoffMaxMs;
  turn_.rates.follow(queue.retries, {budget, {}}, "retry", queue.name, turn_.now_ms);
  const int64_t opens_ms = std::min(queue.retries.rate_limit.opens_ms(turn_.now_ms), turn_.now_ms + kBackoffMaxMs);
  if (opens_ms < turn_.now_ms + kBackoffMaxMs) (void)turn_.rates.began(queue.retries, turn_.now_ms);
  return std::max(due_ms, opens_ms);
}

bool Jobs::keeps_completed(const Lane& lane) const {
  const std::optional<int64_t>& own_ms = lane.home().settings.keep_completed_ms;
  return own_ms ? *own_ms != 0 : turn_.limits.keep_completed_ms >= 0;
}

void Jobs::complete(Run& run, RunEnded& how) {
  ran_orderly(run);
  Lane& lane = *run.lane;
  const std::string& sink = sink_of(lane, run.opts);
  EndOfRun end;
  end.id = run.id;
  end.lane = lane.id;
  end.attempts = run.attempt;
  end.keep_unique = keeps_unique(run.opts);
  Lane* to_sink = nullptr;
  if (!sink.empty()) {
    Result<Lane*> found = turn_.lanes.intern(std::string(kSinkPrefix) + sink, lane.type, "", &lane);
    if (!found) return fail(run, found.error().message, false, -1, "retry");
    to_sink = *found;
  }
  if (const auto refused = add_children(run, how, to_sink == nullptr && !end.keep_unique)) {
    return fail(run, "hf_job_enqueue: " + refused->error, refused->permanent, -1, "retry");
  }
  set_memo(run, "");
  Change change = Change::completed;
  if (to_sink != nullptr) {
    // The second leg of the same row, in this very transaction: a result is never without its delivery.
    end.lane = to_sink->id;
    end.state = State::pending;
    end.due_ms = turn_.now_ms;
    end.attempts = 0;
    end.keep_unique = true;
    end.set_result = true;
    end.result = how.result;
    set_cancel_asked(run.id, run.opts, false);
    number(run.id, *to_sink, run.opts);
    change = Change::delivering;
  } else {
    end.state = State::completed;
    end.finished_ms = turn_.now_ms;
    if (!lane.delivery()) {  // a delivery keeps the result that it delivered
      end.set_result = true;
      end.result = how.result;
    }
    ++turn_.stats.completed;
    if (!lane.delivery() || lane.origin->queue->name != kOwnQueue) turn_.gets_on = true;
    if (!run.opts.schedule.empty()) turn_.scheduled_ends.push_back({run.opts.schedule, false});
  }
  take_room(end.result.size());
  Transition& t = turn_.tell(change, run.id, &lane);
  t.attempt = run.attempt;
  t.took_ms = turn_.now_ms - run.started_ms;
  JobId id = run.id;
  int priority = run.priority;
  const bool inlined = run.inlined;
  const bool removed_at_once = to_sink == nullptr && !keeps_completed(lane) && !end.keep_unique;
  const bool tells = to_sink == nullptr && !callback_of(lane, run.opts, State::completed).empty();
  if (!removed_at_once || tells) {
    turn_.store.end_run(end);
    keep_log(run, "done", "");
    count(State::running, end.state);
  }
  if (tells) call_back(id, lane, run.opts, State::completed);
  if (to_sink == nullptr) leave(id, run.opts, State::completed);
  if (removed_at_once) {
    turn_.store.remove(id, inlined && !tells);
    --turn_.stats.by_state[static_cast<int>(tells ? end.state : State::running)];
  } else if (to_sink == nullptr) {
    turn_.came_to_end(end.state, lane, id);
  }
  release_slot(run);
  if (to_sink != nullptr) {
    to_sink->group->waiting_bytes += static_cast<int64_t>(how.result.size());
    turn_.lanes.added(*to_sink, {-priority, end.due_ms, id}, turn_.now_ms);
  }
}

void Jobs::number(JobId id, const Lane& to_sink, JobOpts& opts) {
  // At an opening no sink is configured yet: one that ever numbered does.
  const RunnerState& runner = *to_sink.runner;
  if (!(runner.present ? runner.spec.sequence : turn_.sequences.has_begun(to_sink.queue->name))) return;
  opts.sequence = turn_.sequences.next(to_sink.queue->name);
  turn_.store.set_opts(id, encode_opts(opts));
}

void Jobs::park(RunnerState& runner, int64_t asked_ms, std::string_view why) {
  // Once for all jobs of a batch.
  if (!runner.breaker.trip(turn_.now_ms, asked_ms, why, turn_.random)) return;
  Transition& t = turn_.tell(Change::runner_parked, 0, nullptr);
  t.type = runner.spec.name;
  t.detail = why;
  t.wait_ms = runner.breaker.until_ms() - turn_.now_ms;
}

std::string Jobs::timeout_text(const Run& run) const {
  if (run.beat_by_ms < run.deadline_ms) return "no sign of life for " + format_duration(run.heartbeat_ms) + " (heartbeat)";
  return "timed out after " + format_duration(run.deadline_ms - run.started_ms);
}

Run* Jobs::run_of(const RunEnded& e) const {
  Run* run = turn_.running.find(e.id);
  return run != nullptr && run->attempt == e.attempt && (e.run == 0 || run->batch == e.run) ? run : nullptr;
}

Status Jobs::run_ended(RunEnded& e) {
  Run* run = run_of(e);
  if (run == nullptr) {
    return Error{HF_E_STALE, "attempt " + std::to_string(e.attempt) + " of job " + std::to_string(e.id) + " is over; its result was not kept"};
  }
  if (e.result.size() > static_cast<size_t>(turn_.limits.max_payload) && e.outcome == Outcome::done) {
    e.outcome = Outcome::dead;
    e.error = "the result has " + std::to_string(e.result.size()) + " bytes; the limit is " + std::to_string(turn_.limits.max_payload) + " (max_payload)";
  }
  RunnerState& runner = *run->lane->runner;
  if (e.wire_bytes >= 0) turn_.budgets.correct(run->charge, e.wire_bytes);
  run->ready = e.outcome != Outcome::defer && e.outcome != Outcome::handed_back && e.outcome != Outcome::cancelled;

  if (e.outcome == Outcome::done) {
    complete(*run, e);
  } else if (e.outcome == Outcome::handed_back && run->stop != StopReason::cancel) {
    // Before its timeout is looked at: it waited for a thread all the time, and nothing was attempted.
    put_back(*run, {run->due_ms, run->attempt - 1, nullptr, "", Change::handed_back});
  } else if (run->stop == StopReason::cancel || e.outcome == Outcome::cancelled) {
    ++turn_.stats.cancelled;
    finish(*run, State::cancelled, Change::cancelled, "cancelled", e.error);
  } else if (run->stop == StopReason::timeout && !(e.outcome == Outcome::defer && e.park_runner)) {  // that: nothing was attempted
    std::string text = timeout_text(*run);
    if (!e.error.empty()) text += ": " + e.error;
    fail(*run, text, e.outcome == Outcome::dead, e.retry_after_ms, "timeout");
  } else if (run->stop == StopReason::shutdown) {
    put_back(*run, {run->due_ms, run->attempt - 1, nullptr, "", Change::handed_back});
  } else if (e.outcome == Outcome::defer) {
    ++turn_.stats.deferred;
    if (e.park_runner) {
      park(runner, e.retry_after_ms, e.error);
      // Its place is kept: the gate of the runner is what is closed, and thousands of rows stay unwritten.
      put_back(*run, {run->due_ms, run->attempt - 1, nullptr, e.error, Change::deferred});
    } else {
      int64_t wait = e.retry_after_ms >= 0 ? std::min(e.retry_after_ms, kBackoffMaxMs) : runner.spec.defer_ms;
      put_back(*run, {turn_.now_ms + wait, run->attempt - 1, nullptr, e.error, Change::deferred});
    }
  } else {
    fail(*run, e.error, e.outcome == Outcome::dead, e.retry_after_ms, "retry");
  }
  let_followers_go();
  return ok_status();
}

bool Jobs::end_is_synced(const RunEnded& e) const {
  const Run* run = run_of(e);
  return run != nullptr && run->opts.synced_end;
}

bool Jobs::end_adds(const RunEnded& e) const {
  const Run* run = run_of(e);
  return run != nullptr && (e.result.size() > kResultOnFullMax || !e.children.empty() || !run->opts.followers.empty() || calls_back(*run, e.outcome));
}

void Jobs::end_waits(const RunEnded& e) {
  Run* run = run_of(e);
  if (run == nullptr) return;
  run->over = true;
  turn_.running.forget_deadline(*run);
  if (!run->stop) run->deadline_ms = run->beat_by_ms = run->soft_at_ms = kNever;
}

void Jobs::ask_to_stop(Run& run, StopReason reason) {
  turn_.running.forget_deadline(run);
  // The first reason counts, but for a person's: who cancels a run that is ending anyway does not want it again.
  if (run.stop && (reason != StopReason::cancel || run.stop == StopReason::cancel)) return;
  run.stop = reason;
  turn_.out->actions.emplace_back(std::in_place_type<StopRun>, StopRun{run.id, run.attempt, run.batch, reason});
}

void Jobs::stop_overdue_runs() {
  for (JobId id : cancel_again_) {
    if (Run* run = turn_.running.find(id)) ask_to_stop(*run, StopReason::cancel);
  }
  cancel_again_.clear();
  while (turn_.running.next_deadline_ms() <= turn_.now_ms) {
    Run& run = *turn_.running.first_to_end();
    if (std::min(run.deadline_ms, run.beat_by_ms) <= turn_.now_ms) {
      ask_to_stop(run, StopReason::timeout);
    } else {
      // No Run::stop: however it ends counts.
      turn_.running.asked_softly(run);
      turn_.out->actions.emplace_back(std::in_place_type<StopRun>, StopRun{run.id, run.attempt, run.batch, StopReason::soft_timeout});
    }
  }
}

void Jobs::stop_all(bool hand_back) {
  std::vector<JobId> ids;
  for (auto& [id, run] : turn_.running.all()) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  for (JobId id : ids) {
    Run& run = *turn_.running.find(id);
    ask_to_stop(run, StopReason::shutdown);
    if (!hand_back) continue;
    if (run.stop == StopReason::cancel) {
      ++turn_.stats.cancelled;
      finish(run, State::cancelled, Change::cancelled, "cancelled", "");
    } else if (run.stop == StopReason::timeout && !run.over) {
      fail(run, timeout_text(run), false, -1, "timeout");
    } else {
      put_back(run, {run.due_ms, run.attempt - 1, nullptr, "", Change::handed_back});
    }
  }
  let_followers_go();
}

// ---- time ---------------------------------------------------------------------------------------------

void Jobs::look_at_wall_jobs() {
  const std::vector<Store::WallWaiting> rows = turn_.store.wall_waiting(kWallLook);
  wall_jobs_next_ = rows.empty() ? kNever : rows.front().at_wall_ms;
  wall_jobs_wake_ = kNever;
  for (const Store::WallWaiting& row : rows) {
    wall_jobs_wake_ = std::min(wall_jobs_wake_, row.at_wall_ms + turn_.lanes.by_id(row.lane)->queue->slack_ms());
  }
  // Of those behind them no slack is known.
  if (rows.size() == kWallLook) wall_jobs_wake_ = std::min(wall_jobs_wake_, rows.back().at_wall_ms);
}

void Jobs::becomes_due(const FullRow& row, int64_t due_ms) {
  const JobId id = row.job.id;
  Lane& lane = *turn_.lanes.by_id(row.job.lane);
  turn_.store.make_pending(id, lane.id, row.job.priority, due_ms, 0, row.job.attempts);
  turn_.lanes.moved(lane, id, {-row.job.priority, due_ms, id}, turn_.now_ms);
}

void Jobs::wake_wall_jobs() {
  if (wall_jobs_next_ == 0) {
    flush();
    look_at_wall_jobs();
  }
  if (!turn_.wall_trusted || wall_jobs_next_ > turn_.wall_ms) return;
  flush();
  for (JobId id : turn_.store.wall_due(turn_.wall_ms, turn_.rows(kSweep))) {
    becomes_due(turn_.store.read(id, false), turn_.now_ms);
  }
  look_at_wall_jobs();
}

void Jobs::expire() {
  if (expiry_next_ == 0) {
    flush();
    expiry_next_ = turn_.store.next_expiry();
  }
  if (expiry_next_ > turn_.now_ms) return;
  flush();
  for (JobId id : turn_.store.expired(turn_.now_ms, turn_.rows(kSweep))) {
    FullRow row = turn_.store.read(id, false);
    Lane& lane = *turn_.lanes.by_id(row.job.lane);
    const JobOpts opts = decode_opts(row.job.opts);
    if (turn_.room != Room::enough && (!callback_of(lane, opts, State::dead).empty() || !opts.followers.empty())) {
      expiry_next_ = kNever;  // it would add to a full disk; room_changed() goes on
      return;
    }
    turn_.lanes.removed(lane, id);
    end_unrun(id, lane, opts, "expired: it was not run within its ttl", Change::expired);
    if (left_.size() >= kLeftMax) break;
  }
  expiry_next_ = turn_.store.next_expiry();
}

void Jobs::end_unrun(JobId id, Lane& lane, const JobOpts& opts, const std::string& why, Change change) {
  turn_.store.make_final(id, State::dead, turn_.now_ms, keeps_unique(opts));
  turn_.store.set_error(id, why);
  count(State::pending, State::dead);
  turn_.came_to_end(State::dead, lane, id);
  ++(change == Change::expired ? turn_.stats.expired : turn_.stats.dead);
  if (change == Change::expired) turn_.losses.add(LossCause::expired, lane.queue->name, turn_.now_ms);
  if (!opts.schedule.empty()) turn_.scheduled_ends.push_back({opts.schedule, true});
  turn_.tell(change, id, &lane).detail = why;
  ended(id, lane, opts, State::dead);
}

int64_t Jobs::next_wake_ms() const {
  if (!doomed_.empty() && turn_.room == Room::enough) return turn_.now_ms;
  return std::min(turn_.running.next_deadline_ms(), expiry_next_ == 0 ? turn_.now_ms : expiry_next_);
}
int64_t Jobs::next_wall_wake_ms() const { return wall_jobs_next_ == 0 ? 0 : wall_jobs_wake_; }

}  // namespace hf
