// Holdfast for C++20: holdfast.h with RAII, lambdas and std::chrono. Header-only; it adds no concept of its own, so what
// a function means, its limits, errors and threads are said in holdfast.h, under the name with "hf_" in front.
//
//   holdfast::Engine engine("queue.db");
//   engine.on("greet", [](holdfast::Job job) { job.result("hello " + std::string(job.payload())); });
//   engine.start();
//   engine.enqueue({.type = "greet", .payload = "world", .delay = std::chrono::seconds(30)});
//
// Failures are thrown: holdfast::Error, with the HF_E_* code and the detail of hf_errmsg.
#ifndef HOLDFAST_HPP
#define HOLDFAST_HPP

#include <holdfast.h>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
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
  Milliseconds unique_for{}, debounce_max{};
  hf_on_conflict on_conflict = HF_CONFLICT_KEEP;
  std::string concurrency_key = {}, sink = {}, callback = {}, failure_callback = {};
  hf_durability durability = HF_DURABLE_SYNC;
  std::string tags = {};
};

struct HandlerOptions {
  int concurrency = 0, max_attempts = 0;
  Milliseconds timeout{};
  Backoff backoff = {};
  Milliseconds defer{};
  std::string sink = {}, callback = {}, failure_callback = {}, rate_limit = {}, throttle = {};
  Milliseconds heartbeat{};  // none: no sign of life is needed
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

// What is not set comes from the configuration.
struct QueueSettings {
  int concurrency = 0, key_concurrency = 0;
  std::optional<Milliseconds> slack = {}, aging = {};
  std::optional<std::string> windows = {};
  std::string time_zone = {}, rate_limit = {}, throttle = {}, key_rate_limit = {}, key_throttle = {};
  hf_queue_order order = HF_ORDER_DEFAULT;
  std::optional<bool> fair = {};
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
  c.unique_for_ms = s.unique_for.count();
  c.on_conflict = s.on_conflict;
  c.debounce_max_ms = s.debounce_max.count();
  c.concurrency_key = s.concurrency_key.c_str();
  c.sink = s.sink.c_str();
  c.callback = s.callback.c_str();
  c.failure_callback = s.failure_callback.c_str();
  c.durability = s.durability;
  c.tags = s.tags.c_str();
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
  bool canceled() const { return hf_job_canceled(job_) != 0; }

  void result(std::string_view bytes) { detail::check(hf_job_result(job_, bytes.data(), bytes.size()), nullptr); }
  void result(std::span<const std::byte> bytes) { detail::check(hf_job_result(job_, bytes.data(), bytes.size()), nullptr); }
  void error(const std::string& text) { detail::check(hf_job_error(job_, text.c_str()), nullptr); }
  void progress(int percent, const std::string& note = "") { detail::check(hf_job_progress(job_, percent, note.c_str()), nullptr); }
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

// ---- an open queue file ------------------------------------------------------------------------------------------------

// Movable; closes when it ends. Thread: any, for every function but close(), move and destruction, and these not in a
// handler or callback.
class Engine {
 public:
  explicit Engine(const std::string& path, const Options& options = {}) : kept_(std::make_unique<Kept>()) {
    hf_options c = HF_OPTIONS_INIT;
    c.device = options.device.c_str();
    c.workers = options.workers;
    c.concurrency = options.concurrency;
    c.max_payload = options.max_payload;
    c.max_jobs = options.max_jobs;
    c.max_bytes = options.max_bytes;
    c.keep_completed_ms = options.keep_completed.count();
    c.keep_dead_ms = options.keep_dead.count();
    c.keep_completed_count = options.keep_completed_count;
    c.keep_dead_count = options.keep_dead_count;
    c.crash_loop = options.crash_loop;
    c.ballast = options.ballast;
    c.page_size = options.page_size;
    c.seed = options.seed;
    hf_clock_options clock = HF_CLOCK_OPTIONS_INIT;
    clock.confirmed_only = options.clock.confirmed_only;
    clock.ignore_kernel = options.clock.ignore_kernel;
    clock.sync_file = options.clock.sync_file.c_str();
    if (options.clock.holdover) clock.holdover_ms = *options.clock.holdover == Milliseconds::zero() ? -1 : options.clock.holdover->count();
    clock.floor_unix_ms = detail::unix_ms(options.clock.floor);
    clock.ceiling_unix_ms = detail::unix_ms(options.clock.ceiling);
    c.clock = &clock;
    if (options.log) {
      kept_->log = options.log;
      c.log = [](int level, const char* line, void* user) noexcept { static_cast<Kept*>(user)->log(static_cast<LogLevel>(level), line); };
      c.log_user = kept_.get();
    }
    detail::check(hf_open(path.c_str(), &c, &engine_), nullptr);
  }
  Engine(Engine&& other) noexcept : kept_(std::move(other.kept_)), engine_(std::exchange(other.engine_, nullptr)) {}
  Engine& operator=(Engine&& other) noexcept {
    if (this == &other) return *this;
    let_go();
    kept_ = std::move(other.kept_);
    engine_ = std::exchange(other.engine_, nullptr);
    return *this;
  }
  ~Engine() { let_go(); }

  hf_engine* get() const noexcept { return engine_; }  // for what only the C API has

  void start() { check(hf_start(engine_)); }
  void start_on(void* uv_loop) { check(hf_start_on(engine_, uv_loop)); }
  void stop(Milliseconds grace) { check(hf_stop(engine_, grace.count())); }
  void close() {
    check(hf_close(engine_));
    engine_ = nullptr;
    kept_.reset();
  }

  // hf_register. The handler is kept until the engine is closed, also after it was replaced: it may run still.
  template <Handler F>
  void on(const std::string& type, F handler, const HandlerOptions& options = {}) {
    auto owned = std::make_unique<Owned<F>>(std::move(handler));
    std::vector<std::int64_t> list;
    hf_handler_options c = HF_HANDLER_OPTIONS_INIT;
    c.concurrency = options.concurrency;
    c.max_attempts = options.max_attempts;
    c.timeout_ms = options.timeout.count();
    c.backoff = detail::backoff_of(options.backoff, list);
    c.defer_ms = options.defer.count();
    c.sink = options.sink.c_str();
    c.callback = options.callback.c_str();
    c.failure_callback = options.failure_callback.c_str();
    c.rate_limit = options.rate_limit.c_str();
    c.throttle = options.throttle.c_str();
    c.heartbeat_ms = options.heartbeat.count();
    F* raw = &owned->handler;
    {
      std::lock_guard lock(kept_->mutex);
      kept_->handlers.push_back(std::move(owned));
    }
    check(hf_register(engine_, type.c_str(), &run<F>, raw, &c));
  }

  // ---- jobs

  JobId enqueue(const JobSpec& spec) {
    std::vector<std::int64_t> list;
    hf_job_spec c = detail::spec_of(spec, list);
    JobId id = 0;
    check(hf_enqueue(engine_, &c, &id));
    return id;
  }
  std::vector<JobId> enqueue_many(std::span<const JobSpec> specs) {
    std::vector<std::vector<std::int64_t>> lists(specs.size());
    std::vector<hf_job_spec> c;
    for (std::size_t i = 0; i < specs.size(); ++i) c.push_back(detail::spec_of(specs[i], lists[i]));
    std::vector<JobId> ids(specs.size());
    check(hf_enqueue_many(engine_, c.data(), c.size(), ids.data()));
    return ids;
  }
  // `done(code, id)` is called once, on the library's loop thread or the host's (start_on), unless this throws. It must
  // not throw.
  void enqueue_async(const JobSpec& spec, std::function<void(int code, JobId id)> done) {
    using Done = std::function<void(int, JobId)>;
    std::vector<std::int64_t> list;
    hf_job_spec c = detail::spec_of(spec, list);
    auto owned = std::make_unique<Done>(std::move(done));
    check(hf_enqueue_async(
        engine_, &c,
        [](int code, hf_job_id id, void* user) noexcept {
          std::unique_ptr<Done> call(static_cast<Done*>(user));
          (*call)(code, id);
        },
        owned.get()));
    (void)owned.release();
  }
  JobInfo job(JobId id) const {
    std::optional<JobInfo> found = find(id);
    if (!found) throw Error(HF_E_NOT_FOUND, hf_errmsg(engine_));
    return std::move(*found);
  }
  std::optional<JobInfo> find(JobId id) const {  // empty: HF_E_NOT_FOUND
    hf_job_info c = HF_JOB_INFO_INIT;
    int code = hf_get(engine_, id, &c);
    if (code == HF_E_NOT_FOUND) return std::nullopt;
    check(code);
    std::unique_ptr<hf_job_info, void (*)(hf_job_info*)> freed(&c, hf_job_info_free);
    return detail::info_of(c);
  }
  JobPage list(const ListQuery& query = {}) const {
    struct Page {
      JobPage page;
      std::exception_ptr thrown;
    } out;
    hf_list_query c = HF_LIST_QUERY_INIT;
    if (query.state) c.state = static_cast<int>(*query.state);
    c.queue = query.queue.c_str();
    c.type = query.type.c_str();
    c.limit = query.limit;
    c.after = query.after;
    auto each = [](const hf_job_info* info, void* user) noexcept {
      auto* p = static_cast<Page*>(user);
      try {
        p->page.jobs.push_back(detail::info_of(*info));
        return 0;
      } catch (...) {  // no memory; not through the C functions
        p->thrown = std::current_exception();
        return 1;
      }
    };
    check(hf_list(engine_, &c, each, &out, &out.page.next));
    if (out.thrown) std::rethrow_exception(out.thrown);
    return std::move(out.page);
  }
  void cancel(JobId id) { check(hf_cancel(engine_, id)); }
  void retry(JobId id) { check(hf_retry(engine_, id)); }

  // ---- schedules, queues, figures, administration

  void put_schedule(const Schedule& schedule) {
    std::vector<std::int64_t> list;
    hf_schedule_spec c = HF_SCHEDULE_SPEC_INIT;
    c.name = schedule.name.c_str();
    c.cron = schedule.cron.c_str();
    c.time_zone = schedule.time_zone.c_str();
    c.jitter_ms = schedule.jitter.count();
    c.catch_up = schedule.catch_up;
    c.overlap = schedule.overlap;
    hf_schedule_options o = HF_SCHEDULE_OPTIONS_INIT;
    o.dst = schedule.dst;
    o.splay_ms = schedule.splay.count();
    o.catch_up_window_ms = schedule.catch_up_window.count();
    o.catch_up_max = schedule.catch_up_max;
    o.start_unix_ms = detail::unix_ms(schedule.start);
    o.end_unix_ms = detail::unix_ms(schedule.end);
    o.limit = schedule.limit;
    o.pause_after_failures = schedule.pause_after_failures;
    o.slack_ms = schedule.slack.count();
    c.options = &o;
    c.job = detail::spec_of(schedule.job, list);
    check(hf_schedule_put(engine_, &c));
  }
  void remove_schedule(const std::string& name) { check(hf_schedule_remove(engine_, name.c_str())); }
  void pause(const std::string& queue, const std::string& reason = {}, Milliseconds time = {}) { check(hf_pause_for(engine_, queue.c_str(), reason.c_str(), time.count())); }
  void resume(const std::string& queue) { check(hf_resume(engine_, queue.c_str())); }
  void set_queue(const std::string& queue, const QueueSettings& settings) {
    hf_queue_settings c = HF_QUEUE_SETTINGS_INIT;
    c.concurrency = settings.concurrency;
    const auto duration = [](const auto& d) { return !d ? 0 : *d == Milliseconds::zero() ? -1 : d->count(); };
    c.key_concurrency = settings.key_concurrency;
    c.slack_ms = duration(settings.slack);
    c.aging_ms = duration(settings.aging);
    if (settings.windows) c.windows = settings.windows->c_str();
    c.time_zone = settings.time_zone.c_str();
    c.rate_limit = settings.rate_limit.c_str();
    c.throttle = settings.throttle.c_str();
    c.key_rate_limit = settings.key_rate_limit.c_str();
    c.key_throttle = settings.key_throttle.c_str();
    c.order = settings.order;
    if (settings.fair) c.fair = *settings.fair ? 1 : -1;
    check(hf_queue_set(engine_, queue.c_str(), &c));
  }
  void confirm_clock() { check(hf_clock_confirm(engine_)); }
  void set_link(const std::string& name) { check(hf_link_set(engine_, name.c_str())); }
  void link_up() { check(hf_link_up(engine_)); }
  void end_safe_mode() { check(hf_end_safe_mode(engine_)); }
  hf_stats_info stats() const {
    hf_stats_info out = HF_STATS_INFO_INIT;
    check(hf_stats(engine_, &out));
    return out;
  }
  std::string stats_json() const {
    char* text = nullptr;
    check(hf_stats_json(engine_, &text));
    std::unique_ptr<char, void (*)(void*)> freed(text, hf_free);
    return text;
  }
  void load_config(const std::string& file) { check(hf_load_config(engine_, file.c_str())); }
  void serve(const std::string& socket_path, const ServeOptions& options = {}) {
    hf_serve_options c = HF_SERVE_OPTIONS_INIT;
    if (!options.group.empty()) c.group = options.group.c_str();
    c.max_clients = options.max_clients;
    c.open_view = options.open_view ? 1 : 0;
    check(hf_serve(engine_, socket_path.c_str(), &c));
  }
  std::optional<Time> next_wake() const {  // empty: nothing is due
    std::int64_t unix_ms = -1;
    check(hf_next_wake(engine_, &unix_ms));
    return unix_ms >= 0 ? std::optional<Time>(detail::time_at(unix_ms)) : std::nullopt;
  }

 private:
  struct OwnedBase { virtual ~OwnedBase() = default; };
  template <class F>
  struct Owned final : OwnedBase {
    explicit Owned(F f) : handler(std::move(f)) {}
    F handler;
  };
  struct Kept {  // what the library points to, at an address that a move does not change
    std::mutex mutex;
    std::vector<std::unique_ptr<OwnedBase>> handlers;
    std::function<void(LogLevel, std::string_view)> log;
  };

  template <class F>
  static int run(hf_job* raw, void* user) noexcept {
    Job job(raw);
    try {
      F& handler = *static_cast<F*>(user);
      if constexpr (std::is_void_v<std::invoke_result_t<F&, Job&>>) {
        std::invoke(handler, job);
        return HF_OK;
      } else {
        return static_cast<int>(std::invoke(handler, job));
      }
    } catch (const std::exception& e) {
      hf_job_error(raw, e.what());
    } catch (...) {
      hf_job_error(raw, "the handler threw something that is no std::exception");
    }
    return HF_RETRY;
  }
  void let_go() noexcept {
    // Refused in a handler: then the engine goes on, and so must what it points to.
    if (hf_close(engine_) == HF_E_THREAD) (void)kept_.release();
  }
  void check(int code) const { detail::check(code, engine_); }

  std::unique_ptr<Kept> kept_;  // outlives engine_: destroyed after ~Engine's body
  hf_engine* engine_ = nullptr;
};

}  // namespace holdfast

#endif  // HOLDFAST_HPP
