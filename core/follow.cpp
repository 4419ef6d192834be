// Jobs that wait for others to end: `after`, and on_conflict keep_last, whose job waits for the run that holds its key. Each keeps the
// ids of both sides: who waits is due never (like a job of a wall-clock time) and knows for whom, and who is waited for knows by whom,
// so that an end finds its followers without a search, in its own transaction. The rest of class Jobs is in jobs.cpp.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "core/jobs.h"
#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

constexpr int kDoomedMax = 200;           // jobs that end in one turn as another one did not complete
constexpr int64_t kAfterCallMax = 10000;  // jobs that those of one call wait for

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
  if (!s.unique_key.empty() && s.on_conflict != OnConflict::keep && s.on_conflict != OnConflict::reject) {
    return Error{HF_E_INVALID, "after, and on_conflict replace, debounce or keep_last exclude each other: both say when it is due"};
  }
  return ok_status();
}

namespace {
bool waits_for(const FullRow& row, const JobOpts& opts, JobId id) {
  return row.found && row.job.state == State::pending && std::find(opts.after.begin(), opts.after.end(), id) != opts.after.end();
}
}  // namespace

// Those that wait no longer are forgotten.
void Jobs::forget_strays(JobId id, JobOpts* opts) {
  std::erase_if(opts->followers, [&](JobId follower) {
    const FullRow row = turn_.store.read(follower, false);
    return !waits_for(row, decode_opts(row.job.opts), id);
  });
}

void Jobs::Following::add(const JobSpec& spec) {
  in_all += static_cast<int64_t>(spec.after.size());
  for (const JobId id : std::set<JobId>(spec.after.begin(), spec.after.end())) ++more[id];
}

// Looks only. Jobs of the same call may be waited for once they have been noted there.
Status Jobs::may_follow(const JobSpec& s, const Following& call) {
  if (s.after.empty()) return ok_status();
  flush();
  if (call.in_all + static_cast<int64_t>(s.after.size()) > kAfterCallMax) {
    return Error{HF_E_TOO_LARGE, "after: the jobs of one call wait for more than " + std::to_string(kAfterCallMax) + " in all"};
  }
  for (const JobId id : std::set<JobId>(s.after.begin(), s.after.end())) {
    const std::string job = "after: job " + std::to_string(id);
    const auto of_call = call.more.find(id);
    const int64_t more = of_call == call.more.end() ? 0 : of_call->second;
    int64_t followers = 0;
    if (!call.coming.contains(id)) {
      const FullRow row = turn_.store.read(id, false);
      if (!row.found) return Error{HF_E_NOT_FOUND, "after: there is no job " + std::to_string(id) + "; one that ended may have been deleted since"};
      if (row.job.state == State::completed) continue;
      if (is_final(row.job.state)) {
        if (s.after_failure == AfterFailure::run) continue;
        return Error{HF_E_CONFLICT, job + " " + how(row) + ": it will not complete (after_failure)"};
      }
      JobOpts opts = decode_opts(row.job.opts);
      if (static_cast<int64_t>(opts.followers.size()) + more >= HF_AFTER_MAX) forget_strays(id, &opts);
      followers = static_cast<int64_t>(opts.followers.size());
    }
    if (followers + more >= HF_AFTER_MAX) {
      return Error{HF_E_FULL, job + " has " + std::to_string(followers) + " jobs that wait for it; at most " + std::to_string(HF_AFTER_MAX)};
    }
  }
  return ok_status();
}

// `id` is about to be put in, or goes on waiting, for the ends of these: opts->after are those that have not ended, and they learn of it; or
// the one that did not complete. False: for that one.
bool Jobs::follow(JobId id, const std::vector<JobId>& after, JobOpts* of) {
  of->after.clear();
  for (const JobId other : std::set<JobId>(after.begin(), after.end())) {
    const FullRow row = turn_.store.read(other, false);
    if (row.found && row.job.state == State::completed) continue;
    if (!row.found || is_final(row.job.state)) {
      if (of->after_run) continue;
      of->after = {other};
      return false;
    }
    Run* run = turn_.running.find(other);
    JobOpts read;
    if (run == nullptr) read = decode_opts(row.job.opts);
    JobOpts& opts = run != nullptr ? run->opts : read;
    if (opts.followers.size() >= HF_AFTER_MAX) forget_strays(other, &opts);
    if (opts.followers.size() >= kFollowersMax) {  // not met: may_follow() has looked
      of->after = {other};
      return false;
    }
    // First who is to have its key: successor() is asked for it again and again.
    const bool succeeds = !of->unique_key.empty() && of->unique_key == opts.unique_key;
    opts.followers.insert(succeeds ? opts.followers.begin() : opts.followers.end(), id);
    turn_.store.set_opts(other, encode_opts(opts));
    of->after.push_back(other);
  }
  return true;
}

// The one that waits for the end of the run `id` to take over its unique key; 0: none.
JobId Jobs::successor(JobId id, const JobOpts& opts) {
  for (const JobId follower : opts.followers) {
    const FullRow row = turn_.store.read(follower, false);
    const JobOpts its = decode_opts(row.job.opts);
    if (waits_for(row, its, id) && its.unique_key == opts.unique_key) return follower;
  }
  return 0;
}

// It takes over its key from the one that has ended. False: another one has it, for which it goes on waiting.
bool Jobs::take_over(JobId id, JobOpts* opts) {
  const JobId by = opts->unique_key.empty() ? id : holder(opts->unique_key);
  if (by == id) return true;
  if (by != 0) {
    if (!is_final(turn_.store.read(by, false).job.state)) {
      (void)follow(id, {by}, opts);
      return opts->after.empty();
    }
    turn_.store.release_unique(by);  // for a while after its end
  }
  turn_.store.set_unique(id, opts->unique_key);
  return true;
}

// REQUIRES: the row says how it ended, or is about to be deleted.
void Jobs::ended(JobId id, const Lane& lane, const JobOpts& opts, State end) {
  call_back(id, lane, opts, end);
  leave(id, opts, end);
}

void Jobs::leave(JobId id, const JobOpts& opts, State end) {
  for (const JobId follower : opts.followers) left_.push_back({follower, id, end == State::completed});
}

void Jobs::let_go(const Left& one) {
  const FullRow row = turn_.store.read(one.follower, false);
  if (!row.found || is_final(row.job.state)) return;
  JobOpts opts = decode_opts(row.job.opts);
  if (!waits_for(row, opts, one.id)) {  // somebody said that it is to run now, or it is to end for another one already
    if (opts.after.empty()) (void)take_unique(one.follower, opts);  // unless another one has its key
    return;
  }
  const bool fails = !one.completed && !opts.after_run;
  if (fails) {
    opts.after = {one.id};
  } else {
    std::erase(opts.after, one.id);
  }
  const bool goes = fails || (opts.after.empty() && take_over(one.follower, &opts));
  turn_.store.set_opts(one.follower, encode_opts(opts));
  if (!goes) return;
  becomes_due(row, turn_.now_ms + (fails ? 0 : opts.after_delay_ms));
  if (fails) doomed_.push_back(one.follower);
}

// Who does not run ends here, whatever else it waits for, and those behind it follow: a turn takes so many, and the next ones go on.
bool Jobs::let_followers_go() {
  if (left_.empty() && doomed_.empty()) return false;
  flush();
  if (std::exchange(doomed_turn_, turn_.stats.ticks) != turn_.stats.ticks) doomed_left_ = turn_.rows(kDoomedMax);
  bool some = !left_.empty();
  while (true) {
    doomed_left_ -= static_cast<int>(left_.size());
    for (const Left& one : std::exchange(left_, {})) let_go(one);
    // Who ends adds to the file where somebody is told of it: on a full disk it waits.
    if (doomed_.empty() || doomed_left_ <= 0 || turn_.room != Room::enough) return some;
    some = true;
    --doomed_left_;
    const JobId id = doomed_.front();
    doomed_.pop_front();
    const FullRow row = turn_.store.read(id, false);
    if (!row.found || row.job.state != State::pending || row.job.due_ms == kNever) continue;
    const JobOpts opts = decode_opts(row.job.opts);
    if (opts.after.empty()) continue;
    Lane& lane = *turn_.lanes.by_id(row.job.lane);
    turn_.lanes.removed(lane, id);
    end_unrun(id, lane, opts, doom_text(opts), Change::died);
  }
}

void Jobs::load_doomed() {
  doomed_saved_ = turn_.store.meta_text(kMetaDoomed);
  for (std::string_view rest = doomed_saved_; !rest.empty();) {
    const std::string id(take_until(&rest, ' '));
    if (const JobId known = std::strtoll(id.c_str(), nullptr, 10); known > 0) doomed_.push_back(known);
  }
}

void Jobs::save_doomed() {
  if (doomed_.empty() && doomed_saved_.empty()) return;
  std::string ids;
  for (const JobId id : doomed_) ids += std::to_string(id) + " ";
  if (ids == doomed_saved_) return;
  turn_.store.set_meta_text(kMetaDoomed, ids);
  doomed_saved_ = std::move(ids);
}

std::string Jobs::doom_text(const JobOpts& opts) const {
  const JobId id = opts.after.front();
  return "job " + std::to_string(id) + ", after which it was to run, " + how(turn_.store.read(id, false));
}

std::string Jobs::after_text(const JobOpts& opts) const {
  constexpr size_t kNamed = 3;
  std::string text;
  for (size_t i = 0; i < std::min(opts.after.size(), kNamed); ++i) {
    const FullRow row = turn_.store.read(opts.after[i], false);
    text += (i == 0 ? "waits for the end of job " : ", job ") + std::to_string(opts.after[i]) + " (" + (row.found ? state_name(row.job.state) : "gone") + ")";
  }
  if (opts.after.size() > kNamed) text += " and " + std::to_string(opts.after.size() - kNamed) + " more";
  return text;
}

}  // namespace hf
