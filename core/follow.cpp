// Jobs that wait for others to end: `after`, and on_conflict keep_last, whose job waits for the run that holds its key. Each keeps the
// ids of both sides: who waits is due never (like a job of a wall-clock time) and knows for whom, and who is waited for knows by whom,
// so that an end finds its followers without a search, in its own transaction. The rest of class Jobs is in jobs.cpp.
#include <algorithm>
#include <utility>

#include "core/jobs.h"
#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

std::string how(const FullRow& row) { return !row.found ? "is gone" : std::string("is ") + state_name(row.job.state); }

}  // namespace

Status validate_after(const JobSpec& s) {
  if (s.after.empty()) {
    if (s.after_failure != AfterFailure::dead) return Error{HF_E_INVALID, "after_failure without after"};
    return ok_status();
  }
  if (s.after.size() > HF_AFTER_MAX) return Error{HF_E_INVALID, "after has " + std::to_string(s.after.size()) + " jobs; at most " + std::to_string(HF_AFTER_MAX)};
  for (const JobId id : s.after) HF_TRY(check_range("after", id, 1, kNever));
  if (s.at_wall_ms != 0) return Error{HF_E_INVALID, "after and at exclude each other"};
  if (s.on_conflict == OnConflict::debounce || s.on_conflict == OnConflict::keep_last) {
    return Error{HF_E_INVALID, "after, and on_conflict debounce or keep_last exclude each other: both say when it is due"};
  }
  return ok_status();
}

// Looks only. Jobs of the same call may be waited for once they have been noted there.
Status Jobs::may_follow(const JobSpec& s, Following& call) {
  if (s.after.empty()) return ok_status();
  flush();
  for (const JobId id : std::set<JobId>(s.after.begin(), s.after.end())) {
    const std::string job = "after: job " + std::to_string(id);
    int64_t followers = 0;
    if (!call.coming.contains(id)) {
      const FullRow row = turn_.store.read(id, false);
      if (!row.found) return Error{HF_E_NOT_FOUND, "after: there is no job " + std::to_string(id) + "; one that ended may have been deleted since"};
      if (row.job.state == State::completed) continue;
      if (is_final(row.job.state)) {
        if (s.after_failure == AfterFailure::run) continue;
        return Error{HF_E_CONFLICT, job + " " + how(row) + ": it will not complete (after_failure)"};
      }
      followers = static_cast<int64_t>(decode_opts(row.job.opts).followers.size());
    }
    if (followers + ++call.more[id] > HF_AFTER_MAX) {
      return Error{HF_E_FULL, job + " has " + std::to_string(followers) + " jobs that wait for it; at most " + std::to_string(HF_AFTER_MAX)};
    }
  }
  return ok_status();
}

// `id` is about to be put in, and waits for the ends of those of `after` that have not ended: they learn of it. They are in the file.
std::vector<JobId> Jobs::follow(JobId id, const std::vector<JobId>& after) {
  std::vector<JobId> waits;
  for (const JobId other : std::set<JobId>(after.begin(), after.end())) {
    const FullRow row = turn_.store.read(other, false);
    if (!row.found || is_final(row.job.state)) continue;
    Run* run = turn_.running.find(other);
    JobOpts read;
    if (run == nullptr) read = decode_opts(row.job.opts);
    JobOpts& opts = run != nullptr ? run->opts : read;
    if (opts.followers.size() >= HF_AFTER_MAX) continue;  // not met: may_follow() has looked
    opts.followers.push_back(id);
    turn_.store.set_opts(other, encode_opts(opts));
    waits.push_back(other);
  }
  return waits;
}

// The one that waits for the end of the run `id` to take over its unique key; 0: none.
JobId Jobs::successor(JobId id, const JobOpts& opts) {
  for (const JobId follower : opts.followers) {
    const FullRow row = turn_.store.read(follower, false);
    if (!row.found || row.job.state != State::pending) continue;
    const JobOpts its = decode_opts(row.job.opts);
    if (its.unique_key == opts.unique_key && std::find(its.after.begin(), its.after.end(), id) != its.after.end()) return follower;
  }
  return 0;
}

// REQUIRES: the row says how it ended, or is about to be deleted.
void Jobs::ended(JobId id, const Lane& lane, const JobOpts& opts, State end) {
  call_back(id, lane, opts, end);
  for (const JobId follower : opts.followers) left_.push_back({follower, id, end == State::completed});
}

bool Jobs::let_followers_go() {
  const std::vector<Left> left = std::exchange(left_, {});
  if (!left.empty()) flush();
  for (const Left& one : left) {
    const FullRow row = turn_.store.read(one.follower, false);
    if (!row.found || row.job.state != State::pending) continue;
    JobOpts opts = decode_opts(row.job.opts);
    if (std::find(opts.after.begin(), opts.after.end(), one.id) == opts.after.end()) continue;  // somebody said that it is to run now
    const bool fails = !one.completed && !opts.after_run;
    if (fails && row.job.due_ms != kNever) continue;  // it was to end for another one already
    if (fails) {
      opts.after = {one.id};  // Dispatcher ends it for this
    } else {
      std::erase(opts.after, one.id);
    }
    if (opts.after.empty() && !opts.unique_key.empty() && holder(opts.unique_key) == 0) turn_.store.set_unique(one.follower, opts.unique_key);
    turn_.store.set_opts(one.follower, encode_opts(opts));
    if (!fails && !opts.after.empty()) continue;
    Lane& lane = *turn_.lanes.by_id(row.job.lane);
    const int64_t due_ms = turn_.now_ms + (fails ? 0 : opts.after_delay_ms);
    turn_.store.make_pending(one.follower, lane.id, row.job.priority, due_ms, 0, row.job.attempts);
    turn_.lanes.moved(lane, one.follower, {-row.job.priority, due_ms, one.follower}, turn_.now_ms);
  }
  return !left.empty();
}

std::string Jobs::after_text(const JobOpts& opts, bool due) const {
  constexpr size_t kNamed = 3;
  std::string text;
  for (size_t i = 0; i < std::min(opts.after.size(), kNamed); ++i) {
    const FullRow row = turn_.store.read(opts.after[i], false);
    if (due) return "job " + std::to_string(opts.after[i]) + ", after which it was to run, " + how(row);
    text += (i == 0 ? "waits for the end of job " : ", job ") + std::to_string(opts.after[i]) + " (" + (row.found ? state_name(row.job.state) : "gone") + ")";
  }
  if (opts.after.size() > kNamed) text += " and " + std::to_string(opts.after.size() - kNamed) + " more";
  return text;
}

}  // namespace hf
