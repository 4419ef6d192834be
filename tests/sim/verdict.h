// What must be true of a job at the end.
#pragma once

#include <string>

#include "core/engine.h"
#include "peer.h"

namespace hf::sim {

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
