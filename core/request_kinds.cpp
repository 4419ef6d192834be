#include "core/request_kinds.h"

#include <algorithm>

namespace hf {

namespace {
template <class... T>
bool is_one_of(const Request& r) {
  return (std::holds_alternative<T>(r.op) || ...);
}
}  // namespace

bool waits_for_disk(const Request& r) {
  if (auto* e = std::get_if<Enqueue>(&r.op)) {
    return std::any_of(e->specs.begin(), e->specs.end(), [](const JobSpec& s) { return waits_for_disk(s.durability); });
  }
  if (auto* ended = std::get_if<RunEnded>(&r.op)) return ended->durable;
  if (auto* t = std::get_if<Transact>(&r.op)) return t->durable && !t->reads_only;
  return is_one_of<Cancel, Retry, RetryAllDead, Remove, Edit, SchedulePut, ScheduleRemove, SchedulePause, ScheduleRun, ScheduleBackfill,
                   QueuePause, QueueSet, ConfirmClock, ForgetClockFloor, SetLink, Emit>(r);
}

bool can_wait(const Request& r) { return is_one_of<Enqueue, RunEnded>(r) && !waits_for_disk(r); }

bool adds(const Request& r) {
  return is_one_of<RetryAllDead, Enqueue, ReserveIds, Transact, Edit, Remember, SchedulePut, ScheduleRun, ScheduleBackfill, Emit>(r);
}
bool reads(const Request& r) {
  if (auto* t = std::get_if<Transact>(&r.op)) return t->reads_only;
  return is_one_of<Get, List, Why, GetStats, ScheduleList, QueueList, Progress, LogLine, SetRunner, RemoveRunner, SetLimits, SetClockRule, SetQueueDefaults,
                   SetDispatch, SetRoom, Backup, Check, ClockStepped, LinkUp, SetBudgets, SetLossReport,
                   SetCondition, RemoveCondition, TellCondition, ConditionList, SetSubscription, RemoveSubscription, SubscriptionList>(r);
}

}  // namespace hf
