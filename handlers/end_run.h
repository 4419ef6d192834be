// How a runner reports the end of a run.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>

#include "core/requests.h"

namespace hf {

// Host::end_run, or what a test puts in its place; it does not throw. Called on the loop thread, once for each job of
// each StartRun; never from within the runner's start().
using EndRun = std::function<void(RunEnded)>;

// The end of a run that was ended because the engine asked for it; without id and attempt.
// `timeout_ms` is that of its StartRun.
RunEnded ended_by_stop(StopReason reason, int64_t timeout_ms);

// The end of a run of which there is no memory to say more: it comes again, no attempt spent.
RunEnded ended_without_memory();

// The end of a run that succeeded, but whose result ("its output", "the response") is longer than
// is kept.
RunEnded ended_too_long(const std::string& what, int64_t max_result);

// One run, among all that a process has started. A job that was handed back runs again under the same attempt, and the
// run before it may still be ending.
struct Fence {
  JobId id = 0;
  int attempt = 0;
  uint64_t run = 0;
  auto operator<=>(const Fence&) const = default;
};
inline Fence fence_of(const RunJob& job) { return {job.id, job.attempt, job.run}; }

// The last of the runs of (id, attempt): those before it were asked to end already.
template <class Run>
typename std::map<Fence, Run>::iterator newest_run(std::map<Fence, Run>& runs, JobId id, int attempt) {
  auto next = runs.upper_bound(Fence{id, attempt, UINT64_MAX});
  if (next == runs.begin()) return runs.end();
  auto last = std::prev(next);
  return last->first.id == id && last->first.attempt == attempt ? last : runs.end();
}

inline RunEnded with_fence(RunEnded ended, const Fence& fence) {
  ended.id = fence.id;
  ended.attempt = fence.attempt;
  ended.run = fence.run;
  return ended;
}

}  // namespace hf
