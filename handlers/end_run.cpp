#include "handlers/end_run.h"

#include "core/units.h"

namespace hf {

RunEnded ended_by_stop(StopReason reason, int64_t timeout_ms) {
  RunEnded ended;
  switch (reason) {
    case StopReason::timeout:
      ended.outcome = Outcome::retry;
      ended.error = timeout_ms > 0 ? "timed out after " + format_duration(timeout_ms) : "timed out";
      break;
    case StopReason::cancel:
      ended.outcome = Outcome::cancelled;
      ended.error = "cancelled while it ran";
      break;
    case StopReason::shutdown:
      ended.outcome = Outcome::handed_back;
      ended.error = "stopped: Holdfast is stopping";
      break;
  }
  return ended;
}

RunEnded ended_too_long(const std::string& what, int64_t max_result) {
  RunEnded ended;
  // Cut off it would be wrong, and it would be as long the next time.
  ended.outcome = Outcome::dead;
  ended.error = what + " is longer than " + format_size(max_result) +
                ", the largest result: raise limits.max_payload, or make it shorter";
  return ended;
}

}  // namespace hf
