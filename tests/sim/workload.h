// What people ask of the device, at random.
#pragma once

#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "core/budget.h"
#include "core/callbacks.h"
#include "core/random.h"
#include "core/requests.h"
#include "ledger.h"

namespace hf::sim {

inline const std::vector<std::string> kTypes = {"a", "b", "c"};
inline const std::vector<std::string> kQueues = {"default", "q1", "q2", "brief"};
inline constexpr int kMaxAttempts = 4;
inline constexpr const char* kPaced = "a";    // the handler whose runs may begin so fast: Clocks
inline constexpr Rate kPace = {4, 4000, 3};
inline constexpr const char* kPacedQueue = "q1";  // the queue whose keys' runs may begin so fast
inline constexpr Rate kKeyPace = {3, 6000, 2};
inline constexpr const char* kFullQueue = "q2";   // the queue in which only so many may wait

inline constexpr const char* kBriefQueue = "brief";  // the queue of whose completed and cancelled jobs nothing is kept

inline constexpr const char* kTelling = "told";    // the job that callbacks start, in place of telling a sink
inline constexpr const char* kStarts = "job:told";
inline bool is_callback(const std::string& type) { return type == kCallbackType || type == kTelling; }

inline constexpr const char* kAsked = "cool";     // the condition that handler "b" waits for
inline constexpr const char* kTold = "door";       // ... that queues may wait for
inline constexpr int64_t kAskedEveryMs = 5000;

inline std::vector<SubscriptionSpec> subscriptions() {
  std::vector<SubscriptionSpec> all;
  for (const auto& [name, type] : {std::pair("every-event", "a"), std::pair("some-events", "c")}) {
    SubscriptionSpec s;
    s.name = s.job.tags = name;
    s.event = "e";
    s.job.type = type;
    all.push_back(s);
  }
  all.back().filter = {{"some", "true"}};
  return all;
}
// What it puts in if it is done, besides what schedules and runs do.
inline std::vector<JobSpec> added_by(const Op& op) {
  if (const auto* add = std::get_if<Enqueue>(&op)) return add->specs;
  std::vector<JobSpec> specs;
  const auto* emit = std::get_if<Emit>(&op);
  if (emit == nullptr) return specs;
  for (const SubscriptionSpec& s : subscriptions()) {
    if (s.filter.empty() || s.filter == emit->fields) specs.push_back(s.job);
    if (!specs.empty() && !emit->key.empty()) specs.back().unique_key = s.name + "/" + emit->key;
  }
  return specs;
}

inline RunnerSpec handler(const std::string& type) {
  RunnerSpec r;
  r.name = type;
  r.policy.max_attempts = kMaxAttempts;
  r.policy.timeout_ms = 20000;
  r.policy.backoff.max_ms = 5000;
  if (type == "b") {
    r.concurrency = 2;
    r.when = {kAsked};
  }
  if (type == kPaced) r.rates.rate_limit = kPace;
  if (type == "c") {
    r.sink = "s";
    r.soft_timeout_ms = 5000;
    r.batch = {4, 3000, 1500};
  }
  return r;
}

// What a host tells an engine that it opened.
inline std::vector<Op> set_up(const Limits& limits, bool dispatch) {
  std::vector<Op> ops = {SetLimits{limits}};
  for (const std::string& type : kTypes) ops.push_back(SetRunner{handler(type)});
  ops.push_back(SetRunner{handler(kTelling)});
  RunnerSpec sink;
  sink.name = "sink:s";
  sink.concurrency = 1;
  sink.policy.max_attempts = kMaxAttempts;
  sink.policy.timeout_ms = 15000;
  sink.policy.backoff.max_ms = 5000;
  sink.batch = {5, 4000, 700};
  sink.newest_percent = 30;
  sink.sequence = sink.network = true;
  ops.push_back(SetRunner{sink});
  BudgetSpec budget;
  budget.link = kLinkMetered;
  budget.rate = 20000;
  budget.day_bytes = kBudgetBytesMax;  // counted, and never used up
  ops.push_back(SetBudgets{{budget}, kLinkMetered});
  QueueSettings keys;
  keys.key_rate_limit = kKeyPace;
  ops.push_back(SetQueueDefaults{kPacedQueue, keys});
  QueueSettings few;
  few.max_pending = 3;
  few.when_full = WhenFull::drop_oldest;
  ops.push_back(SetQueueDefaults{kFullQueue, few});
  QueueSettings nothing_kept;
  nothing_kept.keep_completed_ms = 0;
  ops.push_back(SetQueueDefaults{kBriefQueue, nothing_kept});
  ConditionSpec cool, door;
  cool.name = kAsked;
  cool.every_ms = kAskedEveryMs;
  door.name = kTold;
  door.told = door.initially = true;
  ops.push_back(SetCondition{cool});
  ops.push_back(SetCondition{door});
  for (const SubscriptionSpec& s : subscriptions()) ops.push_back(SetSubscription{s});
  ops.push_back(QueueList{});  // what is in force: RunLimits
  ops.push_back(SetDispatch{dispatch});
  return ops;
}

class Workload {
 public:
  explicit Workload(Random& random) : random_(random) {}

  // ... by somebody who knows of the jobs that are there, and may wait for some.
  JobSpec asked(const Ledger& ledger, int64_t wall_ms) {
    JobSpec s = spec(wall_ms);
    if (s.at_wall_ms != 0 || (s.on_conflict != OnConflict::keep && s.on_conflict != OnConflict::reject) || ledger.size() == 0 || !one_in(10)) return s;
    for (uint64_t n = below(3) + 1; n > 0; --n) s.after.push_back(any_job(ledger));
    if (one_in(2)) s.after_failure = AfterFailure::run;
    return s;
  }
  JobSpec spec(int64_t wall_ms) {
    JobSpec s;
    s.type = any(kTypes);
    s.payload = std::string(below(one_in(8) ? 6000 : 60), 'p');
    s.tags = "job-" + std::to_string(++tags_);
    s.queue = any(kQueues);
    if (one_in(3)) s.priority = static_cast<int>(random_.between(-2, 2));
    if (one_in(4)) s.delay_ms = random_.between(1, 9000);
    if (s.delay_ms == 0 && one_in(10)) s.at_wall_ms = wall_ms + random_.between(-5000, 15000);
    if (one_in(5)) s.concurrency_key = one_in(2) ? "k" : "l";
    if (one_in(12)) s.ttl_ms = s.delay_ms + random_.between(1, 20000);
    if (one_in(5)) s.policy.max_attempts = static_cast<int>(random_.between(1, 5));
    if (one_in(8)) {
      s.unique_key = "u" + std::to_string(below(5));
      s.on_conflict = static_cast<OnConflict>(below(5));
      if (s.on_conflict == OnConflict::debounce && s.delay_ms == 0 && s.at_wall_ms == 0) {
        s.delay_ms = 500;
        if (s.ttl_ms != 0) s.ttl_ms += s.delay_ms;
      }
      if (s.on_conflict == OnConflict::keep_last) {
        s.at_wall_ms = 0;
      } else if (one_in(2)) {
        s.unique_for_ms = random_.between(1, 10000);
      }
    }
    if (one_in(6)) s.sink = "s";
    if (one_in(8)) s.callback = "s";
    if (one_in(8)) s.failure_callback = one_in(2) && s.queue != kFullQueue ? kStarts : "s";
    if (s.queue == kBriefQueue) s.callback = s.failure_callback = "";  // they are counted at the end
    if (one_in(5)) s.durability = Durability::grouped;
    if (one_in(8)) s.durability = Durability::result;
    return s;
  }

  // A verb or some, of which the jobs may know nothing.
  std::vector<Op> verbs(const Ledger& ledger) {
    switch (below(14)) {
      case 0: return {Cancel{any_job(ledger)}};
      case 1: return {Retry{any_job(ledger)}};
      case 2: return {Remove{any_job(ledger)}};
      case 3: {
        Edit e;
        e.id = any_job(ledger);
        if (one_in(2)) e.priority = static_cast<int>(random_.between(-3, 3));
        if (one_in(2)) e.payload = std::string(below(1500), 'e');
        if (one_in(4)) e.delay_ms = random_.between(0, 4000);
        return {e};
      }
      case 4: {
        QueuePause p{any(kQueues), one_in(2)};
        if (p.paused && one_in(2)) p.for_ms = random_.between(1, 30000);
        return {p};
      }
      case 5: case 6: case 7: {
        const std::string& queue = any(kQueues);
        QueueSettings s;
        if (one_in(2)) s.concurrency = static_cast<int>(below(3)) + 1;
        if (one_in(3)) s.slack_ms = random_.between(0, 30000);
        if (one_in(4)) s.windows = "* * * * * for 20s";
        if (one_in(4)) s.rate_limit = Rate{20, 10000, static_cast<int>(below(20)) + 1};
        if (one_in(8)) s.throttle = Rate{7, 2000, 1};
        if (one_in(2)) s.key_concurrency = static_cast<int>(below(3)) + 1;
        if (one_in(6) && queue != kPacedQueue) s.key_rate_limit = Rate{5, 10000, static_cast<int>(below(5)) + 1};
        if (one_in(6)) s.key_throttle = Rate{2, 3000, 1};
        if (one_in(3)) s.order = QueueOrder::lifo;
        if (one_in(2)) s.aging_ms = any(std::vector<int64_t>{0, 1000, 60000});
        if (one_in(2)) s.fair = !one_in(3);
        if (one_in(4)) s.when = {std::vector<std::string>{one_in(3) ? kAsked : kTold}};
        if (one_in(3)) s.retry_budget = Rate{10, 5000, static_cast<int>(below(10)) + 1};
        // Of an event all jobs come in, or none: RunLimits.
        if (one_in(4) && queue != "default") s.enqueue_limit = Rate{20, 10000, static_cast<int>(below(20)) + 1};
        if (one_in(4) && queue != "default") s.key_enqueue_limit = Rate{6, 10000, static_cast<int>(below(6)) + 1};
        if (queue == kFullQueue && !one_in(3)) {
          s.max_pending = static_cast<int64_t>(below(8));
          s.when_full = static_cast<WhenFull>(below(4));
        }
        return {QueueSet{queue, s}, QueueList{}};
      }
      case 12: {
        TellCondition door{kTold, one_in(2)};
        if (one_in(2)) door.for_ms = random_.between(1, 30000);
        return {door};
      }
      case 13: {
        Emit e{"e", std::string(below(200), 'e')};
        if (one_in(2)) e.fields = {{"some", "true"}};
        if (one_in(3)) e.key = "k" + std::to_string(below(4));
        return {e};
      }
      case 8: return {RetryAllDead{static_cast<int>(below(10)) + 1, one_in(3) ? any(kQueues) : "", one_in(3) ? any(kTypes) : "", one_in(3) ? 8000 : 0}};
      case 9: {
        RunnerSpec r = handler("b");
        r.concurrency = static_cast<int>(below(4));
        if (one_in(4)) return {RemoveRunner{r.name}};
        return {SetRunner{r}};
      }
      case 10: return {Prune{}, GetStats{}, Why{any_job(ledger)}, QueueList{}};
      default: return {ScheduleRun{"every"}, Get{any_job(ledger)}, LinkUp{}, SetLink{one_in(2) ? kLinkDefault : ""}};
    }
  }

  static std::vector<ScheduleSpec> schedules() {
    ScheduleSpec every;
    every.name = "every";
    every.cron = "@every 20s";
    every.job.type = "a";
    every.job.tags = "every";
    ScheduleSpec minute = every;
    minute.name = "minute";
    minute.cron = "* * * * *";
    minute.catch_up = CatchUp::all;
    minute.overlap = Overlap::queue;
    minute.job.type = "c";
    minute.job.tags = "minute";
    minute.slack_ms = 3000;
    return {every, minute};
  }

  // How a run goes. Not `well`: as it comes.
  struct Course {
    Outcome how = Outcome::done;
    bool hangs = false;
    int64_t takes_ms = 0;
  };
  Course course(bool well) {
    Course c;
    if (!well) {
      switch (below(16)) {
        case 0: case 1: c.how = Outcome::retry; break;
        case 2: c.how = one_in(3) ? Outcome::dead : Outcome::retry; break;
        case 3: c.how = Outcome::defer; break;
        case 4: c.how = Outcome::handed_back; break;
        case 5: c.hangs = one_in(3); break;
        default: break;
      }
    }
    c.takes_ms = static_cast<int64_t>(below(one_in(10) ? 30000 : 800)) + 1;
    return c;
  }
  // Those of a batch end together, or each by itself.
  std::vector<StartRun> parts_that_end(const StartRun& start) {
    std::vector<StartRun> parts;
    if (start.jobs.size() == 1 || one_in(2)) return {start};
    for (const RunJob& job : start.jobs) parts.push_back({start.runner, {job}, start.timeout_ms});
    return parts;
  }
  // What it says before its end.
  LogLine log_line(const RunEnded& run) { return {run.id, run.attempt, run.run, std::string(below(one_in(4) ? 6000 : 60), one_in(3) ? '\n' : 'l')}; }
  // Most are more than are used.
  int concurrency() { return static_cast<int>(one_in(2) ? 64 : 1 + below(6)); }

 private:
  uint64_t below(uint64_t n) { return random_.below(n); }
  bool one_in(uint64_t n) { return random_.below(n) == 0; }
  template <class T>
  const T& any(const std::vector<T>& of) { return of[below(of.size())]; }
  JobId any_job(const Ledger& ledger) {
    if (ledger.size() == 0) return 1;
    auto& jobs = ledger.jobs();
    auto it = jobs.lower_bound(jobs.begin()->first + static_cast<JobId>(below(static_cast<uint64_t>(jobs.rbegin()->first - jobs.begin()->first) + 1)));
    if (it == jobs.end()) it = std::prev(it);
    // Callbacks are left alone, so that they can be counted at the end. Most jobs have ended: mostly one that has not is meant,
    // if there is one near.
    const bool any = one_in(4);
    JobId first = 0;
    for (auto near = it; near != jobs.end(); ++near) {
      if (near->second.callback) continue;
      if (first == 0) first = near->first;
      if (any || !is_final(near->second.state)) return near->first;
    }
    return first != 0 ? first : 1;
  }

  Random& random_;
  int64_t tags_ = 0;
};

}  // namespace hf::sim
