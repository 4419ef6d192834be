// The engine: events in, one transaction, actions out.
//
//   Result<Tick> tick(now, requests)
//
// applies the requests in order, lets time act (timeouts, expiry, wall-clock jobs, schedules), claims what may
// run, commits, and returns what is to be done: actions, the feed of what changed, and when to come again. It
// reads no clock, no random device, no environment; its disk is the VFS that it is given.
//
// An error is a crash: when tick() fails, nothing of it happened, every request has the error as its reply, and
// the engine must be dropped and opened again from the file (with the handover() of the old one).
//
// Thread: one at a time, whichever; the Host gives it a thread of its own.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/callbacks.h"
#include "core/conditions.h"
#include "core/requests.h"
#include "core/store.h"
#include "core/turn.h"
#include "core/zone.h"

namespace hf {

// What an engine that failed leaves to the next one of the same process. Nothing died: its runs go on.
struct Handover {
  bool reopened = false;      // there was one
  bool recorded = false;      // the file knows that this process has it open; it does not if there was no room to say so
  uint64_t next_run = 0;      // larger than the number of every run so far
  // The runs as they were before the turn that failed. A RunEnded that was answered with its error is sent again after
  // the reopening, and counts then.
  std::vector<LiveRun> live;
  LogPoint log_safe, log_known_safe;  // of its Db
  std::map<std::string, ConditionAnswer> told = {};  // of Conditions
  std::set<std::string> draining = {};               // queues that take no new jobs

  // The next one could not be opened. An I/O error may have been that of a sync.
  void opening_failed(int code) {
    if (code == HF_E_IO && !log_safe.known()) log_safe = log_known_safe;
  }
};

struct EngineOptions {
  std::string path;
  std::string vfs;            // "": the system's
  int page_size = 1024;       // of a file that is made now
  std::string device;         // part of idempotency keys and of H in cron lines
  std::string boot_id;        // changes at each boot; "": unknown
  uint64_t seed = 1;          // of jitter
  uint32_t new_file_id = 0;   // of a file that is made now; random
  Limits limits;
  ClockRule clock;
  std::string (*callback_text)(const JobInfo&) = plain_callback_text;  // what a callback says of a job that ended
  Digest digest = no_digest;                                                   // for unique_by payload
  const ZoneSource* zones = nullptr;  // outlives the engine; null: UTC alone
  Now now;
  Handover before;
  Room room = Room::enough;   // none, read_only: the file is opened without a write, and says what it says
  Store::LogFile log = Store::LogFile::unknown;
  bool log_lost = false;      // some of what was in the log is lost, or may be
};

class Engine {
 public:
  // `store`: of an engine that failed with HF_E_READ_ONLY, since the file itself cannot be opened then. With room
  // read_only.
  static Result<std::unique_ptr<Engine>> open(EngineOptions options, std::unique_ptr<Store> store = nullptr);
  ~Engine();

  // The requests' replies are filled; they may be given out once tick() has returned.
  Result<Tick> tick(const Now& now, std::span<Request* const> requests);

  // Of a tick that was obeyed, and of its runs that have begun: their memory for those to come. Optional.
  void use_again(StartRun&& begun) noexcept;
  void use_again(Tick&& done) noexcept;

  // Marks the file as cleanly closed and closes it. REQUIRES: nothing runs (StopAll with hand_back before).
  Status close(const Now& now);

  // After a failed tick, for the next open().
  Handover handover() const;
  // Also: whether the file can be written now. HF_E_READ_ONLY if its file system is read-only. No turn is under way.
  Status try_write();
  std::unique_ptr<Store> give_store();  // the last thing that is asked of it
  // What open() noticed, for the log: "" or, say, "3 jobs that ran when the last process ended were put back".
  const std::string& opening_note() const;
  const Stats& opening_stats() const;  // before the first tick: what the file says of itself
  bool made() const;      // there was no queue in the file
  bool log_lost() const;  // as it was told, or because the file was in use and its log is not there

 private:
  struct State;
  explicit Engine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// HF_E_INVALID names the field.
Status validate(const RunnerSpec& spec);
// Heartbeat and soft timeout: out of range, or not shorter than the timeout.
inline constexpr int64_t kSoftTimeoutMinMs = 100, kSoftTimeoutMaxMs = 30LL * 86400000;
Status check_deadlines(const RunnerSpec& spec);
// Limits with every open field (0) filled from holdfast.h; HF_E_INVALID names the field out of range.
Result<Limits> resolve(const Limits& limits);

}  // namespace hf
