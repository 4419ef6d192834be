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
#include <holdfast_types.hpp>

#include <cstdio>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace holdfast {

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
    c.when_full = options.when_full;
    c.grouped_within_ms = options.grouped_within.count();
    c.flash_budget = options.flash_budget;
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
    check(hf_register(engine_, type.c_str(), &run<F>, keep(std::move(handler)), options_of(options).get()));
  }
  // hf_register_batch; kept as that is.
  template <BatchHandler F>
  void on_batch(const std::string& type, F handler, const HandlerOptions& options = {}) {
    check(hf_register_batch(engine_, type.c_str(), &run_batch<F>, keep(std::move(handler)), options_of(options).get()));
  }

  // hf_work: false if no run came within `timeout`. hf_work_fd.
  bool work(Milliseconds timeout) {
    const int code = hf_work(engine_, timeout.count());
    if (code != HF_E_TIMEOUT) check(code);
    return code == HF_OK;
  }
  int work_fd() {
    int fd = -1;
    check(hf_work_fd(engine_, &fd));
    return fd;
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
  // How many.
  std::int64_t retry_dead(const RetryDead& which = {}) {
    hf_retry_dead_options c = HF_RETRY_DEAD_OPTIONS_INIT;
    c.queue = which.queue.c_str();
    c.type = which.type.c_str();
    c.limit = which.limit;
    c.over_ms = which.over.count();
    std::int64_t retried = 0;
    check(hf_retry_dead(engine_, &c, &retried));
    return retried;
  }

  // ---- schedules, events, queues, figures, administration

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
  void subscribe(const Subscription& subscription) {
    std::vector<std::int64_t> list;
    hf_job_spec job = detail::spec_of(subscription.job, list);
    if (job.payload_len == 0) job.payload = nullptr;
    hf_subscription_spec c = HF_SUBSCRIPTION_SPEC_INIT;
    c.name = subscription.name.c_str();
    c.event = subscription.event.c_str();
    c.filter = subscription.filter.c_str();
    c.job = &job;
    check(hf_subscribe(engine_, &c));
  }
  void unsubscribe(const std::string& name) { check(hf_unsubscribe(engine_, name.c_str())); }
  // The jobs that it started: none if nobody subscribed.
  std::vector<JobId> emit(const std::string& event, const Bytes& payload = {}, const std::string& key = {}) {
    hf_emit_options c = HF_EMIT_OPTIONS_INIT;
    c.key = key.c_str();
    std::vector<JobId> ids(HF_SUBSCRIPTIONS_MAX);
    std::size_t n = ids.size();
    check(hf_emit(engine_, event.c_str(), payload.data(), payload.size(), &c, ids.data(), &n));
    ids.resize(n);
    return ids;
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
    if (settings.when) c.when = settings.when->c_str();
    if (settings.max_pending) c.max_pending = *settings.max_pending == 0 ? -1 : *settings.max_pending;
    c.when_full = settings.when_full;
    c.enqueue_limit = settings.enqueue_limit.c_str();
    c.key_enqueue_limit = settings.key_enqueue_limit.c_str();
    c.retry_budget = settings.retry_budget.c_str();
    c.keep_completed_ms = duration(settings.keep_completed);
    c.keep_dead_ms = duration(settings.keep_dead);
    c.keep_completed_count = settings.keep_completed_count;
    c.keep_dead_count = settings.keep_dead_count;
    check(hf_queue_set(engine_, queue.c_str(), &c));
  }
  // `function()` gives a ConditionAnswer; it is called on a thread of the library's. What it throws closes the condition. It is kept
  // until the Engine ends, and by then no call of it may hang.
  template <class F>
  void condition(const std::string& name, F function, const ConditionOptions& options = {}) {
    hf_condition_options c = HF_CONDITION_OPTIONS_INIT;
    c.every_ms = options.every.count();
    c.timeout_ms = options.timeout.count();
    auto owned = std::make_unique<Owned<F>>(std::move(function));
    std::lock_guard lock(kept_->mutex);
    kept_->handlers.reserve(kept_->handlers.size() + 1);
    check(hf_condition(engine_, name.c_str(), look<F>, &owned->handler, &c));
    kept_->handlers.push_back(std::move(owned));
  }
  void told_condition(const std::string& name, bool initially_open = false) {
    hf_condition_options c = HF_CONDITION_OPTIONS_INIT;
    c.initially_open = initially_open ? 1 : 0;
    check(hf_condition(engine_, name.c_str(), nullptr, nullptr, &c));
  }
  void tell_condition(const std::string& name, bool open, const std::string& why = {}, Milliseconds time = {}) {
    check(hf_condition_tell(engine_, name.c_str(), open ? 1 : 0, why.c_str(), time.count()));
  }
  void remove_condition(const std::string& name) { check(hf_condition_remove(engine_, name.c_str())); }
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
  F* keep(F handler) {
    auto owned = std::make_unique<Owned<F>>(std::move(handler));
    F* raw = &owned->handler;
    std::lock_guard lock(kept_->mutex);
    kept_->handlers.push_back(std::move(owned));
    return raw;
  }
  struct COptions {
    std::vector<std::int64_t> list;  // of the backoff
    hf_handler_options c = HF_HANDLER_OPTIONS_INIT;
    const hf_handler_options* get() const { return &c; }
  };
  // Points into `options`.
  COptions options_of(const HandlerOptions& options) {
    COptions made;
    hf_handler_options& c = made.c;
    c.concurrency = options.concurrency;
    c.max_attempts = options.max_attempts;
    c.timeout_ms = options.timeout.count();
    c.backoff = detail::backoff_of(options.backoff, made.list);
    c.defer_ms = options.defer.count();
    c.sink = options.sink.c_str();
    c.callback = options.callback.c_str();
    c.failure_callback = options.failure_callback.c_str();
    c.rate_limit = options.rate_limit.c_str();
    c.throttle = options.throttle.c_str();
    c.heartbeat_ms = options.heartbeat.count();
    c.when = options.when.c_str();
    c.soft_timeout_ms = options.soft_timeout.count();
    c.batch_max_jobs = options.batch_max_jobs;
    c.batch_max_bytes = options.batch_max_bytes;
    c.batch_max_wait_ms = options.batch_max_wait.count();
    if (options.backoff_fn) {
      c.backoff_fn = backoff;
      c.backoff_user = keep(options.backoff_fn);
    }
    return made;
  }
  static std::int64_t backoff(hf_job_id id, int attempt, const char* error, void* user) noexcept {
    try {
      const auto& answer = *static_cast<decltype(HandlerOptions::backoff_fn)*>(user);
      const std::optional<Milliseconds> wait = answer(id, attempt, error);
      return wait ? wait->count() : -1;
    } catch (...) {
      return -1;
    }
  }
  static void say(std::span<Job> jobs, const char* error) noexcept {
    for (Job& job : jobs) {
      if (job.get() != nullptr) hf_job_error(job.get(), error);  // null: it is finished
    }
  }

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
      say({&job, 1}, e.what());
    } catch (...) {
      say({&job, 1}, "the handler threw something that is no std::exception");
    }
    return HF_RETRY;
  }
  template <class F>
  static int run_batch(hf_job* const* raw, std::size_t n, void* user) noexcept {
    std::vector<Job> jobs;
    try {
      jobs.reserve(n);
      for (std::size_t i = 0; i < n; ++i) jobs.emplace_back(raw[i]);
      F& handler = *static_cast<F*>(user);
      if constexpr (std::is_void_v<std::invoke_result_t<F&, std::span<Job>>>) {
        std::invoke(handler, std::span<Job>(jobs));
        return HF_OK;
      } else {
        return static_cast<int>(std::invoke(handler, std::span<Job>(jobs)));
      }
    } catch (const std::exception& e) {
      say(jobs, e.what());
    } catch (...) {
      say(jobs, "the handler threw something that is no std::exception");
    }
    return HF_RETRY;
  }
  template <class F>
  static int look(void* user, char* why, std::size_t size) noexcept {
    ConditionAnswer answer;
    try {
      answer = std::invoke(*static_cast<F*>(user));
    } catch (const std::exception& e) {
      answer.open = false;
      std::snprintf(why, size, "%s", e.what());
      return 0;
    } catch (...) {
      return 0;
    }
    std::snprintf(why, size, "%s", answer.why.c_str());
    return answer.open ? 1 : 0;
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
