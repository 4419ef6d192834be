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
#include "core/free_lists.h"
#include "core/front.h"
#include "core/names.h"
#include "core/rate.h"
#include "core/requests.h"
#include "core/store.h"
#include "core/window.h"

namespace hf {

inline constexpr size_t kWindow = 64;    // ready jobs of a lane that are read at a time
inline constexpr size_t kWindowKey = 8;  // ... of one that has a key, as there are many

struct Lane;
struct Queue;
struct RunnerState;

// Where a lane stands among those of its queue: the smaller one goes first.
struct Place {
  int64_t turn = 0;  // when its key was served last, if the keys of the queue take turns
  Rank rank = {};    // of its first job
  int lane = 0;
  auto operator<=>(const Place&) const = default;
};

struct ByPlace {
  bool operator()(const Lane* a, const Lane* b) const;  // REQUIRES: both have one
};

// The lanes of a queue that one runner serves.
struct Group {
  explicit Group(std::pmr::memory_resource* memory) : places(memory) {}

  Queue* queue = nullptr;
  RunnerState* runner = nullptr;
  std::pmr::set<Lane*, ByPlace> places;  // those that have a ready job, and whose key is free
  bool waits = false;             // in RunnerState::waiting
  // For its batches:
  int64_t ready = 0;           // jobs of its places that could go together; of a long lane all that are pending
  int64_t oldest_ms = kNever;  // when the first of them became due, or earlier: Lanes::find_oldest()
  int64_t waiting_bytes = 0;   // of what came in for the next one; less after a start than there are
};

// A concurrency_key of a queue; "": jobs that have none, which it does not limit.
struct Key {
  std::string name;
  int running = 0;
  int64_t turn = 0;
  std::unique_ptr<RateGates> rates;  // once its queue limits the rates of its keys
  std::unique_ptr<RateGates> intake;  // of jobs that come in, once its queue limits that: core/intake.h
  std::vector<Lane*> lanes;
};

struct Queue {
  Name name;
  int number = 0;
  bool sink = false;          // "sink:<name>": deliveries
  Pause pause;                // on the disk: Lanes::pause()
  bool draining = false;      // refuses new jobs
  QueueSettings set;          // by an operator, on the disk
  QueueSettings configured;   // what it is where nothing is set
  QueueSettings settings;     // in force: Lanes::put_in_force()
  WindowGate window;
  RateGates rates;
  RateGates intake;           // of jobs that come in: core/intake.h
  RateGates retries;          // the budget of runs that failed and are tried again: Jobs::retry_ms()
  int running = 0;            // jobs
  int runs = 0;               // what its concurrency counts: a batch is one
  int64_t pending = 0;
  std::map<std::string, Key> keys;
  std::vector<std::unique_ptr<Group>> groups;
  int active = 0;             // lanes that may have ready jobs and have a runner
  std::vector<Lane*> touched;  // lanes whose place is to be found anew
  bool in_ring = false;        // Lanes::ring_
  bool held = false;           // by a condition: the dispatcher has it
  bool asked_again = false;    // at the next claim: the dispatcher has it
  Front front;                 // of its jobs, in the order in which they give way

  bool open() const { return !pause.on && window.open(); }
  int64_t slack_ms() const { return settings.slack_ms.value_or(0); }
  RateLimits rate_limits() const { return {settings.rate_limit.value_or(Rate{}), settings.throttle.value_or(Rate{})}; }
  RateLimits key_limits() const { return {settings.key_rate_limit.value_or(Rate{}), settings.key_throttle.value_or(Rate{})}; }
  int key_concurrency() const { return settings.key_concurrency.value_or(1); }
  const std::vector<std::string>& when() const {
    static const std::vector<std::string> kNone;
    return settings.when ? *settings.when : kNone;
  }
  bool fair() const { return settings.fair.value_or(false); }
  bool slot_free() const { return !settings.concurrency || runs < *settings.concurrency; }
  int64_t max_pending() const { return settings.max_pending.value_or(0); }  // 0: no limit
  WhenFull when_full() const { return settings.when_full.value_or(WhenFull::reject); }
};

struct RunnerState {
  Name name;                // spec.name
  RunnerSpec spec;
  bool present = false;     // false: the name is known from jobs only
  int running = 0;          // runs (batches)
  Breaker breaker;
  RateGates rates;
  std::vector<Lane*> lanes;
  std::deque<Group*> waiting;  // what it could run, if one of its own gates were open
  bool newest = false;         // its next batch takes the newest first
  int newest_due = 0;          // percent of a batch that newest-first is behind its share

  bool slot_free() const { return spec.concurrency == 0 || running < spec.concurrency; }
  int slots() const { return spec.concurrency == 0 ? kQueueConcurrencyMax : spec.concurrency - running; }
  void began() {
    ++running;
    breaker.began();
  }
};

struct Lane {
  int id = 0;
  Queue* queue = nullptr;
  RunnerState* runner = nullptr;
  Name type;
  std::string key;
  Lane* origin = nullptr;  // of a delivery: where the job ran
  Group* group = nullptr;
  Key* in_key = nullptr;
  int64_t pending = 0;

  Order order;
  std::vector<ReadyEntry> window;  // sorted by `order`; exactly the first ready ones, unless stale
  bool more = false;              // there may be ready ones behind the window
  bool stale = true;              // the window must be read before use
  int64_t next_due_ms = kNever;   // no job that was not due at the last look becomes due before
  bool active = false;
  bool touched = false;            // in Queue::touched
  std::optional<Place> place;      // in Group::places
  int64_t counted = 0;             // in Group::ready

  bool key_free() const { return key.empty() || in_key->running < queue->key_concurrency(); }
  size_t window_size() const { return key.empty() ? kWindow : kWindowKey; }
  // A delivery has left its queue's limits behind.
  bool delivery() const { return origin != nullptr; }
  const Queue& home() const { return delivery() ? *origin->queue : *queue; }  // whose job it is: for how long it is kept
};

inline bool ByPlace::operator()(const Lane* a, const Lane* b) const { return *a->place < *b->place; }

using LaneName = std::tuple<std::string, std::string, std::string, int>;  // queue, type, key, the id of its origin

class Lanes {
 public:
  Lanes(Store& store, Rates& rates, const ZoneSource& zones) : store_(store), rates_(rates), zones_(zones) {}
  void load(int64_t now_ms);  // at open: lanes, queues, pending counts

  // HF_E_FULL beyond kLanesMax.
  Result<Lane*> intern(const std::string& queue, const std::string& type, const std::string& key, Lane* origin);
  bool has(const LaneName& name) const { return names_.contains(name); }
  Lane* find(const LaneName& name) const {
    const auto it = names_.find(name);
    return it == names_.end() ? nullptr : it->second;
  }
  Status has_room_for(size_t more) const;  // lanes
  Lane* by_id(int id) const;  // never null: an unknown id (damage) gives a lane that never runs
  int last_id() const { return static_cast<int>(lanes_.size()); }
  Queue& queue(const std::string& name);  // made if need be
  Queue* find_queue(const std::string& name);
  std::set<std::string> draining() const;  // which take no new jobs
  RunnerState& runner(const std::string& name);
  Front& front() { return front_; }  // of the jobs of all queues that have not run

  // Each puts both levels in force. HF_E_INVALID names the setting; then nothing changes.
  Status set_queue(Queue& queue, const QueueSettings& set);
  // Of the configuration, whose zones are no mistakes: windows whose zone is not there are closed until it is.
  Status configure_queue(Queue& queue, const QueueSettings& configured);
  void pause(Queue& queue, Pause pause);
  // Queues whose pause ends by now are open; in the file, too, if it can be written.
  void end_pauses(int64_t now_ms, bool writes);
  int64_t next_pause_end_ms() const;  // of queues in which something waits
  void put_row(const Queue& queue) { store_.put_queue({queue.name, queue.pause, queue.set}); }
  // Another number: the retention of a queue may be another one.
  uint64_t keeps_version() const { return keeps_version_; }
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

  // Lanes whose next job has become due are active from now on, and what slept until now is awake.
  void activate_due(int64_t now_ms);
  void activate(Lane& lane);
  void taken(Lane& lane, JobId id);  // to run; cheap for the first one
  // Of a job; `first`, `last`: of its batch.
  void run_began(Lane& lane, bool first);
  void run_ended(Lane& lane, bool last);

  // Whose turn it is. A queue that may have something to run is in the ring, once; who finds that it has nothing now leaves it
  // out, and whatever may change that brings it back: join(), sleep(), wait_for(). So a claim costs the same, however many
  // queues, lanes and keys there are.
  void join(Queue& queue);
  Queue* first_in_ring() const { return ring_.empty() ? nullptr : ring_.front(); }
  void leave_ring();  // the first one
  void sleep(Queue& queue, int64_t until_ms) { sleepers_.insert({until_ms, {queue.number, nullptr, &queue}}); }
  void wait_for(Group& group);  // until its runner is open
  // Runners for which somebody waits, in no order of importance.
  const std::vector<RunnerState*>& waited_for() const { return waited_for_; }
  // The first one that waits is in the ring.
  void let_go(RunnerState& runner);

  // True if settle() would read the file: the caller writes what it still holds back first.
  bool must_load(const Queue& queue) const;
  // Every lane of the queue is where it belongs.
  void settle(Queue& queue, int64_t now_ms);

  // Group::oldest_ms as it is. REQUIRES: settle()
  static void find_oldest(Group& group);

  // When the rates of the lane's key let the next run begin; now_ms: at once.
  int64_t key_opens_ms(Lane& lane, int64_t now_ms);

  // With a data budget that keeps a share for high priorities, priority alone counts where it is in force.
  void set_budget_reserves(bool reserves);

  // For what becomes due, with the slack of its queue, and for what sleeps.
  int64_t next_wake_ms() const { return std::min(future_.next_wake_ms(), sleepers_.empty() ? kNever : sleepers_.begin()->first); }
  const std::map<std::string, std::unique_ptr<Queue>>& queues() const { return queues_; }
  const std::map<std::string, std::unique_ptr<RunnerState>>& runners() const { return runners_; }

 private:
  Lane* make(const LaneRow& row);
  Lane* lost();
  void attach(Lane& lane);
  void load_window(Lane& lane, int64_t now_ms);
  void wait_until(Lane& lane, int64_t due_ms);
  void deactivate(Lane& lane);
  bool must_load(const Lane& lane) const { return lane.stale || (lane.window.empty() && lane.more); }
  void touch(Lane& lane);
  void touch(Key& key);
  void settle(Lane& lane, int64_t now_ms);
  std::optional<Place> find_place(Lane& lane, int64_t now_ms);
  void forget(Lane& lane, JobId id);  // in its window
  static void recount(Lane& lane);    // for Group::ready: its window, its place or the runs of its key are others
  static void recount(Key& key);
  static void gone(Group& group, const ReadyEntry& entry);
  void set_order(Lane& lane);

  void put_in_force(Queue& queue, QueueSettings settings);

  Store& store_;
  Rates& rates_;
  const ZoneSource& zones_;
  FreeLists memory_;
  std::vector<std::unique_ptr<Lane>> lanes_;  // by id - 1
  std::map<std::string, std::unique_ptr<Queue>> queues_;
  std::map<std::string, std::unique_ptr<RunnerState>> runners_;
  std::map<LaneName, Lane*> names_;
  Lane* last_ = nullptr;  // that was looked up
  DueOrder<int> future_;  // lane ids, at their next_due_ms
  std::pmr::deque<Queue*> ring_{&memory_};
  std::vector<RunnerState*> waited_for_;
  struct Sleeper {
    int number;  // of the queue: pointers have no order that is the same in every process
    Key* key;    // null: the queue
    Queue* queue;
    bool operator<(const Sleeper& o) const { return std::pair(number, key_name()) < std::pair(o.number, o.key_name()); }
    std::string_view key_name() const { return key != nullptr ? std::string_view(key->name) : std::string_view(); }
  };
  std::set<std::pair<int64_t, Sleeper>> sleepers_;
  int64_t turns_ = 0;      // of keys
  bool reserves_ = false;
  Front front_;
  std::vector<Queue*> timed_;
  std::vector<Queue*> pauses_;  // whose pause has an end
  uint64_t zones_version_ = 0;
  uint64_t keeps_version_ = 0;
  std::unique_ptr<Lane> lost_;
};

}  // namespace hf
