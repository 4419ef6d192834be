// The Host: one engine with its threads. Everything that a program does with a queue passes here: the
// C API, the admin socket and the daemon are three faces of it.
//
//   engine thread  takes the inbox, ticks the engine (one transaction), then obeys the actions. Whoever waits for an answer, or is
//                  a worker at the end of a run, does so himself for what he asks, if nobody else is at it
//   loop thread    libuv: the one timer, runners of processes and requests, the admin socket
//   worker threads C handlers
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/engine.h"
#include "core/requests.h"
#include "core/result.h"
#include "platform/clock.h"
#include "platform/log.h"
#include "platform/loop.h"
#include "platform/net/tls_config.h"
#include "platform/peer_book.h"
#include "platform/stuck_runs.h"
#include "platform/probe.h"
#include "platform/runner.h"

namespace hf {

// Who says when the wall clock is right; see core/timekeeper.h for what follows from it.
struct ClockOptions {
  ClockRule rule{.plausible = true, .floor_ms = kReleaseFloorMs, .holdover_ms = 30LL * 86400000};
  bool kernel = true;     // the kernel's own word (adjtimex): NTP and PTP daemons set it
  std::string sync_file;  // ... or that this file is there; "": none
  bool operator==(const ClockOptions&) const = default;
};

struct HostOptions {
  std::string device;  // "": the host name
  Limits limits;
  int page_size = 1024;
  uint64_t seed = 0;  // 0: from the system
  std::string vfs;
  ClockOptions clock;
  Logger log;  // copyable; default: nothing is logged
};

inline constexpr int64_t kLongWorkMaxMs = 15 * 60'000;  // a check or a salvage that takes longer is taken for a hang
inline constexpr size_t kInboxMax = 65536;  // requests waiting for the engine; then HF_E_BUSY

class Host {
 public:
  // Opens the file and starts the engine thread and the loop thread; nothing is claimed before start().
  static Result<std::unique_ptr<Host>> open(const std::string& path, HostOptions options);
  ~Host();  // close()

  // Claims begin. HF_E_STATE unless opened or stopped.
  Status start();
  // No more claims; waits up to grace_ms for the runs, then hands the rest back. Not on the loop thread. An error of the file:
  // they go on, and are handed back once it can be written, unless start() comes first.
  // `before_waiting` is called once no further run begins.
  Status stop(int64_t grace_ms, const std::function<void()>& before_waiting = {});
  // The first half of close(): no more claims, runs are handed back at once (a stop() that waits returns), start() and
  // set_runner() are refused. Requests are still taken.
  void begin_close();
  // Shuts the runners down, closes the file cleanly, joins the threads. Not on the loop thread.
  void close();

  // ---- requests. Any thread.

  // `done` runs on the engine thread after COMMIT and must not block; it is always called, once, unless
  // submit itself fails (HF_E_BUSY: inbox full; HF_E_STATE: closing).
  Status submit(Op&& op, std::function<void(Request&)> done);
  // The same, but `done` runs on the loop thread.
  Status submit_to_loop(Op op, std::function<void(Reply)> done);
  // In a `done` alone: runs the task on the loop thread, which all answers of a turn wake once; if one of them was asked for there,
  // before the runs of the turn begin, else after. Needs no memory.
  void answer_on_loop(LoopPoster::Prepared task, bool asked_there);
  // Waits for the answer; the turn is made on this thread if nobody else is at one. HF_E_THREAD on the loop thread and in a turn.
  Reply call(Op op);
  // A run ended; never refused for lack of room or memory.
  void end_run(RunEnded&& ended) noexcept;
  // The same, on a thread that has nothing else to do: it records the end itself if nobody else is at work. Not in a turn.
  void end_run_here(RunEnded&& ended) noexcept;
  // As the first; `recorded` is called on the loop thread once it is in the file: not if it was stale, nor without memory for it.
  void end_run(RunEnded&& ended, std::function<void()> recorded) noexcept;

  // ---- runners. Any thread. Replaces one of the same name: the old one is shut down after its runs.
  Status set_runner(RunnerSpec spec, std::shared_ptr<Runner> runner);
  Status remove_runner(const std::string& name);
  // The same for what else an engine that is reopened must be told. HF_E_INVALID names the field.
  Status set_limits(const Limits& limits);
  Status set_queue_defaults(const std::string& name, const QueueSettings& settings);
  // `stop_watching` ends what watches a file that says which link there is, as `stop_asking` of set_clock.
  Status set_loss_report(const SetLossReport& report);
  Status set_budgets(const SetBudgets& budgets, std::function<void()> stop_watching = {});
  // `probe` is who is asked; null for one that is told, or goes by the link. Replaces one of the same name, whose probe is shut
  // down. HF_E_FULL: there are kConditionsMax.
  Status set_condition(const ConditionSpec& spec, std::shared_ptr<Probe> probe);
  Status remove_condition(const std::string& name);
  // Waits for the answer of the engine, which looks at the job: not on the loop thread. HF_E_INVALID, HF_E_FULL.
  Status set_subscription(const SubscriptionSpec& spec);
  Status remove_subscription(const std::string& name);
  Limits limits() const;  // resolved
  // `stop_asking` ends what asks a command; it is called before the next one and before the loop stops. The word of the
  // command before is forgotten.
  Status set_clock(const ClockOptions& options, std::function<void()> stop_asking = {});
  // The word of a command that is asked now and then: it holds until the next one. Any thread.
  void set_clock_word(bool right);
  // What certificates' dates are to be judged by: the clock, or its floor while it is not trusted. Any thread.
  CertClock cert_clock() const;

  // What is known of certificates. Any thread.
  PeerBook& peers();
  PeerReport peer_report() { return peers().report(cert_clock()); }

  // Functions of a program that go on though their runs are over. Any thread.
  const std::shared_ptr<StuckRuns>& stuck_runs() const;

  // ---- the feed. Callbacks on the loop thread, in the order of commit. Returns an id.
  int watch(std::function<void(const Transition&)> on_transition);
  void unwatch(int id);

  Loop& loop();
  bool on_engine_thread() const;  // or in a turn that another thread makes
  const Logger& log() const;
  const std::string& device() const;
  const std::string& path() const;

  // For the watchdog: each rises when its thread has gone round since the last call of nudge(). Any thread.
  struct Pulse {
    uint64_t engine = 0, loop = 0;
    int64_t long_work_ms = 0;  // for so long the engine has been at what may take minutes: a check, a backup, a salvage; 0: it is not
    bool alive_since(const Pulse& before) const;
  };
  Pulse pulse() const;
  void nudge();

  // When the next work is due (kNever: never), as wall time; not what only tidies up. Any thread.
  int64_t next_wake_wall_ms() const;

 private:
  struct State;
  Status tell(Op op, std::function<void(Request&)> done);
  Reply call_guarded(Op op) noexcept;  // call(), with HF_E_NO_MEMORY for an answer, too
  Host() = default;
  std::shared_ptr<State> state_;
};

}  // namespace hf
