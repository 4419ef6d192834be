#include "platform/host.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "core/names.h"
#include "core/units.h"
#include "platform/engine_wait.h"
#include "platform/host_open.h"
#include "platform/thread.h"
#include "platform/zones.h"

namespace hf {

namespace {
constexpr int64_t kReopenFirstMs = 1000;  // after an error of the file: 1 s, 2 s, ... 60 s
constexpr int64_t kReopenMaxMs = 60000;
}  // namespace

struct Host::State {
  enum class Phase { opened, started, stopped, closing, closed };

  // ---- constant after open
  std::string path;
  HostOptions options;
  SystemZones zones;
  std::string boot;
  std::unique_ptr<Loop> loop;
  std::unique_ptr<EngineWait> wait;
  Thread thread;

  // ---- guarded by mutex
  std::mutex mutex;
  std::condition_variable changed;  // phase, running
  Phase phase = Phase::opened;
  bool quit = false;
  std::vector<std::unique_ptr<Request>> inbox;
  std::map<std::string, std::shared_ptr<Runner>> runners;  // by name, the present ones
  std::map<std::string, RunnerSpec> specs;                 // to tell a reopened engine
  Limits limits;
  std::map<std::string, QueueSettings> queue_defaults;
  size_t running = 0;  // runs that were started and have not been answered for
  bool dispatching = false;

  // ---- owned by the engine thread
  std::unique_ptr<Engine> engine;
  std::vector<std::unique_ptr<Request>> unanswered;  // results that a failed turn could not record
  struct Live {
    int attempt;
    std::shared_ptr<Runner> runner;
  };
  std::unordered_map<JobId, Live> live;
  std::unordered_map<Runner*, int> live_of;
  std::map<Runner*, std::shared_ptr<Runner>> retired;
  int64_t reopen_at_ms = 0, reopen_wait_ms = 0;
  std::vector<LiveRun> live_at_failure;
  std::string last_error;

  // ---- owned by the loop thread
  std::map<int, std::function<void(const Transition&)>> watchers;

  std::atomic<int> watcher_count{0};
  std::atomic<int> next_watcher{1};
  std::atomic<int64_t> next_wake_wall_ms{kNever};
  std::atomic<uint64_t> engine_pulse{0}, loop_pulse{0};

  Now now() const {
    Now n{boot_ms(), wall_ms(), false};
    n.wall_trusted = options.trust.trusts(n.wall_ms, false) || clock_synchronised();
    return n;
  }

  EngineOptions engine_options() {
    EngineOptions o;
    o.path = path;
    o.vfs = options.vfs;
    o.page_size = options.page_size;
    o.device = options.device;
    o.boot_id = boot;
    o.seed = options.seed != 0 ? options.seed : random_seed();
    o.new_file_id = static_cast<uint32_t>(random_seed());
    o.limits = limits;
    o.zones = &zones;
    o.now = now();
    return o;
  }

  void push(std::unique_ptr<Request> request) {
    {
      std::lock_guard lock(mutex);
      inbox.push_back(std::move(request));
    }
    wait->wake();
  }

  void run_engine();
  std::vector<std::unique_ptr<Request>> take_inbox(bool& stop);
  void turn(std::vector<std::unique_ptr<Request>>& batch, int64_t& next_boot, int64_t& next_wall);
  void failed(const Error& error, std::vector<std::unique_ptr<Request>>& batch);
  bool reopen();
  void answer_all(std::vector<std::unique_ptr<Request>>& batch, const Error& error);
  void start_run(StartRun&& start);
  void forget_run(JobId id, int attempt);
  void publish(std::vector<Transition>&& feed);
  void log_transition(const Transition& t) const;
  void retire(std::shared_ptr<Runner> runner);
  void shut_down(std::shared_ptr<Runner> runner);
  void set_running_count() {
    std::lock_guard lock(mutex);
    if (running == live.size()) return;
    running = live.size();
    changed.notify_all();
  }
};

// ---- the engine thread ------------------------------------------------------------------------------

std::vector<std::unique_ptr<Request>> Host::State::take_inbox(bool& stop) {
  std::vector<std::unique_ptr<Request>> batch = std::move(unanswered);
  unanswered.clear();
  std::lock_guard lock(mutex);
  if (batch.empty()) {
    batch.swap(inbox);
  } else {
    std::move(inbox.begin(), inbox.end(), std::back_inserter(batch));
    inbox.clear();
  }
  stop = quit;
  return batch;
}

void Host::State::run_engine() {
  int64_t next_boot = 0, next_wall = kNever;  // 0: at once, to arm the first timer
  while (true) {
    bool stop = false;
    std::vector<std::unique_ptr<Request>> batch = take_inbox(stop);
    engine_pulse.fetch_add(1, std::memory_order_relaxed);
    if (batch.empty()) {
      if (stop) return;
      bool due = engine != nullptr && (next_boot <= boot_ms() || next_wall <= wall_ms());
      if (!due) {
        wait->wait(engine != nullptr ? next_boot : reopen_at_ms, next_wall);
        // Whatever it was that woke it: a turn without events is how time acts. Work is looked for first.
        batch = take_inbox(stop);
        if (batch.empty() && stop) return;
      }
    }
    if (engine == nullptr && !reopen()) {
      answer_all(batch, Error{HF_E_IO, "the database cannot be used at the moment: " + last_error});
      continue;
    }
    turn(batch, next_boot, next_wall);
  }
}

void Host::State::answer_all(std::vector<std::unique_ptr<Request>>& batch, const Error& error) {
  std::vector<std::unique_ptr<Request>> kept;
  for (auto& request : batch) {
    // The result of a run waits for the file to come back; everything else is told.
    if (std::holds_alternative<RunEnded>(request->op)) {
      kept.push_back(std::move(request));
      continue;
    }
    request->reply = error;
    if (request->done) request->done(*request);
  }
  unanswered = std::move(kept);
  batch.clear();
}

void Host::State::turn(std::vector<std::unique_ptr<Request>>& batch, int64_t& next_boot, int64_t& next_wall) {
  std::vector<Request*> events;
  events.reserve(batch.size());
  for (auto& request : batch) events.push_back(request.get());
  Result<Tick> ticked = engine->tick(now(), events);
  if (!ticked) {
    failed(ticked.error(), batch);
    return;
  }
  next_boot = ticked->next_wake_boot_ms;
  next_wall = ticked->next_wake_wall_ms;
  int64_t wake = next_wall;
  if (next_boot != kNever) wake = std::min(wake, wall_ms() + (next_boot - boot_ms()));
  next_wake_wall_ms.store(wake, std::memory_order_relaxed);
  for (auto& request : batch) {
    if (auto* ended = std::get_if<RunEnded>(&request->op)) forget_run(ended->id, ended->attempt);
    if (request->done) request->done(*request);
  }
  for (Action& action : ticked->actions) {
    if (auto* start = std::get_if<StartRun>(&action)) {
      start_run(std::move(*start));
    } else if (auto* stop = std::get_if<StopRun>(&action)) {
      auto it = live.find(stop->id);
      if (it == live.end() || it->second.attempt != stop->attempt) continue;
      std::shared_ptr<Runner> runner = it->second.runner;
      if (runner->on_loop()) {
        loop->post([runner, s = *stop] { runner->stop(s.id, s.attempt, s.reason); });
      } else {
        runner->stop(stop->id, stop->attempt, stop->reason);
      }
    }
  }
  for (const Transition& t : ticked->feed) {
    if (t.change == Change::handed_back) forget_run(t.id, t.attempt);
  }
  set_running_count();
  publish(std::move(ticked->feed));
}

void Host::State::failed(const Error& error, std::vector<std::unique_ptr<Request>>& batch) {
  options.log.error("engine_failed", {{"error", error.message}});
  last_error = error.message;
  live_at_failure = engine->live_runs();
  engine.reset();
  reopen_wait_ms = 0;
  reopen_at_ms = 0;
  answer_all(batch, error);
}

bool Host::State::reopen() {
  if (boot_ms() < reopen_at_ms) return false;
  EngineOptions o;
  std::vector<std::unique_ptr<Request>> setup;
  {
    std::lock_guard lock(mutex);
    o = engine_options();
    auto add = [&](Op op) { setup.push_back(std::make_unique<Request>(Request{std::move(op), {}, {}})); };
    for (auto& [name, settings] : queue_defaults) add(SetQueueDefaults{name, settings});
    for (auto& [name, spec] : specs) add(SetRunner{spec});
    add(SetDispatch{dispatching});
  }
  o.live = live_at_failure;
  Result<std::unique_ptr<Engine>> opened = Engine::open(std::move(o));
  if (!opened) {
    last_error = opened.error().message;
    reopen_wait_ms = std::clamp(reopen_wait_ms * 2, kReopenFirstMs, kReopenMaxMs);
    reopen_at_ms = boot_ms() + reopen_wait_ms;
    options.log.error("engine_reopen_failed", {{"error", last_error}, {"again_in_ms", reopen_wait_ms}});
    return false;
  }
  engine = std::move(*opened);
  options.log.warn("engine_reopened", {{"runs_kept", live_at_failure.size()}});
  std::vector<std::unique_ptr<Request>> kept = std::move(unanswered);
  int64_t ignored_boot = 0, ignored_wall = 0;  // the turn that follows says it anew
  turn(setup, ignored_boot, ignored_wall);
  if (engine == nullptr) {
    // The first turn failed too: slow down, whatever open() says.
    reopen_wait_ms = std::clamp(reopen_wait_ms * 2, kReopenFirstMs, kReopenMaxMs);
    reopen_at_ms = boot_ms() + reopen_wait_ms;
  }
  std::move(kept.begin(), kept.end(), std::back_inserter(unanswered));
  return engine != nullptr;
}

void Host::State::start_run(StartRun&& start) {
  std::shared_ptr<Runner> runner;
  {
    std::lock_guard lock(mutex);
    auto it = runners.find(start.runner);
    if (it != runners.end()) runner = it->second;
  }
  if (!runner) {
    // Removed between the claim and now: back it goes, no attempt spent.
    for (const RunJob& job : start.jobs) {
      RunEnded back;
      back.id = job.id;
      back.attempt = job.attempt;
      back.outcome = Outcome::handed_back;
      push(std::make_unique<Request>(Request{std::move(back), {}, {}}));
    }
    return;
  }
  for (const RunJob& job : start.jobs) live[job.id] = {job.attempt, runner};
  live_of[runner.get()] += static_cast<int>(start.jobs.size());
  if (runner->on_loop()) {
    // std::function wants a copyable closure; the run is moved through a shared one.
    auto shared = std::make_shared<StartRun>(std::move(start));
    loop->post([runner, shared] { runner->start(std::move(*shared)); });
  } else {
    runner->start(std::move(start));
  }
}

void Host::State::forget_run(JobId id, int attempt) {
  auto it = live.find(id);
  if (it == live.end() || it->second.attempt != attempt) return;
  std::shared_ptr<Runner> runner = std::move(it->second.runner);
  live.erase(it);
  if (--live_of[runner.get()] > 0) return;
  live_of.erase(runner.get());
  if (retired.erase(runner.get()) > 0) shut_down(std::move(runner));
}

void Host::State::shut_down(std::shared_ptr<Runner> runner) {
  loop->post([runner = std::move(runner)] { runner->shutdown([runner] {}); });
}

void Host::State::retire(std::shared_ptr<Runner> runner) {
  if (live_of.contains(runner.get())) {
    retired[runner.get()] = std::move(runner);
  } else {
    shut_down(std::move(runner));
  }
}

void Host::State::publish(std::vector<Transition>&& feed) {
  if (feed.empty()) return;
  for (const Transition& t : feed) log_transition(t);
  if (watcher_count.load(std::memory_order_relaxed) == 0) return;
  auto shared = std::make_shared<std::vector<Transition>>(std::move(feed));
  loop->post([this, shared] {
    for (const Transition& t : *shared) {
      // A callback may unwatch itself or another.
      for (auto it = watchers.begin(); it != watchers.end();) (it++)->second(t);
    }
  });
}

void Host::State::log_transition(const Transition& t) const {
  bool notable = t.change == Change::died || t.change == Change::runner_parked || t.change == Change::expired;
  LogLevel level = notable ? LogLevel::kWarn : t.change == Change::retried || t.change == Change::recovered || t.change == Change::fired ? LogLevel::kInfo : LogLevel::kDebug;
  if (!options.log.enabled(level)) return;
  std::string event = std::string("job_") + change_name(t.change);
  if (t.change == Change::runner_parked) {
    options.log.log(level, "handler_parked", {{"handler", t.type}, {"again_in_ms", t.wait_ms}, {"why", t.detail}});
  } else if (t.change == Change::fired) {
    options.log.log(level, "schedule_fired", {{"schedule", t.detail}, {"job", t.id}});
  } else if (t.wait_ms > 0) {
    options.log.log(level, event, {{"job", t.id}, {"type", t.type}, {"queue", t.queue}, {"attempt", t.attempt}, {"took_ms", t.took_ms}, {"again_in_ms", t.wait_ms}, {"why", t.detail}});
  } else if (t.took_ms > 0 || notable) {
    options.log.log(level, event, {{"job", t.id}, {"type", t.type}, {"queue", t.queue}, {"attempt", t.attempt}, {"took_ms", t.took_ms}, {"why", t.detail}});
  } else {
    options.log.log(level, event, {{"job", t.id}, {"type", t.type}, {"queue", t.queue}});
  }
}

// ---- opening and closing -----------------------------------------------------------------------------

Result<std::unique_ptr<Host>> Host::open(const std::string& path, HostOptions options) {
  auto state = std::make_shared<State>();
  state->path = path;
  state->options = std::move(options);
  if (state->options.device.empty()) state->options.device = host_name();
  HF_TRY(check_device(state->options.device));
  state->boot = boot_id();
  Result<Limits> limits = resolve(state->options.limits);
  if (!limits) return limits.error();
  state->limits = *limits;
  HF_TRY(check_database_path(path));
  Result<std::unique_ptr<Engine>> engine = Engine::open(state->engine_options());
  if (!engine) return explain_open_error(path, engine.error());
  state->engine = std::move(*engine);
  if (!state->engine->opening_note().empty()) state->options.log.warn("recovered", {{"note", state->engine->opening_note()}});

  Result<std::unique_ptr<EngineWait>> wait = EngineWait::create();
  if (!wait) return wait.error();
  state->wait = std::move(*wait);
  Result<std::unique_ptr<Loop>> loop = Loop::create();
  if (!loop) return loop.error();
  state->loop = std::move(*loop);
  HF_TRY(state->loop->start());
  Result<Thread> thread = Thread::start("hf-engine", [raw = state.get()] { raw->run_engine(); });
  if (!thread) {
    state->loop->stop();
    return thread.error();
  }
  state->thread = std::move(*thread);
  return std::unique_ptr<Host>(new Host(std::move(state)));
}

Host::~Host() { close(); }

Status Host::start() {
  {
    std::lock_guard lock(state_->mutex);
    if (state_->phase != State::Phase::opened && state_->phase != State::Phase::stopped) {
      return Error{HF_E_STATE, state_->phase == State::Phase::started ? "it is started already" : "it is closing"};
    }
    state_->phase = State::Phase::started;
    state_->dispatching = true;
  }
  return submit(SetDispatch{true}, [](Request&) {});
}

Status Host::stop(int64_t grace_ms) {
  State& s = *state_;
  if (s.loop->on_loop_thread()) return Error{HF_E_THREAD, "stop waits for the runs, and the loop thread must not wait"};
  {
    std::lock_guard lock(s.mutex);
    if (s.phase != State::Phase::started) return Error{HF_E_STATE, "it is not started"};
    s.phase = State::Phase::stopped;
    s.dispatching = false;
  }
  (void)call(SetDispatch{false});  // after its answer no further run begins
  {
    std::unique_lock lock(s.mutex);
    auto grace = std::chrono::milliseconds(std::clamp<int64_t>(grace_ms, 0, 86400000));
    s.changed.wait_for(lock, grace, [&] { return s.running == 0; });
    if (s.running == 0) return ok_status();
  }
  (void)call(StopAll{true});
  return ok_status();
}

void Host::close() {
  State& s = *state_;
  {
    std::lock_guard lock(s.mutex);
    if (s.phase == State::Phase::closing || s.phase == State::Phase::closed) return;
  }
  (void)stop(0);
  std::vector<std::shared_ptr<Runner>> runners;
  {
    std::lock_guard lock(s.mutex);
    s.phase = State::Phase::closing;
    for (auto& [name, runner] : s.runners) runners.push_back(runner);
    s.runners.clear();
  }
  // Runners end while the engine still answers, so that nobody waits for an answer that never comes.
  std::mutex mutex;
  std::condition_variable closed;
  size_t open = runners.size();
  for (auto& runner : runners) {
    s.loop->post([&, runner] {
      runner->shutdown([&, runner] {
        std::lock_guard lock(mutex);
        if (--open == 0) closed.notify_all();
      });
    });
  }
  {
    std::unique_lock lock(mutex);
    closed.wait(lock, [&] { return open == 0; });
  }
  runners.clear();
  {
    std::lock_guard lock(s.mutex);
    s.quit = true;
  }
  s.wait->wake();
  s.thread.join();
  if (s.engine) {
    if (Status ok = s.engine->close(s.now()); !ok) s.options.log.error("close_failed", {{"error", ok.error().message}});
    s.engine.reset();
  }
  s.loop->stop();
  std::lock_guard lock(s.mutex);
  s.phase = State::Phase::closed;
}

// ---- requests ------------------------------------------------------------------------------------------

Status Host::submit(Op op, std::function<void(Request&)> done) {
  auto request = std::make_unique<Request>(Request{std::move(op), {}, std::move(done)});
  {
    std::lock_guard lock(state_->mutex);
    if (state_->phase == State::Phase::closed || state_->quit) return Error{HF_E_STATE, "it is closed"};
    if (state_->inbox.size() >= kInboxMax) {
      return Error{HF_E_BUSY, std::to_string(kInboxMax) + " requests wait for the disk already"};
    }
    state_->inbox.push_back(std::move(request));
  }
  state_->wait->wake();
  return ok_status();
}

Status Host::submit_to_loop(Op op, std::function<void(Reply)> done) {
  // The answer is posted even while the loop closes down; it is then dropped with its closure.
  return submit(std::move(op), [poster = state_->loop->poster(), done = std::move(done)](Request& request) {
    auto reply = std::make_shared<Reply>(std::move(request.reply));
    poster.post([done, reply] { done(std::move(*reply)); });
  });
}

Reply Host::call(Op op) {
  if (state_->loop->on_loop_thread()) return Error{HF_E_THREAD, "this call waits for the disk, and the loop thread must not wait"};
  if (state_->thread.is_current()) return Error{HF_E_THREAD, "this call waits for the engine, and it is the engine's thread"};
  std::mutex mutex;
  std::condition_variable answered;
  bool done = false;
  Reply reply;
  Status sent = submit(std::move(op), [&](Request& request) {
    std::lock_guard lock(mutex);
    reply = std::move(request.reply);
    done = true;
    answered.notify_one();
  });
  if (!sent) return sent.error();
  std::unique_lock lock(mutex);
  answered.wait(lock, [&] { return done; });
  return reply;
}

void Host::end_run(RunEnded ended) {
  state_->push(std::make_unique<Request>(Request{std::move(ended), {}, {}}));
}

// ---- runners -------------------------------------------------------------------------------------------

Status Host::set_runner(RunnerSpec spec, std::shared_ptr<Runner> runner) {
  HF_TRY(check_name("handler", spec.name));
  HF_TRY(validate(spec.policy));
  if (spec.concurrency < 0 || spec.concurrency > 10000) {
    return Error{HF_E_INVALID, "concurrency is " + std::to_string(spec.concurrency) + "; allowed is 1 to 10000"};
  }
  if (!spec.sink.empty()) HF_TRY(check_name("sink", spec.sink));
  std::shared_ptr<Runner> old;
  {
    std::lock_guard lock(state_->mutex);
    if (state_->phase >= State::Phase::closing) return Error{HF_E_STATE, "it is closing"};
    std::shared_ptr<Runner>& place = state_->runners[spec.name];
    old = std::exchange(place, std::move(runner));
    state_->specs[spec.name] = spec;
  }
  return submit(SetRunner{std::move(spec)}, [state = state_.get(), old](Request&) { if (old) state->retire(old); });
}

Status Host::remove_runner(const std::string& name) {
  std::shared_ptr<Runner> old;
  {
    std::lock_guard lock(state_->mutex);
    auto it = state_->runners.find(name);
    if (it == state_->runners.end()) return Error{HF_E_NOT_FOUND, "there is no handler " + quoted(name)};
    old = std::move(it->second);
    state_->runners.erase(it);
    state_->specs.erase(name);
  }
  return submit(RemoveRunner{name}, [state = state_.get(), old](Request&) { state->retire(old); });
}

Status Host::set_limits(const Limits& limits) {
  Result<Limits> resolved = resolve(limits);
  if (!resolved) return resolved.error();
  {
    std::lock_guard lock(state_->mutex);
    state_->limits = *resolved;
  }
  return submit(SetLimits{*resolved}, [](Request&) {});
}

Status Host::set_queue_defaults(const std::string& name, const QueueSettings& settings) {
  {
    std::lock_guard lock(state_->mutex);
    state_->queue_defaults[name] = settings;
  }
  return submit(SetQueueDefaults{name, settings}, [](Request&) {});
}

// ---- the feed and the rest --------------------------------------------------------------------------------

int Host::watch(std::function<void(const Transition&)> on_transition) {
  int id = state_->next_watcher.fetch_add(1);
  state_->watcher_count.fetch_add(1);
  state_->loop->post([state = state_.get(), id, f = std::move(on_transition)] { state->watchers[id] = f; });
  return id;
}

void Host::unwatch(int id) {
  state_->loop->post([state = state_.get(), id] {
    if (state->watchers.erase(id) > 0) state->watcher_count.fetch_sub(1);
  });
}

Loop& Host::loop() { return *state_->loop; }
const Logger& Host::log() const { return state_->options.log; }
const std::string& Host::device() const { return state_->options.device; }
const std::string& Host::path() const { return state_->path; }
int64_t Host::next_wake_wall_ms() const { return state_->next_wake_wall_ms.load(std::memory_order_relaxed); }
Limits Host::limits() const {
  std::lock_guard lock(state_->mutex);
  return state_->limits;
}

Host::Pulse Host::pulse() const { return {state_->engine_pulse.load(), state_->loop_pulse.load()}; }
void Host::nudge() {
  state_->wait->wake();
  state_->loop->post([state = state_.get()] { state->loop_pulse.fetch_add(1); });
}

}  // namespace hf
