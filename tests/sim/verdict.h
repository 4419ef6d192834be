// What must be true of a job at the end.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "core/engine.h"
#include "peer.h"
#include "workload.h"

namespace hf::sim {

// "" if all is well.
inline std::string verdict(const JobInfo& info, State known, const Peer& peer, const std::string& result) {
  const std::string job = "job " + std::to_string(info.id);
  if (info.state != known) return job + " is " + state_name(info.state) + ", not " + state_name(known);
  size_t logs = 0;
  for (const Attempt& attempt : info.history) logs += attempt.log.size();
  if (info.history.size() > HF_HISTORY_MAX || logs > HF_JOB_LOG_MAX) return job + " has a history of " + std::to_string(info.history.size()) + " attempts and " + std::to_string(logs) + " bytes of logs";
  if (info.state != State::completed) return "";
  if (info.type != kCallbackType && info.result != result) return job + " is completed with another result";
  if (info.sink.empty()) return "";
  const std::string* held = peer.held(info.key);
  return held != nullptr && *held == info.result ? "" : job + " is completed, and the peer does not hold its result";
}

// What the callbacks that are there say of each job: how often it completed, how often it died.
class Told {
 public:
  void add(const JobInfo& info) {
    if (!is_callback(info.type)) return;
    const std::string& said = info.type == kTelling ? info.payload : info.result;
    const bool completed = said.find("job.completed") != std::string::npos;
    ++times_[{std::stoll(said.substr(said.find("\"id\":") + 5)), completed}];
  }
  // "" if all is well. What is completed never runs again; a dead one that was retried may have died more than once.
  std::string verdict(const JobInfo& info) const {
    const std::string job = "job " + std::to_string(info.id);
    if (info.type == kCallbackType) return "";
    const int completed = times(info.id, true), died = times(info.id, false);
    if (completed != (info.state == State::completed && !info.callback.empty())) return job + " is " + state_name(info.state) + " and completed in " + std::to_string(completed) + " callbacks";
    if (info.failure_callback.empty() ? died != 0 : info.state == State::dead && died == 0) return job + " is " + state_name(info.state) + " and died in " + std::to_string(died) + " callbacks";
    return "";
  }

 private:
  int times(JobId id, bool completed) const {
    const auto found = times_.find({id, completed});
    return found == times_.end() ? 0 : found->second;
  }
  std::map<std::pair<JobId, bool>, int> times_;
};

}  // namespace hf::sim
