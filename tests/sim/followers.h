// Jobs that wait for others, from what was asked and the committed feed alone: none runs before those it waits for have ended, and it runs
// only if they completed, or if it is to run however they end.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/requests.h"

namespace hf::sim {

class Followers {
 public:
  // The turn failed, and may be in the file all the same.
  void in_doubt(const std::vector<Op>& ops) {
    for (const Op& op : ops) {
      if (const auto* retry = std::get_if<Retry>(&op)) freed_.insert(retry->id);
      if (const auto* edit = std::get_if<Edit>(&op)) freed_.insert(edit->id);
      all_freed_ |= std::holds_alternative<RetryAllDead>(op);
    }
  }

  // What a freshly opened engine has. "" if all is well.
  std::string opened(const std::vector<JobInfo>& there) {
    std::map<JobId, const JobInfo*> by_id;
    for (const JobInfo& job : there) {
      by_id[job.id] = &job;
      if (is_final(job.state)) ended_.insert(job.id);  // maybe in a turn that failed
    }
    // A power cut takes an end back, too.
    std::erase_if(ended_, [&](JobId id) { return by_id.contains(id) && !is_final(by_id[id]->state); });
    std::map<JobId, Waits> before;
    before.swap(waits_);
    for (const JobInfo& job : there) {
      if (job.state != State::pending || job.after.empty()) continue;
      Waits& now = waits_[job.id];
      now.others.insert(job.after.begin(), job.after.end());
      // One that came in with a turn that failed: how it goes on is not known, so it may run in any case.
      const auto known = before.find(job.id);
      now.run = known == before.end() || known->second.run;
    }
    for (const auto& [id, was] : before) {
      const auto job = by_id.find(id);
      if (job == by_id.end() || is_final(job->second->state) || all_freed_ || freed_.contains(id)) continue;
      const auto now = waits_.find(id);
      const auto has_ended = [&](JobId other) { return !by_id.contains(other) || is_final(by_id[other]->state); };
      // It is to end for one that did not complete: the others are no matter to it.
      if (now != waits_.end() && std::any_of(now->second.others.begin(), now->second.others.end(), has_ended)) continue;
      for (const JobId other : was.others) {
        if (now != waits_.end() && now->second.others.contains(other)) continue;
        if (!has_ended(other)) return "job " + std::to_string(id) + " no longer waits for job " + std::to_string(other) + ", which has not ended";
      }
    }
    freed_.clear();
    all_freed_ = false;
    return "";
  }

  std::string check(const std::vector<Op>& ops, const std::vector<Reply>& replies, const Tick& tick) {
    std::set<JobId> made;
    for (const Transition& t : tick.feed) {
      if (t.change == Change::enqueued) made.insert(t.id);
    }
    for (size_t i = 0; i < ops.size(); ++i) {
      if (std::holds_alternative<Error>(replies[i])) continue;
      const auto* add = std::get_if<Enqueue>(&ops[i]);
      for (size_t n = 0; add != nullptr && n < add->specs.size(); ++n) {
        const JobSpec& spec = add->specs[n];
        const JobId id = std::get<std::vector<JobId>>(replies[i])[n];
        // Others of the call may stand for one that it made before.
        if (made.erase(id) == 0 || spec.after.empty()) continue;
        Waits& waits = waits_[id];
        waits.run = spec.after_failure == AfterFailure::run;
        for (const JobId other : spec.after) {
          if (!ended_.contains(other)) waits.others.insert(other);
        }
      }
      const auto* edit = std::get_if<Edit>(&ops[i]);
      if (edit != nullptr && (edit->delay_ms || edit->at_wall_ms)) waits_.erase(edit->id);
    }
    for (const Transition& t : tick.feed) {
      if (t.id == 0) continue;
      if (t.change == Change::requeued) waits_.erase(t.id);
      if (t.change == Change::requeued) ended_.erase(t.id);
      if (t.change == Change::started) {
        const auto waits = waits_.find(t.id);
        if (waits != waits_.end() && !waits->second.others.empty()) return "job " + std::to_string(t.id) + " runs, and it waits for job " + std::to_string(*waits->second.others.begin());
      }
      switch (t.change) {
        case Change::completed: ends(t.id, true); break;
        case Change::died: case Change::cancelled: case Change::expired: case Change::displaced: case Change::removed: ends(t.id, false); break;
        default: break;
      }
    }
    return "";
  }

 private:
  struct Waits {
    std::set<JobId> others;  // one of them that did not complete stays here, unless `run`
    bool run = false;
  };
  void ends(JobId id, bool completed) {
    waits_.erase(id);
    if (!ended_.insert(id).second) return;
    for (auto& [follower, waits] : waits_) {
      if (completed || waits.run) waits.others.erase(id);
    }
  }
  std::map<JobId, Waits> waits_;
  std::set<JobId> ended_;
  std::set<JobId> freed_;  // may wait for nobody any more
  bool all_freed_ = false;
};

}  // namespace hf::sim
