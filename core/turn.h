// One turn of the engine: what its rooms share while one transaction is open.
#pragma once

#include <set>
#include <string>
#include <unordered_map>

#include "core/lanes.h"
#include "core/random.h"
#include "core/record.h"
#include "core/requests.h"
#include "core/store.h"

namespace hf {

// A run that outlives its engine: it goes on in this process while the engine is reopened after an error.
struct LiveRun {
  JobId id = 0;
  int attempt = 0;
};

// A job that runs in this process.
struct Run {
  JobId id = 0;
  int attempt = 0;       // the fence
  Lane* lane = nullptr;
  uint64_t batch = 0;    // which StartRun it belongs to
  int64_t started_ms = 0;
  int64_t deadline_ms = kNever;
  int priority = 0;
  int64_t due_ms = 0;    // its place in the order, to go back to when no attempt is spent
  JobOpts opts;
  std::optional<StopReason> stop;  // asked to end
  int progress = -1;
  std::string note;
};

class Running {
 public:
  Run* find(JobId id) {
    auto it = runs_.find(id);
    return it == runs_.end() ? nullptr : &it->second;
  }
  Run& add(Run run) {
    if (run.deadline_ms != kNever) deadlines_.insert({run.deadline_ms, run.id});
    ++batch_left_[run.batch];
    JobId id = run.id;
    return runs_.emplace(id, std::move(run)).first->second;
  }
  // True if it was the last one of its batch.
  bool remove(JobId id) {
    auto it = runs_.find(id);
    forget_deadline(it->second);
    auto left = batch_left_.find(it->second.batch);
    bool last = --left->second == 0;
    if (last) batch_left_.erase(left);
    runs_.erase(it);
    return last;
  }
  void forget_deadline(Run& run) {
    if (run.deadline_ms != kNever) deadlines_.erase({run.deadline_ms, run.id});
    run.deadline_ms = kNever;
  }
  int64_t next_deadline_ms() const { return deadlines_.empty() ? kNever : deadlines_.begin()->first; }
  JobId first_deadline() const { return deadlines_.begin()->second; }
  size_t size() const { return runs_.size(); }
  std::unordered_map<JobId, Run>& all() { return runs_; }

 private:
  std::unordered_map<JobId, Run> runs_;
  std::unordered_map<uint64_t, int> batch_left_;
  std::set<std::pair<int64_t, JobId>> deadlines_;
};

struct Turn {
  Store& store;
  Lanes& lanes;
  Running& running;
  Random& random;
  Limits& limits;
  Stats& stats;
  const std::string& key_prefix;  // "<device>-<file id>-": before the job id in idempotency keys
  int64_t now_ms = 0;   // elapsed
  int64_t wall_ms = 0;
  bool wall_trusted = false;
  Tick* out = nullptr;

  // A time on the elapsed axis as wall time, by the present mapping; never 0, which means "none".
  int64_t wall_of(int64_t elapsed_ms) const { return wall_ms - (now_ms - elapsed_ms); }
  std::string key_of(JobId id) const { return key_prefix + std::to_string(id); }
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
