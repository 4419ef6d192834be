// The engine thread: takes the inbox, ticks, obeys. What it does when the file fails is here too.
#include <algorithm>
#include <iterator>
#include <thread>

#include "platform/heal.h"
#include "platform/host_state.h"

namespace hf {

namespace {
constexpr int64_t kReopenFirstMs = 1000;  // after an error of the file: at once, then 1 s, 2 s, ... 60 s
constexpr int64_t kReopenMaxMs = 60000;
constexpr int kGatherYields = 64;  // without anything new: some ten microseconds when the processors are free
}  // namespace

// ---- the engine thread ------------------------------------------------------------------------------

std::vector<std::unique_ptr<Request>> Host::State::take_inbox(bool& stop) {
  std::vector<std::unique_ptr<Request>> batch;
  std::lock_guard lock(mutex);
  batch.swap(inbox);
  inbox_size.store(0, std::memory_order_relaxed);
  stop = quit;
  return batch;
}

// Whoever was answered or started together comes back at about the same time: they get the processor for a moment, so
// that they share one commit and not the first of them takes one for himself. Who is alone is not waited for.
void Host::State::gather(std::vector<std::unique_ptr<Request>>& batch, bool& stop) {
  size_t arrived = batch.size();
  for (int quiet = 0; arrived < may_return && quiet < kGatherYields; ++quiet) {
    std::this_thread::yield();
    size_t now_there = batch.size() + inbox_size.load(std::memory_order_relaxed);
    if (now_there != arrived) quiet = 0;
    arrived = now_there;
  }
  if (arrived == batch.size()) return;
  std::vector<std::unique_ptr<Request>> more = take_inbox(stop);
  std::move(more.begin(), more.end(), std::back_inserter(batch));
}

void Host::State::run_engine() {
  int64_t next_boot = 0, next_wall = kNever;  // 0: at once, to arm the first timer
  while (true) {
    bool stop = false;
    std::vector<std::unique_ptr<Request>> batch = take_inbox(stop);
    engine_pulse.fetch_add(1, std::memory_order_relaxed);
    if (batch.empty()) {
      if (stop) return save_results();
      bool away = engine == nullptr;
      int64_t wake_at = away ? reopen_at_ms : next_boot;
      if (room != Room::enough) wake_at = std::min(wake_at, look_at_ms);
      bool due = wake_at <= boot_ms() || (!away && next_wall <= wall_ms());
      // A turn without events is how time acts. Whoever only woke the thread has left work, or wanted its pulse.
      if (!due && !wait->wait(wake_at, away ? kNever : next_wall)) continue;
    } else {
      gather(batch, stop);
    }
    if (room != Room::enough && look_at_ms <= boot_ms()) look_for_room();
    if (!results_wait) {
      // Results first: what they free is claimed in this turn.
      batch.insert(batch.begin(), std::make_move_iterator(unanswered.begin()), std::make_move_iterator(unanswered.end()));
      unanswered.clear();
    }
    if (engine == nullptr && !reopen()) {
      if (reopen_at_ms <= boot_ms()) {  // at once, with less room
        unanswered.insert(unanswered.begin(), std::make_move_iterator(batch.begin()), std::make_move_iterator(batch.end()));
      } else {
        answer_all(batch, Error{away_code == HF_E_FULL ? HF_E_FULL : HF_E_IO, "the database cannot be used at the moment: " + last_error});
      }
      continue;
    }
    if (turn(batch, next_boot, next_wall)) reopen_wait_ms = 0;
  }
}

// The last thing the thread does: results that wait for a file that failed get one more try.
void Host::State::save_results() {
  results_wait = false;
  for (int tries = 0; tries < 3 && !unanswered.empty(); ++tries) {  // 3: each may find less room
    reopen_at_ms = 0;
    int64_t ignored_boot = 0, ignored_wall = 0;
    if ((engine != nullptr || reopen()) && turn(unanswered, ignored_boot, ignored_wall)) unanswered.clear();
  }
}

void Host::State::answer_all(std::vector<std::unique_ptr<Request>>& batch, const Error& error) {
  for (auto& request : batch) {
    // The result of a run waits for the file to come back; everything else is told.
    if (std::holds_alternative<RunEnded>(request->op)) {
      request->reply = {};
      unanswered.push_back(std::move(request));
      continue;
    }
    request->reply = error;
    if (request->done) request->done(*request);
  }
  batch.clear();
}

bool Host::State::turn(std::vector<std::unique_ptr<Request>>& batch, int64_t& next_boot, int64_t& next_wall) {
  std::vector<Request*> events;
  events.reserve(batch.size());
  for (auto& request : batch) events.push_back(request.get());
  Result<Tick> ticked = engine->tick(now(), events);
  if (!ticked) {
    failed(ticked.error());
    if (ticked.error().code == HF_E_FULL && less_room(batch)) return false;
    std::vector<std::unique_ptr<Request>> told = std::move(batch);  // `batch` may be what answer_all() adds to
    batch.clear();
    answer_all(told, ticked.error());
    return false;
  }
  next_boot = ticked->next_wake_boot_ms;
  next_wall = ticked->next_wake_wall_ms;
  int64_t wake = next_wall;
  if (next_boot != kNever) wake = std::min(wake, wall_ms() + (next_boot - boot_ms()));
  next_wake_wall_ms.store(wake, std::memory_order_relaxed);
  // Ends are told before the answers: who asked for them (StopAll) may count on it that no waiting run begins.
  for (Action& action : ticked->actions) {
    if (auto* stop = std::get_if<StopRun>(&action)) stop_run(*stop);
  }
  size_t answered = 0, started = 0;
  keep_refused_results(batch);
  for (auto& request : batch) {
    if (auto* ended = std::get_if<RunEnded>(&request->op)) forget_run(ended->id, ended->attempt, ended->run);
    if (!request->done) continue;
    request->done(*request);
    ++answered;
  }
  // Ended without the runner's word, by StopAll. Before the starts: what was handed back may run again in this
  // turn, with the same attempt.
  for (const Transition& t : ticked->feed) {
    if (t.change == Change::handed_back || t.change == Change::cancelled || t.change == Change::retried || t.change == Change::died) {
      forget_run(t.id, t.attempt, 0);
    }
  }
  for (Action& action : ticked->actions) {
    auto* start = std::get_if<StartRun>(&action);
    if (start == nullptr) continue;
    start_run(std::move(*start));
    ++started;
  }
  may_return = answered > 1 || started > 1 ? answered + started : 0;
  set_running_count();
  publish(std::move(ticked->feed));
  if (ticked->damage.empty()) return true;
  failed(Error{HF_E_CORRUPT, "a check found damage: " + ticked->damage});
  return false;
}

void Host::State::failed(const Error& error) {
  options.log.error("engine_failed", {{"error", error.message}});
  last_error = error.message;
  last_error_code = error.code;
  drop_engine();
  set_reopen_time();
}

void Host::State::drop_engine() {
  survivors = engine->live_runs();
  log_safe = engine->log_safe();
  next_run = engine->next_run();
  recorded = engine->recorded();
  engine.reset();
}

// The first time at once; a file that goes on failing is left alone for longer each time.
void Host::State::set_reopen_time() {
  reopen_at_ms = boot_ms() + reopen_wait_ms;
  reopen_wait_ms = std::clamp(reopen_wait_ms * 2, kReopenFirstMs, kReopenMaxMs);
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
  o.live = survivors;
  o.reopened = true;
  o.log_safe = log_safe;
  o.next_run = next_run;
  o.recorded = recorded;
  size_t kept = o.live.size();
  Result<std::unique_ptr<Engine>> opened = open_engine(std::move(o), last_error_code);
  if (!opened) {
    last_error = opened.error().message;
    away_code = opened.error().code;
    set_reopen_time();
    options.log.error("engine_reopen_failed", {{"error", last_error}, {"again_in_ms", std::max<int64_t>(reopen_at_ms - boot_ms(), 0)}});
    return false;
  }
  engine = std::move(*opened);
  last_error_code = HF_OK;
  options.log.warn("engine_reopened", {{"runs_kept", kept}});
  int64_t ignored_boot = 0, ignored_wall = 0;  // the turn that follows says it anew
  return turn(setup, ignored_boot, ignored_wall);
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
      back.run = job.run;
      back.outcome = Outcome::handed_back;
      push(std::make_unique<Request>(Request{std::move(back), {}, {}}));
    }
    return;
  }
  for (const RunJob& job : start.jobs) live[job.id] = {job.attempt, job.run, runner};
  live_of[runner.get()] += static_cast<int>(start.jobs.size());
  if (runner->on_loop()) {
    // std::function wants a copyable closure; the run is moved through a shared one.
    auto shared = std::make_shared<StartRun>(std::move(start));
    loop->post([runner, shared] { runner->start(std::move(*shared)); });
  } else {
    runner->start(std::move(start));
  }
}

void Host::State::stop_run(const StopRun& stop) {
  auto it = live.find(stop.id);
  if (it == live.end() || it->second.attempt != stop.attempt) return;
  std::shared_ptr<Runner> runner = it->second.runner;
  if (runner->on_loop()) {
    loop->post([runner, stop] { runner->stop(stop.id, stop.attempt, stop.reason); });
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
  bool notable = t.change == Change::died || t.change == Change::runner_parked || t.change == Change::expired || t.change == Change::safe_mode || t.change == Change::safe_mode_over;
  LogLevel level = notable ? LogLevel::kWarn : t.change == Change::retried || t.change == Change::recovered || t.change == Change::fired ? LogLevel::kInfo : LogLevel::kDebug;
  if (!options.log.enabled(level)) return;
  std::string event = std::string("job_") + change_name(t.change);
  if (t.change == Change::runner_parked) {
    options.log.log(level, "handler_parked", {{"handler", t.type}, {"again_in_ms", t.wait_ms}, {"why", t.detail}});
  } else if (t.change == Change::safe_mode) {
    options.log.log(level, "safe_mode", {{"for_ms", t.wait_ms}, {"why", t.detail}});
  } else if (t.change == Change::safe_mode_over) {
    options.log.log(level, "safe_mode_over", {});
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

}  // namespace hf
