// What each event does: it is answered where it belongs. The turn around it is in engine.cpp.
#include <utility>

#include "core/engine_state.h"
#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

template <class T>
Reply reply_of(Result<T> r) {
  if (!r) return r.error();
  return std::move(*r);
}

}  // namespace

Reply Engine::State::apply_queue(const std::string& name, const std::function<Status(Queue&)>& change) {
  if (Status ok = check_queue_name(name); !ok) return ok.error();
  Queue& queue = lanes.queue(name);
  if (Status ok = change(queue); !ok) return ok.error();
  lanes.join(queue);
  lanes.put_row(queue);
  return Done{};
}

// On the elapsed axis: no step of the wall clock moves it.
Result<int64_t> Engine::State::pause_end_ms(const QueuePause& p) const {
  if (p.for_ms != 0 && p.until_wall_ms != 0) return Error{HF_E_INVALID, "for and until exclude each other"};
  if (p.for_ms != 0) {
    HF_TRY(check_duration("for", p.for_ms, 1, kPauseMaxMs));
    return turn.now_ms + p.for_ms;
  }
  if (p.until_wall_ms == 0) return int64_t{0};
  if (!turn.wall_trusted) return Error{HF_E_CONFLICT, "until is a wall-clock time, and the clock is not trusted yet: say for how long (for)"};
  if (p.until_wall_ms <= turn.wall_ms) return Error{HF_E_INVALID, "until is " + format_time(p.until_wall_ms) + ", which is past: it is " + format_time(turn.wall_ms)};
  HF_TRY(check_duration("until, from now,", p.until_wall_ms - turn.wall_ms, 1, kPauseMaxMs));
  return p.until_wall_ms - turn.offset_ms;  // as it is shown: Turn::wall_of()
}

Reply Engine::State::pause(const QueuePause& p) {
  return apply_queue(p.name, [&](Queue& queue) -> Status {
    if (!p.paused) {
      queue.draining = false;
      drains_changed = true;
      lanes.pause(queue, {});
      return ok_status();
    }
    HF_TRY(text_fits("reason", p.reason, HF_REASON_MAX));
    Result<int64_t> until = pause_end_ms(p);
    if (!until) return until.error();
    lanes.pause(queue, {true, p.reason, *until});
    if (*until != 0) timekeeper.save();  // it counts from here also after a power cut
    return ok_status();
  });
}

Status Engine::State::set_runner(const RunnerSpec& spec) {
  HF_TRY(validate(spec));
  lanes.set_runner(spec);
  jobs.set_handler(spec);
  if (spec.sequence) sequences.begin(spec.name);
  return ok_status();
}

Status Engine::State::set_limits(const Limits& given) {
  Result<Limits> resolved = resolve(given);
  if (!resolved) return resolved.error();
  limits = *resolved;
  store->set_room(turn.room, limits.ballast);
  jobs.limits_changed();
  retention.changed();
  return ok_status();
}

namespace {
// std::visit over all events, each answered where it belongs.
template <class... F>
struct Overload : F... { using F::operator()...; };
template <class... F>
Overload(F...) -> Overload<F...>;  // clang 14 (the fuzz preset) asks for it
Reply status_reply(Status s) { return s ? Reply(Done{}) : Reply(s.error()); }
}  // namespace

Reply Engine::State::apply(Request& request) {
  auto ids = [](JobId id) { return Reply(std::vector<JobId>{id}); };
  auto judge_clock = [&](Status changed) {
    if (changed && timekeeper.judge_anew()) scheduler.clock_changed();
    return status_reply(std::move(changed));
  };
  return std::visit(
      Overload{
          [&](Enqueue& e) {
            auto* kept = std::get_if<std::vector<JobId>>(&request.reply);
            return reply_of(jobs.enqueue(e.specs, {.lent = true, .ids = kept != nullptr ? std::move(*kept) : std::vector<JobId>()}));
          },
          [&](ReserveIds& r) { return reply_of(jobs.reserve(r.count)); },
          [&](Transact&) { return std::holds_alternative<Done>(request.reply) ? Reply(jobs.keep_promises()) : std::move(request.reply); },
          [&](RunEnded& e) { return status_reply(jobs.run_ended(e)); },
          [&](Progress& p) { return status_reply(jobs.progress(p)); },
          [&](Remember& r) { return status_reply(jobs.remember(r)); },
          [&](LogLine& l) { return status_reply(jobs.log_line(l)); },
          [&](Cancel& c) { return status_reply(jobs.cancel(c.id)); },
          [&](Retry& r) { return status_reply(jobs.retry(r.id)); },
          [&](RetryAllDead& r) { return reply_of(jobs.retry_all_dead(r)); },
          [&](Remove& r) { return status_reply(jobs.remove(r.id)); },
          [&](Edit& e) { return status_reply(jobs.edit(e)); },
          [&](Get& g) { return reply_of(queries.get(g.id)); },
          [&](List& l) { return reply_of(queries.list(l.query)); },
          [&](Why& w) { return reply_of(queries.why(w.id)); },
          [&](GetStats&) { return Reply(queries.stats()); },
          [&](SchedulePut& p) { return status_reply(scheduler.put(p.spec)); },
          [&](ScheduleRemove& r) { return status_reply(scheduler.remove(r.name)); },
          [&](SchedulePause& p) { return status_reply(scheduler.pause(p.name, p.paused)); },
          [&](ScheduleRun& r) {
            Result<JobId> id = scheduler.run_now(r.name);
            return id ? ids(*id) : Reply(id.error());
          },
          [&](ScheduleBackfill& b) { return reply_of(scheduler.backfill(b.name, b.from_wall_ms, b.to_wall_ms)); },
          [&](ScheduleList& l) { return reply_of(scheduler.list(l.name)); },
          [&](QueuePause& p) { return pause(p); },
          [&](QueueDrain& d) {
            return apply_queue(d.name, [this](Queue& q) { return q.draining = drains_changed = true, ok_status(); });
          },
          [&](QueueSet& q) {
            return apply_queue(q.name, [&](Queue& queue) { return jobs.slack_changed(), lanes.set_queue(queue, q.settings); });
          },
          [&](QueueList& l) { return reply_of(queries.queues(l.name)); },
          [&](SetCondition& c) { return status_reply(conditions.set(c.spec, turn.now_ms)); },
          [&](RemoveCondition& c) { return conditions.remove(c.name), Reply(Done{}); },
          [&](TellCondition& t) { return status_reply(conditions.tell(t, turn.now_ms)); },
          [&](ConditionList& l) { return reply_of(conditions.list(l.name, turn.now_ms, turn.offset_ms)); },
          [&](Emit& e) { return reply_of(events.emit(e)); },
          [&](SetSubscription& s) { return status_reply(events.set(s.spec)); },
          [&](RemoveSubscription& s) { return status_reply(events.remove(s.name)); },
          [&](SubscriptionList& l) { return reply_of(events.list(l.name)); },
          [&](SetRunner& r) { return status_reply(set_runner(r.spec)); },
          [&](RemoveRunner& r) { return lanes.remove_runner(r.name), Reply(Done{}); },
          [&](SetLimits& l) { return status_reply(set_limits(l.limits)); },
          [&](SetQueueDefaults& d) {
            if (Status ok = check_queue_name(d.name); !ok) return Reply(ok.error());
            jobs.slack_changed();
            return status_reply(lanes.configure_queue(lanes.queue(d.name), d.settings));
          },
          [&](SetDispatch& d) { return dispatcher.set_on(d.on), Reply(Done{}); },
          [&](StopAll& a) { return jobs.stop_all(a.hand_back), Reply(Done{}); },
          [&](Prune&) { return Reply(retention.prune_all()); },
          [&](Backup&) { return Reply(Done{}); },
          [&](Check&) { return Reply(Done{}); },
          [&](SetRoom& r) {
            jobs.flush();  // what came in before it
            turn.room = r.room;
            jobs.room_changed();
            store->set_room(turn.room, limits.ballast);
            return Reply(Done{});
          },
          [&](SetClockRule& c) {
            if (Status ok = validate(c.rule); !ok) return Reply(ok.error());
            timekeeper.set_rule(c.rule);
            return judge_clock(ok_status());
          },
          [&](ConfirmClock&) { return judge_clock(timekeeper.confirm()); },
          [&](ForgetClockFloor&) { return timekeeper.forget_floor(), judge_clock(ok_status()); },
          [&](LinkUp&) { return dispatcher.link_up(), Reply(Done{}); },
          [&](SetBudgets& b) {
            Status set = budgets.set(b);
            lanes.set_budget_reserves(budgets.reserves());
            return status_reply(std::move(set));
          },
          [&](SetLossReport& r) { return status_reply(loss_reporter.set(r)); },
          [&](SetLink& l) { return status_reply(budgets.set_link(l.name)); },
          [&](EndSafeMode&) { return safe_mode.end(), Reply(Done{}); },
          [&](ClockStepped&) { return Reply(Done{}); },
      },
      request.op);
}

}  // namespace hf
