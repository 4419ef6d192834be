// A device in one thread and one seed: the real engine and its store on a virtual disk, with virtual clocks, scripted
// runs, a scripted peer and a plan of faults, checked by the Ledger after every step. The same seed and faults give
// the same trace.
#pragma once

#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "core/engine.h"
#include "disk.h"
#include "ledger.h"

namespace hf::sim {

enum class FaultKind {
  kill,        // the process ends at the n-th change of the disk from now
  cut,         // the power goes there
  io_error,    // some calls of the disk fail
  disk_full,
  bad_sync,    // syncs fail: and lose, land, or nothing
  no_memory,   // the n-th allocation of the next turn fails
  wall_step,   // it is set, and perhaps called right all the same
  suspend,     // nothing happens for a while
  untrusted,   // the wall clock is not trusted for a while
  partition,   // the peer cannot be reached for a while
  restart,     // a clean end and a new start
};
inline constexpr int kFaultKinds = 11;
const char* fault_name(FaultKind k);

struct Fault {
  int64_t at_ms;  // after the beginning
  FaultKind kind;
  uint64_t n;     // where
  uint64_t how;   // a seed for its details
};

// What stands at a call of the disk, for whoever wants to look at a copy of it.
struct Moment {
  const Disk& disk;
  const Ledger& ledger;
  const std::vector<Op>& in_flight;  // asked for, and not acknowledged
  const EngineOptions& options;
};

struct Plan {
  uint64_t seed = 1;
  int jobs = 100;          // a second apart, on average
  std::vector<Fault> faults;
  bool no_sync = false;    // the disk lies always: the checks must fail
  bool trace = false;
  std::function<void(const Moment&)> before_change;  // of the disk
  // The n-th call of the disk, or allocation of the engine, fails (from 1; 0: none); `on`: and all in the 20 s after it.
  uint64_t fail_call = 0, fail_allocation = 0;
  Verdict fail_how = Verdict::fail;
  bool on = false;
};
// The seed's own faults.
Plan make_plan(uint64_t seed, int jobs);

struct Report {
  std::string violation;   // "": none
  uint64_t hash = 0;       // of all that was committed
  int64_t virtual_ms = 0;
  uint64_t calls = 0, changes = 0, allocations = 0;
  int64_t jobs = 0, runs = 0, uploads = 0, cuts = 0, kills = 0, failed_turns = 0, times_full = 0, steps = 0;
};
Report simulate(const Plan& plan);

// The fewest faults that still break something.
std::vector<Fault> shorten(const Plan& plan);

}  // namespace hf::sim
