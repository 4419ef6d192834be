// C handlers as a runner: each run, or batch of runs, is a call of a function on a worker thread.
#pragma once

#include <holdfast.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/free_lists.h"
#include "platform/runner.h"
#include "platform/shared_free_lists.h"
#include "platform/stuck_runs.h"
#include "platform/workers.h"

namespace hf {
class FunctionRun;
}

// The opaque handle of holdfast.h: a part of its run, which it keeps while the handler has it.
struct hf_job {
  std::shared_ptr<hf::FunctionRun> run;
};

namespace hf {

// What the runs of one engine share: where their ends go. It outlives the engine as long as a run does, so that a
// late hf_job_finish is refused and not a crash.
class RunEnds {
 public:
  using Send = std::function<void(Op)>;
  using End = std::function<void(RunEnded&&)>;
  using Call = std::function<Reply(Op)>;  // may be called after close(), by a thread that was on its way
  using MaxPayload = std::function<int64_t()>;
  RunEnds(Send send, End end, End end_here, Call call, MaxPayload max_payload, std::shared_ptr<StuckRuns> stuck_runs)
      : stuck(std::move(stuck_runs)),
        send_(std::move(send)),
        end_(std::move(end)),
        end_here_(std::move(end_here)),
        call_(std::move(call)),
        max_payload_(std::move(max_payload)) {}

  const std::shared_ptr<StuckRuns> stuck;  // never null

  bool send(Op op);       // false: the engine is closed
  bool end(RunEnded&& run);  // ... too
  // On a worker's thread, outside of the function: what is to be done with the end is done there if nobody else is at it.
  void end_here(RunEnded&& run) { end_here_(std::move(run)); }
  Reply call(Op op);      // HF_E_STATE: the engine is closed
  int64_t max_payload();  // kNever: the engine is closed
  void close();           // nothing is sent any more when it returns

  // Runs that wait for a thread now will not begin: the engine stops, and hands back each of them.
  void drop_waiting() { era_.fetch_add(1); }
  uint64_t era() const { return era_.load(); }
  // The engine closes: every run is to end, also if its file is away and the engine could stop none of them.
  void stop_all() {
    ending_.store(true);
    drop_waiting();
  }
  bool ending() const { return ending_.load(); }

 private:
  std::atomic<uint64_t> era_{0};
  std::atomic<bool> ending_{false};
  std::mutex mutex_;
  bool closed_ = false;
  Send send_;
  End end_;
  const End end_here_;  // without the lock: the engine closes once the workers have ended
  Call call_;
  MaxPayload max_payload_;
};

// Owner: the Host. start() and stop() on the engine thread.
class FunctionRunner final : public Runner {
 public:
  // hf_handler_fn or hf_batch_fn, with its `user`: the outcome of the jobs that were not finished meanwhile.
  using Function = std::function<int(hf_job* const* jobs, size_t n)>;
  FunctionRunner(Function function, Workers& workers, std::shared_ptr<RunEnds> ends)
      : function_(std::make_shared<const Function>(std::move(function))), workers_(workers), ends_(std::move(ends)) {}

  bool on_loop() const override { return false; }
  void start(StartRun run) override { start_together({&run, 1}); }
  void start_together(std::span<StartRun> starts) override;
  void started() override { workers_.wake(); }
  void stop(JobId id, int attempt, StopReason reason) override;
  void shutdown(std::function<void()> closed) override;

 private:
  struct Runs {  // shared with the runs, which take themselves out
    std::mutex mutex;
    FreeLists memory;
    std::pmr::unordered_map<JobId, std::shared_ptr<FunctionRun>> by_id{&memory};
  };
  friend class FunctionRun;

  struct Batch;
  void forget(FunctionRun& run);  // that was dropped: nobody need come for it
  // False: no thread has them, and each was given up.
  bool begin(Workers::Tasks& tasks);

  std::shared_ptr<const Function> function_;
  Workers& workers_;
  std::shared_ptr<RunEnds> ends_;
  std::shared_ptr<Runs> runs_ = std::make_shared<Runs>();
  std::shared_ptr<SharedFreeLists> memory_ = std::make_shared<SharedFreeLists>();
  std::vector<std::shared_ptr<FunctionRun>> begun_;  // of start_together()
};

// One run: what a hf_job is. Thread: its fields are the handler's, but for the flags.
class FunctionRun {
 public:
  FunctionRun(RunJob&& run_job, const std::shared_ptr<RunEnds>& run_ends, const std::shared_ptr<FunctionRunner::Runs>& runs)
      : job(std::move(run_job)), ends(run_ends), runs_(runs) {
    key_text_[0] = 0;
  }

  // Alone on its thread: what `code` returns is its outcome. REQUIRES: handle.run is set
  void call();
  std::shared_ptr<const FunctionRunner::Function> code;  // of one that is called alone
  std::weak_ptr<FunctionRunner::Batch> batch;            // of one that is not

  // Before the function is called: false if the run was dropped, or is now, and the function is not to be called.
  bool begin();
  // True if it waited for a thread still; it will not begin.
  bool drop() { return set_place(Place::dropped); }

  // Ends the run, once; later calls are HF_E_STALE. `outcome`: what a handler returns, but not HF_ASYNC.
  int finish(int outcome);
  const char* key();  // the idempotency key; as long as the run
  void give_up(Outcome outcome);  // in the handler's place: it timed out, or never began

  void abandon();                 // the engine has ended it already: nothing is reported
  bool over() const { return ended_.load(); }  // its end was reported, or is no matter any more

  const RunJob job;
  const std::shared_ptr<RunEnds> ends;
  std::atomic<bool> canceled{false}, soft_timeout_over{false};
  StuckRuns::Place function;
  std::mutex mutex;  // of all below
  std::string result, error;
  int64_t retry_after_ms = -1;
  std::optional<std::string> checkpoint;  // that it left itself
  std::vector<std::pair<JobId, JobSpec>> children;

  hf_job handle;   // the handler's, from the time that its function is called
  void release();  // the handler has done with it; once

 private:
  bool end();  // true the first time
  bool send(Outcome outcome);
  RunEnded ended(Outcome outcome);
  enum class Place { waiting, begun, dropped };
  bool set_place(Place to) {
    Place waiting = Place::waiting;
    return place_.compare_exchange_strong(waiting, to);
  }

  const uint64_t era_ = ends->era();
  std::atomic<Place> place_{Place::waiting};
  std::shared_ptr<FunctionRunner::Runs> runs_;
  std::atomic<bool> ended_{false}, released_{false};
  JobKey::Text key_text_;  // begins with 0: nobody has asked for it. Under `mutex`
};

// A thread that runs a handler at the moment knows it: calls that wait for handlers are refused there.
bool on_handler_thread();

}  // namespace hf
