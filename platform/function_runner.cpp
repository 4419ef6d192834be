#include "platform/function_runner.h"

#include "platform/memory.h"
#include "platform/clock.h"

namespace hf {

namespace {
thread_local int handlers_here = 0;

Outcome outcome_of(int returned) {
  switch (returned) {
    case HF_OK: return Outcome::done;
    case HF_DEAD: return Outcome::dead;
    case HF_DEFER: return Outcome::defer;
    default: return Outcome::retry;
  }
}
}  // namespace

bool on_handler_thread() { return handlers_here > 0; }

// ---- RunEnds -----------------------------------------------------------------------------------------

bool RunEnds::send(Op op) {
  std::lock_guard lock(mutex_);
  if (closed_) return false;
  send_(std::move(op));
  return true;
}

Reply RunEnds::call(Op op) {
  Call call;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return Error{HF_E_STATE, "the engine is closed"};
    call = call_;
  }
  // Not under the lock: it waits for the disk.
  return call(std::move(op));
}

int64_t RunEnds::max_payload() {
  std::lock_guard lock(mutex_);
  return closed_ ? kNever : max_payload_();
}

void RunEnds::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
}

// ---- FunctionRunner ------------------------------------------------------------------------------------

void FunctionRunner::start(StartRun start) {
  Batch batch;
  batch.reserve(start.jobs.size());
  for (RunJob& job : start.jobs) batch.push_back(std::make_shared<FunctionRun>(std::move(job), ends_, runs_));
  Status submitted = ok_status();
  if (ends_->ending()) {
    for (const auto& run : batch) run->give_up(Outcome::handed_back);
    return;
  }
  const bool done = guarded([&] {
    {
      std::lock_guard lock(runs_->mutex);
      for (const auto& run : batch) runs_->by_id[run->job.id] = run;
    }
    submitted = workers_.submit([batch, function = function_] { call(function, batch); });
  });
  if (done && submitted) return;
  // No thread: later, as the world is not ready. The workers have ended: the engine closes.
  const Outcome outcome = done && submitted.error().code == HF_E_STATE ? Outcome::handed_back : Outcome::defer;
  for (const auto& run : batch) run->give_up(outcome);
}

// With those that were not given up while they waited for the thread. A handle is gone once its job is finished, maybe within the
// function; the runs stay until it has returned.
void FunctionRunner::call(const Function& function, const Batch& batch) {
  std::vector<std::unique_ptr<hf_job>> made;
  std::vector<hf_job*> handles;
  std::vector<FunctionRun*> begun;
  const bool room = guarded([&] {
    made.reserve(batch.size());
    handles.reserve(batch.size());
    begun.reserve(batch.size());
    for (const auto& run : batch) made.push_back(std::make_unique<hf_job>(hf_job{run}));
  });
  for (size_t i = 0; i < batch.size(); ++i) {
    FunctionRun& run = *batch[i];
    if (!run.begin()) continue;
    if (!room) {
      run.give_up(Outcome::defer);
      continue;
    }
    begun.push_back(&run);
    handles.push_back(made[i].release());
  }
  if (handles.empty()) return;
  for (FunctionRun* run : begun) {
    run->function.call = &batch;
    run->function.at.store(StuckRuns::kInside);
  }
  ++handlers_here;
  const int outcome = function(handles.data(), handles.size());
  --handlers_here;
  for (FunctionRun* run : begun) run->ends->stuck->returned(run->function);
  if (outcome == HF_ASYNC) return;  // hf_job_finish frees the handles; it may have done so already
  for (size_t i = 0; i < begun.size(); ++i) {
    begun[i]->finish(outcome);
    begun[i]->release(handles[i]);
  }
}

void FunctionRunner::stop(JobId id, int attempt, StopReason reason) {
  std::shared_ptr<FunctionRun> run;
  {
    std::lock_guard lock(runs_->mutex);
    auto it = runs_->by_id.find(id);
    if (it == runs_->by_id.end() || it->second->job.attempt != attempt) return;
    run = it->second;
  }
  // Also one that waits for a thread: it will see it when it begins.
  if (reason == StopReason::soft_timeout) return run->soft_timeout_over.store(true);
  if (reason == StopReason::shutdown) ends_->drop_waiting();  // before the first handler sees that it should end
  run->canceled.store(true);
  bool waited = run->drop();
  if (reason == StopReason::shutdown) {
    // The engine has handed it back already, and may run it again under the same attempt: a late end must not reach it.
    run->abandon();
  } else if (waited) {
    // It waited for a thread all the time: nothing was attempted.
    run->give_up(reason == StopReason::cancel ? Outcome::cancelled : Outcome::handed_back);
  } else {
    (void)guarded([&] { ends_->stuck->stopped(run->function, id, run->job.type, reason == StopReason::timeout, boot_ms()); });
    // A function cannot be killed: at its timeout the attempt counts as failed, and what it returns later is refused.
    if (reason == StopReason::timeout) run->give_up(Outcome::retry);
  }
}

void FunctionRunner::shutdown(std::function<void()> closed) {
  // Runs that never end by themselves (HF_ASYNC without hf_job_finish) are let go of here.
  std::unordered_map<JobId, std::shared_ptr<FunctionRun>> left;
  {
    std::lock_guard lock(runs_->mutex);
    left.swap(runs_->by_id);
  }
  for (auto& [id, run] : left) {
    run->canceled.store(true);
    if (run->drop()) run->give_up(Outcome::handed_back);
  }
  closed();
}

// ---- FunctionRun ---------------------------------------------------------------------------------------

bool FunctionRun::end() {
  if (ended_.exchange(true)) return false;
  std::lock_guard lock(runs_->mutex);
  auto it = runs_->by_id.find(job.id);
  if (it != runs_->by_id.end() && it->second.get() == this) runs_->by_id.erase(it);
  return true;
}

bool FunctionRun::send(Outcome outcome) {
  if (!end()) return false;
  RunEnded end;
  end.id = job.id;
  end.attempt = job.attempt;
  end.run = job.run;
  end.outcome = outcome;
  std::lock_guard lock(mutex);
  end.error = std::move(error);
  end.retry_after_ms = retry_after_ms;
  if (outcome == Outcome::done) {
    end.result = std::move(result);
    end.children = std::move(children);
  }
  return ends->send(std::move(end));
}

int FunctionRun::finish(int outcome) { return send(outcome_of(outcome)) ? HF_OK : HF_E_STALE; }

void FunctionRun::release(hf_job* handle) {
  if (!released_.exchange(true)) delete handle;
}

void FunctionRun::abandon() { (void)end(); }
void FunctionRun::give_up(Outcome outcome) { (void)send(outcome); }

}  // namespace hf
