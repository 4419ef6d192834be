// What a runner is: the thing that executes runs of one job type, or deliveries to one sink.
#pragma once

#include <exception>
#include <functional>
#include <span>

#include "core/requests.h"

namespace hf {

// Owned by the Host; every call is made on the loop thread, or on the engine's (see on_loop). For each job of each StartRun the runner reports
// exactly one RunEnded through the Host (Host::end_run, any thread), also after stop() and shutdown(); a late
// second one is refused as stale, so it does no harm.
class Runner {
 public:
  virtual ~Runner() = default;

  // Where start() and stop() are called: on the loop thread, or, for a runner that needs no loop and never blocks
  // in them, on the engine thread straight after the commit. shutdown() is always called on the loop thread.
  virtual bool on_loop() const { return true; }

  // Begins the run; must not block. `run.jobs` has one job unless the RunnerSpec asked for batches.
  virtual void start(StartRun run) = 0;

  // The same for several of one turn: of a runner that is not on the loop, which has its own. If it throws none of them was begun.
  virtual void start_together(std::span<StartRun>) { std::terminate(); }
  // ... soon afterwards: what can wait until it is known how quickly the first of them end. As start(), or by whoever made the turn.
  virtual void started() {}

  // The engine wants this run to end: it was cancelled, its timeout is over, or the engine stops. The
  // runner ends it as soon as it can and reports what came of it. A run in a batch is ended alone
  // if that is possible, else with its batch. soft_timeout: it is only told, and may go on as it likes.
  virtual void stop(JobId id, int attempt, StopReason reason) = 0;

  // Ends everything and frees what lives on the loop; calls `closed` (later, on the loop thread) when
  // nothing of it is left there. No start() follows.
  virtual void shutdown(std::function<void()> closed) = 0;
};

}  // namespace hf
