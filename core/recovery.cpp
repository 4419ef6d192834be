// What an opening makes of what the last process left. The rest of class Jobs is in jobs.cpp and enqueue.cpp.
#include <algorithm>
#include <set>

#include "core/jobs.h"

namespace hf {
namespace {

constexpr int kSweep = 200;  // rows that are looked at together

// In meta: how many jobs a cleanly closed file has in each state.
constexpr const char* kCounts[kStates] = {"count_pending", "count_running", "count_completed", "count_dead", "count_cancelled"};

}  // namespace

void Jobs::open(const Opening& opening) {
  Store& store = turn_.store;
  next_id_ = std::max<int64_t>(store.meta("next_id", 1), 1);
  if (opening.log_lost) next_id_ = std::min(next_id_ + kIdGap, kLargestId);
  reserved_until_ = next_id_;
  // A clean end left its counts; after any other they are counted anew, from indexes.
  const int64_t waiting = load_lane_counts(opening.clean);
  for (int i = 0; i < kStates; ++i) {
    const auto state = static_cast<State>(i);
    const int64_t kept = opening.clean ? store.meta(kCounts[i], -1) : -1;
    turn_.stats.by_state[i] = kept >= 0 ? kept : state == State::pending && !opening.clean ? waiting : store.count(state);
  }
  turn_.suspects.load(store, turn_.lanes);
  load_handler_callbacks();
  load_doomed();

  std::set<uint64_t> batches;
  for (const LiveRun& run : opening.live) adopt(run, batches);
  size_t adopted = turn_.running.size();
  while (opening.writes && turn_.store.ok()) {
    std::vector<JobId> left = turn_.store.left_running(kSweep + static_cast<int>(adopted));
    std::erase_if(left, [&](JobId id) { return turn_.running.find(id) != nullptr; });
    if (left.empty()) break;
    for (JobId id : left) recover(id, opening);
  }
  follow_up();
  if (opening.writes) turn_.suspects.save(store);
}

void Jobs::adopt(const LiveRun& live, std::set<uint64_t>& batches) {
  turn_.running.number_from(live.run + 1);
  FullRow row = turn_.store.read(live.id, false);
  // The failed commit may have reached the disk all the same, with the run's end in it, and with a claim of the delivery.
  if (!row.found || row.job.state != State::running || row.job.attempts != live.attempt || row.job.lane != live.lane) return;
  const bool first = batches.insert(live.run).second;
  Run& run = turn_.running.begin(live.id, live.run, first);
  run.attempt = live.attempt;
  run.lane = turn_.lanes.by_id(row.job.lane);
  run.started_ms = live.started_ms;
  run.deadline_ms = live.deadline_ms;
  run.heartbeat_ms = live.heartbeat_ms;
  if (run.heartbeat_ms > 0) run.beat_by_ms = turn_.now_ms + run.heartbeat_ms;  // nobody could be heard meanwhile
  run.soft_at_ms = live.soft_at_ms;
  run.log = live.log;
  run.priority = row.job.priority;
  run.due_ms = row.job.due_ms;
  run.opts = decode_opts(row.job.opts);
  turn_.running.watch(run);
  if (run.opts.cancel_asked) cancel_again_.push_back(run.id);
  Lane& lane = *run.lane;
  turn_.lanes.run_began(lane, first);
  if (first) ++lane.runner->running;
}

int64_t Jobs::load_lane_counts(bool clean) {
  std::string kept = clean ? turn_.store.meta_text("lane_counts") : "";
  std::vector<std::pair<int, int64_t>> counts;
  if (clean) {
    // "lane:count lane:count ..."
    for (size_t at = 0; at < kept.size();) {
      char* end = nullptr;
      long lane = std::strtol(kept.c_str() + at, &end, 10);
      if (*end != ':') break;
      int64_t n = std::strtoll(end + 1, &end, 10);
      counts.emplace_back(static_cast<int>(lane), n);
      at = static_cast<size_t>(end - kept.c_str()) + 1;
    }
  } else {
    counts = turn_.store.pending_by_lane();
  }
  int64_t all = 0;
  for (auto [lane, n] : counts) {
    n = std::clamp<int64_t>(n, 0, kTimeMax);
    Lane* l = turn_.lanes.by_id(lane);
    l->pending += n;
    l->queue->pending += n;
    all += n;
  }
  return all;
}

void Jobs::save_counts() {
  for (int i = 0; i < kStates; ++i) turn_.store.set_meta(kCounts[i], turn_.stats.by_state[i]);
  std::string text;
  for (int id = 1; id <= turn_.lanes.last_id(); ++id) {
    Lane* lane = turn_.lanes.by_id(id);
    if (lane->id != 0 && lane->pending != 0) text += std::to_string(id) + ":" + std::to_string(lane->pending) + " ";
  }
  turn_.store.set_meta_text("lane_counts", text);
  turn_.store.set_meta("next_id", next_id_);
}

// A turn that failed had claimed it, and its commit is in the file all the same: nobody was told to run it.
void Jobs::unclaim(const FullRow& row, Lane& lane, const JobOpts& opts) {
  EndOfRun end;
  end.id = row.job.id;
  end.lane = lane.id;
  end.state = opts.cancel_asked ? State::cancelled : State::pending;
  end.due_ms = row.job.due_ms;
  end.attempts = std::max(row.job.attempts - 1, 0);
  end.finished_ms = is_final(end.state) ? turn_.now_ms : 0;
  end.keep_unique = !is_final(end.state) || keeps_unique(opts);
  turn_.store.end_run(end);
  count(State::running, end.state);
  if (end.state == State::cancelled) {
    ++turn_.stats.cancelled;
    turn_.tell(Change::cancelled, row.job.id, &lane);
    ended(row.job.id, lane, opts, State::cancelled);
    return;
  }
  turn_.lanes.added(lane, {-row.job.priority, row.job.due_ms, row.job.id}, turn_.now_ms);
  if (is_suspect(opts)) turn_.suspects.add(row.job.id, &lane);
}

void Jobs::recover(JobId id, const Opening& opening) {
  FullRow row = turn_.store.read(id, false);
  Lane& lane = *turn_.lanes.by_id(row.job.lane);
  JobOpts opts = decode_opts(row.job.opts);
  if (opening.reopened) return unclaim(row, lane, opts);
  // A delivery is the library's own code, and shares its request with others: nothing to blame a job for.
  bool quarantined = false;
  if (!lane.delivery()) {
    ++(opening.same_boot ? opts.crashes : opts.reboots);
    quarantined = !opts.cancel_asked && (opts.crashes >= kCrashLimit || opts.reboots >= kRebootLimit);
    turn_.store.set_opts(id, encode_opts(opts));
  }
  std::string error = "the process ended during this attempt";
  if (quarantined) {
    error = opts.crashes >= kCrashLimit
                ? "quarantined: the process ended " + std::to_string(opts.crashes) + " times in a row while it ran"
                : "quarantined: the device restarted " + std::to_string(opts.reboots) + " times in a row while it ran";
    error += "; see `holdfast show " + std::to_string(id) + "`";
  }
  std::vector<Attempt> history = decode_history(row.history);
  add_attempt(&history, {row.job.attempts, lane.delivery(), 0, 0, quarantined ? "quarantined" : "lost", error});
  std::string bytes = encode_history(history);
  EndOfRun end;
  end.id = id;
  end.lane = lane.id;
  end.state = opts.cancel_asked ? State::cancelled : quarantined ? State::dead : State::pending;
  end.due_ms = row.job.due_ms;
  end.attempts = row.job.attempts;
  end.finished_ms = is_final(end.state) ? turn_.now_ms : 0;
  end.keep_unique = !is_final(end.state) || keeps_unique(opts);
  end.set_failure = true;
  end.error = error;
  end.history = bytes;
  turn_.store.end_run(end);
  count(State::running, end.state);
  ++turn_.stats.recovered;
  if (quarantined) {
    ++turn_.stats.dead;
    ++turn_.stats.quarantined;
    if (!opts.schedule.empty()) turn_.scheduled_ends.push_back({opts.schedule, true});
  }
  if (is_final(end.state)) ended(id, lane, opts, end.state);
  if (end.state == State::pending) {
    turn_.lanes.added(lane, {-row.job.priority, row.job.due_ms, id}, turn_.now_ms);
    if (is_suspect(opts)) turn_.suspects.add(id, &lane);
  } else {
    turn_.suspects.remove(id);
  }
  Transition& t = turn_.tell(opts.cancel_asked ? Change::cancelled : quarantined ? Change::died : Change::recovered, id, &lane);
  t.attempt = row.job.attempts;
  if (quarantined) t.detail = error;
}

// ---- suspects -----------------------------------------------------------------------------------------

void Suspects::load(Store& store, Lanes& lanes) {
  std::string kept = store.meta_text("suspects");  // "id id ..."
  for (char* at = kept.data(); *at != 0;) {
    char* end = nullptr;
    JobId id = std::strtoll(at, &end, 10);
    if (end == at) break;
    at = end;
    FullRow row = store.read(id, false);
    if (row.found && !is_final(row.job.state) && is_suspect(decode_opts(row.job.opts))) jobs_.emplace(id, lanes.by_id(row.job.lane));
  }
}

void Suspects::save(Store& store) {
  if (!changed_) return;
  changed_ = false;
  std::string text;
  for (const auto& [id, lane] : jobs_) text += std::to_string(id) + " ";
  store.set_meta_text("suspects", text);
}

}  // namespace hf
