// Lanes: the pending jobs as the dispatcher sees them, in memory.
//
// A lane is the set of jobs that share every gate but the due time: one queue, one type (so one runner), one
// concurrency key. Each lane remembers a window of its first ready jobs and the time when the next
// one becomes due; the rest stays on the disk, so memory does not grow with the number of jobs.
//
// Thread: the engine's.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/breaker.h"
#include "core/due_order.h"
#include "core/names.h"
#include "core/requests.h"
#include "core/store.h"
#include "core/window.h"

namespace hf {

inline constexpr size_t kWindow = 64;  // ready jobs of a lane that are read at a time

struct Lane;

struct Queue {
  std::string name;
  bool sink = false;          // "sink:<name>": deliveries
  bool paused = false;        // on the disk
  bool draining = false;      // refuses new jobs
  QueueSettings set;          // by an operator, on the disk
  QueueSettings configured;   // what it is where nothing is set
  QueueSettings settings;     // in force: Lanes::put_in_force()
  WindowGate window;
  int running = 0;
  int64_t pending = 0;
  std::unordered_map<std::string, int> keys_running;
  std::vector<Lane*> active;  // lanes that may have ready jobs and have a runner

  bool open() const { return !paused && window.open(); }
  int64_t slack_ms() const { return settings.slack_ms.value_or(0); }
  bool slot_free() const { return !settings.concurrency || running < *settings.concurrency; }
};

struct RunnerState {
  RunnerSpec spec;
  bool present = false;     // false: the name is known from jobs only
  int running = 0;          // runs (batches)
  Breaker breaker;
  int64_t waiting_bytes = 0;  // of results that came in for its next batch; less after a start than there are
  std::vector<Lane*> lanes;
  Order order = Order::oldest;  // of its next batch
  int newest_due = 0;           // percent of a batch that newest-first is behind its share

  bool slot_free() const { return spec.concurrency == 0 || running < spec.concurrency; }
  void began() {
    ++running;
    breaker.began();
  }
};

struct Lane {
  int id = 0;
  Queue* queue = nullptr;
  RunnerState* runner = nullptr;
  std::string type, key;
  Lane* origin = nullptr;  // of a delivery: where the job ran
  int64_t pending = 0;

  std::deque<ReadyEntry> window;  // sorted by the order of its runner; exactly the first ready ones, unless stale
  bool more = false;              // there may be ready ones behind the window
  bool stale = true;              // the window must be read before use
  int64_t next_due_ms = kNever;   // no job that was not due at the last look becomes due before
  bool active = false;

  bool key_free() const {
    if (key.empty()) return true;
    auto it = queue->keys_running.find(key);
    return it == queue->keys_running.end() || it->second == 0;
  }
  // A delivery has left its queue's limits behind.
  bool delivery() const { return origin != nullptr; }
};

class Lanes {
 public:
  Lanes(Store& store, const ZoneSource& zones) : store_(store), zones_(zones) {}
  void load();  // at open: lanes, queues, pending counts

  // HF_E_FULL beyond kLanesMax.
  Result<Lane*> intern(const std::string& queue, const std::string& type, const std::string& key, Lane* origin);
  Lane* by_id(int id) const;  // never null: an unknown id (damage) gives a lane that never runs
  int last_id() const { return static_cast<int>(lanes_.size()); }
  Queue& queue(const std::string& name);  // made if need be
  Queue* find_queue(const std::string& name);
  RunnerState& runner(const std::string& name);

  // Each puts both levels in force. HF_E_INVALID names the setting; then nothing changes.
  Status set_queue(Queue& queue, const QueueSettings& set);
  // Of the configuration, whose zones are no mistakes: windows whose zone is not there are closed until it is.
  Status configure_queue(Queue& queue, const QueueSettings& configured);
  void find_zones_anew();  // of windows, when they may be others
  // Those that have windows, or had some that closed them.
  const std::vector<Queue*>& timed_queues() const { return timed_; }

  void set_runner(const RunnerSpec& spec);
  void next_order(RunnerState& runner);  // one of its batches was taken: as its share says for the next one
  void remove_runner(const std::string& name);

  // A job became pending in this lane, or stopped being so for any reason but taken().
  void added(Lane& lane, const ReadyEntry& entry, int64_t now_ms);
  void removed(Lane& lane, JobId id);
  // It is pending still, but its place changed.
  void moved(Lane& lane, JobId id, const ReadyEntry& entry, int64_t now_ms);

  // Lanes whose next job has become due are active from now on.
  void activate_due(int64_t now_ms);
  void activate(Lane& lane);
  // True if peek() would read the file: the caller writes what it still holds back first.
  bool must_load(const Lane& lane) const { return lane.stale || (lane.window.empty() && lane.more); }
  // The first ready job, null if there is none (the lane is then no longer active).
  const ReadyEntry* peek(Lane& lane, int64_t now_ms);
  void taken(Lane& lane, JobId id);  // to run; cheap for the one that peek() gave

  int64_t next_wake_ms() const { return future_.next_wake_ms(); }  // for what becomes due, with the slack of its queue
  const std::map<std::string, std::unique_ptr<Queue>>& queues() const { return queues_; }
  const std::map<std::string, std::unique_ptr<RunnerState>>& runners() const { return runners_; }

 private:
  Lane* make(const LaneRow& row);
  Lane* lost();
  void load_window(Lane& lane, int64_t now_ms);
  void wait_until(Lane& lane, int64_t due_ms);
  void deactivate(Lane& lane);

  void put_in_force(Queue& queue, QueueSettings settings);

  Store& store_;
  const ZoneSource& zones_;
  std::vector<std::unique_ptr<Lane>> lanes_;  // by id - 1
  std::map<std::string, std::unique_ptr<Queue>> queues_;
  std::map<std::string, std::unique_ptr<RunnerState>> runners_;
  std::map<std::tuple<std::string, std::string, std::string, int>, Lane*> names_;
  DueOrder<int> future_;  // lane ids, at their next_due_ms
  std::vector<Queue*> timed_;
  uint64_t zones_version_ = 0;
  std::unique_ptr<Lane> lost_;
};

}  // namespace hf
