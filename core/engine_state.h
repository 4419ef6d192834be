// The inside of an engine: its parts, and what lasts from turn to turn. For engine.cpp (opening, turns) and engine_apply.cpp (what
// each event does); nobody else's.
#pragma once

#include <cstdio>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/dispatcher.h"
#include "core/engine.h"
#include "core/events.h"
#include "core/flash.h"
#include "core/jobs.h"
#include "core/loss_report.h"
#include "core/queries.h"
#include "core/request_kinds.h"
#include "core/retention.h"
#include "core/scheduler.h"
#include "core/timekeeper.h"

namespace hf {

struct Engine::State {
  explicit State(EngineOptions o, std::unique_ptr<Store> s)
      : options(std::move(o)), store(std::move(s)), rates(*store), lanes(*store, rates, zones()), budgets(*store), losses(*store), flash(*store), sequences(*store), conditions(options.before.told), random(options.seed),
        key_prefix(std::make_shared<const std::string>(make_prefix())), turn{*store, lanes, running, suspects, budgets, losses, sequences, rates, conditions, random, limits, stats, key_prefix, options.callback_text},
        timekeeper(turn), jobs(turn), events(turn, jobs), safe_mode(turn), dispatcher(turn, jobs, safe_mode), retention(turn), queries(turn, jobs, dispatcher),
        scheduler(turn, jobs, zones(), options.device), loss_reporter(turn, jobs) {
    turn.digest = options.digest;
  }

  const ZoneSource& zones() const { return options.zones != nullptr ? *options.zones : utc_only(); }
  std::string make_prefix() const {
    char hex[16];
    std::snprintf(hex, sizeof hex, "%08x", store->file_id());
    return options.device + "-" + hex + "-";
  }

  Status open();
  void load_salvage();
  bool has_room_for(const Request& r) const {
    if (turn.room == Room::enough) return true;
    if (turn.room != Room::little) return reads(r);
    if (const auto* ended = std::get_if<RunEnded>(&r.op)) return !jobs.end_adds(*ended);
    return reads(r) || !adds(r);
  }
  void call_guest(std::span<Request* const> requests);
  Reply transact(const Transact& t);
  void answer(Request& request);
  Reply apply(Request& request);
  Reply apply_queue(const std::string& name, const std::function<Status(Queue&)>& change);
  Result<int64_t> pause_end_ms(const QueuePause& p) const;
  Reply pause(const QueuePause& p);
  Status set_runner(const RunnerSpec& spec);
  Status set_limits(const Limits& given);
  void work();
  static void take_what_is_lent(Tick& out);
  Result<Tick> tick(const Now& now, std::span<Request* const> requests);

  EngineOptions options;
  std::unique_ptr<Store> store;
  Rates rates;
  Lanes lanes;
  Running running;
  Suspects suspects;
  Budgets budgets;
  Losses losses;
  Flash flash;
  Sequences sequences;
  Conditions conditions;
  Random random;
  Limits limits;
  Stats stats;
  std::shared_ptr<const std::string> key_prefix;
  Turn turn;
  Timekeeper timekeeper;
  Jobs jobs;
  Events events;
  SafeMode safe_mode;
  Dispatcher dispatcher;
  Retention retention;
  Queries queries;
  Scheduler scheduler;
  LossReporter loss_reporter;

  std::vector<Action> actions;       // empty, and their memory that of an earlier turn: there are about as many again
  std::vector<Transition> feed;
  int64_t grouped_by_boot_ms = kNever;  // a commit that waits for the disk is due then
  int64_t salvaged_at_ms = 0;
  bool log_lost = false;
  bool recorded = false;
  std::string note;
  bool drains_changed = false;
  std::set<std::string> draining;          // queues, as of the last turn that was committed
  std::vector<Transition> opening_feed;  // told with the first turn
};

}  // namespace hf
