#include "handlers/exec.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <algorithm>
#include <cassert>

#include "core/units.h"
#include "handlers/error_text.h"
#include "handlers/exec_batch.h"
#include "handlers/next_turn.h"
#include "platform/memory.h"

namespace hf {
namespace {

constexpr std::string_view kLinesGone = "... lines before are gone\n";
constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

void set(std::vector<std::string>* env, std::string_view name, std::string_view value) {
  std::string entry = std::string(name) + "=";
  const size_t prefix = entry.size();
  entry += value;
  const auto same = std::find_if(env->begin(), env->end(), [&](const std::string& other) {
    return other.compare(0, prefix, entry, 0, prefix) == 0;
  });
  if (same == env->end()) {
    env->push_back(std::move(entry));
  } else {
    *same = std::move(entry);
  }
}

std::string signal_text(int signal) {
  const char* name = sigabbrev_np(signal);
  std::string text = "killed by signal " + std::to_string(signal);
  return name != nullptr ? text + " (SIG" + name + ")" : text;
}

// By itself.
Outcome meaning_of(int exit_code) {
  switch (exit_code) {
    case EX_OK:
      return Outcome::done;
    case EX_USAGE:    // 64
    case EX_DATAERR:  // 65
    case EX_CONFIG:   // 78
      return Outcome::dead;
    case EX_UNAVAILABLE:  // 69
      return Outcome::defer;
    default:  // EX_TEMPFAIL (75) and all that say nothing in particular
      return Outcome::retry;
  }
}

std::string with_tail(std::string what, const ProcessEnd& end) {
  return error_with_tail(std::move(what), end.error_tail, end.error_tail_cut);
}

}  // namespace

std::vector<std::string> base_environment(const ExecOptions& options) {
  std::vector<std::string> env;
  set(&env, "PATH", kDefaultPath);
  for (const char* name : {"PATH", "HOME", "TZ", "LANG", "LC_ALL"}) {
    if (const char* value = getenv(name); value != nullptr && *value != '\0')
      set(&env, name, value);
  }
  if (const auto& user = options.limits.run_as; user) {
    if (!user->home.empty()) set(&env, "HOME", user->home);
    if (!user->name.empty()) {
      set(&env, "USER", user->name);
      set(&env, "LOGNAME", user->name);
    }
  }
  for (const auto& [name, value] : options.env) set(&env, name, value);
  if (!options.socket.empty()) set(&env, "HOLDFAST_SOCKET", options.socket);
  return env;
}

RunEnded exec_outcome(ProcessEnd end, int64_t max_result, const OutcomeRules& on_exit, const ProcessLimits& limits, int64_t soft_ms) {
  RunEnded ended;
  ended.outcome = Outcome::retry;
  if (end.not_started) {
    // No room for a process is the device's trouble and that of every job of this runner. A program
    // that is not there is this handler's: it spends attempts, and the dead letters show it.
    if (end.not_started->code == HF_E_FULL || end.not_started->code == HF_E_NO_MEMORY) {
      ended.outcome = Outcome::defer;
      ended.park_runner = true;
    }
    ended.error = std::move(end.not_started->message);
    return ended;
  }
  if (end.unknown) {
    ended.error =
        "how it ended is unknown: this process ignores SIGCHLD, or waits for all children";
    return ended;
  }
  if (end.signal == SIGTERM && soft_ms > 0) {
    ended.error = with_tail("timed out softly after " + format_duration(soft_ms), end);
    return ended;
  }
  if (end.signal != 0) {
    const std::string limit = limit_behind(limits, end.signal);
    ended.error = with_tail(signal_text(end.signal) + (limit.empty() ? "" : ", " + limit), end);
    return ended;
  }
  const Outcome outcome = on_exit.of(end.exit_code).value_or(meaning_of(end.exit_code));
  if (outcome != Outcome::done) {
    ended.outcome = outcome;
    ended.error = with_tail("exit code " + std::to_string(end.exit_code), end);
    return ended;
  }
  if (end.output_lost) {
    ended.error = "its output could not be read";
    return ended;
  }
  if (end.output_over) return ended_too_long("its output", max_result);
  ended.outcome = Outcome::done;
  ended.result = std::move(end.output);
  return ended;
}

RunEnded exec_stopped(StopReason reason, int64_t timeout_ms, const ProcessEnd& end) {
  // An exit code of 0 does not count any more: a program that obeys SIGTERM in good order may well
  // end with it, and its work would be taken for done.
  RunEnded ended = ended_by_stop(reason, timeout_ms);
  if (end.killed) ended.error += ", killed with SIGKILL";
  ended.error = with_tail(std::move(ended.error), end);
  return ended;
}

std::string exec_log(const ProcessEnd& end) {
  std::string_view tail = end.error_tail;
  if (!end.error_tail_cut) return std::string(tail);
  // What begins in the middle is no line, unless there is no other.
  const size_t line = tail.find('\n');
  if (line < tail.size() - std::min<size_t>(tail.size(), 1)) return std::string(kLinesGone).append(tail.substr(line + 1));
  constexpr std::string_view kCut = "...";
  while (tail.ends_with('\n')) tail.remove_suffix(1);
  tail.remove_prefix(tail.size() - std::min(tail.size(), HF_LOG_LINE_MAX - kCut.size()));
  while (!tail.empty() && (tail[0] & 0xc0) == 0x80) tail.remove_prefix(1);
  return std::string(kCut).append(tail);
}

struct ExecRunner::Program {
  std::vector<Fence> jobs;
  Process* process = nullptr;  // lives until `ended`
  int64_t timeout_ms = -1;
  size_t going = 0;  // jobs that are not to end
  bool soft_asked = false;
};

ExecRunner::ExecRunner(uv_loop_t* loop, ExecOptions options, EndRun end_run, std::function<void(Op)> tell)
    : loop_(loop),
      options_(std::move(options)),
      end_run_(std::move(end_run)),
      tell_(std::move(tell)),
      base_env_(base_environment(options_)) {
  assert(!options_.argv.empty());
}

ExecRunner::~ExecRunner() {
  assert(running_.empty());
}

std::vector<std::string> ExecRunner::environment(const RunJob& job) const {
  std::vector<std::string> env = base_env_;
  set(&env, "HOLDFAST_JOB_ID", std::to_string(job.id));
  set(&env, "HOLDFAST_JOB_KEY", job.key.text());
  set(&env, "HOLDFAST_ATTEMPT", std::to_string(job.attempt));
  set(&env, "HOLDFAST_TYPE", job.type);
  if (job.occurrence_wall_ms != 0)
    set(&env, "HOLDFAST_OCCURRENCE", format_time(job.occurrence_wall_ms));
  if (!job.memo.empty()) set(&env, "HOLDFAST_CHECKPOINT", job.memo.substr(0, job.memo.find('\0')));
  return env;
}

std::vector<std::string> ExecRunner::batch_environment(const std::vector<RunJob>& jobs) const {
  std::vector<std::string> env = base_env_;
  set(&env, "HOLDFAST_BATCH", std::to_string(jobs.size()));
  set(&env, "HOLDFAST_TYPE", jobs[0].type);
  return env;
}

void ExecRunner::start(StartRun run) {
  const auto program = std::make_shared<Program>();
  program->timeout_ms = run.timeout_ms;
  program->jobs.reserve(run.jobs.size());
  for (const RunJob& job : run.jobs) program->jobs.push_back(fence_of(job));
  program->going = program->jobs.size();
  if (guarded([&] { begin(run.jobs, program); })) return;
  for (const Fence& fence : program->jobs) running_.erase(fence);
  throw std::bad_alloc();  // the run has not begun
}

void ExecRunner::begin(std::vector<RunJob>& jobs, const std::shared_ptr<Program>& program) {
  assert(options_.batch || jobs.size() == 1);
  ProcessSpec spec;
  spec.argv = options_.argv;
  spec.cwd = options_.cwd;
  spec.limits = options_.limits;
  if (options_.batch) {
    spec.env = batch_environment(jobs);
    spec.input = exec_batch_input(jobs);
    spec.output_max = exec_batch_output_max(jobs.size(), options_.max_result);
  } else {
    spec.env = environment(jobs[0]);
    spec.input = std::move(jobs[0].bytes);
    spec.output_max = static_cast<size_t>(options_.max_result);
    if (options_.log_stderr) spec.error_tail_max = HF_JOB_LOG_MAX - kLinesGone.size();
  }
  for (const Fence& fence : program->jobs) running_[fence].program = program;
  program->process = Process::start(loop_, std::move(spec), [this, program](ProcessEnd end) { ended(*program, std::move(end)); });
}

void ExecRunner::stop(JobId id, int attempt, StopReason reason) {
  const auto run = newest_run(running_, id, attempt);
  if (run == running_.end() || run->second.stopped) return;
  Program& program = *run->second.program;
  if (program.process->pid() < 0) return;
  if (reason == StopReason::soft_timeout) {  // of all jobs of a batch at the same time
    if (!std::exchange(program.soft_asked, true)) program.process->ask_to_end();
    return;
  }
  run->second.stopped = reason;
  if (--program.going == 0) program.process->terminate(options_.kill_grace_ms);
}

// Of all its jobs, those that are to end included.
std::vector<RunEnded> ExecRunner::outcomes(const Program& program, ProcessEnd end) const {
  const int64_t soft_ms = program.soft_asked ? options_.soft_timeout_ms : 0;
  if (options_.batch) return exec_batch_outcome(std::move(end), program.jobs, options_.max_result, options_.on_exit, options_.limits, soft_ms);
  return {exec_outcome(std::move(end), options_.max_result, options_.on_exit, options_.limits, soft_ms)};
}

void ExecRunner::ended(const Program& program, ProcessEnd end) {
  const bool began = !end.not_started;
  // Of a batch each job had a timeout of its own, which the engine knows.
  const int64_t timeout_ms = options_.batch ? -1 : program.timeout_ms;
  if (options_.log_stderr && !end.error_tail.empty()) {
    const Fence& of = program.jobs[0];  // no batch has a log
    (void)guarded([&] { tell_(LogLine{of.id, of.attempt, of.run, exec_log(end)}); });
  }
  ProcessEnd how;  // all but the output
  std::vector<RunEnded> ends;
  (void)guarded([&] {
    how.killed = end.killed;
    how.error_tail = end.error_tail;
    how.error_tail_cut = end.error_tail_cut;
    ends = outcomes(program, std::move(end));
  });
  for (size_t i = 0; i < program.jobs.size(); ++i) {
    const auto node = running_.extract(program.jobs[i]);
    const std::optional<StopReason> stopped = node.mapped().stopped;
    RunEnded ended = stopped ? ended_by_stop(*stopped, timeout_ms) : ended_without_memory();
    if (stopped) {
      (void)guarded([&] { ended = exec_stopped(*stopped, timeout_ms, how); });
    } else if (!ends.empty()) {
      ended = std::move(ends[i]);
    } else if (began) {
      ended.outcome = Outcome::retry;  // it ran: an attempt is spent
    }
    end_run_(with_fence(std::move(ended), program.jobs[i]));
  }
  if (running_.empty() && closed_) std::exchange(closed_, nullptr)();
}

void ExecRunner::shutdown(std::function<void()> closed) {
  closed_ = std::move(closed);
  for (const auto& [fence, run] : running_) stop(fence.id, fence.attempt, StopReason::shutdown);
  if (running_.empty()) on_next_turn(loop_, std::exchange(closed_, nullptr));
}

}  // namespace hf
