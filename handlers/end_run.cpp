#include "handlers/end_run.h"

#include "core/units.h"
#include "platform/memory.h"

namespace hf {

RunEnded ended_by_stop(StopReason reason, int64_t timeout_ms) {
  RunEnded ended;
  ended.outcome = reason == StopReason::timeout  ? Outcome::retry
                  : reason == StopReason::cancel ? Outcome::cancelled
                                                 : Outcome::handed_back;
  // The outcome counts; without memory for the words it has none.
  (void)guarded([&] {
    ended.error = reason == StopReason::timeout
                      ? (timeout_ms > 0 ? "timed out after " + format_duration(timeout_ms) : "timed out")
                  : reason == StopReason::cancel ? "cancelled while it ran"
                                                 : "stopped: Holdfast is stopping";
  });
  return ended;
}

RunEnded ended_without_memory() {
  RunEnded ended;
  ended.outcome = Outcome::defer;
  ended.error = "out of memory";  // so short that it needs none
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
