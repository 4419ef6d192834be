// What the C++ wrapper passes in and out, and a run as its handler sees it: all of holdfast.hpp, which includes it, but the Engine.
#ifndef HOLDFAST_TYPES_HPP
#define HOLDFAST_TYPES_HPP

#include <holdfast.h>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace holdfast {
using JobId = hf_job_id;
using Milliseconds = std::chrono::milliseconds;
using Time = std::chrono::system_clock::time_point;  // wall clock; the library counts milliseconds

// For JobSpec::timeout, HandlerOptions::timeout and the retention of Options: never, no limit.
inline constexpr Milliseconds kNone{-1};

class Error : public std::runtime_error {
 public:
  Error(int code, const std::string& detail)
      : std::runtime_error(detail.empty() ? hf_strerror(code) : std::string(hf_strerror(code)) + ": " + detail), code_(code) {}
  int code() const noexcept { return code_; }  // HF_E_*

 private:
  int code_;
};

enum class State { pending = HF_STATE_PENDING, running = HF_STATE_RUNNING, completed = HF_STATE_COMPLETED, dead = HF_STATE_DEAD,
                   cancelled = HF_STATE_CANCELLED };
enum class Outcome { done = HF_OK, retry = HF_RETRY, dead = HF_DEAD, defer = HF_DEFER, async = HF_ASYNC };
enum class LogLevel { error = HF_LOG_ERROR, warn = HF_LOG_WARN, info = HF_LOG_INFO, debug = HF_LOG_DEBUG };

// The bytes of a payload or result, owned; made of text or of std::byte.
class Bytes {
 public:
  Bytes() = default;
  Bytes(std::string bytes) : bytes_(std::move(bytes)) {}
  Bytes(std::string_view bytes) : bytes_(bytes) {}
  Bytes(const char* text) : bytes_(text) {}
  template <class T>
    requires std::convertible_to<const T&, std::span<const std::byte>>  // also a vector or an array of std::byte
  Bytes(const T& bytes) {
    const std::span<const std::byte> span = bytes;
    if (!span.empty()) bytes_.assign(reinterpret_cast<const char*>(span.data()), span.size());
  }
  const void* data() const { return bytes_.data(); }
  std::size_t size() const { return bytes_.size(); }

 private:
  std::string bytes_;
};

// ---- what is passed in: designated initialisers, and what is not named has the default of holdfast.h ----------

struct Backoff {
  hf_backoff_kind kind = HF_BACKOFF_DEFAULT;
  Milliseconds base{};
  double factor = 0;
  Milliseconds max{};
  hf_jitter jitter = HF_JITTER_DEFAULT;
  int jitter_percent = 0;
  std::vector<Milliseconds> list = {};
};

struct JobSpec {
  std::string type = {};
  Bytes payload = {};
  std::string queue = {};
  int priority = 0;
  Milliseconds delay{};
  std::optional<Time> run_at = {};
  int max_attempts = 0;
  Backoff backoff = {};
  Milliseconds timeout{}, ttl{};
  std::string unique_key = {};
  hf_unique_by unique_by = HF_UNIQUE_BY_KEY;
  Milliseconds unique_for{}, debounce_max{};
  hf_on_conflict on_conflict = HF_CONFLICT_KEEP;
  std::string concurrency_key = {}, sink = {}, callback = {}, failure_callback = {};
  hf_durability durability = HF_DURABLE_SYNC;
  std::string tags = {};
  std::vector<JobId> after = {};  // it waits until these have ended
  hf_after_failure after_failure = HF_AFTER_DEAD;
};

struct RetryDead {
  std::string queue = {}, type = {};
  int limit = 0;
  Milliseconds over{};
};

struct HandlerOptions {
  int concurrency = 0, max_attempts = 0;
  Milliseconds timeout{};
  Backoff backoff = {};
  Milliseconds defer{};
  std::string sink = {}, callback = {}, failure_callback = {}, rate_limit = {}, throttle = {};
  Milliseconds heartbeat{};  // none: no sign of life is needed
  std::string when = {};     // conditions, separated by commas
  Milliseconds soft_timeout{};  // none: only the timeout
  // Of Engine::on_batch:
  int batch_max_jobs = 0;
  std::int64_t batch_max_bytes = 0;
  Milliseconds batch_max_wait{};
  // How long a job whose attempt-th run failed waits for the next one; empty: as `backoff` says. Within the engine's turn (holdfast.h, 7.): it returns at once.
  std::function<std::optional<Milliseconds>(JobId id, int attempt, std::string_view error)> backoff_fn = {};
};

struct Schedule {
  std::string name = {}, cron = {}, time_zone = {};
  Milliseconds jitter{};
  hf_catch_up catch_up = HF_CATCH_UP_ONCE;
  hf_overlap overlap = HF_OVERLAP_SKIP;
  hf_dst dst = HF_DST_VIXIE;
  Milliseconds splay{}, catch_up_window{};
  int catch_up_max = 0;
  std::optional<Time> start = {}, end = {};
  std::int64_t limit = 0;
  int pause_after_failures = 0;
  Milliseconds slack{};
  JobSpec job = {};
};

// hf_subscription_spec. Its jobs have the event's payload, unless `job` has one.
struct Subscription {
  std::string name = {}, event = {};
  std::string filter = {};  // a JSON object; "": any payload
  JobSpec job = {};
};

// What is not set comes from the configuration.
struct QueueSettings {
  int concurrency = 0, key_concurrency = 0;
  std::optional<Milliseconds> slack = {}, aging = {};
  std::optional<std::string> windows = {};
  std::string time_zone = {}, rate_limit = {}, throttle = {}, key_rate_limit = {}, key_throttle = {};
  hf_queue_order order = HF_ORDER_DEFAULT;
  std::optional<bool> fair = {};
  std::optional<std::string> when = {};  // conditions, separated by commas
  std::optional<std::int64_t> max_pending = {};  // jobs that wait in it; 0: no limit of its own
  hf_when_full when_full = HF_FULL_REJECT;       // at max_pending, with which it is said
  std::string enqueue_limit = {}, key_enqueue_limit = {}, retry_budget = {};
  std::optional<Milliseconds> keep_completed = {}, keep_dead = {};  // zero: deleted at once
  std::int64_t keep_completed_count = 0, keep_dead_count = 0;       // 0: as configured
};

// hf_condition_options, of one that is asked.
struct ConditionOptions {
  Milliseconds every{}, timeout{};
};
struct ConditionAnswer {
  bool open = false;
  std::string why = {};  // for a person
};

struct ClockOptions {
  bool confirmed_only = false, ignore_kernel = false;
  std::string sync_file = {};
  std::optional<Milliseconds> holdover = {};
  std::optional<Time> floor = {}, ceiling = {};
};

struct Options {
  std::string device = {};
  int workers = 0, concurrency = 0;
  std::int64_t max_payload = 0, max_jobs = 0, max_bytes = 0;
  Milliseconds keep_completed{}, keep_dead{};
  std::int64_t keep_completed_count = 0, keep_dead_count = 0;
  int crash_loop = 0;
  std::int64_t ballast = 0;
  hf_when_full when_full = HF_FULL_REJECT;  // at max_jobs and max_bytes
  Milliseconds grouped_within{};
  std::int64_t flash_budget = 0;  // bytes a day
  int page_size = 0;
  std::uint64_t seed = 0;
  ClockOptions clock = {};
  std::function<void(LogLevel, std::string_view line)> log = {};  // must not throw
};

struct ListQuery {
  std::optional<State> state = {};
  std::string queue = {}, type = {};
  int limit = 0;
  JobId after = 0;
};

struct ServeOptions {
  std::string group = {};
  int max_clients = 0;
  bool open_view = false;
};

// ---- what comes out ----------------------------------------------------------------------------------------------

struct JobInfo {
  JobId id = 0;
  State state = State::pending;
  int attempts = 0, max_attempts = 0, priority = 0;
  bool delivering = false;
  int progress = -1;
  Time created{};
  std::optional<Time> due, finished, occurrence;
  std::string type, queue, sink, tags, schedule, key, error;
  std::string payload, result;  // empty in a list
};

struct JobPage {
  std::vector<JobInfo> jobs;
  JobId next = 0;  // ListQuery::after of the next page; 0: this is the last
};

namespace detail {

inline void check(int code, hf_engine* engine) {
  if (code != HF_OK) throw Error(code, hf_errmsg(engine));
}
inline std::int64_t unix_ms(const std::optional<Time>& t) {
  return t ? std::chrono::floor<Milliseconds>(*t).time_since_epoch().count() : 0;
}
inline Time time_at(std::int64_t unix_ms) {
  constexpr auto kLast = std::chrono::floor<Milliseconds>(Time::max()).time_since_epoch();
  return Time(std::min(Milliseconds(unix_ms), kLast));
}
inline std::optional<Time> time_of(std::int64_t unix_ms) { return unix_ms != 0 ? std::optional<Time>(time_at(unix_ms)) : std::nullopt; }

// A C backoff and the list that it points to.
inline hf_backoff backoff_of(const Backoff& b, std::vector<std::int64_t>& list) {
  list.clear();
  for (Milliseconds ms : b.list) list.push_back(ms.count());
  return {b.kind, b.base.count(), b.factor, b.max.count(), b.jitter, b.jitter_percent, list.data(), list.size()};
}

// Points into `s` and `list`, which must outlive it.
inline hf_job_spec spec_of(const JobSpec& s, std::vector<std::int64_t>& list) {
  hf_job_spec c = HF_JOB_SPEC_INIT;
  c.type = s.type.c_str();
  c.payload = s.payload.data();
  c.payload_len = s.payload.size();
  c.queue = s.queue.c_str();
  c.priority = s.priority;
  c.delay_ms = s.delay.count();
  c.run_at_unix_ms = unix_ms(s.run_at);
  c.max_attempts = s.max_attempts;
  c.backoff = backoff_of(s.backoff, list);
  c.timeout_ms = s.timeout.count();
  c.ttl_ms = s.ttl.count();
  c.unique_key = s.unique_key.c_str();
  c.unique_by = s.unique_by;
  c.unique_for_ms = s.unique_for.count();
  c.on_conflict = s.on_conflict;
  c.debounce_max_ms = s.debounce_max.count();
  c.concurrency_key = s.concurrency_key.c_str();
  c.sink = s.sink.c_str();
  c.callback = s.callback.c_str();
  c.failure_callback = s.failure_callback.c_str();
  c.durability = s.durability;
  c.tags = s.tags.c_str();
  c.after = s.after.data();
  c.after_len = s.after.size();
  c.after_failure = s.after_failure;
  return c;
}

inline JobInfo info_of(const hf_job_info& c) {
  JobInfo i;
  i.id = c.id;
  i.state = static_cast<State>(c.state);
  i.attempts = c.attempts;
  i.max_attempts = c.max_attempts;
  i.priority = c.priority;
  i.delivering = c.delivering != 0;
  i.progress = c.progress;
  i.created = time_at(c.created_unix_ms);
  if (i.state == State::pending) i.due = time_of(c.due_unix_ms);
  i.finished = time_of(c.finished_unix_ms);
  i.occurrence = time_of(c.occurrence_unix_ms);
  i.type = c.type;
  i.queue = c.queue;
  i.sink = c.sink;
  i.tags = c.tags;
  i.schedule = c.schedule;
  i.key = c.key;
  i.error = c.error;
  if (c.payload_len != 0) i.payload.assign(static_cast<const char*>(c.payload), c.payload_len);
  if (c.result_len != 0) i.result.assign(static_cast<const char*>(c.result), c.result_len);
  return i;
}

}  // namespace detail

// ---- a run, as its handler sees it -----------------------------------------------------------------------------------

// As small as a pointer; copies mean the same run. Valid until the handler returns, or, after Outcome::async, until
// finish(). Thread: any.
class Job {
 public:
  explicit Job(hf_job* job) : job_(job) {}
  hf_job* get() const noexcept { return job_; }

  std::string_view payload() const {
    std::size_t size = 0;
    const void* data = hf_job_payload(job_, &size);
    return {static_cast<const char*>(data), size};
  }
  JobId id() const { return hf_job_get_id(job_); }
  std::string_view type() const { return hf_job_type(job_); }
  int attempt() const { return hf_job_attempt(job_); }
  std::string_view key() const { return hf_job_key(job_); }  // the same on every attempt
  std::optional<Time> occurrence() const { return detail::time_of(hf_job_occurrence(job_)); }
  bool canceled() const { return hf_job_canceled(job_) != 0; }  // it should end
  bool soft_timeout_over() const { return hf_job_canceled(job_) == 2; }  // ... for that alone, and may end as it likes

  void result(std::string_view bytes) { detail::check(hf_job_result(job_, bytes.data(), bytes.size()), nullptr); }
  void result(std::span<const std::byte> bytes) { detail::check(hf_job_result(job_, bytes.data(), bytes.size()), nullptr); }
  void error(const std::string& text) { detail::check(hf_job_error(job_, text.c_str()), nullptr); }
  void progress(int percent, const std::string& note = "") { detail::check(hf_job_progress(job_, percent, note.c_str()), nullptr); }
  void log(const std::string& text) { detail::check(hf_job_log(job_, text.c_str()), nullptr); }
  void heartbeat() { detail::check(hf_job_heartbeat(job_), nullptr); }
  void checkpoint(std::string_view bytes) { detail::check(hf_job_checkpoint(job_, bytes.data(), bytes.size()), nullptr); }
  std::string_view last_checkpoint() const {  // "": there is none
    std::size_t size = 0;
    const void* data = hf_job_last_checkpoint(job_, &size);
    return {static_cast<const char*>(data), size};
  }
  void retry_after(Milliseconds wait) { detail::check(hf_job_retry_after(job_, wait.count()), nullptr); }
  // Comes in with this job's success, and only then.
  JobId enqueue(const JobSpec& spec) {
    std::vector<std::int64_t> list;
    hf_job_spec c = detail::spec_of(spec, list);
    JobId id = 0;
    detail::check(hf_job_enqueue(job_, &c, &id), nullptr);
    return id;
  }
  // Ends a run whose handler returned Outcome::async (or will). False if the run no longer counts (HF_E_STALE).
  bool finish(Outcome outcome) {
    int code = hf_job_finish(std::exchange(job_, nullptr), static_cast<int>(outcome));
    if (code != HF_OK && code != HF_E_STALE) throw Error(code, hf_errmsg(nullptr));
    return code == HF_OK;
  }

 private:
  hf_job* job_;
};

// What runs jobs: anything that takes a Job and returns an Outcome, or nothing, which means done. What it throws is a
// failed attempt with what() as its error. Handlers are called on several threads at once.
template <class F>
concept Handler = std::invocable<F&, Job&> && (std::is_void_v<std::invoke_result_t<F&, Job&>> ||
                                               std::same_as<std::invoke_result_t<F&, Job&>, Outcome>);

// The same of jobs together: it takes a std::span<Job>. What it returns or throws is of those that it did not finish() in the span.
template <class F>
concept BatchHandler = std::invocable<F&, std::span<Job>> && (std::is_void_v<std::invoke_result_t<F&, std::span<Job>>> ||
                                                              std::same_as<std::invoke_result_t<F&, std::span<Job>>, Outcome>);

}  // namespace holdfast

#endif  // HOLDFAST_TYPES_HPP
