// Runs a job, or a batch of jobs, as a program. For those who write one: docs/exec.md.
#pragma once

#include <uv.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "handlers/end_run.h"
#include "handlers/outcome_rules.h"
#include "handlers/process.h"
#include "platform/runner.h"

namespace hf {

struct ExecOptions {
  std::vector<std::string> argv;  // at least one; no shell; see SpawnSpec
  std::string cwd;                // "": the daemon's
  std::vector<std::pair<std::string, std::string>>
      env;                                      // added to, or in place of, what is inherited
  std::string socket;                           // HOLDFAST_SOCKET; "": there is none
  int64_t kill_grace_ms = 5000;                 // from SIGTERM to SIGKILL, >= 0
  int64_t max_result = HF_DEFAULT_MAX_PAYLOAD;  // bytes of stdout
  OutcomeRules on_exit = {};                    // what exit codes mean here
  ProcessLimits limits = {};
  int64_t soft_timeout_ms = 0;  // of its RunnerSpec; for information
  bool log_stderr = false;      // what it writes there is the log of the run: its end, as much as is kept. Not with `batch`
  bool batch = false;           // it takes all jobs of a StartRun: handlers/exec_batch.h; else a StartRun has one
};

// What a program inherits: PATH, HOME, TZ, LANG and LC_ALL, HOLDFAST_SOCKET and `options.env`. Of a user that is named there
// are HOME, USER and LOGNAME in their place.
// REQUIRES: nothing calls setenv meanwhile
std::vector<std::string> base_environment(const ExecOptions& options);

// What the end of a program means. Pure; without the id and the attempt. `on_exit` goes before what docs/exec.md says of
// exit codes; a signal is none. `limits` are those that it ran with. `soft_ms`: after so long it was asked to end.
RunEnded exec_outcome(ProcessEnd end, int64_t max_result, const OutcomeRules& on_exit = {}, const ProcessLimits& limits = {}, int64_t soft_ms = 0);
// ... when we ended it ourselves.
RunEnded exec_stopped(StopReason reason, int64_t timeout_ms, const ProcessEnd& end);
// What its stderr says for the log of its run: whole lines, and a first one that says so if some are missing.
std::string exec_log(const ProcessEnd& end);

// Loop thread.
class ExecRunner : public Runner {
 public:
  // Reads PATH, HOME, TZ, LANG and LC_ALL: REQUIRES: nothing calls setenv meanwhile
  // `tell` is told of a LogLine, before the end of its run; it does not throw. It may be null if `log_stderr` is not set.
  ExecRunner(uv_loop_t* loop, ExecOptions options, EndRun end_run, std::function<void(Op)> tell = nullptr);
  // REQUIRES: shutdown() has called `closed`, or nothing was ever started
  ~ExecRunner() override;

  void start(StartRun run) override;
  // Of a batch a job that is to end ends with the program, whatever that says of it; the program is ended once all are to.
  void stop(JobId id, int attempt, StopReason reason) override;
  // Programs that run are asked to end as in stop(), with the grace.
  void shutdown(std::function<void()> closed) override;

 private:
  struct Program;
  struct Run {
    std::shared_ptr<Program> program;
    std::optional<StopReason> stopped;
  };
  std::vector<std::string> environment(const RunJob& job) const;
  std::vector<std::string> batch_environment(const std::vector<RunJob>& jobs) const;
  void begin(std::vector<RunJob>& jobs, const std::shared_ptr<Program>& program);
  void ended(const Program& program, ProcessEnd end);
  std::vector<RunEnded> outcomes(const Program& program, ProcessEnd end) const;

  uv_loop_t* const loop_;
  const ExecOptions options_;
  const EndRun end_run_;
  const std::function<void(Op)> tell_;
  const std::vector<std::string> base_env_;
  std::map<Fence, Run> running_;
  std::function<void()> closed_;
};

}  // namespace hf
