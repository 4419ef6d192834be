// Events in, actions out: all that passes the engine's door. Plain data.
//
// A Request is an event with a place for its answer. The engine fills `reply` during the tick; its owner
// may look at it only after the tick's COMMIT (Tick::answered). See engine.h.
#pragma once

#include <array>
#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/result.h"
#include "core/types.h"

struct sqlite3;

namespace hf {

// ---- what a run is -------------------------------------------------------------------------------

enum class Outcome : uint8_t { done, retry, dead, defer, cancelled, handed_back };

// An idempotency key. Its text is made when somebody asks for it: of most runs nobody does.
class JobKey {
 public:
  JobKey() = default;
  JobKey(std::shared_ptr<const std::string> prefix, JobId id) : prefix_(std::move(prefix)), id_(id) {}
  template <class T>
    requires std::convertible_to<T, std::string>
  JobKey(T&& text) : prefix_(std::make_shared<const std::string>(std::forward<T>(text))) {}

  static constexpr size_t kTextMax = HF_NAME_MAX + 29;  // bytes: "<device>-<8 digits>-<19 digits>"
  using Text = std::array<char, kTextMax + 1>;
  std::string text() const;
  void write(Text& to) const noexcept;  // the same, ended by 0
  bool operator==(const JobKey& other) const { return text() == other.text(); }

 private:
  std::shared_ptr<const std::string> prefix_;  // null: ""
  JobId id_ = 0;                               // behind it; 0: nothing is
};

// What a runner works on. Runners are named: a job type, or "sink:<name>" for deliveries.
struct RunJob {
  JobId id = 0;
  int attempt = 0;  // from 1, in this leg
  uint64_t run = 0;  // never the same for two StartRuns of a process; (id, attempt, run) is the fence
  Name type;
  Name queue;                // for a delivery: the queue it ran in
  std::string bytes;         // the payload; for a delivery: the result
  JobKey key;
  std::string tags;
  int64_t created_wall_ms = 0;
  int64_t occurrence_wall_ms = 0;  // 0: none
  std::string schedule;
  std::string sink;                // of the run leg: where its result will go, or ""
  int64_t sequence = 0;            // of a delivery to a sink that wants it: its number; 0: none
  std::string memo;                // of this leg, left by an earlier attempt (Remember), or ""
  std::string* lent = nullptr;     // the engine's own: `bytes` until the commit, in the request that brought them
};
struct StartRun {
  Name runner;
  std::vector<RunJob> jobs;  // one, or up to the runner's batch limits
  int64_t timeout_ms = -1;   // the engine asks for the end itself (StopRun); for information
};
// soft_timeout: the run may go on until its timeout, and however it ends counts.
enum class StopReason : uint8_t { cancel, timeout, shutdown, soft_timeout };
// The runner ends the run soon, with a RunEnded of any outcome; the engine knows the reason it asked for.
struct StopRun {
  JobId id = 0;
  int attempt = 0;
  uint64_t run = 0;
  StopReason reason = StopReason::cancel;
};
// Whether a condition is open now: answered by a TellCondition with this number. Again only when that has come.
struct AskCondition {
  std::string name;
  uint64_t number = 0;
};
using Action = std::variant<StartRun, StopRun, AskCondition>;

// ---- events ---------------------------------------------------------------------------------------

struct Enqueue { std::vector<JobSpec> specs; };  // all or none -> std::vector<JobId>; once committed, of those that run the payloads are gone
struct ReserveIds { int count = 1; };            // -> std::vector<JobId>, never used otherwise

// What the body of a Transact has to work with, while it is called.
struct Transaction {
  sqlite3* connection;
  std::function<Result<JobId>(const JobSpec&)> enqueue;  // the id counts if the body is kept; at most HF_TRANSACT_JOBS_MAX
};
// The program's own statements and jobs, together in one commit -> std::vector<JobId>, those of enqueue(). `body` is called at most
// once, on the engine's thread, before all else of its turn; its error is the reply, and nothing of it is kept then. One a turn: a
// further one is answered with HF_E_BUSY.
struct Transact {
  std::function<Status(Transaction&)> body;
  std::function<bool()> overdue;  // any time while it is called: true: it takes too long, HF_E_TIMEOUT
  bool reads_only = false;
  bool durable = true;            // its commit waits for the disk
  bool grouped = false;           // not so, but one soon after does (Limits::grouped_within_ms)
};

struct RunEnded {  // -> Done, or HF_E_STALE
  JobId id = 0;
  int attempt = 0;
  // Of the RunJob. A run that was handed back spent no attempt, so the next one has the same number: this
  // tells the two apart. 0: not told, only the attempt is compared.
  uint64_t run = 0;
  Outcome outcome = Outcome::done;
  std::string result;
  std::string error;
  int64_t retry_after_ms = -1;  // -1: by the policy
  // With Outcome::defer: the runner itself cannot work (no link, DNS, peer away): it is parked, all its jobs with it, for
  // retry_after_ms, or -1: for a growing, jittered while (core/breaker.h).
  bool park_runner = false;
  // Of a runner of the network: what it sent and received for this run. Of those that went together one has it, the others 0.
  int64_t wire_bytes = -1;  // -1: not told
  bool durable = false;  // its commit waits for the disk: what cannot be done twice follows from it
  std::vector<std::pair<JobId, JobSpec>> children;  // enqueued if the outcome is done
};
// A sign of life of a run (RunnerSpec::heartbeat_ms), and how far it has got. Kept in memory. -> Done, HF_E_STALE
struct Progress {
  JobId id = 0;
  int attempt = 0;
  int percent = -1;                 // 0..100; -1: as it was
  std::optional<std::string> note;  // none: as it was
};

// What the job's next attempt is to know (RunJob::memo), in place of what was said before: where an upload has got to, say.
// -> Done, HF_E_STALE, or HF_E_TOO_LARGE beyond kMemoMax. Kept with the job while its leg lasts, also when it is dead, for a
// retry. Not waited for on the disk: a power cut may bring back the one before. A sign of life too.
inline constexpr size_t kMemoMax = HF_CHECKPOINT_MAX;  // bytes
struct Remember {
  JobId id = 0;
  int attempt = 0;
  uint64_t run = 0;  // as of RunEnded
  std::string memo;
};

// Lines of the run's log, a sign of life too: kept in memory, and with the attempt once it has ended (Attempt::log). -> Done, HF_E_STALE
struct LogLine {
  JobId id = 0;
  int attempt = 0;
  uint64_t run = 0;  // as of RunEnded
  std::string text;  // what of a line is beyond HF_LOG_LINE_MAX is cut
};

struct Cancel { JobId id = 0; };
struct Retry { JobId id = 0; };
inline constexpr int kRetryAllMax = 10000;
struct RetryAllDead {                       // -> int64_t: how many
  int limit = 1000;                         // 1..kRetryAllMax
  std::string queue = {}, type = {};        // "": of all
  int64_t over_ms = 0;                      // up to kBackoffMaxMs: they become due spread over so long; 0: at once
};
struct Remove { JobId id = 0; };            // a job that does not run
struct Edit {                               // a job that does not run and is not completed
  JobId id = 0;
  std::optional<std::string> payload;
  std::optional<int> priority;
  std::optional<int64_t> delay_ms;
  std::optional<int64_t> at_wall_ms;
  std::optional<int> max_attempts;
  std::optional<std::string> tags;
};
struct Get { JobId id = 0; };               // -> JobInfo
struct List { ListQuery query; };           // -> JobPage
struct Why { JobId id = 0; };               // -> WhyInfo
struct GetStats {};                         // -> Stats

struct SchedulePut { ScheduleSpec spec; };
struct ScheduleRemove { std::string name; };
struct SchedulePause { std::string name; bool paused = true; };
struct ScheduleRun { std::string name; };   // now, beside its times -> std::vector<JobId>
// A job for each occurrence in [from, to), all of them past, as if it had fired then -> std::vector<JobId>
struct ScheduleBackfill { std::string name; int64_t from_wall_ms = 0, to_wall_ms = 0; };
struct ScheduleList { std::string name; };  // "" for all -> std::vector<ScheduleInfo>

struct QueuePause {  // replaces the pause that there is; resume ends it
  std::string name;
  bool paused = true;
  std::string reason = {};
  int64_t for_ms = 0;         // 1..kPauseMaxMs, of elapsed time; 0: not set
  int64_t until_wall_ms = 0;  // not with for_ms; 0: not set
};
struct QueueDrain { std::string name; };    // refuses new jobs, goes on running; ends with resume
struct QueueSet { std::string name; QueueSettings settings; };  // kept in the file
struct QueueList { std::string name; };     // "" for all -> std::vector<QueueInfo>

struct SetCondition { ConditionSpec spec; };  // what was told still counts; who is asked is asked anew
struct RemoveCondition { std::string name; };
struct TellCondition {
  std::string name;
  bool open = false;
  std::string why = {};    // for a person, at most HF_REASON_MAX bytes
  int64_t for_ms = 0;      // of one that is told: 1..kPauseMaxMs; 0: until somebody says otherwise
  uint64_t number = 0;     // the answer to this AskCondition: one that is not waited for counts for nothing. 0: not asked
};
struct ConditionList { std::string name; };  // "" for all -> std::vector<ConditionInfo>

// Starts the jobs of all subscriptions that match, all or none -> std::vector<JobId>, in the order of their names.
struct Emit {
  std::string event;
  std::string payload;
  EventFields fields = {};  // of the payload, if it is a JSON object
  std::string key = {};     // each subscription starts at most one job for it, as by unique_key
};
struct SetSubscription { SubscriptionSpec spec; };
struct RemoveSubscription { std::string name; };
struct SubscriptionList { std::string name; };  // "" for all -> std::vector<SubscriptionInfo>

// Batching of a runner: jobs are handed to it together once max_jobs or max_bytes are there, or the
// oldest has waited for max_wait_ms.
struct Batch { int max_jobs = 1; int64_t max_bytes = 0; int64_t max_wait_ms = 0; };
struct RunnerSpec {
  std::string name;
  int concurrency = 0;  // runs (batches) at once; 0: no limit of its own
  Policy policy;
  int64_t defer_ms = 5000;
  int64_t splay_ms = 5000;  // after LinkUp: the first run within it, at random
  std::string sink;     // default sink of its jobs
  std::string callback = {}, failure_callback = {};  // of its jobs, where they name none
  // The delay after a run that failed, where the run asked for none itself; -1: by the policy. Called in the turn: must not block, nor call
  // the engine.
  std::function<int64_t(JobId id, int attempt, std::string_view error)> backoff_hook = {};
  Batch batch;
  // Of a sink: percent of its batches that take the newest results first, 0..100; the others take the oldest.
  int newest_percent = 0;
  bool sequence = false;  // of a sink: results that are given to it from now on are numbered
  RateLimits rates = {};
  bool network = false;  // its runs go over the link, and are subject to its budget
  std::vector<std::string> when = {};  // conditions, at most kWhenMax, all of which have to be open
  int64_t soft_timeout_ms = 0;  // a run is asked to end so long after its start, before its timeout; 0: it is not
  int64_t heartbeat_ms = 0;  // a run that gives no sign of life for so long is ended as by its timeout; 0: none is needed
};
inline constexpr int64_t kHeartbeatMinMs = 100, kHeartbeatMaxMs = 86400000;
struct SetRunner { RunnerSpec spec; };
struct RemoveRunner { std::string name; };

struct Limits {
  int concurrency = 64;
  int64_t max_payload = 0, max_jobs = 0, max_bytes = 0;       // 0: the defaults of holdfast.h
  int64_t keep_completed_ms = 0, keep_dead_ms = 0;            // -1: delete at once
  int64_t keep_completed_count = 0, keep_dead_count = 0;
  WhenFull when_full = WhenFull::reject;                      // at max_jobs and max_bytes
  int64_t ballast = 0;     // bytes that are set aside for a full disk (platform/ballast.h); -1: none
  int64_t crash_loop = 0;  // ends of the process in a row for safe mode (core/safe_mode.h); -1: never
  int64_t grouped_within_ms = 0;  // what is grouped is on the disk so long after it was acknowledged, at the latest
  int64_t flash_budget = 0;  // bytes a day (core/flash.h); -1: none, which is the default
};
struct SetLimits { Limits limits; };
struct SetQueueDefaults { std::string name; QueueSettings settings; };  // of the configuration

struct SetDispatch { bool on = true; };  // off: nothing is claimed (before start, while stopping)
struct StopAll { bool hand_back = false; };  // StopRun(shutdown) for all that runs; hand_back: at once
struct Prune {};                         // retention now -> int64_t: rows deleted
struct Backup { std::string path; };
struct Check {};                         // -> std::string, "" if all is well
struct LinkUp {};                        // runners that wait for the world try it soon
struct SetBudgets {                      // all of them, at most kBudgetsMax; a link without one costs nothing
  std::vector<BudgetSpec> budgets;
  std::string link = kLinkDefault;       // which there is while nobody has told
  bool operator==(const SetBudgets&) const = default;
};
struct SetLossReport {                   // where what is lost is told; sink "": nowhere
  std::string sink;
  int64_t every_ms = 3600000;            // at most, and so long after the first loss
  bool operator==(const SetLossReport&) const = default;
};
struct SetLink { std::string name; };    // kept in the file; "": as SetBudgets says
struct EndSafeMode {};                   // jobs run again; the crashes are forgotten
struct SetRoom { Room room = Room::enough; };  // what the disk has
struct SetClockRule { ClockRule rule; };
struct ConfirmClock {};                  // an operator says that it is right
struct ForgetClockFloor {};              // ... that what was taken for a right time was none
struct ClockStepped {};                  // only a reason to tick

// Types of their own, so that how one is made, moved and destroyed is compiled once (core/requests.cpp), and not in each file that
// passes one on: with so many alternatives that was half the time of compiling.
struct Op : std::variant<Enqueue, ReserveIds, Transact, RunEnded, Progress, Remember, LogLine, Cancel, Retry, RetryAllDead, Remove, Edit,
                   Get, List, Why, GetStats, SchedulePut, ScheduleRemove, SchedulePause, ScheduleRun,
                   ScheduleBackfill, ScheduleList, QueuePause, QueueDrain, QueueSet, QueueList,
                   SetCondition, RemoveCondition, TellCondition, ConditionList, Emit, SetSubscription, RemoveSubscription, SubscriptionList, SetRunner, RemoveRunner,
                   SetLimits, SetQueueDefaults, SetDispatch, StopAll, Prune, Backup, Check,
                   EndSafeMode, LinkUp, SetBudgets, SetLink, SetLossReport, SetRoom, SetClockRule, ConfirmClock, ForgetClockFloor, ClockStepped> {
  using variant::variant;
  Op();
  Op(const Op&);
  Op(Op&&) noexcept;
  Op& operator=(const Op&);
  Op& operator=(Op&&) noexcept;
  ~Op();
  // For what comes with every job. As operator=, with less ado: what comes most is what it was before, too.
  void put(RunEnded&& ended) noexcept;
  void put(Op&& op) noexcept;  // of an Enqueue, `op` has then the memory of the one that was here
  void clear() noexcept;  // it holds nothing then but memory for a few jobs, and no payload
};

struct Reply : std::variant<std::monostate, Error, Done, std::vector<JobId>, int64_t, std::string, JobInfo,
                      JobPage, WhyInfo, Stats, std::vector<ScheduleInfo>, std::vector<QueueInfo>,
                      std::vector<ConditionInfo>, std::vector<SubscriptionInfo>> {
  using variant::variant;
  Reply();
  Reply(const Reply&);
  Reply(Reply&&) noexcept;
  Reply& operator=(const Reply&);
  Reply& operator=(Reply&&) noexcept;
  ~Reply();
};

struct Request {
  Op op;
  Reply reply;
  // Called once by the platform, on the engine thread, after COMMIT (or with an Error). Must not block.
  std::function<void(Request&)> done;
};

// ---- the feed: every state transition that was committed --------------------------------------------

enum class Change : uint8_t {
  enqueued, started, completed, delivering, retried, deferred, died, cancelled, expired, recovered,
  handed_back, requeued, removed, displaced, edited, fired, runner_parked,
  safe_mode, safe_mode_over, schedule_paused, clock_stepped, clock_trusted, clock_untrusted,
  window_opened, window_closed, condition_opened, condition_closed, emitted,
  disk_full, disk_full_over, file_system_read_only, file_system_read_only_over,  // the host's
};
const char* change_name(Change c);
inline bool is_of_window(Change c) { return c == Change::window_opened || c == Change::window_closed; }
struct Transition {
  Change change;
  JobId id = 0;
  int attempt = 0;
  Name type, queue;
  std::string detail;       // error, schedule name, ...
  int64_t wait_ms = 0;      // until the next attempt, for retried and deferred; of clock_stepped: by how much
  int64_t took_ms = 0;      // of the run, where one ended
};

struct Tick {
  std::vector<Action> actions;
  std::vector<Transition> feed;
  int64_t next_wake_boot_ms = kNever;  // tick again then, if no event comes before
  int64_t next_due_boot_ms = kNever;   // the same for work alone: not to tidy up, nor to save how far time has come
  int64_t next_wake_wall_ms = kNever;  // ... or then, on the wall clock (kNever while it is not trusted)
  bool waits_for_link = false;         // LinkUp would be of use
  bool wall_trusted = false;
  int64_t clock_floor_ms = 0;          // of ClockInfo
  int64_t gather_ms = 0;               // what can wait (core/request_kinds.h) is kept so long for more of it, to be written in one commit
  std::string damage;     // what a Check found: drop the engine once the replies are out, as after HF_E_CORRUPT
  bool must_sync = false;  // the engine's own: this commit has to be on the disk before actions are obeyed
};

}  // namespace hf
