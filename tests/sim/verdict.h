// What a world keeps from one engine to the next of the same process, and what must be true of a job at the end.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/engine.h"
#include "peer.h"

namespace hf::sim {

struct Before {
  std::vector<LiveRun> live;
  bool reopened = false;
  int64_t log_safe = -1, log_known_safe = -1;
  uint64_t next_run = 0;
  bool recorded = false;

  void take(const Engine& engine) { *this = {engine.live_runs(), true, engine.log_safe(), engine.log_known_safe(), engine.next_run(), engine.recorded()}; }
  void opened() {
    live.clear();
    reopened = false;
    log_safe = log_known_safe = -1;
  }
  void opening_failed(int code) {
    if (code == HF_E_IO) log_safe = std::max(log_safe, log_known_safe);
  }
  void give(EngineOptions& o) const {
    o.live = live;
    o.reopened = reopened;
    o.log_safe = log_safe;
    o.next_run = next_run;
    o.recorded = recorded;
  }
};

// "" if all is well.
inline std::string verdict(const JobInfo& info, State known, const Peer& peer, const std::string& result) {
  const std::string job = "job " + std::to_string(info.id);
  if (info.state != known) return job + " is " + state_name(info.state) + ", not " + state_name(known);
  if (info.state != State::completed) return "";
  if (info.result != result) return job + " is completed with another result";
  if (info.sink.empty()) return "";
  const std::string* held = peer.held(info.key);
  return held != nullptr && *held == info.result ? "" : job + " is completed, and the peer does not hold its result";
}

}  // namespace hf::sim
