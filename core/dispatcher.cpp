#include "core/dispatcher.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "core/callbacks.h"
#include "core/names.h"
#include "core/units.h"

namespace hf {

namespace {
constexpr int kGiveUp = 200;  // jobs that one turn ends without a run, here; the next turn follows at once

// When the oldest of its next batch became due, if that is known.
int64_t oldest_or(const Group& group, int64_t due_ms) { return group.oldest_ms == 0 || group.oldest_ms == kNever ? due_ms : group.oldest_ms; }
bool is_full(const Group& group) {
  const Batch& batch = group.runner->spec.batch;
  return group.ready >= batch.max_jobs || (batch.max_bytes > 0 && group.waiting_bytes >= batch.max_bytes);
}
}  // namespace

bool Dispatcher::runner_free(RunnerState& runner) {
  return runner.present && runner.slot_free() && runner.breaker.lets(turn_.now_ms, runner.running) && opens_ms(runner) <= turn_.now_ms;
}

// Asked last of all gates: an answer costs a look at the world.
bool Dispatcher::conditions_open(const std::vector<std::string>& when, int64_t& look_ms) {
  if (when.empty()) return true;
  const Conditions::Gate gate = turn_.conditions.look(when, turn_.now_ms);
  if (!gate.open) look_ms = std::min(look_ms, gate.look_ms);
  return gate.open;
}

void Dispatcher::look_at_conditions() {
  if (!turn_.conditions.changed() && turn_.now_ms < held_until_ms_) return;
  for (Queue* queue : held_) {
    queue->held = false;
    turn_.lanes.join(*queue);
  }
  held_.clear();
  held_until_ms_ = kNever;
}

void Dispatcher::tell_of_conditions() {
  for (const auto& [name, open] : turn_.conditions.turned()) {
    Transition& told = turn_.tell(open ? Change::condition_opened : Change::condition_closed, 0, nullptr);
    told.type = name;
    if (const ConditionAnswer* answer = turn_.conditions.answer_of(name)) told.detail = answer->why;
  }
}

int64_t Dispatcher::opens_ms(Queue& queue) {
  if (queue.rates.none() && !queue.settings.rate_limit && !queue.settings.throttle) return turn_.now_ms;
  turn_.rates.follow(queue.rates, queue.rate_limits(), "queue", queue.name, turn_.now_ms);
  return queue.rates.opens_ms(turn_.now_ms);
}
int64_t Dispatcher::opens_ms(RunnerState& runner) {
  turn_.rates.follow(runner.rates, runner.spec.rates, "handler", runner.spec.name, turn_.now_ms);
  return runner.rates.opens_ms(turn_.now_ms);
}

// Of a run, that is, of a batch; what its jobs' keys may is counted by job, in take().
void Dispatcher::began(Lane& lane) {
  lane.runner->began();
  began(&lane.queue->rates);
  began(&lane.runner->rates);
}

void Dispatcher::began(RateGates* rates) {
  if (rates != nullptr && turn_.rates.began(*rates, turn_.now_ms)) turn_.out->must_sync = true;
}

void Dispatcher::ask_again(Queue& queue) {
  if (!std::exchange(queue.asked_again, true)) asked_again_.push_back(&queue);
}

bool Dispatcher::budget_open(const Lane& lane, const ReadyEntry& entry, bool along) {
  if (!lane.runner->spec.network) return true;
  if (along) return turn_.budgets.lets_along(turn_.now_ms, -entry.nprio);
  const int64_t opens = turn_.budgets.opens_ms(turn_.now_ms, -entry.nprio);
  if (opens <= turn_.now_ms) return true;
  budget_wake_ms_ = std::min(budget_wake_ms_, opens);
  return false;
}

void Dispatcher::look_at_windows() {
  turn_.lanes.find_zones_anew();
  for (Queue* queue : turn_.lanes.timed_queues()) {
    if (!queue->window.look(turn_.wall_ms, turn_.wall_trusted)) continue;
    turn_.tell(queue->window.open() ? Change::window_opened : Change::window_closed, 0, nullptr).queue = queue->name;
    turn_.lanes.join(*queue);
  }
}

void Dispatcher::claim() {
  look_at_windows();
  give_up_left_ = turn_.rows(kGiveUp);
  do claim_all();  // what it gives up may make callbacks
  while (jobs_.follow_up());
  for (AskCondition& ask : turn_.conditions.ask()) turn_.out->actions.push_back(std::move(ask));
}

bool Dispatcher::may_go_on() const { return turn_.running.batches() < turn_.limits.concurrency && give_up_left_ > 0; }

void Dispatcher::claim_all() {
  batch_wake_ms_ = alone_wake_ms_ = budget_wake_ms_ = rate_wake_ms_ = condition_wake_ms_ = kNever;
  alone_ = 0;
  if (!on_ || safe_mode_.on()) return;
  Lanes& lanes = turn_.lanes;
  look_at_conditions();
  let_go();
  lanes.activate_due(turn_.now_ms);
  others_wait_ = turn_.room != Room::enough || (!turn_.suspects.empty() && claim_alone());
  for (Queue* queue : asked_again_) {
    queue->asked_again = false;
    lanes.join(*queue);
  }
  asked_again_.clear();
  // One claim a queue in turn, so that a full queue cannot keep the engine's slots from a quiet one.
  while (turn_.store.ok()) {
    Queue* queue = lanes.first_in_ring();
    if (queue == nullptr) {
      if (!let_go()) break;
      continue;
    }
    if (!may_go_on()) break;  // it is the first one of the next turn
    lanes.leave_ring();
    if (!queue->open()) continue;
    if (others_wait_ && !queue->sink) {
      ask_again(*queue);
    } else if (claim_from(*queue)) {
      lanes.join(*queue);
    }
  }
}

// Who waits for a runner that has slots, as many as it has.
bool Dispatcher::let_go() {
  bool any = false;
  const std::vector<RunnerState*>& waited_for = turn_.lanes.waited_for();
  for (size_t i = waited_for.size(); i-- > 0;) {
    RunnerState& runner = *waited_for[i];
    if (!runner_free(runner)) continue;
    if (!runner.spec.when.empty()) {
      // Nobody is asked for jobs that are gone, or cannot run.
      const auto has_none = [this](const Group* group) { return has_none_for(*group); };
      if (!may_go_on() || std::all_of(runner.waiting.begin(), runner.waiting.end(), has_none)) continue;
      if (!conditions_open(runner.spec.when, condition_wake_ms_)) continue;
    }
    for (int slots = runner.slots(); slots > 0 && !runner.waiting.empty(); --slots) turn_.lanes.let_go(runner), any = true;
  }
  return any;
}

bool Dispatcher::has_none_for(const Group& group) {
  const Queue& queue = *group.queue;
  if (!queue.open() || !queue.slot_free() || (others_wait_ && !queue.sink)) return true;
  return std::none_of(group.places.begin(), group.places.end(), [this](const Lane* lane) {
    return lane->window.empty() || budget_open(*lane, lane->window.front());  // empty: it is to be read again, by the claim that follows
  });
}

int Dispatcher::runs() const {
  int n = 0;
  for (const auto& [id, run] : turn_.running.all()) n += run.lane->delivery() ? 0 : 1;
  return n;
}

bool Dispatcher::claim_alone() {
  for (const auto& [id, run] : turn_.running.all()) {
    if (run.lane->delivery() || !is_suspect(run.opts) || turn_.now_ms >= run.started_ms + kAloneMs) continue;
    alone_ = id;
    alone_wake_ms_ = run.started_ms + kAloneMs;
    return true;
  }
  Candidate next = next_suspect();
  for (; next.lane != nullptr; next = next_suspect()) {
    if (alone_asked_ms_ == 0) alone_asked_ms_ = turn_.now_ms;
    alone_ = next.entry.id;
    alone_wake_ms_ = alone_asked_ms_ + kAloneMs;
    if (runs() > 0 && turn_.now_ms < alone_wake_ms_) return true;
    alone_wake_ms_ = kNever;
    const Lane& lane = *next.lane;
    if (!lane.queue->slot_free() || !lane.runner->slot_free() || !lane.key_free()) {
      // What has run for so long already may run for ever: it holds up this one, but nobody else.
      alone_ = 0;
      return false;
    }
    if (!may_go_on()) return true;  // deliveries may have the slots
    StartRun start;
    start.runner = next.lane->runner->name;
    alone_asked_ms_ = 0;
    if (take(*next.lane, next.entry, start, turn_.running.new_batch(), kNever) != Taken::started) continue;
    began(*next.lane);
    turn_.out->actions.push_back(std::move(start));
    alone_wake_ms_ = turn_.now_ms + kAloneMs;
    return true;
  }
  alone_asked_ms_ = 0;
  return false;
}

// The oldest one whose gates are open, but for those that open when nothing else runs.
Dispatcher::Candidate Dispatcher::next_suspect() {
  const std::map<JobId, Lane*> all = turn_.suspects.all();
  for (const auto& [id, lane] : all) {
    if (!lane->queue->open() || !lane->runner->present) continue;
    const int64_t opens = std::max({opens_ms(*lane->queue), opens_ms(*lane->runner), turn_.lanes.key_opens_ms(*lane, turn_.now_ms)});
    if (opens > turn_.now_ms) {
      rate_wake_ms_ = std::min(rate_wake_ms_, opens);
      continue;
    }
    if (!lane->runner->breaker.lets(turn_.now_ms, 0)) continue;
    if (turn_.running.find(id) != nullptr) continue;
    FullRow row = turn_.store.read(id, false);
    if (!row.found || row.job.state != State::pending || !is_suspect(decode_opts(row.job.opts))) {
      turn_.suspects.remove(id);  // cancelled, deleted, or retried by a person
    } else if (const ReadyEntry entry{-row.job.priority, row.job.due_ms, id}; row.job.due_ms <= turn_.now_ms && budget_open(*lane, entry) &&
               conditions_open(lane->queue->when(), condition_wake_ms_) && conditions_open(lane->runner->spec.when, condition_wake_ms_)) {
      return {lane, entry};
    }
  }
  return {};
}

void Dispatcher::settle(Queue& queue) {
  if (turn_.lanes.must_load(queue)) jobs_.flush();
  turn_.lanes.settle(queue, turn_.now_ms);
}

// The first lane of the group whose budget is open.
Lane* Dispatcher::first_of(const Group& group, bool along) {
  for (Lane* lane : group.places) {
    if (budget_open(*lane, lane->window.front(), along)) return lane;
  }
  if (!along) ask_again(*group.queue);
  return nullptr;
}

Lane* Dispatcher::best_lane(Queue& queue) {
  Lane* best = nullptr;
  for (const std::unique_ptr<Group>& group : queue.groups) {
    if (group->places.empty()) continue;
    Lane* lane = nullptr;
    if (!batch_ready(*group)) {
      ask_again(queue);
    } else if (!runner_free(*group->runner)) {
      turn_.lanes.wait_for(*group);
    } else if (lane = first_of(*group, false); lane != nullptr && !conditions_open(group->runner->spec.when, condition_wake_ms_)) {
      turn_.lanes.wait_for(*group);
      lane = nullptr;
    }
    if (lane != nullptr && (best == nullptr || *lane->place < *best->place)) best = lane;
  }
  return best;
}

// REQUIRES: its queue is settled, and it has a place.
bool Dispatcher::batch_ready(Group& group) {
  const Batch& batch = group.runner->spec.batch;
  if (batch.max_jobs == 1 || batch.max_wait_ms == 0) return true;
  if (is_full(group)) return true;
  const auto oldest_waited = [&] { return group.oldest_ms <= turn_.now_ms - batch.max_wait_ms; };
  // What is known may be of a job that is gone. Fewer than max_jobs lanes are looked at, and few times: as often as the oldest goes.
  if (group.oldest_ms == 0 || oldest_waited()) Lanes::find_oldest(group);
  if (oldest_waited()) return true;
  batch_wake_ms_ = std::min(batch_wake_ms_, group.oldest_ms + batch.max_wait_ms);
  return false;
}

bool Dispatcher::claim_from(Queue& queue) {
  if (!queue.slot_free()) return false;  // the end of one of its runs brings it back
  settle(queue);
  if (std::all_of(queue.groups.begin(), queue.groups.end(), [](const auto& group) { return group->places.empty(); })) return false;
  if (const int64_t opens = opens_ms(queue); opens > turn_.now_ms) {
    turn_.lanes.sleep(queue, opens);
    return false;
  }
  Lane* lane = best_lane(queue);
  if (lane == nullptr) return false;
  if (!conditions_open(queue.when(), held_until_ms_)) {
    if (!std::exchange(queue.held, true)) held_.push_back(&queue);
    return false;
  }
  return claim_batch(*lane);
}

// Of one group, so all are of one queue and one runner. True: something was taken, to run or to be given up.
bool Dispatcher::claim_batch(Lane& first) {
  Queue& queue = *first.queue;
  Group& group = *first.group;
  RunnerState& runner = *first.runner;
  const Batch batch = runner.spec.batch;
  StartRun start;
  start.runner = runner.name;
  start.timeout_ms = -1;
  if (!used_.empty()) {
    start.jobs = std::move(used_.back());
    used_.pop_back();
  }
  uint64_t number = turn_.running.new_batch();
  int64_t bytes = 0;
  // Half-open, it is probed with one job, not with a batch.
  int max_jobs = runner.breaker.open() ? 1 : std::max(batch.max_jobs, 1);
  bool taken = false;
  Lane* lane = &first;
  while (lane != nullptr && static_cast<int>(start.jobs.size()) < max_jobs) {
    // The first one goes however large it is.
    Taken how = take(*lane, ReadyEntry(lane->window.front()), start, number, batch.max_bytes > 0 && !start.jobs.empty() ? batch.max_bytes - bytes : kNever);
    if (how == Taken::too_large) break;
    taken = true;
    if (how == Taken::started) {
      const RunJob& job = start.jobs.back();
      bytes += static_cast<int64_t>((job.lent != nullptr ? *job.lent : job.bytes).size());
      if (start.jobs.size() == 1) began(*lane);
    }
    if (max_jobs == 1 && !start.jobs.empty()) break;
    if (batch.max_bytes > 0 && bytes >= batch.max_bytes) break;
    if (give_up_left_ == 0) break;
    settle(queue);  // one whose key is used up by this very batch has no place any more
    lane = first_of(group, true);
  }
  turn_.lanes.next_order(runner);
  group.waiting_bytes = lane == nullptr ? 0 : std::max<int64_t>(group.waiting_bytes - bytes, 0);
  if (!start.jobs.empty()) turn_.out->actions.push_back(std::move(start));
  else use_again(std::move(start.jobs));
  return taken;
}

Dispatcher::Taken Dispatcher::take(Lane& lane, const ReadyEntry& entry, StartRun& start, uint64_t batch, int64_t bytes_left) {
  Jobs::Fresh* fresh = jobs_.fresh(entry.id);
  RunRow read;
  if (fresh == nullptr) read = turn_.store.read_for_run(entry.id, lane.delivery());
  const bool found = fresh != nullptr || read.found;
  const size_t bytes = fresh != nullptr ? fresh->payload().size() : read.bytes.size();
  if (found && static_cast<int64_t>(bytes) > bytes_left) return Taken::too_large;
  turn_.lanes.taken(lane, entry.id);
  if (!found) return Taken::ended;  // only after an error, which the turn's end finds
  const std::string& encoded = fresh != nullptr ? fresh->row.opts : read.opts;
  const int64_t expires_ms = fresh != nullptr ? fresh->row.expires_ms : read.expires_ms;
  const int attempts = fresh != nullptr ? fresh->row.attempts : read.attempts;
  std::optional<JobOpts> rare;
  if (!encoded.empty()) rare = decode_opts(encoded);
  static const JobOpts kNone;
  const JobOpts& opts = rare ? *rare : kNone;
  const AttemptLimits policy = jobs_.attempt_limits_of(lane, opts);

  bool late = expires_ms != 0 && expires_ms <= turn_.now_ms && !lane.delivery();
  bool used_up = attempts >= policy.max_attempts;
  const bool alone_left = !opts.after.empty();  // due, although it waits: for one that will not complete
  if (late || used_up || alone_left) {
    --give_up_left_;
    jobs_.flush();
    jobs_.end_unrun(entry.id, lane, opts,
                    late         ? "expired: it was not run within its ttl"
                    : alone_left ? jobs_.doom_text(opts)
                                 : "attempts used up (" + std::to_string(attempts) + " of " + std::to_string(policy.max_attempts) + "): it is not run again",
                    late ? Change::expired : Change::died);
    return Taken::ended;
  }
  const bool first = start.jobs.empty();
  Run& run = turn_.running.begin(entry.id, batch, first);
  run.attempt = attempts + 1;
  run.lane = &lane;
  run.started_ms = turn_.now_ms;
  run.priority = -entry.nprio;
  run.due_ms = entry.due_ms;
  run.inlined = !lane.delivery() && bytes <= kBodyInlineMax;
  if (rare) run.opts = std::move(*rare);
  if (policy.timeout_ms > 0) run.deadline_ms = turn_.now_ms + policy.timeout_ms;
  run.heartbeat_ms = lane.runner->spec.heartbeat_ms;
  if (run.heartbeat_ms > 0) run.beat_by_ms = turn_.now_ms + run.heartbeat_ms;
  const int64_t soft_ms = lane.runner->spec.soft_timeout_ms;
  if (soft_ms > 0 && (policy.timeout_ms <= 0 || soft_ms < policy.timeout_ms)) run.soft_at_ms = turn_.now_ms + soft_ms;
  turn_.running.watch(run);

  if (lane.runner->spec.network) {
    run.charge = turn_.budgets.charge(turn_.now_ms, static_cast<int64_t>(bytes) + (first ? kRunBytes : kRunBytesMore));
    if (run.charge.lasting) turn_.out->must_sync = true;
  }

  RunJob& job = start.jobs.emplace_back();
  job.id = run.id;
  job.attempt = run.attempt;
  job.run = batch;
  job.type = lane.type;
  job.queue = lane.delivery() ? lane.origin->queue->name : lane.queue->name;
  job.key = turn_.key_of(run.id);
  job.created_wall_ms = turn_.wall_of(fresh != nullptr ? fresh->row.created_ms : read.created_ms);
  if (rare) {  // which has moved to the run
    job.tags = run.opts.tags;
    job.occurrence_wall_ms = run.opts.occurrence_wall_ms;
    job.schedule = run.opts.schedule;
    job.memo = run.opts.memo;
  }
  if (lane.delivery() && run.opts.sequence != 0) {
    job.sequence = run.opts.sequence;
    turn_.out->must_sync = true;  // a number that was sent is never given again
  }
  // What is told has to be true: a power cut must not take back an end that somebody knows of.
  if (lane.delivery() && lane.type == kCallbackType) turn_.out->must_sync = true;
  job.sink = jobs_.sink_of(lane, run.opts);

  if (fresh != nullptr) {
    jobs_.write_running(*fresh, lane, job);
  } else {
    job.bytes = std::move(read.bytes);
    turn_.store.set_running(run.id, run.attempt);
  }
  --turn_.stats.by_state[static_cast<int>(State::pending)];
  ++turn_.stats.by_state[static_cast<int>(State::running)];
  ++turn_.stats.started;
  turn_.lanes.run_began(lane, first);
  began(lane.in_key->rates.get());
  turn_.tell(Change::started, run.id, &lane).attempt = run.attempt;
  // Of a batch the longest one: each job of it has a deadline of its own.
  const bool endless = policy.timeout_ms < 0 || (!first && start.timeout_ms < 0);
  start.timeout_ms = endless ? -1 : std::max(start.timeout_ms, policy.timeout_ms);
  return Taken::started;
}

void Dispatcher::use_again(std::vector<RunJob>&& jobs) noexcept {
  jobs.clear();
  if (used_.size() < kUsedMax && jobs.capacity() <= kUsedJobsMax) used_.push_back(std::move(jobs));
}

void Dispatcher::link_up() {
  for (auto& [name, runner] : turn_.lanes.runners()) runner->breaker.hurry(turn_.now_ms, runner->spec.splay_ms, turn_.random);
}

bool Dispatcher::waits_for_link() const {
  const auto& runners = turn_.lanes.runners();
  return std::any_of(runners.begin(), runners.end(), [](const auto& one) { return one.second->breaker.can_hurry(); });
}

int64_t Dispatcher::next_wake_ms() const {
  if (!on_ || safe_mode_.on()) return kNever;
  if (give_up_left_ == 0) return turn_.now_ms;
  int64_t wake = std::min({turn_.lanes.next_wake_ms(), turn_.lanes.next_pause_end_ms(), batch_wake_ms_, alone_wake_ms_, budget_wake_ms_, rate_wake_ms_, condition_wake_ms_, held_until_ms_});
  for (const RunnerState* runner : turn_.lanes.waited_for()) {
    if (std::none_of(runner->waiting.begin(), runner->waiting.end(), [](const Group* g) { return g->queue->open(); })) continue;
    wake = std::min(wake, runner->breaker.wake_ms(turn_.now_ms));
    if (const int64_t opens = runner->rates.opens_ms(turn_.now_ms); opens > turn_.now_ms) wake = std::min(wake, opens);
  }
  return wake;
}

// A window that closes needs nobody awake.
int64_t Dispatcher::next_wall_wake_ms() const {
  if (!on_ || safe_mode_.on()) return kNever;
  int64_t wake = kNever;
  for (const Queue* queue : turn_.lanes.timed_queues()) {
    if (!queue->window.open() && !queue->pause.on && queue->active > 0) wake = std::min(wake, queue->window.changes_wall_ms());
  }
  return wake;
}

void Dispatcher::due_gates(const FullRow& row, const JobOpts& opts, std::vector<ClosedGate>* gates) const {
  if (!opts.after.empty()) {
    gates->push_back({"after", row.job.due_ms == kNever ? jobs_.after_text(opts) : jobs_.doom_text(opts) + ": it will not run", 0});
  } else if (row.job.at_wall_ms != 0) {
    if (!turn_.wall_trusted) gates->push_back({"clock", "it is due at a wall-clock time, and the clock is not trusted yet", 0});
    gates->push_back({"due", "due at " + format_time(row.job.at_wall_ms), row.job.at_wall_ms});
  } else if (row.job.due_ms > turn_.now_ms) {
    gates->push_back({"due", (row.job.attempts > 0 ? "waits before its next attempt, " : "due in ") + format_duration_human(row.job.due_ms - turn_.now_ms),
                      turn_.wall_of(row.job.due_ms)});
  }
}

std::vector<ClosedGate> Dispatcher::closed_gates(const Lane& lane, const FullRow& row) const {
  std::vector<ClosedGate> gates;
  const Queue& queue = *lane.queue;
  const RunnerState& runner = *lane.runner;
  auto closed = [&](const char* gate, std::string why, int64_t opens_wall_ms = 0) {
    gates.push_back({gate, std::move(why), opens_wall_ms});
  };
  const JobOpts opts = decode_opts(row.job.opts);
  due_gates(row, opts, &gates);
  if (!on_) closed("engine", "the engine does not claim jobs now: not started, or stopping");
  if (safe_mode_.on()) {
    closed("safe_mode", "the process ended " + std::to_string(safe_mode_.crashes()) + " times in a row while jobs ran: nothing runs for a while; `holdfast end-safe-mode` ends it",
           turn_.wall_of(safe_mode_.until_ms()));
  }
  if (turn_.room == Room::read_only) {
    closed("read_only", "the file system is read-only: runs wait until it can be written again");
  } else if (turn_.room == Room::none || (turn_.room == Room::little && !lane.delivery())) {
    closed("disk_full", "the disk is full: runs wait until there is room again; deliveries go on while the ballast has room for them");
  }
  if (const Pause& pause = queue.pause; pause.on) {
    // A clock that is not right names no time that anybody could wait for.
    const std::string until = pause.until_ms == 0     ? ""
                              : turn_.wall_trusted ? " until " + format_time(turn_.wall_of(pause.until_ms))
                                                   : " for " + format_duration_human(pause.until_ms - turn_.now_ms);
    closed("queue", "queue " + queue.name + " is paused" + until + (pause.reason.empty() ? "" : ": " + one_line(pause.reason)),
           pause.until_ms == 0 ? 0 : turn_.wall_of(pause.until_ms));
  }
  if (!queue.window.open()) {
    const int64_t opens = queue.window.changes_wall_ms();
    closed("window", "queue " + queue.name + " is closed: " +
                         (!queue.window.waiting().empty() ? queue.window.waiting()
                          : opens == 0 ? "it has windows, and the clock is not trusted yet"
                                       : "outside its windows"),
           opens == kNever ? 0 : opens);
  }
  const auto too_fast = [&](const std::string& whose, const RateGates& rates) {
    for (const auto& [gate, name, text] : {std::tuple(&rates.rate_limit, "rate_limit", format_rate_limit(rates.rate_limit.rate())),
                                           std::tuple(&rates.throttle, "throttle", format_throttle(rates.throttle.rate()))}) {
      const int64_t opens = gate->opens_ms(turn_.now_ms);
      if (opens <= turn_.now_ms) continue;
      closed(name, whose + " begins at most " + text + ": the next run in " + format_duration_human(opens - turn_.now_ms), turn_.wall_of(opens));
    }
  };
  too_fast("queue " + queue.name, queue.rates);
  if (!queue.slot_free()) closed("queue_slots", "queue " + queue.name + " runs " + std::to_string(queue.runs) + " of at most " + std::to_string(*queue.settings.concurrency));
  if (turn_.running.batches() >= turn_.limits.concurrency) {
    closed("engine_slots", "the engine runs " + std::to_string(turn_.running.batches()) + " of at most " + std::to_string(turn_.limits.concurrency));
  }
  if (!runner.present) {
    closed("handler", lane.delivery() ? "sink " + lane.queue->name.text().substr(5) + " is not configured" : "no handler for type " + lane.type + " is registered");
  } else {
    too_fast(runner.spec.name, runner.rates);
    if (!runner.slot_free()) closed("handler_slots", runner.spec.name + " runs " + std::to_string(runner.running) + " of at most " + std::to_string(runner.spec.concurrency));
    const Breaker& breaker = runner.breaker;
    if (!breaker.lets(turn_.now_ms, runner.running)) {
      if (!breaker.open()) {
        closed("handler_ramp", runner.spec.name + " is ready again, and runs go to it gradually: " + std::to_string(breaker.ramp()) + " at once so far");
      } else {
        closed("handler_parked", runner.spec.name + (breaker.probing() ? " is being probed after: " : " waits before it is tried again, after: ") + breaker.why(),
               breaker.probing() ? 0 : turn_.wall_of(breaker.until_ms()));
      }
    }
  }
  if (runner.spec.network) {
    const int64_t opens = turn_.budgets.opens_ms(turn_.now_ms, row.job.priority);
    if (opens > turn_.now_ms) closed("budget", turn_.budgets.why(turn_.now_ms, row.job.priority), turn_.wall_of(opens));
  }
  if (!lane.key_free()) {
    closed("key", std::to_string(lane.in_key->running) + " of at most " + std::to_string(queue.key_concurrency()) + " with concurrency_key " + lane.key + " run");
  }
  if (lane.in_key->rates != nullptr) too_fast("concurrency_key " + lane.key, *lane.in_key->rates);
  if (!lane.delivery()) {
    if (is_suspect(opts)) {
      if (runs() > 0) {
        closed("alone", "the process ended " + std::to_string(opts.crashes + opts.reboots) + " times while it ran: it runs alone, when the " +
                            std::to_string(runs()) + " that run now have ended");
      }
    } else if (alone_ != 0) {
      closed("alone", "job " + std::to_string(alone_) + ", in whose runs the process ended before, runs alone");
    }
  }
  for (const auto* when : {&queue.when(), &runner.spec.when}) {
    for (Conditions::Closed& condition : turn_.conditions.closed(*when, turn_.now_ms)) {
      closed("condition", std::move(condition.why), condition.may_open_ms == 0 ? 0 : turn_.wall_of(condition.may_open_ms));
    }
  }
  const Batch& batch = runner.spec.batch;
  const int64_t goes_ms = oldest_or(*lane.group, row.job.due_ms) + batch.max_wait_ms;
  if (batch.max_jobs > 1 && row.job.due_ms <= turn_.now_ms && !is_full(*lane.group) && goes_ms > turn_.now_ms) {
    closed("batch", runner.spec.name + " waits for more jobs to take together, up to " + format_duration_human(batch.max_wait_ms), turn_.wall_of(goes_ms));
  }
  return gates;
}

}  // namespace hf
