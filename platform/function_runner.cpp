#include "platform/function_runner.h"

#include <array>
#include <iterator>

#include "platform/clock.h"
#include "platform/memory.h"

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

bool RunEnds::end(RunEnded&& run) {
  std::lock_guard lock(mutex_);
  if (closed_) return false;
  end_(std::move(run));
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

namespace {
// Calls it as the thread's handler, with all of `runs`, which are inside meanwhile.
template <class All>
int call_function(const FunctionRunner::Function& function, const All& runs, hf_job* const* handles, const void* call) {
  for (const auto& one : runs) {
    one->function.call = call;
    one->function.at.store(StuckRuns::kInside);
  }
  ++handlers_here;
  const int outcome = function(handles, std::size(runs));
  --handlers_here;
  for (const auto& one : runs) one->ends->stuck->returned(one->function);
  return outcome;
}
}  // namespace

// One call for several jobs. What it needs is there before a thread has it.
struct FunctionRunner::Batch {
  void call();

  std::shared_ptr<const Function> function;
  std::vector<std::shared_ptr<FunctionRun>> runs;
  std::vector<hf_job*> handles;
  size_t waiting = 0;  // not dropped yet; the engine's
};

bool FunctionRunner::begin(Workers::Tasks& tasks) {
  Outcome not_begun = Outcome::handed_back;
  if (!ends_->ending()) {
    Status submitted = ok_status();
    const bool done = guarded([&] {
      {
        std::lock_guard lock(runs_->mutex);
        for (const auto& run : begun_) runs_->by_id[run->job.id] = run;
      }
      submitted = workers_.submit(tasks);
    });
    if (done && submitted) return true;  // threads have them, and may have done with them
    // No thread: later, as the world is not ready. The workers have ended: the engine closes.
    if (!done || submitted.error().code != HF_E_STATE) not_begun = Outcome::defer;
  }
  for (const auto& run : begun_) run->give_up(not_begun);
  return false;
}

void FunctionRunner::start_together(std::span<StartRun> starts) {
  const struct Forgets {  // also of those that were not begun
    std::vector<std::shared_ptr<FunctionRun>>& runs;
    ~Forgets() { runs.clear(); }
  } forgets{begun_};
  const auto make = [this](RunJob& job) -> const std::shared_ptr<FunctionRun>& {
    return begun_.emplace_back(std::allocate_shared<FunctionRun>(FromSharedLists<FunctionRun>(memory_), std::move(job), ends_, runs_));
  };
  Workers::Tasks tasks = workers_.make(starts.size());
  auto task = tasks.begin();
  for (StartRun& start : starts) {
    if (start.jobs.size() == 1) {
      FunctionRun* run = make(start.jobs.front()).get();
      run->code = function_;
      *task++ = {[run] { run->call(); }, run};
      continue;
    }
    auto batch = std::make_shared<Batch>();
    batch->function = function_;
    batch->waiting = start.jobs.size();
    batch->runs.reserve(start.jobs.size());
    batch->handles.reserve(start.jobs.size());
    for (RunJob& job : start.jobs) {
      batch->runs.push_back(make(job));
      batch->runs.back()->batch = batch;
    }
    *task++ = {[batch] { batch->call(); }, batch.get()};
  }
  // Nothing throws any more. One that is called alone is kept by its own handle until its thread has done with it.
  for (const auto& run : begun_) {
    if (run->code) run->handle.run = run;
  }
  if (!begin(tasks)) {
    for (const auto& run : begun_) {
      if (run->code) run->release();
    }
  }
}

void FunctionRunner::forget(FunctionRun& run) {
  if (!run.code) {
    if (const auto of = run.batch.lock(); of && --of->waiting == 0) workers_.forget(of.get());
  } else if (workers_.forget(&run)) {
    run.release();
  }
}

// With those that were not given up while they waited for the thread, and are not now. A handle is gone once its job is finished, maybe
// within the function; the runs stay until it has returned.
void FunctionRunner::Batch::call() {
  std::erase_if(runs, [](const auto& one) { return !one->begin(); });
  if (runs.empty()) return;
  for (const auto& one : runs) {
    one->handle.run = one;
    handles.push_back(&one->handle);
  }
  const int outcome = call_function(*function, runs, handles.data(), this);
  if (outcome == HF_ASYNC) return;  // hf_job_finish gives the handles up; it may have done so already
  for (const auto& one : runs) {  // their ends share a commit
    one->finish(outcome);
    one->release();
  }
}

void FunctionRun::call() {
  const std::array<std::shared_ptr<FunctionRun>, 1> self = {handle.run};
  if (!begin()) return release();
  hf_job* const handles[] = {&handle};
  const int outcome = call_function(*code, self, handles, this);
  if (outcome == HF_ASYNC) return;
  if (end()) ends->end_here(ended(outcome_of(outcome)));
  release();
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
  const bool waited = run->drop();
  if (reason == StopReason::shutdown) {
    // The engine has handed it back already, and may run it again under the same attempt: a late end must not reach it.
    run->abandon();
  } else if (waited) {
    // It waited for a thread all the time: nothing was attempted.
    run->give_up(reason == StopReason::cancel ? Outcome::cancelled : Outcome::handed_back);
  } else {
    (void)guarded([&] { ends_->stuck->stopped(run->function, id, run->job.type, reason == StopReason::timeout, boot_ms()); });
    // A function cannot be killed: at its timeout the attempt counts as failed, and what it returns from when it sees that is refused.
    if (reason == StopReason::timeout) run->give_up(Outcome::retry);
  }
  run->canceled.store(true);
  if (waited) forget(*run);
}

void FunctionRunner::shutdown(std::function<void()> closed) {
  // Runs that never end by themselves (HF_ASYNC without hf_job_finish) are let go of here.
  std::vector<std::shared_ptr<FunctionRun>> left;
  {
    std::lock_guard lock(runs_->mutex);
    patient([&] { left.reserve(runs_->by_id.size()); });
    for (auto& [id, run] : runs_->by_id) left.push_back(std::move(run));
    runs_->by_id.clear();
  }
  for (const auto& run : left) {
    run->canceled.store(true);
    if (run->drop()) run->give_up(Outcome::handed_back);
  }
  closed();
}

// ---- FunctionRun ---------------------------------------------------------------------------------------

bool FunctionRun::begin() {
  if (era_ == ends->era() && set_place(Place::begun)) return true;
  give_up(Outcome::handed_back);  // unless the engine knows
  return false;
}

bool FunctionRun::end() {
  if (ended_.exchange(true)) return false;
  std::lock_guard lock(runs_->mutex);
  auto it = runs_->by_id.find(job.id);
  if (it != runs_->by_id.end() && it->second.get() == this) runs_->by_id.erase(it);
  return true;
}

RunEnded FunctionRun::ended(Outcome outcome) {
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
  return end;
}

const char* FunctionRun::key() {
  std::lock_guard lock(mutex);
  if (key_text_[0] == 0) job.key.write(key_text_);
  return key_text_.data();
}

bool FunctionRun::send(Outcome outcome) { return end() && ends->end(ended(outcome)); }

int FunctionRun::finish(int outcome) { return send(outcome_of(outcome)) ? HF_OK : HF_E_STALE; }

void FunctionRun::release() {
  if (released_.exchange(true)) return;
  const std::shared_ptr<FunctionRun> self = std::move(handle.run);  // maybe the last one that keeps it
}

void FunctionRun::abandon() { (void)end(); }
void FunctionRun::give_up(Outcome outcome) { (void)send(outcome); }

}  // namespace hf
