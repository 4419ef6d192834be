// The words of the house: what a job, a policy, a schedule and a queue are. Plain data, no behaviour.
//
// Times: `..._ms` on the elapsed axis unless the name says wall. Elapsed time never goes back and
// survives reboots; wall time is what cron and people speak. See docs/design.md, "Two clocks".
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/backoff.h"
#include "core/cron.h"
#include "core/result.h"

namespace hf {

using JobId = int64_t;  // > 0; 0 means none

inline constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
// 285,000 years. What a damaged file says lies beyond is read as this: sums of a few do not overflow.
inline constexpr int64_t kTimeMax = int64_t{1} << 53;

// A text that is borne by many and never changed: the name of a queue, the type of a job. Shared, so that it goes along at little cost.
class Name {
 public:
  Name() = default;  // ""
  Name(std::string text) : text_(std::make_shared<const std::string>(std::move(text))) {}
  Name(const char* text) : Name(std::string(text)) {}
  const std::string& text() const {
    static const std::string none;
    return text_ ? *text_ : none;
  }
  const char* c_str() const { return text().c_str(); }
  bool empty() const { return text().empty(); }
  operator const std::string&() const { return text(); }
  operator std::string_view() const { return text(); }
  bool operator==(const Name& other) const { return text_ == other.text_ || text() == other.text(); }
  template <class T>
    requires std::convertible_to<const T&, std::string_view>
  bool operator==(const T& other) const { return text() == std::string_view(other); }
  friend std::string operator+(std::string before, const Name& name) { return std::move(before) + name.text(); }
  friend std::string operator+(const Name& name, std::string_view behind) { return name.text() + std::string(behind); }

 private:
  std::shared_ptr<const std::string> text_;  // null: ""
};

// What the outside tells the engine about time, at each tick. The engine reads no clock.
struct Now {
  int64_t boot_ms = 0;  // CLOCK_BOOTTIME: since boot, suspend counted
  int64_t wall_ms = 0;  // unix time
  bool synced = false;  // somebody says that wall_ms is right: the kernel, a file, a command
};

// When the wall clock is trusted; see core/timekeeper.h.
inline constexpr int64_t kClockSpanMs = (20LL * 365 + 5) * 86400000;  // 20 years
inline constexpr int64_t kHoldoverMaxMs = 366LL * 86400000;
struct ClockRule {
  bool plausible = false;   // it is enough that it lies between floor and ceiling
  int64_t floor_ms = 0;     // unix time: no right clock shows less
  int64_t ceiling_ms = 0;   // nor more; 0: kClockSpanMs after the floor, also after one that was confirmed later
  int64_t holdover_ms = 0;  // trusted for so long after it was right, while nobody sets it
  bool operator==(const ClockRule&) const = default;
};
Status validate(const ClockRule& rule);
struct ClockInfo {
  bool trusted = false, synced = false;
  std::string why;  // for a person: why it is trusted or not
  int64_t wall_ms = 0, elapsed_ms = 0;
  int64_t floor_ms = 0, ceiling_ms = 0;
  int64_t steps = 0;  // since the file was made
  int64_t step_by_ms = 0, step_to_wall_ms = 0, step_age_ms = -1;  // the last one; -1: none
};

// What the disk has room for; numbers are in holdfast.h. `little`: for what the ballast was kept: ends of runs,
// cancelling, deleting; nothing is added, and of the runs deliveries alone go on, which make room in the end. `none`: for
// reading. `read_only`: the same, since the file system cannot be written, full or not.
enum class Room : uint8_t { enough, little, none, read_only };
inline bool only_reads(Room r) { return r >= Room::none; }

// Numbers are on the disk (docs/disk-format.md) and in holdfast.h.
enum class State : uint8_t { pending = 0, running = 1, completed = 2, dead = 3, cancelled = 4 };
inline constexpr int kStates = 5;
const char* state_name(State s);
inline bool is_final(State s) { return s >= State::completed; }

enum class OnConflict : uint8_t { keep = 0, replace, reject, debounce, keep_last };
// A job that waits for the ends of others, of which one did not complete: it is dead, too, or runs all the same.
enum class AfterFailure : uint8_t { dead = 0, run };
enum class UniqueBy : uint8_t { key = 0, payload };
enum class WhenFull : uint8_t { reject = 0, drop_oldest, drop_lowest, coalesce };
enum class Durability : uint8_t { sync = 0, grouped, memory, result };
inline bool waits_for_disk(Durability d) { return d == Durability::sync || d == Durability::result; }
inline constexpr int64_t kGroupedWithinMs = 5000, kGroupedWithinMinMs = 10, kGroupedWithinMaxMs = 3600000;
inline constexpr int64_t kFlashBudgetMin = int64_t{1} << 20, kFlashBudgetMax = int64_t{1} << 40;  // bytes a day

// A backoff as written by a person: what is unset (0) comes from the next level down (job, then
// handler, then the library's default).
struct BackoffSpec {
  std::optional<BackoffKind> kind;
  int64_t base_ms = 0;
  double factor = 0;
  int64_t max_ms = 0;
  std::optional<Jitter> jitter;
  int jitter_percent = 0;
  std::vector<int64_t> list_ms;
  bool operator==(const BackoffSpec&) const = default;
  bool empty() const { return !kind && base_ms == 0 && factor == 0 && max_ms == 0 && !jitter && jitter_percent == 0 && list_ms.empty(); }
};

// How runs are tried, as written; 0 is unset. Levels: job over handler over default.
struct Policy {
  int max_attempts = 0;    // 1..HF_ATTEMPTS_MAX; default 5
  int64_t timeout_ms = 0;  // of one run, -1: none; default 5 min
  BackoffSpec backoff;
  bool operator==(const Policy&) const = default;
  bool empty() const { return max_attempts == 0 && timeout_ms == 0 && backoff.empty(); }
};

// The same with nothing left open; the first is all that the start of a run needs.
struct AttemptLimits {
  int max_attempts;
  int64_t timeout_ms;  // -1: none
};
struct ResolvedPolicy : AttemptLimits {
  Backoff backoff;
};
AttemptLimits attempt_limits(const Policy& job, const Policy& handler);
ResolvedPolicy resolve(const Policy& job, const Policy& handler);
Status validate(const Policy& policy);  // HF_E_INVALID names the field

struct JobSpec {
  std::string type;
  std::string queue = "default";
  std::string payload;
  int priority = 0;
  int64_t delay_ms = 0;
  int64_t at_wall_ms = 0;  // 0: unset; else due at this wall time and delay_ms is 0
  Policy policy;
  int64_t ttl_ms = 0;
  std::string unique_key;
  UniqueBy unique_by = UniqueBy::key;  // payload: unique_key is made of type and payload when it comes in
  int64_t unique_for_ms = 0;
  OnConflict on_conflict = OnConflict::keep;
  int64_t debounce_max_ms = 0;  // of debounce: due so long after the first one at the latest; 0: no matter how long
  std::string concurrency_key;
  std::string sink;
  std::string callback, failure_callback;  // sinks, or types of jobs ("job:TYPE"), that are told of its end: core/callbacks.cpp
  std::vector<JobId> after = {};  // it waits until these have ended, and for delay_ms from then on: core/follow.cpp. At most HF_AFTER_MAX
  AfterFailure after_failure = AfterFailure::dead;
  Durability durability = Durability::sync;
  std::string tags;
  bool operator==(const JobSpec&) const = default;
};

// One past attempt, as kept in the bounded history of a job.
struct Attempt {
  int number = 0;
  bool delivery = false;   // of the leg to the sink
  int64_t started_ms = 0;  // elapsed
  int64_t took_ms = 0;
  std::string outcome;     // "retry", "dead", "deferred", "timeout", "lost" (the process died), "quarantined" (once too often), "done", "" (it runs)
  std::string error;
  std::string log = {};    // what the run said (LogLine), lines; of all attempts of a job at most HF_JOB_LOG_MAX bytes
};

struct JobInfo {
  JobId id = 0;
  State state = State::pending;
  bool delivering = false;  // the leg to the sink
  bool scheduled = false;   // pending and not due yet
  bool in_use = false;      // running in this process
  int attempts = 0;
  int64_t max_attempts = 0;
  int64_t timeout_ms = 0;
  int priority = 0;
  int progress = -1;
  std::string progress_note;
  int64_t created_wall_ms = 0;  // by the present mapping of elapsed to wall time
  int64_t due_wall_ms = 0;
  int64_t finished_wall_ms = 0;
  int64_t occurrence_wall_ms = 0;
  int64_t expires_wall_ms = 0;
  std::string type, queue, sink, callback, failure_callback, tags, schedule, unique_key, concurrency_key;
  std::vector<JobId> after = {};  // pending: it waits for the ends of these
  std::string key;  // idempotency key
  std::string error;
  std::string payload, result;
  int64_t payload_size = 0, result_size = 0;  // also when the bytes were not asked for
  std::vector<Attempt> history;               // oldest first; started_ms is wall time here; last the one that runs, if it has a log
};

struct ListQuery {
  std::optional<State> state;
  std::optional<bool> scheduled;  // of the pending ones: true: not due yet, false: due
  std::string queue, type;
  int limit = 100;    // 1..1000
  JobId before = 0;   // continue below this id; 0: from the newest
};
struct JobPage {
  std::vector<JobInfo> jobs;  // newest first, no payloads
  JobId next = 0;             // `before` of the next page; 0: the end
};

enum class CatchUp : uint8_t { once = 0, skip, all };
enum class Overlap : uint8_t { skip = 0, queue, cancel };

inline constexpr int kCatchUpDefault = 100, kCatchUpMax = 1000;  // firings of catch_up "all" at once
inline constexpr int64_t kScheduleLimitMax = 1000000000;
inline constexpr int64_t kScheduleMoveMaxMs = 86400000;  // jitter, splay
inline constexpr int64_t kCatchUpWindowMaxMs = 366LL * 86400 * 1000;
inline constexpr int kPauseAfterMax = 1000;
inline constexpr int64_t kSlackMaxMs = 86400000;  // of schedules and queues

struct ScheduleSpec {
  std::string name;
  std::string cron;
  std::string zone = "UTC";
  DstPolicy dst = DstPolicy::vixie;
  int64_t jitter_ms = 0;  // each firing is moved by a random part of it
  int64_t splay_ms = 0;   // all firings of this device by one and the same part of it
  CatchUp catch_up = CatchUp::once;
  int64_t catch_up_window_ms = 0;        // what was missed longer ago is left out; 0: however long ago
  int catch_up_max = kCatchUpDefault;    // of catch_up "all": the latest so many
  Overlap overlap = Overlap::skip;
  int64_t start_wall_ms = 0, end_wall_ms = 0;  // no occurrence before, none from then on; 0: none
  int64_t limit = 0;                           // it ends after so many firings; 0: never
  int64_t slack_ms = 0;                        // it may fire so late, to share a wake-up; 0..kSlackMaxMs
  int pause_after_failures = 0;                // it pauses itself after so many dead jobs in a row; 0: never
  JobSpec job;
  bool configured = false;  // by the configuration file: it goes when the file no longer names it
  bool operator==(const ScheduleSpec&) const = default;
};
struct ScheduleInfo {
  ScheduleSpec spec;
  bool paused = false;
  std::string waiting;          // why it does not fire ("the clock is not trusted", "zone ... is gone"); or ""
  int failures = 0;             // dead jobs in a row
  int64_t next_wall_ms = 0;     // 0: unknown
  int64_t last_wall_ms = 0;     // scheduled time of the last firing; 0: none
  JobId last_job = 0;
  int64_t fired = 0, skipped = 0;
};

// What runs may wait for in the world outside: core/conditions.h.
inline constexpr size_t kConditionsMax = 64;  // in all
inline constexpr size_t kWhenMax = 16;        // of one queue or handler
inline constexpr int64_t kConditionEveryMs = 30000, kConditionEveryMinMs = 1000, kConditionEveryMaxMs = 86400000;
struct ConditionSpec {
  std::string name;
  int64_t every_ms = kConditionEveryMs;  // an answer counts for so long
  // Nobody is asked: who knows says so (TellCondition). Until then, and when what was said is over, it is `initially`.
  bool told = false, initially = false;
  std::vector<std::string> links = {};  // nobody is asked: it is open while the link is one of these
  bool operator==(const ConditionSpec&) const = default;
};
struct ConditionInfo {
  ConditionSpec spec;
  bool known = false;          // there is an answer that counts
  bool open = false;           // by it, or by the last one there was
  bool asking = false;
  std::string why = {};        // with the answer
  int64_t said_wall_ms = 0;    // when it was given; 0: never
  int64_t until_wall_ms = 0;   // it counts until then; 0: until there is another one
};

// Which events start a job: core/events.h. The job's payload is the event's, unless it has one of its own.
inline constexpr size_t kSubscriptionsMax = HF_SUBSCRIPTIONS_MAX;  // in all
inline constexpr size_t kFilterMax = HF_FILTER_MAX;          // fields of one filter
inline constexpr size_t kEventFieldsMax = 256;     // fields of an event that filters see; those behind are as if they were not there
using EventFields = std::vector<std::pair<std::string, std::string>>;  // name, and the value as compact JSON
struct SubscriptionSpec {
  std::string name;
  std::string event;
  EventFields filter = {};  // all of them have to be equal
  JobSpec job;
  bool own_payload = false;
  bool operator==(const SubscriptionSpec&) const = default;
};
struct SubscriptionInfo {
  SubscriptionSpec spec;
  int64_t matched = 0;  // events, since it was set
};

// How fast runs may begin: core/rate.h.
inline constexpr int kRateRunsMax = 10000;
inline constexpr int64_t kRatePerMaxMs = 366LL * 86400 * 1000;
struct Rate {
  int runs = 0;        // 1..kRateRunsMax in `per_ms`; 0: no limit
  int64_t per_ms = 0;  // 1..kRatePerMaxMs
  int burst = 0;       // 1..runs: at once
  bool none() const { return runs == 0; }
  bool operator==(const Rate&) const = default;
};
struct RateLimits {
  Rate rate_limit, throttle;
  bool operator==(const RateLimits&) const = default;
};

inline constexpr int kQueueConcurrencyMax = 10000;
inline constexpr int64_t kMaxPendingMax = 1000000000;
inline constexpr int64_t kAgingMs = 60000, kAgingMaxMs = kRatePerMaxMs;
inline constexpr int64_t kKeepMaxMs = 100LL * 366 * 86400 * 1000;  // retention: an age
inline constexpr int64_t kKeepCountMax = 1000000000;               // ... of a queue: a count
inline constexpr int kQueuesKeepMax = 64;  // queues that may have a retention of their own: by the configuration, and by operators
enum class QueueOrder : uint8_t { fifo, lifo };
// Two levels: what an operator set, kept in the file, goes before what the configuration says; what is unset comes from there.
struct QueueSettings {
  std::optional<int> concurrency = {};      // 1..kQueueConcurrencyMax; unset: no limit of its own
  std::optional<int64_t> slack_ms = {};     // 0..kSlackMaxMs: its jobs may run so late, to share a wake-up; unset: 0
  std::optional<std::string> windows = {};  // when it is open (core/window.h); "": always
  std::optional<std::string> zone = {};     // of the windows; unset: UTC
  std::optional<Rate> rate_limit = {}, throttle = {};  // unset: no limit
  // Of the jobs that have one concurrency_key.
  std::optional<int> key_concurrency = {};                     // 1..kQueueConcurrencyMax; unset: 1
  std::optional<Rate> key_rate_limit = {}, key_throttle = {};  // unset: no limit
  std::optional<QueueOrder> order = {};                        // of one priority; unset: fifo
  std::optional<int64_t> aging_ms = {};  // 0..kAgingMaxMs: the wait that is worth a point of priority, 0: none is; unset: kAgingMs
  std::optional<bool> fair = {};         // its concurrency keys take turns; unset: they do not
  std::optional<std::vector<std::string>> when = {};  // conditions, at most kWhenMax, all of which have to be open; unset: none
  std::optional<int64_t> max_pending = {};     // 0: no limit, 1..kMaxPendingMax; unset: no limit
  std::optional<WhenFull> when_full = {};      // at max_pending; unset: reject
  std::optional<Rate> enqueue_limit = {}, key_enqueue_limit = {};  // how fast jobs may come in; of those with one concurrency_key
  std::optional<Rate> retry_budget = {};       // how many runs that failed are tried again
  // Of its finished jobs, its deliveries too; cancelled ones as completed ones. Unset: as of the file (core/queue_retention.h).
  std::optional<int64_t> keep_completed_ms = {}, keep_dead_ms = {};        // 0..kKeepMaxMs; 0: deleted at once
  std::optional<int64_t> keep_completed_count = {}, keep_dead_count = {};  // 1..kKeepCountMax
  bool keeps() const { return keep_completed_ms || keep_dead_ms || keep_completed_count || keep_dead_count; }
  bool operator==(const QueueSettings&) const = default;
};
QueueSettings over(const QueueSettings& set, const QueueSettings& configured);

inline constexpr int64_t kPauseMaxMs = 366LL * 86400 * 1000;  // of one that ends by itself
struct Pause {
  bool on = false;
  std::string reason = {};  // for a person, at most HF_REASON_MAX bytes
  int64_t until_ms = 0;     // elapsed; 0: until it is resumed
  bool operator==(const Pause&) const = default;
};

struct QueueInfo {
  std::string name;
  bool paused = false;
  std::string pause_reason = {};
  int64_t resumes_wall_ms = 0;  // by the present mapping of elapsed to wall time; 0: when it is resumed
  bool draining = false;  // closed for new jobs, goes on running (until the process ends)
  QueueSettings settings;  // in force
  QueueSettings set;       // of them: by an operator
  bool open = true;        // by its windows
  int64_t changes_wall_ms = 0;  // when it opens or closes; 0: not known, or never
  int64_t pending = 0, running = 0;
};

// What may go over a link of this name; 0: as much as it takes. See core/budget.h.
inline constexpr const char* kLinkDefault = "unmetered";
inline constexpr const char* kLinkMetered = "metered";
struct BudgetSpec {
  std::string link = {};
  int64_t rate = 0;         // bytes a second
  int64_t day_bytes = 0;    // in any 24 hours
  int64_t month_bytes = 0;  // in any 31 days
  int reserve_percent = 0;  // of day and month: kept for jobs of this priority and higher
  int reserve_priority = 1;
  bool operator==(const BudgetSpec&) const = default;
};
struct BudgetInfo {
  BudgetSpec spec;
  bool in_force = false;  // of the link that there is
  int64_t day_spent = 0, month_spent = 0;
  int64_t opens_in_ms = 0;  // until a job of priority 0 may be sent
};

// How something was lost; see core/losses.h.
enum class LossCause : uint8_t {
  expired,  // its ttl was over before it ran
  dropped,  // a dead job whose retention was over
  salvage,  // it could not be read from a damaged file
  log,      // not a job: a log that was lost; how much was in it nobody knows
  displaced,  // a pending job that gave way to a newer one, as its queue or the file was full
  too_fast,   // the job of an event or a schedule that came in faster than its queue takes them
};
const char* loss_cause_name(LossCause cause);
struct Loss {
  LossCause cause = LossCause::expired;
  std::string queue;       // "*": of the file
  int64_t total = 0;       // since the file was made
  int64_t unreported = 0;  // of them since the last report
  int64_t first_wall_ms = 0, last_wall_ms = 0;  // of the unreported ones; of all if there are none
};

// One closed gate of a pending job.
struct ClosedGate {
  std::string gate;        // "due", "queue", "slots", "handler", "key", "clock", ...
  std::string why;         // for a person
  int64_t opens_wall_ms = 0;  // 0: not known in advance
};
struct WhyInfo {
  JobInfo job;
  std::vector<ClosedGate> gates;  // empty and pending: it runs next, behind `ahead` others
  std::string summary;
};

struct Stats {
  int64_t by_state[kStates] = {};
  int64_t enqueued = 0, completed = 0, failed = 0, retried = 0, dead = 0, deferred = 0, cancelled = 0,
          expired = 0, started = 0, fired = 0, recovered = 0, quarantined = 0;  // since open
  int64_t ticks = 0, commits = 0, synced_commits = 0;
  int64_t file_bytes = 0, max_jobs = 0, max_bytes = 0;
  // Written to the file and its log: in the last 24 hours, since it was made; what a day may be, 0: anything; Tick::gather_ms.
  int64_t flash_day_bytes = 0, flash_total_bytes = 0, flash_budget = 0, flash_gather_ms = 0;
  bool flash_used_up() const { return flash_budget > 0 && flash_day_bytes >= flash_budget; }
  int64_t clock_steps = 0;        // since the file was made
  int64_t next_wake_wall_ms = 0;  // 0: nothing is due ever
  int64_t next_wake_in_ms = -1;   // -1: the same
  ClockInfo clock;
  bool unclean_start = false;
  int64_t crashes = 0;            // ends of the process in a row while jobs ran (core/safe_mode.h)
  Room room = Room::enough;
  int64_t safe_mode_left_ms = 0;  // so long nothing runs, because of them; 0: it is not on
  // Since the file was made: how often it was damaged and healed, and what came of it (core/salvage.h).
  int64_t salvages = 0, salvaged_jobs = 0, salvage_lost_jobs = 0;
  bool salvage_lost_unknown = false;  // more may be lost than were counted
  int64_t log_losses = 0;             // so often the log was found lost, cut short or another's; what was in it cannot be counted
  int64_t salvage_age_ms = -1;        // since the last of either; -1: none
  std::string link;                   // the kind of link there is, as it was told
  std::vector<BudgetInfo> budgets;
  std::vector<ConditionInfo> conditions;
  std::vector<Loss> losses;
  std::vector<QueueInfo> queues;
};

}  // namespace hf
