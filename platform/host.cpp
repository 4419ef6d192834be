#include "platform/host.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iterator>

#include "core/callbacks.h"
#include "core/conditions.h"
#include "core/names.h"
#include "core/units.h"
#include "platform/heal.h"
#include "platform/host_open.h"
#include "platform/host_state.h"
#include "platform/memory.h"

namespace hf {

// ---- opening and closing -----------------------------------------------------------------------------

Result<std::unique_ptr<Host>> Host::open(const std::string& path, HostOptions options) {
  std::unique_ptr<Host> host(new Host);  // now: once there are threads nothing throws
  auto state = std::make_shared<State>();
  state->path = path;
  state->options = std::move(options);
  state->peers = std::make_unique<PeerBook>(state->options.log);
  state->stuck = std::make_shared<StuckRuns>(state->options.log);
  if (state->options.device.empty()) state->options.device = host_name();
  HF_TRY(check_device(state->options.device));
  state->boot = boot_id();
  Result<Limits> limits = resolve(state->options.limits);
  if (!limits) return limits.error();
  state->limits = *limits;
  HF_TRY(validate(state->options.clock.rule));
  state->clock = state->options.clock;
  HF_TRY(check_database_path(path));
  state->ballast = std::make_unique<Ballast>(path);
  EngineOptions engine_options = state->engine_options();  // nobody else has it yet
  engine_options.now = state->now();
  Result<std::unique_ptr<Engine>> engine = state->open_engine(std::move(engine_options), HF_OK);
  if (!engine) return explain_open_error(path, engine.error());
  state->engine = std::move(*engine);
  state->keep_ballast();
  if (!state->engine->opening_note().empty()) state->options.log.warn("recovered", {{"note", state->engine->opening_note()}});

  Result<std::unique_ptr<EngineWait>> wait = EngineWait::create();
  if (!wait) return wait.error();
  state->wait = std::move(*wait);
  state->wait->also_wake_on(state->zones.watch_fd());
  state->wait->also_wake_on(state->link ? state->link->fd() : -1);
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
  host->state_ = std::move(state);
  return host;
}

Host::~Host() {
  if (state_) close();
}

Status Host::start() {
  Status told = Error{HF_E_NO_MEMORY, "out of memory"};
  State::Phase before;
  {
    std::lock_guard lock(state_->mutex);
    if (state_->phase != State::Phase::opened && state_->phase != State::Phase::stopped) {
      return Error{HF_E_STATE, state_->phase == State::Phase::started ? "it is started already" : "it is closing"};
    }
    before = std::exchange(state_->phase, State::Phase::started);
    state_->dispatching = true;
    state_->stop_owed = false;
  }
  if (!guarded([&] { told = tell(SetDispatch{true}, {}); })) {
    std::lock_guard lock(state_->mutex);
    if (state_->phase != State::Phase::started) return told;  // stopped meanwhile
    state_->phase = before;
    state_->dispatching = false;
  }
  return told;
}

Status Host::stop(int64_t grace_ms, const std::function<void()>& before_waiting) {
  State& s = *state_;
  if (s.loop->on_loop_thread()) return Error{HF_E_THREAD, "stop waits for the runs, and the loop thread must not wait"};
  if (s.in_turn()) return Error{HF_E_THREAD, "stop waits for the runs, and this is the engine's thread"};
  {
    std::lock_guard lock(s.mutex);
    if (s.phase != State::Phase::started) return Error{HF_E_STATE, "it is not started"};
    s.phase = State::Phase::stopped;
    s.dispatching = false;
  }
  patient([&] { (void)call(SetDispatch{false}); });  // after its answer no further run begins
  if (before_waiting) before_waiting();
  {
    std::unique_lock lock(s.mutex);
    auto grace = std::chrono::milliseconds(std::clamp<int64_t>(grace_ms, 0, 86400000));
    s.changed.wait_for(lock, grace, [&] { return s.running == 0 || s.phase >= State::Phase::closing; });
    if (s.running == 0) return ok_status();
    s.stop_owed = s.phase == State::Phase::stopped;  // first: an engine may be reopened before the answer is here
  }
  Reply stopped;
  patient([&] { stopped = call(StopAll{true}); });
  if (auto* error = std::get_if<Error>(&stopped)) return std::move(*error);
  std::lock_guard lock(s.mutex);
  s.stop_owed = false;
  return ok_status();
}

void Host::begin_close() {
  State& s = *state_;
  {
    std::lock_guard lock(s.mutex);
    if (s.phase >= State::Phase::closing) return;
    s.phase = State::Phase::closing;
    s.dispatching = false;
  }
  s.changed.notify_all();  // a stop() that waits for its grace
  patient([&] { (void)call(SetDispatch{false}); });
  patient([&] { (void)call(StopAll{true}); });
}

void Host::close() {
  State& s = *state_;
  begin_close();
  std::vector<std::shared_ptr<Runner>> runners;
  std::vector<std::shared_ptr<Probe>> probes;
  std::function<void()> stop_asking_clock, stop_watching_link;  // none is set any more
  {
    std::lock_guard lock(s.mutex);
    if (s.quit) return;
    stop_asking_clock.swap(s.stop_asking_clock);
    stop_watching_link.swap(s.stop_watching_link);
    patient([&] {
      runners.reserve(s.runners.size());
      probes.reserve(s.conditions.size());
    });
    for (auto& [name, runner] : s.runners) runners.push_back(runner);
    s.runners.clear();
    for (auto& [name, condition] : s.conditions) {
      if (condition.probe) probes.push_back(std::exchange(condition.probe, nullptr));
    }
  }
  if (stop_asking_clock) stop_asking_clock();
  if (stop_watching_link) stop_watching_link();
  // Runners end while the engine still answers, so that nobody waits for an answer that never comes.
  std::mutex mutex;
  std::condition_variable closed;
  size_t open = runners.size() + probes.size();
  const auto shut_down = [&](const auto& all) {
    for (auto& one : all) {
      s.post([&, one] {
        auto gone = patient([&]() -> std::function<void()> {
          return [&, one] {
            std::lock_guard lock(mutex);
            if (--open == 0) closed.notify_all();
          };
        });
        one->shutdown(std::move(gone));
      });
    }
  };
  shut_down(probes);
  shut_down(runners);
  {
    std::unique_lock lock(mutex);
    closed.wait(lock, [&] { return open == 0; });
  }
  runners.clear();
  probes.clear();
  {
    std::lock_guard lock(s.mutex);
    s.quit = true;
  }
  s.wait->wake();
  s.thread.join();
  std::unique_lock turns(s.turning);  // nobody begins another one
  // Replaced ones whose runs the engine could not hand back, because the file was away.
  for (auto& [raw, runner] : std::exchange(s.retired, {})) s.shut_down(runner);
  if (s.engine) {
    if (Status ok = s.engine->close(s.now()); !ok) s.options.log.error("close_failed", {{"error", ok.error().message}});
    s.engine.reset();
  }
  turns.unlock();
  s.loop->stop();
  std::lock_guard lock(s.mutex);
  s.phase = State::Phase::closed;
}

// ---- requests ------------------------------------------------------------------------------------------

Host::State::Requests Host::State::new_request() {
  Requests one;
  {
    std::lock_guard lock(mutex);
    if (!used.empty()) one.splice(one.end(), used, used.begin());
  }
  if (one.empty()) one.emplace_back();
  return one;
}

// The engine uses the memory of ids again, so those that have some are at the end, where send() takes them.
void Host::State::use_again(Requests& answered) {
  Requests without;
  for (auto it = answered.begin(); it != answered.end();) {
    const auto request = it++;
    request->op.clear();
    request->done = nullptr;
    auto* ids = std::get_if<std::vector<JobId>>(&request->reply);
    if (ids != nullptr && ids->capacity() > 0 && ids->capacity() <= kUsedIds) {
      ids->clear();
    } else {
      request->reply = Reply();
      without.splice(without.end(), answered, request);
    }
  }
  std::lock_guard lock(mutex);
  used.splice(used.begin(), without);
  used.splice(used.end(), answered);  // set_running_count() keeps it short
}

Status Host::State::send(Op&& op, std::function<void(Request&)> done, size_t most, Where where) {
  if (where == Where::here && may_be_here(op)) {
    if (const auto turns = take_turn()) {
      Requests one = new_request();
      one.front().op = std::move(op);
      one.front().done = std::move(done);
      turn_here(one);
      return ok_status();
    }
  }
  {
    std::lock_guard lock(mutex);
    if (quit) return Error{HF_E_STATE, "it is closed"};
    if (inbox.size() >= most) return Error{HF_E_BUSY, std::to_string(most) + " requests wait for the disk already"};
    if (used.empty()) used.emplace_back();
    Request& request = used.back();
    request.op.put(std::move(op));
    request.done = std::move(done);
    inbox.splice(inbox.end(), used, std::prev(used.end()));
    inbox_size.store(inbox.size(), std::memory_order_relaxed);
  }
  wait->wake();
  return ok_status();
}

Status Host::submit(Op&& op, std::function<void(Request&)> done) { return state_->send(std::move(op), std::move(done), kInboxMax); }

// What the program says about the engine itself comes through even when the inbox is full of jobs.
Status Host::tell(Op op, std::function<void(Request&)> done) {
  return state_->send(std::move(op), std::move(done), SIZE_MAX);
}

namespace {
// All that the answer to a request of the loop needs, made before it is sent: what is taken is answered, also when there is no memory.
// Closures that hold no more than its address need none.
struct LoopAnswer {
  Host* host;
  std::function<void(Reply)> done;
  Reply reply = {};
  LoopPoster::Prepared task = {};
};
}  // namespace

Status Host::submit_to_loop(Op op, std::function<void(Reply)> done) {
  auto answer = std::make_unique<LoopAnswer>(LoopAnswer{this, std::move(done)});
  answer->task = LoopPoster::prepare([raw = answer.get()] {
    const std::unique_ptr<LoopAnswer> own(raw);
    own->done(std::move(own->reply));
  });
  const Status sent = submit(std::move(op), [raw = answer.get()](Request& request) {
    raw->reply = std::move(request.reply);
    raw->host->answer_on_loop(std::move(raw->task), true);
  });
  if (sent) (void)answer.release();
  return sent;
}

void Host::answer_on_loop(LoopPoster::Prepared task, bool asked_there) {
  state_->for_loop.splice(state_->for_loop.end(), task);
  state_->loop_asked |= asked_there;
}

// The loop is stopped after the engine thread.
void Host::State::tell_loop() {
  loop_asked = false;
  if (!for_loop.empty()) (void)loop->poster().post(std::exchange(for_loop, {}));
}

namespace {
// Somebody who waits for an answer.
struct Asked {
  std::mutex mutex;
  std::condition_variable answered;
  bool done = false;
  Reply reply = {};

  void take(Request& request) {
    std::lock_guard lock(mutex);
    reply = std::move(request.reply);
    done = true;
    answered.notify_one();
  }
  Reply wait() {
    std::unique_lock lock(mutex);
    answered.wait(lock, [&] { return done; });
    return std::move(reply);
  }
};
}  // namespace

Reply Host::call(Op op) {
  if (state_->loop->on_loop_thread()) return Error{HF_E_THREAD, "this call waits for the disk, and the loop thread must not wait"};
  if (state_->in_turn()) return Error{HF_E_THREAD, "this call waits for the engine, and it is the engine's thread"};
  Asked asked;
  const auto done = [&asked](Request& request) { asked.take(request); };
  const bool of_engine = std::holds_alternative<SetDispatch>(op) || std::holds_alternative<StopAll>(op);
  if (Status sent = state_->send(std::move(op), done, of_engine ? SIZE_MAX : kInboxMax, State::Where::here); !sent) return sent.error();
  return asked.wait();
}

Reply Host::call_guarded(Op op) noexcept {
  Reply reply = Error{HF_E_NO_MEMORY, {}};
  (void)guarded([&] { reply = call(std::move(op)); });
  return reply;
}

void Host::end_run(RunEnded&& ended) noexcept { state_->end_run(std::move(ended)); }
void Host::end_run_here(RunEnded&& ended) noexcept { state_->end_run(std::move(ended), {}, State::Where::here); }
void Host::end_run(RunEnded&& ended, std::function<void()> recorded) noexcept {
  std::function<void(Request&)> done;
  (void)guarded([&] {
    auto task = std::make_shared<LoopPoster::Prepared>(LoopPoster::prepare(std::move(recorded)));
    done = [poster = state_->loop->poster(), task](Request& request) {
      if (std::holds_alternative<Done>(request.reply)) poster.post(std::move(*task));
    };
  });
  state_->end_run(std::move(ended), std::move(done));
}

void Host::State::end_run(RunEnded&& ended, std::function<void(Request&)> done, Where where) noexcept {
  if (where == Where::here) {
    bool made = false;
    (void)guarded([&] {
      const auto turns = take_turn();
      if (!turns) return;
      Requests one = new_request();
      one.front().op.put(std::move(ended));
      one.front().done = std::move(done);
      turn_here(one);
      made = true;
    });
    if (made) return;
  }
  // A request that is there, else a new one, else the one that was set aside for this end, which has none only as a run's second report.
  const auto put_in = [&](Requests& from) {
    std::lock_guard lock(mutex);
    if (from.empty()) return false;
    from.front().op.put(std::move(ended));
    from.front().done = std::move(done);
    inbox.splice(inbox.end(), from, from.begin());
    inbox_size.store(inbox.size(), std::memory_order_relaxed);
    return true;
  };
  Requests own;
  const auto make = [&] { own.emplace_back(); };
  if (!put_in(used) && !(guarded(make) && put_in(own)) && !put_in(spare)) {
    patient(make);
    put_in(own);
  }
  wait->wake();
}

// ---- runners -------------------------------------------------------------------------------------------

Status Host::set_runner(RunnerSpec spec, std::shared_ptr<Runner> runner) {
  HF_TRY(validate(spec));
  std::shared_ptr<Runner> old;
  {
    std::lock_guard lock(state_->mutex);
    if (state_->phase >= State::Phase::closing) return Error{HF_E_STATE, "it is closing"};
    std::shared_ptr<Runner>& place = state_->runners[spec.name];
    old = std::exchange(place, std::move(runner));
    state_->specs[spec.name] = spec;
  }
  return tell(SetRunner{std::move(spec)}, [state = state_.get(), old](Request&) { if (old) state->retire(old); });
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
  return tell(RemoveRunner{name}, [state = state_.get(), old](Request&) { state->retire(old); });
}

Status Host::set_limits(const Limits& limits) {
  Result<Limits> resolved = resolve(limits);
  if (!resolved) return resolved.error();
  {
    std::lock_guard lock(state_->mutex);
    state_->limits = *resolved;
  }
  return tell(SetLimits{*resolved}, [state = state_.get()](Request&) { state->keep_ballast(); });
}

// What it is asked for as a whole: a file system that hangs must not hang who holds the lock.
Now Host::State::now() {
  bool kernel;
  std::string file;
  {
    std::lock_guard lock(mutex);
    kernel = clock.kernel;
    patient([&] { file = clock.sync_file; });
  }
  Now n{boot_ms(), wall_ms(), clock_word.load(std::memory_order_relaxed)};
  n.synced = n.synced || (kernel && clock_synchronised()) || (!file.empty() && access(file.c_str(), F_OK) == 0);
  return n;
}

Status Host::set_clock(const ClockOptions& options, std::function<void()> stop_asking) {
  HF_TRY(validate(options.rule));
  ClockOptions copy = options;
  {
    std::lock_guard lock(state_->mutex);
    if (state_->phase >= State::Phase::closing) return Error{HF_E_STATE, "it is closing"};
    std::swap(state_->clock, copy);
    std::swap(state_->stop_asking_clock, stop_asking);
  }
  if (stop_asking) stop_asking();
  state_->clock_word.store(false);
  return tell(SetClockRule{options.rule}, [](Request&) {});
}

void Host::set_clock_word(bool right) {
  if (state_->clock_word.exchange(right) != right) state_->wait->wake();
}

PeerBook& Host::peers() { return *state_->peers; }
const std::shared_ptr<StuckRuns>& Host::stuck_runs() const { return state_->stuck; }

CertClock Host::cert_clock() const {
  const bool trusted = state_->wall_trusted.load(std::memory_order_relaxed);
  return {trusted, trusted ? wall_ms() : state_->clock_floor_ms.load(std::memory_order_relaxed)};
}

Status Host::set_queue_defaults(const std::string& name, const QueueSettings& settings) {
  {
    std::lock_guard lock(state_->mutex);
    state_->queue_defaults[name] = settings;
  }
  return tell(SetQueueDefaults{name, settings}, [](Request&) {});
}

Status Host::set_loss_report(const SetLossReport& report) {
  {
    std::lock_guard lock(state_->mutex);
    state_->loss_report = report;
  }
  return tell(report, [](Request&) {});
}

Status Host::set_budgets(const SetBudgets& budgets, std::function<void()> stop_watching) {
  Op op = budgets;
  SetBudgets before = budgets;
  // First: an engine that is reopened meanwhile is told of them.
  {
    std::lock_guard lock(state_->mutex);
    std::swap(state_->budgets, before);
  }
  const Reply taken = call_guarded(std::move(op));
  Status said = ok_status();
  {
    std::lock_guard lock(state_->mutex);
    if (auto* error = std::get_if<Error>(&taken)) said = *error;
    else if (state_->phase >= State::Phase::closing) said = Error{HF_E_STATE, "it is closing"};
    if (said) std::swap(state_->stop_watching_link, stop_watching);
    else std::swap(state_->budgets, before);
  }
  if (stop_watching) stop_watching();  // of those before, or of those that do not hold
  return said;
}

// ---- the feed and the rest --------------------------------------------------------------------------------

int Host::watch(std::function<void(const Transition&)> on_transition) {
  int id = state_->next_watcher.fetch_add(1);
  auto place = std::make_shared<std::map<int, std::function<void(const Transition&)>>>();
  place->emplace(id, std::move(on_transition));
  auto task = LoopPoster::prepare([state = state_.get(), place] { state->watchers.merge(*place); });
  state_->watcher_count.fetch_add(1);
  state_->loop->poster().post(std::move(task));
  return id;
}

void Host::unwatch(int id) {
  state_->post([state = state_.get(), id] {
    if (state->watchers.erase(id) > 0) state->watcher_count.fetch_sub(1);
  });
}

Loop& Host::loop() { return *state_->loop; }
bool Host::on_engine_thread() const { return state_->in_turn(); }
const Logger& Host::log() const { return state_->options.log; }
const std::string& Host::device() const { return state_->options.device; }
const std::string& Host::path() const { return state_->path; }
int64_t Host::next_wake_wall_ms() const { return state_->next_wake_wall_ms.load(std::memory_order_relaxed); }
Limits Host::limits() const {
  std::lock_guard lock(state_->mutex);
  return state_->limits;
}

Host::Pulse Host::pulse() const {
  const int64_t since = state_->long_work_since_ms.load();
  return {state_->engine_pulse.load(), state_->loop_pulse.load(), since == 0 ? 0 : std::max<int64_t>(boot_ms() - since, 1)};
}
bool Host::Pulse::alive_since(const Pulse& before) const {
  const bool at_work = long_work_ms > 0 && long_work_ms <= kLongWorkMaxMs;
  return (engine != before.engine || at_work) && loop != before.loop;
}
void Host::nudge() {
  state_->wait->wake();
  state_->post([state = state_.get()] { state->loop_pulse.fetch_add(1); });
}

}  // namespace hf
