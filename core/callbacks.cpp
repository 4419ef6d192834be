// Callbacks: a sink is told how a job ended. What is told is a delivery without a run, put in by the transaction that ended
// the job, so that neither is ever without the other. The rest of class Jobs is in jobs.cpp.
#include "core/callbacks.h"

#include <utility>

#include "core/job_info.h"
#include "core/jobs.h"
#include "core/losses.h"

namespace hf {

// The job's own word goes before its handler's.
const std::string& Jobs::callback_of(const Lane& lane, const JobOpts& opts, State end) const {
  static const std::string kNobody;
  const RunnerSpec& handler = (lane.delivery() ? lane.origin : &lane)->runner->spec;
  if (end == State::completed) return opts.callback.empty() ? handler.callback : opts.callback;
  if (end == State::dead) return opts.failure_callback.empty() ? handler.failure_callback : opts.failure_callback;
  return kNobody;
}

// REQUIRES: the row says how it ended. What is told is of this moment; the row may be deleted in this very turn.
void Jobs::call_back(JobId id, const Lane& lane, const JobOpts& opts, State end) {
  const std::string& sink = callback_of(lane, opts, end);
  if (sink.empty()) return;
  FullRow row = turn_.store.read(id, false);
  if (row.result_size > 0 && row.result_size <= kCallbackResultMax) row.result = turn_.store.read_for_run(id, true).bytes;
  callbacks_.push_back({kCallbackType, sink, turn_.callback_text(job_info(turn_, *this, row)), row.job.priority});
}

bool Jobs::calls_back(JobId running) const {
  const Run* run = turn_.running.find(running);
  if (run == nullptr) return false;
  const auto tells = [&](State end) { return !callback_of(*run->lane, run->opts, end).empty(); };
  return tells(State::completed) || tells(State::dead);
}

bool Jobs::add_callbacks() {
  const std::vector<Delivery> added = std::exchange(callbacks_, {});
  for (const Delivery& callback : added) {
    // There is no lane left for one more sink: what should have been told is lost.
    if (!add_delivery(callback)) turn_.losses.add(LossCause::dropped, kOwnQueue, turn_.now_ms);
  }
  return !added.empty();
}

std::string plain_callback_text(const JobInfo& job) {
  return "{\"type\":\"" + std::string(callback_event(job)) + "\",\"data\":{\"id\":" + std::to_string(job.id) + "}}";
}

const char* callback_event(const JobInfo& job) { return job.state == State::completed ? "job.completed" : "job.failed"; }

}  // namespace hf
