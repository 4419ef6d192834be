// The engine thread: takes the inbox, ticks, obeys. What it does when the file fails is here too.
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <set>
#include <span>
#include <thread>

#include "core/request_kinds.h"
#include "platform/heal.h"
#include "platform/host_state.h"
#include "platform/memory.h"

namespace hf {

namespace {
constexpr int64_t kReopenFirstMs = 1000;  // after an error of the file: at once, then 1 s, 2 s, ... 60 s
constexpr int64_t kReopenMaxMs = 60000;
constexpr size_t kHoldMost = 1000;  // requests: a commit of so many fills its pages
constexpr int kGatherYields = 64;  // without anything new: some ten microseconds when the processors are free
constexpr int kGatherYieldsLong = 256;  // ... before a wait for the disk, or a sleep, which are much longer
constexpr int64_t kOthersAfterUs = 50;   // one thread alone has that long with what was begun together
constexpr size_t kTogether = 16;         // runs: while the first so many begin, the next are made ready

// The end of a run that its runner never had, or could not begin for want of memory.
RunEnded ended_before(const BegunRun& job, Outcome outcome) {
  RunEnded end;
  end.id = job.id;
  end.attempt = job.attempt;
  end.run = job.run;
  end.outcome = outcome;
  if (outcome == Outcome::defer) end.error = "out of memory";  // so short that it needs none
  return end;
}

bool may_take_minutes(const Op& op) {
  return std::holds_alternative<Check>(op) || std::holds_alternative<Backup>(op) || std::holds_alternative<Prune>(op);
}

struct Beginning {
  std::shared_ptr<Runner> runner;
  StartRun run;
  std::vector<BegunRun> begun;
};
}  // namespace

// ---- the engine thread ------------------------------------------------------------------------------

Host::State::Requests Host::State::take_inbox(bool& stop) {
  Requests batch;
  std::lock_guard lock(mutex);
  batch.swap(inbox);
  inbox_size.store(0, std::memory_order_relaxed);
  stop = quit;
  return batch;
}

// Whoever was answered or started together comes back at about the same time: they get the processor for a moment, so
// that they share one commit and not the first of them takes one for himself. Who is alone is not waited for.
void Host::State::gather(Requests& batch, bool& stop) {
  size_t arrived = batch.size();
  const bool wait_long = batch.empty() || std::any_of(batch.begin(), batch.end(), [](const Request& r) { return waits_for_disk(r); });
  const int64_t others_at_us = boot_us() + kOthersAfterUs;
  for (int quiet = 0; arrived < may_return && quiet < (wait_long ? kGatherYieldsLong : kGatherYields); ++quiet) {
    if (!begin_together.empty() && boot_us() >= others_at_us) call_others();
    std::this_thread::yield();
    const size_t now_there = batch.size() + inbox_size.load(std::memory_order_relaxed);
    if (now_there != arrived) quiet = 0;
    arrived = now_there;
  }
  call_others();
  if (arrived > batch.size()) batch.splice(batch.end(), take_inbox(stop));
}

// While a budget of the flash runs out: what can wait does so for more of its kind, and one commit writes it all. What cannot, and what is
// due, goes at once and takes along what is there; so does a stop.
void Host::State::hold(Requests& batch, bool& stop) {
  if (gather_ms == 0 || engine == nullptr || room != Room::enough || !unanswered.empty()) return;
  const int64_t until = std::min(boot_ms() + gather_ms, next_boot);
  bool waits = std::all_of(batch.begin(), batch.end(), can_wait);
  while (waits && !stop && batch.size() < kHoldMost && boot_ms() < until) {
    {
      std::lock_guard lock(mutex);
      if (phase > Phase::started) return;
    }
    if (wait->wait(until, next_wall)) return;
    engine_pulse.fetch_add(1, std::memory_order_relaxed);
    Requests more = take_inbox(stop);
    waits = std::all_of(more.begin(), more.end(), can_wait);
    batch.splice(batch.end(), more);
  }
}

void Host::State::one_transaction(Requests& batch, Requests& rest) {
  auto is_transaction = [](const Request& r) { return std::holds_alternative<Transact>(r.op); };
  auto one = std::find_if(batch.begin(), batch.end(), is_transaction);
  if (one == batch.end()) return;
  rest.splice(rest.begin(), batch, std::find_if(std::next(one), batch.end(), is_transaction), batch.end());
}

void Host::State::run_engine() {
  std::unique_lock turns(turning);
  while (true) {
    bool stop = false;
    Requests batch = take_inbox(stop);
    engine_pulse.fetch_add(1, std::memory_order_relaxed);
    if (!batch.empty() || next_boot > boot_ms()) gather(batch, stop);
    if (batch.empty()) {
      call_others();
      if (stop) {
        save_results();
        return answer_rest();
      }
      bool away = engine == nullptr;
      int64_t wake_at = away ? reopen_at_ms : next_boot;
      if (room != Room::enough) wake_at = std::min(wake_at, look_at_ms);
      bool due = wake_at <= boot_ms() || (!away && next_wall <= wall_ms());
      // A turn without events is how time acts. Whoever only woke the thread has left work, or wanted its pulse.
      if (!due && !wait->wait(wake_at, away ? kNever : next_wall, &turns)) continue;
      if (!due && wait->readable(zones.watch_fd())) zones.look();
      if (!due && link && wait->readable(link->fd()) && link->look()) {
        options.log.info("link_up", {});
        patient([&] { batch.push_back({LinkUp{}, {}, {}}); });
      }
    } else {
      hold(batch, stop);
    }
    if (room != Room::enough && look_at_ms <= boot_ms()) look_for_room();
    if (!results_wait) {
      // Results first: what they free is claimed in this turn.
      batch.splice(batch.begin(), unanswered);
    }
    if (engine == nullptr && !reopen(batch)) {
      if (reopen_at_ms <= boot_ms()) {  // at once, with less room
        unanswered.splice(unanswered.begin(), batch);
      } else {
        const bool known = away_code == HF_E_FULL || away_code == HF_E_READ_ONLY || away_code == HF_E_NO_MEMORY;
        answer_all(batch, patient([&] { return Error{known ? away_code : HF_E_IO, "the database cannot be used at the moment: " + last_error}; }));
      }
      continue;
    }
    // Only for an engine that is there: without one they would be put back into the inbox again and again.
    Requests rest;
    few_at_once(batch, rest);
    one_transaction(batch, rest);
    if (!rest.empty()) {
      std::lock_guard lock(mutex);
      inbox.splice(inbox.begin(), rest);
      inbox_size.store(inbox.size(), std::memory_order_relaxed);
    }
    if (turn(batch)) reopen_wait_ms = 0;
  }
}

// The last things the thread does: results that wait for a file that failed get one more try, ...
void Host::State::save_results() {
  results_wait = false;
  for (int tries = 0; tries < 3 && !unanswered.empty(); ++tries) {  // 3: each may find less room
    reopen_at_ms = 0;
    bool going = engine != nullptr || reopen(unanswered);
    while (going && !results_wait && !unanswered.empty()) {
      Requests batch = std::exchange(unanswered, {});
      few_at_once(batch, unanswered);
      one_transaction(batch, unanswered);
      going = turn(batch);
    }
  }
}

// ... and whoever is left is told, so that nobody waits for ever.
void Host::State::answer_rest() {
  Requests rest;
  {
    std::lock_guard lock(mutex);
    rest.swap(inbox);
    inbox_size.store(0, std::memory_order_relaxed);
  }
  rest.splice(rest.end(), unanswered);
  answer_all(rest, patient([] { return Error{HF_E_STATE, "it is closed"}; }));
}

void Host::State::answer_all(Requests& batch, const Error& error) {
  for (auto it = batch.begin(); it != batch.end();) {
    const auto request = it++;
    // The result of a run waits for the file to come back; everything else is told.
    if (std::holds_alternative<RunEnded>(request->op)) {
      request->reply = {};
      unanswered.splice(unanswered.end(), batch, request);
      continue;
    }
    patient([&] { request->reply = error; });
    if (request->done) request->done(*request);
  }
  batch.clear();
  tell_loop();
}

bool Host::State::turn(Requests& batch) {
  call_others();  // of one before, if nobody waited in between
  events.clear();
  patient([&] { events.reserve(batch.size()); });
  const LongWork long_work(*this, std::any_of(batch.begin(), batch.end(), [](const Request& r) { return may_take_minutes(r.op); }));
  for (Request& request : batch) {
    // What holds by now: start() and stop() on two threads may have sent theirs in either order.
    if (auto* dispatch = std::get_if<SetDispatch>(&request.op)) {
      std::lock_guard lock(mutex);
      dispatch->on = dispatching;
    }
    events.push_back(&request);
  }
  Result<Tick> ticked = engine->tick(now(), events);
  if (!ticked) {
    const int code = failed(ticked.error());
    if ((code == HF_E_FULL || code == HF_E_READ_ONLY) && less_room(batch, code)) return false;
    Requests told = std::exchange(batch, {});  // `batch` may be what answer_all() adds to
    answer_all(told, ticked.error());
    return false;
  }
  gather_ms = ticked->gather_ms;
  next_boot = ticked->next_wake_boot_ms;
  next_wall = ticked->next_wake_wall_ms;
  int64_t wake = next_wall;
  if (const int64_t due = ticked->next_due_boot_ms; due != kNever) wake = std::min(wake, wall_ms() + (due - boot_ms()));
  next_wake_wall_ms.store(wake, std::memory_order_relaxed);
  if (link) link->listen(ticked->waits_for_link);
  wall_trusted.store(ticked->wall_trusted, std::memory_order_relaxed);
  clock_floor_ms.store(ticked->clock_floor_ms, std::memory_order_relaxed);
  // Ends are told before the answers: who asked for them (StopAll) may count on it that no waiting run begins.
  for (Action& action : ticked->actions) {
    if (auto* stop = std::get_if<StopRun>(&action)) stop_run(*stop);
    if (auto* ask = std::get_if<AskCondition>(&action)) patient([&] { ask_condition(*ask); });
  }
  size_t answered = 0, started = 0;
  const auto start_those = [this] {
    start_runs(together);
    together.clear();
  };
  keep_refused_results(batch);
  for (Request& request : batch) {
    if (auto* ended = std::get_if<RunEnded>(&request.op)) forget_run(ended->id, ended->attempt, ended->run);
    if (!request.done) continue;
    request.done(request);
    ++answered;
  }
  if (loop_asked) tell_loop();  // the next of those who asked are there
  // Ended without the runner's word, by StopAll. Before the starts: what was handed back may run again in this
  // turn, with the same attempt.
  for (const Transition& t : ticked->feed) {
    if (t.change == Change::handed_back || t.change == Change::cancelled || t.change == Change::retried || t.change == Change::died) {
      forget_run(t.id, t.attempt, 0);
    }
  }
  used_most = std::clamp(std::max(2 * batch.size(), used_most - used_most / 16), kUsedMin, kUsedMax);  // a small turn between is no reason
  use_again(batch);  // the ends of the runs that begin now may need them
  for (Action& action : ticked->actions) {
    auto* start = std::get_if<StartRun>(&action);
    if (start == nullptr) continue;
    if (!together.empty() && (together.front().runner != start->runner || together.size() == kTogether)) start_those();
    patient([&] { together.reserve(kTogether); });
    together.push_back(std::move(*start));
    ++started;
  }
  if (!together.empty()) start_those();
  // The rest while these begin: to wake a thread takes as long as to make ten jobs ready.
  tell_loop();
  may_return = answered > 1 || started > 1 ? answered + started : 0;
  set_running_count();
  publish(std::move(ticked->feed));
  if (ticked->damage.empty()) {
    engine->use_again(std::move(*ticked));
    return true;
  }
  (void)failed(patient([&] { return Error{HF_E_CORRUPT, "a check found damage: " + ticked->damage}; }));
  return false;
}

namespace {
thread_local const void* turning_here = nullptr;  // whose turn this thread, which is not its own, makes

// A turn is not to be left half-way, on a thread that is not ours: whoever cancels it waits, and so does what signals call.
class TurnHere {
 public:
  explicit TurnHere(const void* of) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_before_);
    pthread_sigmask(SIG_BLOCK, &Thread::signals_left_alone(), &signals_before_);
    turning_here = of;
  }
  ~TurnHere() {
    turning_here = nullptr;
    pthread_sigmask(SIG_SETMASK, &signals_before_, nullptr);
    pthread_setcancelstate(cancel_before_, nullptr);
  }
  TurnHere(const TurnHere&) = delete;
  TurnHere& operator=(const TurnHere&) = delete;

  // A write that met the process's limit of a file's size has its error; the signal would end the process.
  void failed() const {
    sigset_t too_large;
    sigemptyset(&too_large);
    sigaddset(&too_large, SIGXFSZ);
    const timespec at_once{};
    if (!sigismember(&signals_before_, SIGXFSZ)) (void)sigtimedwait(&too_large, nullptr, &at_once);
  }

 private:
  int cancel_before_ = PTHREAD_CANCEL_ENABLE;
  sigset_t signals_before_{};
};
}  // namespace

bool Host::State::may_be_here(const Op& op) {
  return !may_take_minutes(op) && !std::holds_alternative<Transact>(op) && !std::holds_alternative<SetDispatch>(op) && !std::holds_alternative<StopAll>(op);
}

bool Host::State::in_turn() const { return thread.is_current() || turning_here == this; }

std::unique_lock<std::mutex> Host::State::take_turn() {
  if (turning_here != nullptr || inbox_size.load(std::memory_order_relaxed) > 0 || wait->returning()) return {};
  std::unique_lock turns(turning, std::try_to_lock);
  // Those who come together share a commit, which gather() and hold() see to; what is wrong has its own thread.
  if (!turns || engine == nullptr || room != Room::enough || !unanswered.empty() || may_return > 0 || gather_ms > 0) return {};
  std::lock_guard lock(mutex);
  if (quit || !inbox.empty()) return {};
  return turns;
}

// REQUIRES: take_turn() gave it
void Host::State::turn_here(Requests& request) {
  const TurnHere here(this);
  engine_pulse.fetch_add(1, std::memory_order_relaxed);
  if (turn(request)) {
    reopen_wait_ms = 0;
    call_others();
    wait->arm(next_boot, next_wall);
  } else {
    here.failed();
    wait->wake();
  }
}

int Host::State::failed(const Error& error) {
  options.log.error("engine_failed", {{"error", error.message}});
  patient([&] { last_error = error.message; });
  int code = error.code;
  // The kernel may have made the file system read-only for the very error that was met.
  if (code == HF_E_IO) {
    if (const Status tried = engine->try_write(); !tried && tried.error().code == HF_E_READ_ONLY) code = HF_E_READ_ONLY;
  }
  last_error_code = code;
  drop_engine();
  set_reopen_time();
  return code;
}

void Host::State::drop_engine() {
  patient([&] { before = engine->handover(); });
  if (last_error_code == HF_E_READ_ONLY) read_only_store = engine->give_store();
  engine.reset();
}

// The first time at once; a file that goes on failing is left alone for longer each time.
void Host::State::set_reopen_time() {
  reopen_at_ms = boot_ms() + reopen_wait_ms;
  reopen_wait_ms = std::clamp(reopen_wait_ms * 2, kReopenFirstMs, kReopenMaxMs);
}

bool Host::State::reopen(const Requests& batch) {
  if (boot_ms() < reopen_at_ms) return false;
  EngineOptions o;
  Requests setup;
  patient([&] {
    std::lock_guard lock(mutex);
    setup.clear();
    o = engine_options();
    auto add = [&](Op op) { setup.push_back({std::move(op), {}, {}}); };
    add(budgets);
    add(loss_report);
    for (auto& [name, settings] : queue_defaults) add(SetQueueDefaults{name, settings});
    for (auto& [name, condition] : conditions) add(SetCondition{condition.spec});
    for (auto& [name, spec] : specs) add(SetRunner{spec});
    for (auto& [name, spec] : subscriptions) add(SetSubscription{spec});
    add(SetDispatch{dispatching});
    if (stop_owed && !dispatching) {
      setup.push_back({StopAll{true}, {}, [this](Request& request) {
                         std::lock_guard locked(mutex);
                         if (!std::holds_alternative<Error>(request.reply)) stop_owed = false;
                       }});
    }
    o.before = before;
    // A run whose end waits for the file is over: its timeout is no matter any more.
    std::set<std::pair<JobId, uint64_t>> over;
    const auto look = [&](const Requests& waiting) {
      for (const Request& request : waiting) {
        if (auto* ended = std::get_if<RunEnded>(&request.op)) over.insert({ended->id, ended->run});
      }
    };
    look(batch);
    look(unanswered);
    for (LiveRun& run : o.before.live) {
      if (over.contains({run.id, run.run}) || over.contains({run.id, 0})) {
        run.deadline_ms = run.soft_at_ms = kNever;
        run.heartbeat_ms = 0;
      }
    }
  });
  o.now = now();
  size_t kept = o.before.live.size();
  Result<std::unique_ptr<Engine>> opened = Error{HF_E_NO_MEMORY, {}};  // of what is beside Engine::open()
  {
    const LongWork healing(*this, true);
    (void)guarded([&] { opened = open_engine(std::move(o), last_error_code); });
  }
  if (!opened) {
    patient([&] { last_error = opened.error().message; });
    away_code = opened.error().code;
    before.opening_failed(away_code);
    set_reopen_time();
    options.log.error("engine_reopen_failed", {{"error", last_error}, {"again_in_ms", std::max<int64_t>(reopen_at_ms - boot_ms(), 0)}});
    return false;
  }
  engine = std::move(*opened);
  last_error_code = HF_OK;
  options.log.warn("engine_reopened", {{"runs_kept", kept}});
  return turn(setup);
}

// REQUIRES: all of one runner
void Host::State::start_runs(std::span<StartRun> starts) {
  std::shared_ptr<Runner> runner;
  size_t jobs = 0;
  for (const StartRun& start : starts) jobs += start.jobs.size();
  size_t ends = 0;  // requests for their ends that are to be made
  {
    std::lock_guard lock(mutex);
    auto it = runners.find(starts.front().runner);
    if (it != runners.end()) runner = it->second;
    const size_t wanted = runner ? live.size() + jobs : 0;
    while (spare.size() < wanted && !used.empty()) spare.splice(spare.end(), used, used.begin());
    ends = wanted - std::min(wanted, spare.size());
  }
  begun.clear();
  patient([&] { begun.reserve(jobs); });
  for (const StartRun& start : starts) {
    for (const RunJob& job : start.jobs) begun.push_back({job.id, job.attempt, job.run});
  }
  if (!runner) {
    // Removed between the claim and now: back they go, no attempt spent.
    for (const BegunRun& job : begun) end_run(ended_before(job, Outcome::handed_back));
    return;
  }
  if (ends > 0) {
    Requests made = patient([&] { return Requests(ends); });
    std::lock_guard lock(mutex);
    spare.splice(spare.end(), made);
  }
  for (const BegunRun& job : begun) patient([&] { live[job.id] = {job.attempt, job.run, runner}; });
  patient([&] { live_of[runner.get()] += static_cast<int>(jobs); });
  const auto begin = [this](Runner& of, std::span<StartRun> runs, std::span<const BegunRun> its_jobs) {
    if (guarded([&] { of.on_loop() ? of.start(std::move(runs.front())) : of.start_together(runs); })) return;
    for (const BegunRun& job : its_jobs) end_run(ended_before(job, Outcome::defer));
  };
  if (!runner->on_loop()) {
    if (std::find(begin_together.begin(), begin_together.end(), runner) == begin_together.end()) patient([&] { begin_together.push_back(runner); });
    begin(*runner, starts, begun);
    for (StartRun& start : starts) engine->use_again(std::move(start));
    return;
  }
  auto its_jobs = begun.begin();
  for (StartRun& start : starts) {
    // std::function wants a copyable closure; the run is moved through a shared one.
    const auto end = std::next(its_jobs, static_cast<std::ptrdiff_t>(start.jobs.size()));
    auto beginning = patient([&] { return std::make_shared<Beginning>(Beginning{runner, {}, {its_jobs, end}}); });
    beginning->run = std::move(start);
    post([begin, beginning] { begin(*beginning->runner, {&beginning->run, 1}, beginning->begun); });
    its_jobs = end;
  }
}

// Of the runs of a turn one thread began. The others come now, if it has not done with them all.
void Host::State::call_others() {
  // Without memory for another thread those that are there do it.
  for (const std::shared_ptr<Runner>& runner : begin_together) (void)guarded([&] { runner->started(); });
  begin_together.clear();
}

void Host::State::stop_run(const StopRun& stop) {
  auto it = live.find(stop.id);
  if (it == live.end() || it->second.attempt != stop.attempt) return;
  std::shared_ptr<Runner> runner = it->second.runner;
  if (runner->on_loop()) {
    post([runner, stop] { runner->stop(stop.id, stop.attempt, stop.reason); });
  } else {
    runner->stop(stop.id, stop.attempt, stop.reason);
  }
}

void Host::State::forget_run(JobId id, int attempt, uint64_t run) {
  auto it = live.find(id);
  if (it == live.end() || it->second.attempt != attempt || (run != 0 && it->second.run != run)) return;
  std::shared_ptr<Runner> runner = std::move(it->second.runner);
  live.erase(it);
  if (--live_of[runner.get()] > 0) return;
  live_of.erase(runner.get());
  if (retired.erase(runner.get()) > 0) shut_down(std::move(runner));
}

void Host::State::shut_down(std::shared_ptr<Runner> runner) {
  post([runner] { runner->shutdown(patient([&]() -> std::function<void()> { return [runner] {}; })); });
}

void Host::State::retire(std::shared_ptr<Runner> runner) {
  if (live_of.contains(runner.get())) {
    Runner* raw = runner.get();
    patient([&] { retired[raw] = runner; });
  } else {
    shut_down(std::move(runner));
  }
}

namespace {
LogLevel level_of(Change change) {
  switch (change) {
    case Change::died: case Change::expired: case Change::runner_parked: case Change::schedule_paused:
    case Change::safe_mode: case Change::safe_mode_over: case Change::clock_stepped: case Change::clock_untrusted:
      return LogLevel::kWarn;
    case Change::retried: case Change::recovered: case Change::fired: case Change::clock_trusted:
    case Change::window_opened: case Change::window_closed: case Change::condition_opened: case Change::condition_closed:
      return LogLevel::kInfo;
    default: return LogLevel::kDebug;
  }
}
}  // namespace

void Host::State::publish(std::vector<Transition>&& feed) {
  if (feed.empty()) return;
  for (const Transition& t : feed) {
    if (const LogLevel level = level_of(t.change); options.log.enabled(level)) (void)guarded([&] { log_transition(t, level); });
  }
  if (watcher_count.load(std::memory_order_relaxed) == 0) return;
  auto shared = patient([] { return std::make_shared<std::vector<Transition>>(); });
  *shared = std::move(feed);
  post([this, shared] {
    for (const Transition& t : *shared) {
      // A callback may unwatch itself or another.
      for (auto it = watchers.begin(); it != watchers.end();) {
        const auto watcher = it++;
        (void)guarded([&] { watcher->second(t); });
      }
    }
  });
}

void Host::State::log_transition(const Transition& t, LogLevel level) const {
  if (t.change >= Change::disk_full) return;  // set_room() says it, watched or not
  const Logger& logger = options.log;
  switch (t.change) {
    case Change::runner_parked: return logger.log(level, "handler_parked", {{"handler", t.type}, {"again_in_ms", t.wait_ms}, {"why", t.detail}});
    case Change::safe_mode: return logger.log(level, "safe_mode", {{"for_ms", t.wait_ms}, {"why", t.detail}});
    case Change::safe_mode_over: return logger.log(level, "safe_mode_over", {});
    case Change::clock_stepped: return logger.log(level, "clock_stepped", {{"by_ms", t.wait_ms}, {"note", t.detail}});
    case Change::clock_trusted: case Change::clock_untrusted: return logger.log(level, change_name(t.change), {{"why", t.detail}});
    case Change::window_opened: case Change::window_closed: return logger.log(level, change_name(t.change), {{"queue", t.queue}});
    case Change::condition_opened: case Change::condition_closed:
      return logger.log(level, change_name(t.change), {{"condition", t.type}, {"why", t.detail}});
    case Change::emitted: return logger.log(level, "event_emitted", {{"event", t.type}, {"started", t.detail}});
    case Change::schedule_paused: return logger.log(level, "schedule_paused", {{"why", t.detail}});
    case Change::fired: return logger.log(level, "schedule_fired", {{"schedule", t.detail}, {"job", t.id}});
    default: break;
  }
  const std::string event = std::string("job_") + change_name(t.change);
  if (t.wait_ms > 0) {
    logger.log(level, event, {{"job", t.id}, {"type", t.type}, {"queue", t.queue}, {"attempt", t.attempt}, {"took_ms", t.took_ms}, {"again_in_ms", t.wait_ms}, {"why", t.detail}});
  } else if (t.took_ms > 0 || level == LogLevel::kWarn) {
    logger.log(level, event, {{"job", t.id}, {"type", t.type}, {"queue", t.queue}, {"attempt", t.attempt}, {"took_ms", t.took_ms}, {"why", t.detail}});
  } else {
    logger.log(level, event, {{"job", t.id}, {"type", t.type}, {"queue", t.queue}});
  }
}

}  // namespace hf
