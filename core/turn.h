// One turn of the engine: what its rooms share while one transaction is open.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/budget.h"
#include "core/conditions.h"
#include "core/free_lists.h"
#include "core/job_log.h"
#include "core/lanes.h"
#include "core/losses.h"
#include "core/random.h"
#include "core/rate.h"
#include "core/record.h"
#include "core/requests.h"
#include "core/sequences.h"
#include "core/store.h"
#include "core/suspects.h"

namespace hf {

// A run that outlives its engine: it goes on in this process while the engine is reopened after an error.
struct LiveRun {
  JobId id = 0;
  int attempt = 0;
  uint64_t run = 0;
  int64_t started_ms = 0;
  int64_t deadline_ms = kNever;
  int lane = 0;  // of which leg it is: both begin with attempt 1
  int64_t heartbeat_ms = 0;
  int64_t soft_at_ms = kNever;
  std::shared_ptr<JobLog> log = {};
};

// A job that runs in this process.
struct Run {
  JobId id = 0;
  int attempt = 0;       // the fence, with `batch`
  Lane* lane = nullptr;
  uint64_t batch = 0;    // which StartRun it belongs to: RunJob::run
  int64_t started_ms = 0;
  int64_t deadline_ms = kNever;  // stays when the run has been asked to stop
  int64_t heartbeat_ms = 0;      // RunnerSpec
  int64_t beat_by_ms = kNever;   // the next sign of life, at the latest; stays too
  int64_t soft_at_ms = kNever;   // it is asked to end then, once, and goes on (RunnerSpec::soft_timeout_ms)
  bool soft_asked = false;
  int priority = 0;
  int64_t due_ms = 0;    // its place in the order, to go back to when no attempt is spent
  JobOpts opts;
  std::optional<StopReason> stop;  // asked to end
  bool over = false;     // its end has come, and waits for room
  bool ready = false;    // it ended as a run of a ready world does: for the breaker of its runner
  bool inlined = false;  // nothing of it lies in a row of its own (kBodyInlineMax)
  int progress = -1;
  std::string note;
  std::shared_ptr<JobLog> log = {};  // null: it has said nothing. It goes on with the run when the engine is reopened
  Budgets::Charge charge = {};
  int64_t ends_by_ms = kNever;  // Running's, as the next one
  uint64_t begun_in = 0;        // the turn
};

// When runs are to have ended, by time. Most have the same timeout, so that each is later than those before: these are a queue. The
// others are in a heap.
using Deadline = std::pair<int64_t, JobId>;
class Deadlines {
 public:
  bool empty() const { return begin_ == queue_.size() && heap_.empty(); }
  size_t size() const { return queue_.size() - begin_ + heap_.size(); }
  const Deadline& first() const { return queue_first() ? queue_[begin_] : heap_.front(); }  // REQUIRES: !empty()
  void push(const Deadline& one) {
    if (begin_ == queue_.size() || one >= queue_.back()) return queue_.push_back(one);
    heap_.push_back(one);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }
  void pop() {
    if (!queue_first()) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      return heap_.pop_back();
    }
    if (++begin_ < queue_.size() / 2 + kGoneMost) return;
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
  }
  // Those that are `gone`, and what is there twice.
  template <class Gone>
  void drop(Gone gone) {
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
    queue_.insert(queue_.end(), heap_.begin(), heap_.end());
    heap_.clear();
    std::erase_if(queue_, gone);
    std::sort(queue_.begin(), queue_.end());
    queue_.erase(std::unique(queue_.begin(), queue_.end()), queue_.end());
  }

 private:
  static constexpr size_t kGoneMost = 64;
  bool queue_first() const { return begin_ < queue_.size() && (heap_.empty() || queue_[begin_] <= heap_.front()); }

  std::vector<Deadline> queue_;  // sorted
  size_t begin_ = 0;             // of it: what is before is gone
  std::vector<Deadline> heap_;   // the first on top
};

class Running {
 public:
  // Numbers of StartRuns begin here; never one that a live run of this process has or had.
  void number_from(uint64_t batch) { next_batch_ = std::max(next_batch_, batch); }
  uint64_t next_batch() const { return next_batch_; }
  uint64_t new_batch() { return next_batch_++; }

  Run* find(JobId id) {
    auto it = runs_.find(id);
    return it == runs_.end() ? nullptr : &it->second;
  }
  // To be filled in, and watched once its deadlines are known. `first`: of its batch.
  Run& begin(JobId id, uint64_t batch, bool first) {
    if (first) ++batches_;
    else ++beside_[batch];
    Run& run = runs_[id];
    run.id = id;
    run.batch = batch;
    run.begun_in = turn_;
    return run;
  }
  void watch(Run& run) {
    const int64_t by_ms = std::min({run.deadline_ms, run.beat_by_ms, run.soft_asked ? kNever : run.soft_at_ms});
    if (std::exchange(run.ends_by_ms, by_ms) == by_ms || by_ms == kNever) return;
    deadlines_.push({run.ends_by_ms, run.id});
    if (deadlines_.size() > 2 * runs_.size() + kStaleMost) deadlines_.drop([this](const Deadline& one) { return stale(one); });
  }
  // True if it was the last one of its batch.
  bool remove(JobId id) {
    auto it = runs_.find(id);
    if (it->second.begun_in != turn_) ended_.push_back(live(it->second));
    const auto beside = beside_.empty() ? beside_.end() : beside_.find(it->second.batch);
    const bool last = beside == beside_.end();
    if (last) --batches_;
    else if (--beside->second == 0) beside_.erase(beside);
    runs_.erase(it);
    return last;
  }
  static void forget_deadline(Run& run) { run.ends_by_ms = kNever; }
  void beat(Run& run, int64_t now_ms) {
    if (run.heartbeat_ms == 0 || run.ends_by_ms == kNever) return;  // it is to end already
    run.beat_by_ms = now_ms + run.heartbeat_ms;
    watch(run);
  }
  // In this turn. Its other deadlines stay.
  void asked_softly(Run& run) {
    run.soft_asked = true;
    softened_.insert(run.id);
    forget_deadline(run);
    watch(run);
  }
  int64_t next_deadline_ms() {
    const Run* first = first_to_end();
    return first != nullptr ? first->ends_by_ms : kNever;
  }
  // Null: none has a deadline.
  Run* first_to_end() {
    while (!deadlines_.empty() && stale(deadlines_.first())) deadlines_.pop();
    return deadlines_.empty() ? nullptr : find(deadlines_.first().second);
  }
  size_t size() const { return runs_.size(); }                // jobs
  int batches() const { return batches_; }                    // what the engine's concurrency counts
  using Runs = std::pmr::unordered_map<JobId, Run>;
  const Runs& all() const { return runs_; }

  // The turn was committed: what it began and ended counts.
  void turn_committed() {
    ++turn_;
    ended_.clear();
    softened_.clear();
  }
  // The runs as of the last commit: those that the outside knows of.
  std::vector<LiveRun> committed() const {
    std::vector<LiveRun> runs = ended_;
    for (auto& [id, run] : runs_) {
      if (run.begun_in != turn_) runs.push_back(live(run));
    }
    return runs;
  }

 private:
  LiveRun live(const Run& r) const {
    // Of what was asked in a turn that failed the run has not heard.
    const bool asked = r.soft_asked && !softened_.contains(r.id);
    return {r.id, r.attempt, r.batch, r.started_ms, r.deadline_ms, r.lane->id, r.heartbeat_ms, asked ? kNever : r.soft_at_ms, r.log};
  }
  bool stale(const Deadline& deadline) {
    const Run* run = find(deadline.second);
    return run == nullptr || run->ends_by_ms != deadline.first;
  }
  static constexpr size_t kStaleMost = 64;

  FreeLists memory_;
  Runs runs_{&memory_};
  int batches_ = 0;
  std::pmr::unordered_map<uint64_t, int> beside_{&memory_};  // jobs of a batch beside one: of those that have several
  Deadlines deadlines_;  // those that are forgotten, or of runs that are gone, stay for a while
  uint64_t next_batch_ = 1;
  uint64_t turn_ = 1;            // Run::begun_in
  std::vector<LiveRun> ended_;   // in this turn, begun before
  std::set<JobId> softened_;     // asked_softly() in this turn
};

// For unique_by payload: at least 128 bits of a cryptographic hash, as text. The core has none of its own.
using Digest = Result<std::string> (*)(std::string_view bytes);
inline Result<std::string> no_digest(std::string_view) { return Error{HF_E_UNSUPPORTED, "unique_by payload: there is no hash in this build"}; }

inline constexpr int kRowsFull = 20;  // Turn::rows()

struct Turn {
  Store& store;
  Lanes& lanes;
  Running& running;
  Suspects& suspects;
  Budgets& budgets;
  Losses& losses;
  Sequences& sequences;
  Rates& rates;
  Conditions& conditions;
  Random& random;
  Limits& limits;
  Stats& stats;
  std::shared_ptr<const std::string> key_prefix;  // "<device>-<file id>-": before the job id in idempotency keys
  std::string (*callback_text)(const JobInfo&);  // of EngineOptions
  int64_t now_ms = 0;   // elapsed
  int64_t wall_ms = 0;
  int64_t offset_ms = 0;  // from elapsed to wall time, for what is shown: at most 1 ms off, as two clocks are cut to milliseconds apart
  bool wall_trusted = false;
  Room room = Room::enough;
  Tick* out = nullptr;
  struct ScheduledEnd {
    std::string schedule;
    bool dead;
  };
  std::vector<ScheduledEnd> scheduled_ends = {};  // of jobs that schedules made, until the scheduler has looked

  Digest digest = no_digest;  // of EngineOptions

  // Final jobs that came and went, in order, until retention has looked; only while a queue has a retention of its own.
  struct FinalRow {
    State state;
    const Lane* lane;
    int64_t finished_ms;
    JobId id;
    bool came;
  };
  std::vector<FinalRow> final_rows = {};
  bool follows_final = false;
  void came_to_end(State state, const Lane& lane, JobId id) {
    if (follows_final) final_rows.push_back({state, &lane, now_ms, id, true});
  }
  void left_end(const FullRow& row, const Lane& lane) {
    if (follows_final && is_final(row.job.state)) final_rows.push_back({row.job.state, &lane, row.finished_ms, row.job.id, false});
  }

  bool grouped = false;  // this turn acknowledges something that has to be on the disk within Limits::grouped_within_ms

  bool gets_on = false;  // a job was completed since the opening, and not only what is the queue's own

  // Rows that this turn changes at most of what it would change together: on a full disk few, as their pages have to fit
  // into the log.
  int rows(int most) const { return room == Room::enough ? most : std::min(most, kRowsFull); }

  // A time on the elapsed axis as wall time, by the present mapping; never 0, which means "none".
  int64_t wall_of(int64_t elapsed_ms) const { return std::min(elapsed_ms, kTimeMax) + offset_ms; }
  JobKey key_of(JobId id) const { return {key_prefix, id}; }
  Transition& tell(Change change, JobId id, const Lane* lane) {
    Transition& t = out->feed.emplace_back();
    t.change = change;
    t.id = id;
    if (lane != nullptr) {
      t.type = lane->type;
      t.queue = lane->queue->name;
    }
    return t;
  }
};

}  // namespace hf
