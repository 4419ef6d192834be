// How fast jobs may come in: the enqueue_limit of a queue and the key_enqueue_limit of its concurrency keys, as rate_limit is for
// runs (core/rate.h). What comes in faster is refused, where there is somebody who can be told; the job of an event or a schedule
// is dropped, and counted as lost. A job for which the holder of its unique key stands does not come in.
//
// Thread: the engine's.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "core/turn.h"

namespace hf {

bool limits_intake(const Queue& queue);
void came_in(Turn& turn, Lane& lane);  // a job was put in

// Looks at what a request is about to bring in, as a whole, and writes nothing.
class Intake {
 public:
  explicit Intake(Turn& turn) : turn_(&turn) {}
  // One more. HF_E_RATE: with those before it, it would be more than is allowed now; it does not count then. HF_E_TOO_LARGE: no
  // wait would help, as so many never come in at once.
  Status let_in(Queue& queue, const std::string& key);
  // False: one of this request was let in with this unique key already, and stands for it.
  bool first_with(const std::string& unique_key) { return unique_keys_.insert(unique_key).second; }

 private:
  RateGate* gate_of_key(Queue& queue, const std::string& key);

  Turn* turn_;
  std::map<const RateGate*, int> let_in_;
  std::map<std::pair<const Queue*, std::string>, RateGates> new_keys_;  // of which no job has come in since the opening
  std::set<std::string> unique_keys_;
};

}  // namespace hf
