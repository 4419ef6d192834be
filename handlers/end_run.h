// How a runner reports the end of a run.
#pragma once

#include <functional>

#include "core/requests.h"

namespace hf {

// Host::end_run, or what a test puts in its place. Called on the loop thread, once for each job of
// each StartRun; never from within the runner's start().
using EndRun = std::function<void(RunEnded)>;

// The end of a run that was ended because the engine asked for it; without id and attempt.
// `timeout_ms` is that of its StartRun.
RunEnded ended_by_stop(StopReason reason, int64_t timeout_ms);

// The end of a run that succeeded, but whose result ("its output", "the response") is longer than
// is kept.
RunEnded ended_too_long(const std::string& what, int64_t max_result);

}  // namespace hf
