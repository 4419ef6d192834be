// How a runner reports the end of a run.
#pragma once

#include <functional>

#include "core/requests.h"

namespace hf {

// Host::end_run, or what a test puts in its place. Called on the loop thread, once for each job of
// each StartRun; never from within the runner's start().
using EndRun = std::function<void(RunEnded)>;

}  // namespace hf
