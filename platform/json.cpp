#include "platform/json.h"

#include "core/callbacks.h"
#include "core/names.h"
#include "core/rate.h"
#include "core/units.h"
#include "platform/json_choices.h"
#include "platform/json_spec.h"
#include "platform/json_text.h"

namespace hf {
namespace {

using Json = JsonObject;

void put_text(Json* to, const char* name, const std::string& text) {
  if (!text.empty()) (*to)[name] = text;
}
void put_time(Json* to, const char* name, int64_t wall_ms) {
  if (wall_ms != 0) (*to)[name] = format_time(wall_ms);
}
void put_bytes(Json* to, const std::string& name, const std::string& bytes) {
  if (valid_utf8(bytes)) {
    (*to)[name] = bytes;
  } else {
    (*to)[name + "_base64"] = base64_encode(bytes);
  }
}

Json attempt_object(const Attempt& attempt, Sight sight) {
  Json json;
  json["number"] = attempt.number;
  if (attempt.delivery) json["delivery"] = true;
  put_time(&json, "started", attempt.started_ms);
  json["took_ms"] = attempt.took_ms;
  json["outcome"] = attempt.outcome;
  if (sight == Sight::all) {
    put_text(&json, "error", attempt.error);
    put_text(&json, "log", attempt.log);
  }
  return json;
}

// The one that goes on, if it has a log; else null.
const Attempt* running_attempt(const JobInfo& job) {
  return job.in_use && !job.history.empty() && job.history.back().outcome.empty() ? &job.history.back() : nullptr;
}

void put_inside(Json* to, const JobInfo& job) {
  Json& json = *to;
  put_text(&json, "tags", job.tags);
  put_text(&json, "unique_key", job.unique_key);
  put_text(&json, "concurrency_key", job.concurrency_key);
  put_text(&json, "progress_note", job.progress_note);
  put_text(&json, "error", job.error);
  if (const Attempt* running = running_attempt(job)) put_text(&json, "log", running->log);
  // A page of a list has the sizes, not the bytes.
  if (job.payload_size == static_cast<int64_t>(job.payload.size()))
    put_bytes(&json, "payload", job.payload);
  if (!job.result.empty()) put_bytes(&json, "result", job.result);
}

Json job_object(const JobInfo& job, Sight sight) {
  Json json;
  json["id"] = job.id;
  json["type"] = job.type;
  json["queue"] = job.queue;
  json["state"] = state_name(job.state);
  json["scheduled"] = job.scheduled;
  json["delivering"] = job.delivering;
  json["attempts"] = job.attempts;
  json["max_attempts"] = job.max_attempts;
  json["priority"] = job.priority;
  put_time(&json, "created", job.created_wall_ms);
  if (job.state == State::pending) put_time(&json, "due", job.due_wall_ms);
  put_time(&json, "finished", job.finished_wall_ms);
  put_time(&json, "expires", job.expires_wall_ms);
  put_time(&json, "occurrence", job.occurrence_wall_ms);
  if (!job.after.empty()) {
    JsonArray after;
    for (const JobId id : job.after) after.push_back(id);
    json["after"] = after;
  }
  put_text(&json, "schedule", job.schedule);
  put_text(&json, "sink", job.sink);
  put_text(&json, "callback", job.callback);
  put_text(&json, "failure_callback", job.failure_callback);
  if (job.timeout_ms > 0) json["timeout"] = format_duration(job.timeout_ms);
  if (job.timeout_ms < 0) json["timeout"] = "none";
  put_text(&json, "key", job.key);
  if (job.progress >= 0) json["progress"] = job.progress;
  json["payload_size"] = job.payload_size;
  json["result_size"] = job.result_size;
  if (sight == Sight::all) put_inside(&json, job);
  JsonArray history;
  for (const Attempt& attempt : job.history) {
    if (&attempt != running_attempt(job)) history.push_back(attempt_object(attempt, sight));
  }
  if (!history.empty()) json["history"] = history;
  return json;
}

Json backoff_object(const BackoffSpec& backoff) {
  Json json;
  if (backoff.kind) json["kind"] = name_in(kBackoffKinds, *backoff.kind);
  if (backoff.base_ms) json["base"] = format_duration(backoff.base_ms);
  if (backoff.factor != 0) json["factor"] = backoff.factor;
  if (backoff.max_ms) json["max"] = format_duration(backoff.max_ms);
  if (backoff.jitter) json["jitter"] = name_in(kJitters, *backoff.jitter);
  if (backoff.jitter_percent) json["jitter_percent"] = backoff.jitter_percent;
  JsonArray list;
  for (const int64_t ms : backoff.list_ms) list.push_back(format_duration(ms));
  if (!list.empty()) json["list"] = list;
  return json;
}

void put_scheduled_job(Json* to, const JobSpec& job, Sight sight) {
  Json& json = *to;
  json["type"] = job.type;
  json["queue"] = job.queue;
  if (job.priority != 0) json["priority"] = job.priority;
  if (job.policy.max_attempts) json["max_attempts"] = job.policy.max_attempts;
  if (const Json backoff = backoff_object(job.policy.backoff); !backoff.empty()) json["backoff"] = backoff;
  if (job.policy.timeout_ms > 0) json["timeout"] = format_duration(job.policy.timeout_ms);
  if (job.policy.timeout_ms < 0) json["timeout"] = "none";
  if (job.ttl_ms) json["ttl"] = format_duration(job.ttl_ms);
  if (sight == Sight::all) put_text(&json, "concurrency_key", job.concurrency_key);
  put_text(&json, "sink", job.sink);
  put_text(&json, "callback", job.callback);
  put_text(&json, "failure_callback", job.failure_callback);
  if (job.durability != Durability::sync) json["durability"] = name_in(kDurabilities, job.durability);
  if (sight == Sight::outline) return;
  put_text(&json, "tags", job.tags);
  if (!job.payload.empty()) put_bytes(&json, "payload", job.payload);
}

Json schedule_object(const ScheduleInfo& schedule, Sight sight) {
  Json json;
  json["name"] = schedule.spec.name;
  json["cron"] = schedule.spec.cron;
  json["tz"] = schedule.spec.zone;
  const ScheduleSpec& spec = schedule.spec;
  if (spec.dst != DstPolicy::vixie) json["dst"] = name_in(kDstPolicies, spec.dst);
  if (spec.jitter_ms) json["jitter"] = format_duration(spec.jitter_ms);
  if (spec.splay_ms) json["splay"] = format_duration(spec.splay_ms);
  json["catch_up"] = name_in(kCatchUps, spec.catch_up);
  if (spec.catch_up_window_ms) json["catch_up_window"] = format_duration(spec.catch_up_window_ms);
  if (spec.catch_up_max != kCatchUpDefault) json["catch_up_max"] = spec.catch_up_max;
  json["overlap"] = name_in(kOverlaps, spec.overlap);
  put_time(&json, "start", spec.start_wall_ms);
  put_time(&json, "end", spec.end_wall_ms);
  if (spec.slack_ms) json["slack"] = format_duration(spec.slack_ms);
  if (spec.limit) json["limit"] = spec.limit;
  if (spec.pause_after_failures) json["pause_after_failures"] = spec.pause_after_failures;
  put_scheduled_job(&json, schedule.spec.job, sight);
  if (schedule.spec.configured) json["configured"] = true;
  json["paused"] = schedule.paused;
  put_text(&json, "waiting", schedule.waiting);
  put_time(&json, "next", schedule.next_wall_ms);
  put_time(&json, "last", schedule.last_wall_ms);
  if (schedule.last_job) json["last_job"] = schedule.last_job;
  json["fired"] = schedule.fired;
  json["skipped"] = schedule.skipped;
  if (schedule.failures) json["failures"] = schedule.failures;
  return json;
}

JsonArray name_array(const std::vector<std::string>& names) {
  JsonArray json;
  for (const std::string& name : names) json.push_back(name);
  return json;
}

Json subscription_object(const SubscriptionInfo& subscription, Sight sight) {
  const SubscriptionSpec& spec = subscription.spec;
  const JobSpec& job = spec.job;
  Json json, filter;
  json["name"] = spec.name;
  json["event"] = spec.event;
  for (const auto& [field, value] : spec.filter) filter[field] = JsonText{value};
  if (sight == Sight::all && !filter.empty()) json["filter"] = filter;  // it is values of payloads
  put_scheduled_job(&json, job, sight);
  if (sight == Sight::all && spec.own_payload && job.payload.empty()) json["payload"] = "";
  if (job.delay_ms) json["delay"] = format_duration(job.delay_ms);
  if (sight == Sight::all) put_text(&json, "unique_key", job.unique_key);
  if (job.unique_by != UniqueBy::key) json["unique_by"] = name_in(kUniqueBys, job.unique_by);
  if (job.unique_for_ms) json["unique_for"] = format_duration(job.unique_for_ms);
  if (job.on_conflict != OnConflict::keep) json["on_conflict"] = name_in(kConflicts, job.on_conflict);
  if (job.debounce_max_ms) json["debounce_max"] = format_duration(job.debounce_max_ms);
  json["matched"] = subscription.matched;
  return json;
}

Json condition_object(const ConditionInfo& condition) {
  const ConditionSpec& spec = condition.spec;
  Json json;
  json["name"] = spec.name;
  json["state"] = !condition.known ? "unknown" : condition.open ? "open" : "closed";
  put_text(&json, "why", condition.why);
  if (condition.asking) json["asking"] = true;
  put_time(&json, "said", condition.said_wall_ms);
  put_time(&json, "until", condition.until_wall_ms);
  if (spec.told) {
    json["told"] = spec.initially ? "open" : "closed";
  } else if (!spec.links.empty()) {
    json["link"] = name_array(spec.links);
  } else {
    json["every"] = format_duration(spec.every_ms);
  }
  return json;
}

void put_settings(Json* json, const QueueSettings& settings) {
  if (settings.concurrency) (*json)["concurrency"] = *settings.concurrency;
  if (settings.slack_ms) (*json)["slack"] = format_duration(*settings.slack_ms);
  if (settings.windows) (*json)["windows"] = *settings.windows;
  if (settings.zone) (*json)["tz"] = *settings.zone;
  if (settings.rate_limit) (*json)["rate_limit"] = format_rate_limit(*settings.rate_limit);
  if (settings.throttle) (*json)["throttle"] = format_throttle(*settings.throttle);
  if (settings.key_concurrency) (*json)["key_concurrency"] = *settings.key_concurrency;
  if (settings.key_rate_limit) (*json)["key_rate_limit"] = format_rate_limit(*settings.key_rate_limit);
  if (settings.key_throttle) (*json)["key_throttle"] = format_throttle(*settings.key_throttle);
  if (settings.order) (*json)["order"] = name_in(kQueueOrders, *settings.order);
  if (settings.aging_ms) (*json)["aging"] = format_duration(*settings.aging_ms);
  if (settings.fair) (*json)["fair"] = *settings.fair;
  if (settings.when) (*json)["when"] = name_array(*settings.when);
  if (settings.max_pending) (*json)["max_pending"] = *settings.max_pending;
  if (settings.when_full) (*json)["when_full"] = name_in(kWhenFull, *settings.when_full);
  if (settings.enqueue_limit) (*json)["enqueue_limit"] = format_rate_limit(*settings.enqueue_limit);
  if (settings.key_enqueue_limit) (*json)["key_enqueue_limit"] = format_rate_limit(*settings.key_enqueue_limit);
  if (settings.retry_budget) (*json)["retry_budget"] = format_rate_limit(*settings.retry_budget);
  if (settings.keep_completed_ms) (*json)["retention_completed"] = format_duration(*settings.keep_completed_ms);
  if (settings.keep_dead_ms) (*json)["retention_dead"] = format_duration(*settings.keep_dead_ms);
  if (settings.keep_completed_count) (*json)["retention_completed_count"] = *settings.keep_completed_count;
  if (settings.keep_dead_count) (*json)["retention_dead_count"] = *settings.keep_dead_count;
}

Json queue_object(const QueueInfo& queue) {
  Json json;
  json["name"] = queue.name;
  json["paused"] = queue.paused;
  put_text(&json, "pause_reason", queue.pause_reason);
  put_time(&json, "resumes", queue.resumes_wall_ms);
  json["draining"] = queue.draining;
  json["open"] = queue.open;
  put_time(&json, queue.open ? "closes" : "opens", queue.changes_wall_ms);
  json["pending"] = queue.pending;
  json["running"] = queue.running;
  if (!queue.settings.concurrency) json["concurrency"] = nullptr;
  put_settings(&json, queue.settings);
  if (queue.set == QueueSettings()) return json;
  Json set;
  put_settings(&set, queue.set);
  json["set"] = set;
  return json;
}

JsonArray queue_array(const std::vector<QueueInfo>& queues) {
  JsonArray json;
  for (const QueueInfo& queue : queues) json.push_back(queue_object(queue));
  return json;
}

}  // namespace

std::string job_json(const JobInfo& job, Sight sight) {
  return job_object(job, sight).text();
}

std::string callback_json(const JobInfo& job) {
  Json json;
  json["type"] = callback_event(job);
  put_time(&json, "timestamp", job.finished_wall_ms);
  json["data"] = job_object(job, Sight::all);
  return json.text();
}

std::string jobs_json(const JobPage& page, Sight sight) {
  Json json;
  JsonArray jobs;
  for (const JobInfo& job : page.jobs) jobs.push_back(job_object(job, sight));
  json["jobs"] = jobs;
  if (page.next) json["next"] = page.next;
  return json.text();
}

namespace {

// What a gate says to whoever may only look: not the error of a run, and no key.
std::string outline_of(const ClosedGate& gate) {
  if (gate.gate == "handler_parked") return "its handler or sink is out of reach";
  if (gate.gate == "key") return "as many run with its concurrency_key as may at once";
  const bool of_key = (gate.gate == "rate_limit" || gate.gate == "throttle") && gate.why.starts_with("concurrency_key ");
  return of_key ? "runs with its concurrency_key begin no faster" : gate.why;
}

}  // namespace

std::string why_json(const WhyInfo& why, Sight sight) {
  Json json;
  json["id"] = why.job.id;
  json["state"] = state_name(why.job.state);
  const bool all = sight == Sight::all;
  std::string summary = why.summary;
  // Of a dead job it has the error, of a pending one what the gates say.
  if (!all && why.job.state == State::dead) summary = "it is in the dead letters";
  if (!all && !why.gates.empty()) summary.clear();
  JsonArray gates;
  for (const ClosedGate& gate : why.gates) {
    const std::string text = all ? gate.why : outline_of(gate);
    if (!all) summary += (summary.empty() ? "" : "; ") + text;
    Json entry;
    entry["gate"] = gate.gate;
    entry["why"] = text;
    put_time(&entry, "opens", gate.opens_wall_ms);
    gates.push_back(entry);
  }
  json["summary"] = summary;
  json["gates"] = gates;
  json["job"] = job_object(why.job, sight);
  return json.text();
}

namespace {

JsonArray loss_array(const std::vector<Loss>& losses) {
  JsonArray list;
  for (const Loss& loss : losses) {
    Json json;
    json["cause"] = loss_cause_name(loss.cause);
    json["queue"] = loss.queue;
    json["total"] = loss.total;
    json["unreported"] = loss.unreported;
    json["last"] = format_time(loss.last_wall_ms);
    list.push_back(json);
  }
  return list;
}

JsonArray budget_array(const std::vector<BudgetInfo>& budgets) {
  JsonArray list;
  for (const BudgetInfo& budget : budgets) {
    Json json;
    json["link"] = budget.spec.link;
    json["in_force"] = budget.in_force;
    if (budget.spec.rate > 0) json["rate"] = budget.spec.rate;
    if (budget.spec.day_bytes > 0) json["day"] = budget.spec.day_bytes;
    if (budget.spec.month_bytes > 0) json["month"] = budget.spec.month_bytes;
    if (budget.spec.reserve_percent > 0) {
      json["reserve"] = budget.spec.reserve_percent;
      json["reserve_priority"] = budget.spec.reserve_priority;
    }
    json["day_spent"] = budget.day_spent;
    json["month_spent"] = budget.month_spent;
    json["opens_in_ms"] = budget.opens_in_ms;
    list.push_back(json);
  }
  return list;
}

// Days are by the clock, and left out while it is not trusted.
JsonArray peer_array(const PeerReport& report) {
  JsonArray peers;
  for (const PeerTls& peer : report.peers) {
    Json entry, days, ends;
    entry["name"] = peer.name;
    entry["tls_verified"] = peer.verified;
    for (size_t i = 0; i < kCertsOf.size(); ++i) {
      if (peer.ends[i] == 0) continue;
      ends[kCertsOf[i]] = format_time(peer.ends[i]);
      days[kCertsOf[i]] = days_until(peer.ends[i], report.clock.wall_ms);
    }
    entry["cert_ends"] = ends;
    if (report.clock.trusted) entry["cert_days_left"] = days;
    peers.push_back(entry);
  }
  return peers;
}

}  // namespace

std::string stats_json(const Stats& stats, const PeerReport& peers) {
  Json json;
  for (int i = 0; i < kStates; ++i) json[state_name(static_cast<State>(i))] = stats.by_state[i];
  json["enqueued_total"] = stats.enqueued;
  json["started_total"] = stats.started;
  json["completed_total"] = stats.completed;
  json["failed_total"] = stats.failed;
  json["retried_total"] = stats.retried;
  json["dead_total"] = stats.dead;
  json["deferred_total"] = stats.deferred;
  json["cancelled_total"] = stats.cancelled;
  json["expired_total"] = stats.expired;
  json["fired_total"] = stats.fired;
  json["recovered_total"] = stats.recovered;
  json["quarantined_total"] = stats.quarantined;
  json["ticks_total"] = stats.ticks;
  json["commits_total"] = stats.commits;
  json["syncs_total"] = stats.synced_commits;
  json["clock_steps_total"] = stats.clock_steps;
  json["clock_trusted"] = stats.clock.trusted;
  json["unclean_start"] = stats.unclean_start;
  json["crashes_in_a_row"] = stats.crashes;
  json["disk_full"] = static_cast<int>(stats.room);
  json["safe_mode"] = stats.safe_mode_left_ms > 0;
  json["safe_mode_left_ms"] = stats.safe_mode_left_ms;
  json["salvages_total"] = stats.salvages;
  json["salvaged_jobs"] = stats.salvaged_jobs;
  json["salvage_lost_jobs"] = stats.salvage_lost_jobs;
  json["salvage_lost_unknown"] = stats.salvage_lost_unknown;
  json["log_losses_total"] = stats.log_losses;
  json["file_bytes"] = stats.file_bytes;
  json["max_bytes"] = stats.max_bytes;
  json["flash_day_bytes"] = stats.flash_day_bytes;
  json["flash_total_bytes"] = stats.flash_total_bytes;
  json["flash_budget"] = stats.flash_budget;
  json["flash_used_up"] = stats.flash_used_up();
  json["flash_gather_ms"] = stats.flash_gather_ms;
  json["max_jobs"] = stats.max_jobs;
  put_time(&json, "next_wake", stats.next_wake_wall_ms);
  if (stats.next_wake_in_ms >= 0) json["next_wake_in_ms"] = stats.next_wake_in_ms;
  json["queues"] = queue_array(stats.queues);
  json["link"] = stats.link;
  json["budgets"] = budget_array(stats.budgets);
  json["losses"] = loss_array(stats.losses);
  json["peers"] = peer_array(peers);
  return json.text();
}

std::string link_json(const Stats& stats) {
  Json json;
  json["link"] = stats.link;
  json["budgets"] = budget_array(stats.budgets);
  return json.text();
}

std::string clock_json(const ClockInfo& clock) {
  Json json;
  json["trusted"] = clock.trusted;
  json["synchronised"] = clock.synced;
  json["why"] = clock.why;
  json["time"] = format_time(clock.wall_ms);
  json["elapsed_ms"] = clock.elapsed_ms;
  json["floor"] = format_time(clock.floor_ms);
  json["ceiling"] = format_time(clock.ceiling_ms);
  json["steps_total"] = clock.steps;
  if (clock.step_age_ms >= 0) {
    json["last_step_ms"] = clock.step_by_ms;
    json["last_step_to"] = format_time(clock.step_to_wall_ms);
    json["last_step_age_ms"] = clock.step_age_ms;
  }
  return json.text();
}

std::string schedule_json(const ScheduleInfo& schedule, Sight sight, const std::string& device) {
  Json json = schedule_object(schedule, sight);
  put_text(&json, "device", device);
  return json.text();
}

namespace {
// {"schedules": [...]}
template <class T, class Object>
std::string list_of(const char* name, const std::vector<T>& all, const Object& object) {
  Json json;
  JsonArray list;
  for (const T& one : all) list.push_back(object(one));
  json[name] = list;
  return json.text();
}
}  // namespace

std::string schedules_json(const std::vector<ScheduleInfo>& schedules, Sight sight) {
  return list_of("schedules", schedules, [sight](const ScheduleInfo& schedule) { return schedule_object(schedule, sight); });
}

std::string condition_json(const ConditionInfo& condition) { return condition_object(condition).text(); }
std::string conditions_json(const std::vector<ConditionInfo>& conditions) { return list_of("conditions", conditions, condition_object); }

std::string queue_json(const QueueInfo& queue) {
  return queue_object(queue).text();
}

std::string queues_json(const std::vector<QueueInfo>& queues) {
  Json json;
  json["queues"] = queue_array(queues);
  return json.text();
}

std::string subscription_json(const SubscriptionInfo& subscription, Sight sight) { return subscription_object(subscription, sight).text(); }

std::string subscriptions_json(const std::vector<SubscriptionInfo>& subscriptions, Sight sight) {
  return list_of("subscriptions", subscriptions, [sight](const SubscriptionInfo& subscription) { return subscription_object(subscription, sight); });
}

std::string transition_json(const Transition& transition, int64_t wall_ms, Sight sight) {
  Json json;
  json["time"] = format_time(wall_ms);
  json["change"] = change_name(transition.change);
  if (transition.id) json["id"] = transition.id;
  put_text(&json, "type", transition.type);
  put_text(&json, "queue", transition.queue);
  if (transition.attempt) json["attempt"] = transition.attempt;
  if (transition.took_ms) json["took_ms"] = transition.took_ms;
  if (transition.wait_ms) json["wait_ms"] = transition.wait_ms;
  if (sight == Sight::all) put_text(&json, "detail", transition.detail);
  return json.text();
}

std::string ids_json(std::span<const JobId> ids) {
  if (ids.size() != 1) return id_list_json(ids);
  Json json;
  json["id"] = ids[0];
  return json.text();
}

std::string id_list_json(std::span<const JobId> ids) {
  Json json;
  JsonArray list;
  for (const JobId id : ids) list.push_back(id);
  json["ids"] = list;
  return json.text();
}

std::string error_json(const Error& error) {
  Json inside, json;
  inside["code"] = error_name(error.code);
  inside["message"] = error.message;
  json["error"] = inside;
  return json.text();
}

const char* error_name(int code) {
  switch (code) {
#define HF_ERROR_NAME_(name, value, code_text, text) \
  case name:                                         \
    return code_text;
    HF_ERRORS(HF_ERROR_NAME_)
#undef HF_ERROR_NAME_
    default:
      return "internal";
  }
}

}  // namespace hf
