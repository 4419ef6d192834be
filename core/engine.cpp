#include <algorithm>

#include "core/engine_state.h"

namespace hf {
namespace {

constexpr size_t kUsedMost = 1000;  // actions, and transitions, whose memory is kept from turn to turn

Error no_room(Room room) {
  if (room == Room::read_only) return Error{HF_E_READ_ONLY, "the file system is read-only: nothing is recorded until it can be written again; what is there can be read"};
  return Error{HF_E_FULL, "the disk is full: nothing is added until there is room again; what is there can be read, cancelled and deleted"};
}

}  // namespace

// ---- opening ----------------------------------------------------------------------------------------------

Engine::Engine(std::unique_ptr<State> state) : state_(std::move(state)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::open(EngineOptions options, std::unique_ptr<Store> given) try {
  Result<Limits> limits = resolve(options.limits);
  if (!limits) return limits.error();
  if (options.page_size < 512 || options.page_size > 65536 || (options.page_size & (options.page_size - 1)) != 0) {
    return Error{HF_E_INVALID, "page_size is " + std::to_string(options.page_size) + "; allowed is a power of two, 512 to 65536"};
  }
  Result<std::unique_ptr<Store>> store(std::move(given));
  if (*store) {
    (*store)->resume();
  } else {
    store = Store::open({options.path, options.vfs, options.page_size, options.new_file_id, options.before.log_safe, options.log});
  }
  if (!store) return store.error();
  auto state = std::make_unique<State>(std::move(options), std::move(*store));
  state->limits = *limits;
  HF_TRY(validate(state->options.clock));
  HF_TRY(state->open());
  return std::unique_ptr<Engine>(new Engine(std::move(state)));
} catch (const std::bad_alloc&) {
  return Error{HF_E_NO_MEMORY, "out of memory"};
}

Status Engine::State::open() {
  Tick tick;
  turn.out = &tick;
  store->begin(true);
  timekeeper.open(options.now, options.boot_id, options.clock);
  const bool same_boot = timekeeper.same_boot();
  rates.open(turn.now_ms);
  const Left left = store->left();
  const bool clean = left == kClean;
  log_lost = options.log_lost || (options.log == Store::LogFile::absent && left == kUnclean);
  lanes.load(turn.now_ms);
  draining = options.before.draining;
  for (const std::string& name : draining) lanes.queue(name).draining = true;
  budgets.load();
  conditions.set_link(budgets.link(), turn.now_ms);
  losses.load();
  flash.load();
  loss_reporter.load();
  // A run's number is never used again, also when the engine was reopened while the old run goes on.
  recorded = options.before.recorded && left == kUnclean;
  const int64_t opens = std::max<int64_t>(store->meta("opens", 0), 0) + (recorded ? 0 : 1);
  running.number_from(static_cast<uint64_t>(opens) << 32);
  running.number_from(options.before.next_run);
  turn.room = options.room;
  store->set_room(turn.room, limits.ballast);
  const bool writes = !only_reads(options.room);
  // Before it had recorded itself in the file, this process had put nothing back of what the one before left running.
  const bool reopened = options.before.reopened && options.before.recorded;
  jobs.open({options.before.live, clean, reopened, same_boot, log_lost, writes});
  if (writes) safe_mode.open({reopened, left != kUnclean, stats.recovered > 0});
  running.turn_committed();
  // Said once by a process: it may have no room to say it again.
  if (writes && !recorded) {
    recorded = true;
    store->set_meta("opens", opens);
    store->set_meta("clean", kUnclean);
    timekeeper.save();
  }
  scheduler.load(!same_boot && writes);
  if (writes) {
    load_salvage();
    losses.save();
    sequences.save();
  }
  if (!store->commit()) return store->error();
  if (options.room == Room::little) store->shrink_log();
  if (!store->ok()) return store->error();
  opening_feed = std::move(tick.feed);
  stats.unclean_start = !clean;
  if (stats.recovered != 0) note = std::to_string(stats.recovered - stats.quarantined) + " jobs that ran when the last process ended were put back";
  if (stats.quarantined != 0) note += ", " + std::to_string(stats.quarantined) + " were quarantined";
  return ok_status();
}

// What core/salvage.cpp left in the file, and logs that were lost: counted in its meta, so that it is not forgotten at the next start.
void Engine::State::load_salvage() {
  stats.salvages = store->meta("salvages", 0);
  stats.log_losses = store->meta("log_losses", 0);
  if (log_lost) {
    store->set_meta("log_losses", ++stats.log_losses);
    store->set_meta("salvage_ms", 0);
  }
  if (stats.salvages + stats.log_losses == 0) return;
  stats.salvaged_jobs = store->meta("salvage_saved", 0);
  stats.salvage_lost_jobs = store->meta("salvage_lost", 0);
  stats.salvage_lost_unknown = store->meta("salvage_unknown", 0) != 0;
  salvaged_at_ms = store->meta("salvage_ms", 0);
  losses.raise_to(LossCause::salvage, stats.salvage_lost_jobs, turn.now_ms);
  losses.raise_to(LossCause::log, stats.log_losses, turn.now_ms);
  if (salvaged_at_ms != 0) return;
  salvaged_at_ms = turn.now_ms;
  store->set_meta("salvage_ms", salvaged_at_ms);
}

Status Engine::close(const Now& now) try {
  State& s = *state_;
  Tick tick;
  s.turn.out = &tick;
  if (s.turn.room == Room::read_only) return ok_status();  // as a kill leaves it
  if (s.turn.room == Room::none) return s.store->close(true);
  s.store->begin(true);
  (void)s.timekeeper.observe(now);
  if (s.running.size() != 0) {  // whoever was to hand them back could not reach the file
    s.jobs.stop_all(true);
    while (s.jobs.follow_up()) continue;
    s.jobs.save_doomed();
    s.suspects.save(*s.store);
    s.sequences.save();
  }
  s.jobs.flush();
  s.jobs.save_counts();
  s.timekeeper.save();
  s.flash.save(s.turn.now_ms);
  s.store->set_meta("clean", kClean);
  if (!s.store->commit()) return s.store->error();
  return s.store->close(s.turn.room != Room::enough);
} catch (const std::bad_alloc&) {
  return Error{HF_E_NO_MEMORY, "out of memory"};
}

const std::string& Engine::opening_note() const { return state_->note; }
const Stats& Engine::opening_stats() const { return state_->stats; }
bool Engine::made() const { return state_->store->made(); }
bool Engine::log_lost() const { return state_->log_lost; }

// ---- a turn -----------------------------------------------------------------------------------------------

void Engine::State::work() {
  // Time acts before jobs are claimed, so that what it makes or ends is claimed or replaced in the same commit.
  jobs.stop_overdue_runs();
  jobs.expire();
  jobs.wake_wall_jobs();
  scheduler.work();
  safe_mode.act(dispatcher.on());
  loss_reporter.act();
  jobs.follow_up();
  dispatcher.claim();
  scheduler.count_ends();  // of those that ended without a run
  retention.sweep(dispatcher.on());
  jobs.flush();
  jobs.save_handler_callbacks();
  jobs.save_doomed();
  suspects.save(*store);
  budgets.save();
  losses.save();
  sequences.save();
  rates.save();
}

// First in the turn's transaction: if SQLite takes that back as a whole, nothing else is in it.
void Engine::State::call_guest(std::span<Request* const> requests) {
  bool called = false;
  for (Request* request : requests) {
    auto* t = std::get_if<Transact>(&request->op);
    if (t == nullptr) continue;
    if (std::exchange(called, true)) {
      request->reply = Error{HF_E_BUSY, "one transaction a turn"};
    } else {
      request->reply = has_room_for(*request) ? transact(*t) : no_room(turn.room);
    }
  }
}

Reply Engine::State::transact(const Transact& t) {
  const bool wrote_ids = !t.reads_only && jobs.expect_promises();
  Guest guest = store->guest({t.reads_only, t.overdue, limits.max_bytes});
  Transaction transaction{guest.connection(), [&](const JobSpec& spec) -> Result<JobId> {
    if (t.reads_only) return Error{HF_E_STATE, "a transaction that only reads enqueues no job"};
    return guest.as_engine([&]() -> Result<JobId> {
      Result<JobId> id = jobs.promise(spec);
      return store->ok() ? std::move(id) : Result<JobId>(store->error());
    });
  }};
  Status done = guest.run([&] { return t.body(transaction); });
  if (guest.all_undone() && wrote_ids) jobs.save_ids();
  jobs.room_used();
  if (done) {
    turn.grouped |= t.grouped && !t.reads_only;
    return Done{};
  }
  jobs.break_promises();
  return done.error();
}

void Engine::State::answer(Request& request) {
  if (has_room_for(request)) {
    request.reply = apply(request);
    return;
  }
  request.reply = no_room(turn.room);
  if (auto* ended = std::get_if<RunEnded>(&request.op)) jobs.end_waits(*ended);
  if (auto* remember = std::get_if<Remember>(&request.op)) jobs.heard_from(remember->id, remember->attempt);
}

// What was lent goes with the run, now that nobody asks for its request again.
void Engine::State::take_what_is_lent(Tick& out) {
  for (Action& action : out.actions) {
    auto* start = std::get_if<StartRun>(&action);
    if (start == nullptr) continue;
    for (RunJob& job : start->jobs) {
      if (job.lent != nullptr) job.bytes = std::move(*std::exchange(job.lent, nullptr));
    }
  }
}

Result<Tick> Engine::State::tick(const Now& now, std::span<Request* const> requests) {
  Tick out;
  out.actions = std::move(actions);
  out.feed = std::move(feed);
  turn.out = &out;
  ++stats.ticks;
  const bool grouped_due = grouped_by_boot_ms <= now.boot_ms && !only_reads(turn.room);
  bool wait = grouped_due || std::any_of(requests.begin(), requests.end(), [&](const Request* r) {
    const auto* ended = std::get_if<RunEnded>(&r->op);
    return waits_for_disk(*r) || (ended != nullptr && jobs.end_is_synced(*ended));
  });
  // Backup and Check come after the commit: they do not go into a transaction with others.
  store->begin(wait);
  timekeeper.set_time(now);
  call_guest(requests);
  if (timekeeper.observe(now)) scheduler.clock_changed();
  lanes.end_pauses(turn.now_ms, !only_reads(turn.room));
  dispatcher.look_at_windows();
  // What a guest was promised goes in first: nothing has come between.
  const auto is_guest = [](const Request* r) { return std::holds_alternative<Transact>(r->op); };
  for (Request* request : requests) {
    if (is_guest(request)) answer(*request);
  }
  for (Request* request : requests) {
    if (!is_guest(request)) answer(*request);
  }
  conditions.set_link(budgets.link(), turn.now_ms);
  dispatcher.tell_of_conditions();
  if (!only_reads(turn.room)) work();
  if (!only_reads(turn.room)) timekeeper.save_if_due(!out.feed.empty());
  if (grouped_due && !only_reads(turn.room)) timekeeper.save();  // a commit of nothing would sync nothing
  if (!only_reads(turn.room)) flash.save_if_due(turn.now_ms);
  bool committed = store->ok() && store->commit();
  // On a full disk the log is emptied each time, so that the next commit finds room in it.
  if (committed) committed = turn.room == Room::little ? store->checkpoint() : wait || !out.must_sync || store->sync_log();
  if (committed && turn.room == Room::little) store->keep_room();
  if (!committed) {
    Error error = store->ok() ? Error{HF_E_IO, "the commit failed"} : store->error();
    store->rollback();
    for (Request* request : requests) request->reply = error;
    return error;
  }
  take_what_is_lent(out);
  flash.count(turn.now_ms);
  running.turn_committed();
  conditions.turn_committed();
  const bool grouped = std::exchange(turn.grouped, false);
  if (wait || out.must_sync) grouped_by_boot_ms = kNever;
  else if (grouped) grouped_by_boot_ms = std::min(grouped_by_boot_ms, now.boot_ms + limits.grouped_within_ms);
  if (std::exchange(drains_changed, false)) draining = lanes.draining();
  if (!opening_feed.empty()) {
    out.feed.insert(out.feed.begin(), std::make_move_iterator(opening_feed.begin()), std::make_move_iterator(opening_feed.end()));
    opening_feed.clear();
  }
  for (Request* request : requests) {
    if (auto* backup = std::get_if<Backup>(&request->op)) {
      Status status = store->backup(backup->path, static_cast<uint32_t>(random.next()));
      request->reply = status ? Reply(Done{}) : Reply(status.error());
    }
    if (std::holds_alternative<Check>(request->op)) {
      out.damage = store->check();
      request->reply = out.damage;
    }
  }
  int64_t wall_wake = dispatcher.next_wall_wake_ms();
  if (turn.room == Room::enough) wall_wake = std::min({wall_wake, jobs.next_wall_wake_ms(), scheduler.next_wall_wake_ms()});
  if (!only_reads(turn.room)) {
    const int64_t firing = turn.room == Room::enough ? scheduler.next_wake_ms() : kNever;
    const int64_t waiting = std::min({jobs.next_wake_ms(), dispatcher.next_wake_ms(), firing});
    out.next_due_boot_ms = std::min({waiting, safe_mode.next_wake_ms(), loss_reporter.next_wake_ms()});
    out.next_wake_boot_ms = std::min({out.next_due_boot_ms, retention.next_wake_ms(), timekeeper.next_wake_ms(waiting, wall_wake != kNever)});
  }
  for (int64_t* at : {&out.next_due_boot_ms, &out.next_wake_boot_ms}) {
    if (*at != kNever) *at = timekeeper.boot_of(*at);
  }
  if (!only_reads(turn.room)) out.next_wake_boot_ms = std::min(out.next_wake_boot_ms, grouped_by_boot_ms);
  out.gather_ms = turn.room == Room::enough ? flash.gather_ms(turn.now_ms, limits.flash_budget) : 0;
  out.waits_for_link = dispatcher.waits_for_link();
  out.wall_trusted = turn.wall_trusted;
  out.clock_floor_ms = timekeeper.floor_ms();
  if (turn.wall_trusted && !only_reads(turn.room)) out.next_wake_wall_ms = wall_wake;
  int64_t wake_wall = out.next_wake_wall_ms;
  if (out.next_due_boot_ms != kNever) wake_wall = std::min(wake_wall, timekeeper.wall_of_boot(out.next_due_boot_ms));
  for (Request* request : requests) {
    auto* asked = std::get_if<Stats>(&request->reply);
    if (asked == nullptr) continue;
    asked->next_wake_wall_ms = wake_wall == kNever ? 0 : wake_wall;
    asked->next_wake_in_ms = wake_wall == kNever ? -1 : std::max<int64_t>(wake_wall - turn.wall_ms, 0);
    asked->clock = timekeeper.info();
    asked->room = turn.room;
    asked->flash_day_bytes = flash.day_bytes(turn.now_ms);
    asked->flash_total_bytes = flash.total_bytes();
    asked->flash_budget = std::max<int64_t>(limits.flash_budget, 0);
    asked->flash_gather_ms = out.gather_ms;
    asked->crashes = safe_mode.crashes();
    asked->safe_mode_left_ms = std::max<int64_t>(safe_mode.until_ms() - turn.now_ms, 0);
    if (asked->salvages + asked->log_losses > 0) asked->salvage_age_ms = turn.now_ms - salvaged_at_ms;
  }
  return out;
}

Result<Tick> Engine::tick(const Now& now, std::span<Request* const> requests) {
  // The one place where an exception of core/ ends: it is an error like any other, and nothing of the turn counts.
  auto failed = [&](int code, const char* text) {
    Error error{code, text};
    for (Request* request : requests) request->reply = error;
    return error;
  };
  try {
    return state_->tick(now, requests);
  } catch (const std::bad_alloc&) {
    return failed(HF_E_NO_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return failed(HF_E_INTERNAL, e.what());
  }
}

Status Engine::try_write() try {
  return state_->store->try_write();
} catch (const std::bad_alloc&) {
  return Error{HF_E_NO_MEMORY, "out of memory"};
}
void Engine::use_again(StartRun&& begun) noexcept { state_->dispatcher.use_again(std::move(begun.jobs)); }
void Engine::use_again(Tick&& done) noexcept {
  done.actions.clear();
  done.feed.clear();
  if (done.actions.capacity() <= kUsedMost) state_->actions = std::move(done.actions);
  if (done.feed.capacity() <= kUsedMost) state_->feed = std::move(done.feed);
}
std::unique_ptr<Store> Engine::give_store() { return std::move(state_->store); }
Handover Engine::handover() const {
  const State& s = *state_;
  return {.reopened = true,
          .recorded = s.recorded,
          .next_run = s.running.next_batch(),
          .live = s.running.committed(),
          .log_safe = s.store->log_safe(),
          .log_known_safe = s.store->log_known_safe(),
          .told = s.conditions.told(),
          .draining = s.draining};
}

}  // namespace hf
