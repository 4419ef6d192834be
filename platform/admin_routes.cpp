// The routes of the admin API: one row of the table each, then the functions in the same order.
#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <utility>

#include "core/left_out.h"
#include "core/names.h"
#include "core/units.h"
#include "platform/admin_conditions.h"
#include "platform/admin_desk.h"
#include "platform/admin_events.h"
#include "platform/heal.h"
#include "platform/health.h"
#include "platform/json_fields.h"
#include "platform/json_spec.h"

namespace hf {
namespace {

constexpr int64_t kWaitDefaultMs = 30'000;
constexpr int64_t kWaitMaxMs = 3'600'000;
constexpr int64_t kEngineAnswerMs = 5'000;  // longer than this and the engine counts as stuck

using Serve = Status (*)(AdminDesk& desk, AdminCall& call);

// ---- what a request says
// ----------------------------------------------------------------------------

Result<int64_t> whole_number(std::string_view what, std::string_view text, int64_t min,
                             int64_t max) {
  int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size() || value < min || value > max) {
    return Error{HF_E_INVALID, std::string(what) + ": found " + quoted(text) +
                                   ", expected a whole number from " + std::to_string(min) +
                                   " to " + std::to_string(max)};
  }
  return value;
}

Result<JobId> job_id(const AdminCall& call) {
  return whole_number("job id", call.names[0], 1, std::numeric_limits<int64_t>::max());
}

// Refuses a parameter that the route does not know, so that a mistyped filter is not an unfiltered
// list.
Status check_parameters(const AdminCall& call, std::initializer_list<std::string_view> known) {
  const std::vector<std::string_view> names(known);
  for (const auto& [name, value] : call.request.query) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    return Error{HF_E_INVALID, "unknown parameter " + quoted(name) + did_you_mean(name, names) +
                                   (names.empty() ? " (none is known here)"
                                                  : " (known here: " + list_of(names) + ")")};
  }
  return ok_status();
}

struct Listed {
  std::string_view name;
  State state;
  std::optional<bool> scheduled;
};
constexpr Listed kListed[] = {
    {"pending", State::pending, std::nullopt},     {"ready", State::pending, false},
    {"scheduled", State::pending, true},           {"running", State::running, std::nullopt},
    {"completed", State::completed, std::nullopt}, {"dead", State::dead, std::nullopt},
    {"cancelled", State::cancelled, std::nullopt}};

Status read_state(const std::string& text, ListQuery* query) {
  std::vector<std::string_view> names;
  for (const Listed& listed : kListed) {
    if (listed.name == text) {
      query->state = listed.state;
      query->scheduled = listed.scheduled;
      return ok_status();
    }
    names.push_back(listed.name);
  }
  return Error{HF_E_INVALID, "state: found " + quoted(text) + ", expected " + list_of(names, "or") +
                                 did_you_mean(text, names)};
}

Result<ListQuery> list_query(const AdminCall& call) {
  HF_TRY(check_parameters(call, {"state", "queue", "type", "limit", "after"}));
  ListQuery query;
  if (const auto* state = call.request.parameter("state")) HF_TRY(read_state(*state, &query));
  if (const auto* queue = call.request.parameter("queue")) query.queue = *queue;
  if (const auto* type = call.request.parameter("type")) query.type = *type;
  if (const auto* limit = call.request.parameter("limit")) {
    auto number = whole_number("limit", *limit, 1, 1000);
    if (!number) return number.error();
    query.limit = static_cast<int>(*number);
  }
  if (const auto* after = call.request.parameter("after")) {
    auto number = whole_number("after", *after, 0, std::numeric_limits<int64_t>::max());
    if (!number) return number.error();
    query.before = *number;
  }
  return query;
}

// ---- jobs
// -------------------------------------------------------------------------------------------

ServerResponse id_response(JobId id) {
  return json_response(ids_json({&id, 1}));
}

Status add_jobs(AdminDesk& desk, AdminCall& call) {
  auto enqueue = parse_enqueue(call.request.body);
  if (!enqueue) return enqueue.error();
  desk.ask(call, std::move(*enqueue), [](Reply& reply) {
    return json_response(ids_json(std::get<std::vector<JobId>>(reply)), 201);
  });
  return ok_status();
}

Status list_jobs(AdminDesk& desk, AdminCall& call) {
  auto query = list_query(call);
  if (!query) return query.error();
  desk.ask(call, List{*query}, [sight = call.sight](Reply& reply) {
    return json_response(jobs_json(std::get<JobPage>(reply), sight));
  });
  return ok_status();
}

Status retry_dead(AdminDesk& desk, AdminCall& call) {
  RetryAllDead op;
  HF_TRY(check_parameters(call, {"limit", "queue", "type", "over"}));
  if (const auto* limit = call.request.parameter("limit")) {
    auto number = whole_number("limit", *limit, 1, kRetryAllMax);
    if (!number) return number.error();
    op.limit = static_cast<int>(*number);
  }
  if (const auto* queue = call.request.parameter("queue")) op.queue = *queue;
  if (const auto* type = call.request.parameter("type")) op.type = *type;
  if (const auto* over = call.request.parameter("over")) {
    auto ms = parse_duration(*over);
    if (!ms) return Error{HF_E_INVALID, "over: " + ms.error().message};
    op.over_ms = *ms;
  }
  desk.ask(call, op, [](Reply& reply) {
    return json_response("{\"retried\":" + std::to_string(std::get<int64_t>(reply)) + "}");
  });
  return ok_status();
}

Status show_job(AdminDesk& desk, AdminCall& call) {
  auto id = job_id(call);
  if (!id) return id.error();
  desk.ask(call, Get{*id}, [sight = call.sight](Reply& reply) {
    return json_response(job_json(std::get<JobInfo>(reply), sight));
  });
  return ok_status();
}

Status remove_job(AdminDesk& desk, AdminCall& call) {
  auto id = job_id(call);
  if (!id) return id.error();
  desk.ask(call, Remove{*id}, [id = *id](Reply&) { return id_response(id); });
  return ok_status();
}

Status edit_job(AdminDesk& desk, AdminCall& call) {
  auto id = job_id(call);
  if (!id) return id.error();
  auto edit = parse_edit(*id, call.request.body);
  if (!edit) return edit.error();
  desk.ask(call, std::move(*edit), [id = *id](Reply&) { return id_response(id); });
  return ok_status();
}

Status cancel_job(AdminDesk& desk, AdminCall& call) {
  auto id = job_id(call);
  if (!id) return id.error();
  desk.ask(call, Cancel{*id}, [id = *id](Reply&) { return id_response(id); });
  return ok_status();
}

// What the program of a run says of it.
template <class T>
Status hear(AdminDesk& desk, AdminCall& call, Result<T> (*parse)(JobId, std::string_view)) {
  auto id = job_id(call);
  if (!id) return id.error();
  auto said = parse(*id, call.request.body);
  if (!said) return said.error();
  desk.ask(call, std::move(*said), [id = *id](Reply&) { return id_response(id); });
  return ok_status();
}
Status job_progress(AdminDesk& desk, AdminCall& call) { return hear(desk, call, parse_progress); }
Status job_checkpoint(AdminDesk& desk, AdminCall& call) { return hear(desk, call, parse_checkpoint); }
Status job_log(AdminDesk& desk, AdminCall& call) { return hear(desk, call, parse_log_line); }

Status retry_job(AdminDesk& desk, AdminCall& call) {
  auto id = job_id(call);
  if (!id) return id.error();
  desk.ask(call, Retry{*id}, [id = *id](Reply&) { return id_response(id); });
  return ok_status();
}

Status why_job(AdminDesk& desk, AdminCall& call) {
  auto id = job_id(call);
  if (!id) return id.error();
  desk.ask(call, Why{*id}, [sight = call.sight](Reply& reply) {
    return json_response(why_json(std::get<WhyInfo>(reply), sight));
  });
  return ok_status();
}

Status wait_for_job(AdminDesk& desk, AdminCall& call) {
  auto id = job_id(call);
  if (!id) return id.error();
  HF_TRY(check_parameters(call, {"timeout"}));
  int64_t timeout_ms = kWaitDefaultMs;
  if (const auto* timeout = call.request.parameter("timeout")) {
    auto parsed = parse_duration(*timeout);
    if (!parsed) return Error{HF_E_INVALID, "timeout: " + parsed.error().message};
    timeout_ms = std::min(*parsed, kWaitMaxMs);
  }
  desk.wait_for(call, *id, timeout_ms);
  return ok_status();
}

// ---- schedules
// ----------------------------------------------------------------------------------------

Status list_schedules(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, ScheduleList{}, [sight = call.sight](Reply& reply) {
    return json_response(schedules_json(std::get<std::vector<ScheduleInfo>>(reply), sight));
  });
  return ok_status();
}

Status show_schedule(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, ScheduleList{call.names[0]},
           [&host = desk.host, sight = call.sight, name = call.names[0]](Reply& reply) {
             const auto& found = std::get<std::vector<ScheduleInfo>>(reply);
             if (found.empty()) return no_such("schedule", name);
             return json_response(schedule_json(found[0], sight, host.device()));
           });
  return ok_status();
}

// Does it, then answers with the schedule as it is now.
Status change_schedule(AdminDesk& desk, AdminCall& call, Op op) {
  call.request.body.clear();
  desk.ask_then(call, std::move(op), [self = desk.shared_from_this(), call](Reply&) mutable {
    (void)show_schedule(*self, call);  // does not fail: the engine answers
  });
  return ok_status();
}

Status put_schedule(AdminDesk& desk, AdminCall& call) {
  HF_TRY(check_name("schedule", call.names[0]));
  auto spec = parse_schedule(call.names[0], call.request.body);
  if (!spec) return spec.error();
  return change_schedule(desk, call, SchedulePut{std::move(*spec)});
}

Status remove_schedule(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, ScheduleRemove{call.names[0]}, [](Reply&) { return json_response("{}"); });
  return ok_status();
}

Status pause_schedule(AdminDesk& desk, AdminCall& call) {
  return change_schedule(desk, call, SchedulePause{call.names[0], true});
}

Status resume_schedule(AdminDesk& desk, AdminCall& call) {
  return change_schedule(desk, call, SchedulePause{call.names[0], false});
}

Status run_schedule(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, ScheduleRun{call.names[0]}, [](Reply& reply) {
    return json_response(ids_json(std::get<std::vector<JobId>>(reply)), 201);
  });
  return ok_status();
}

Status backfill_schedule(AdminDesk& desk, AdminCall& call) {
  auto span = parse_backfill(call.request.body);
  if (!span) return span.error();
  span->name = call.names[0];
  desk.ask(call, *span, [](Reply& reply) {
    return json_response(id_list_json(std::get<std::vector<JobId>>(reply)), 201);
  });
  return ok_status();
}

// ---- queues
// -------------------------------------------------------------------------------------------

Status list_queues(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, QueueList{}, [](Reply& reply) {
    return json_response(queues_json(std::get<std::vector<QueueInfo>>(reply)));
  });
  return ok_status();
}

Status show_queue(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, QueueList{call.names[0]}, [name = call.names[0]](Reply& reply) {
    const auto& found = std::get<std::vector<QueueInfo>>(reply);
    if (found.empty()) return no_such("queue", name);
    return json_response(queue_json(found[0]));
  });
  return ok_status();
}

Status change_queue(AdminDesk& desk, AdminCall& call, Op op) {
  HF_TRY(check_name("queue", call.names[0]));
  call.request.body.clear();
  desk.ask_then(call, std::move(op), [self = desk.shared_from_this(), call](Reply&) mutable {
    (void)show_queue(*self, call);  // does not fail: the engine answers
  });
  return ok_status();
}

Status set_queue(AdminDesk& desk, AdminCall& call) {
  auto settings = parse_queue_settings(call.request.body);
  if (!settings) return settings.error();
  return change_queue(desk, call, QueueSet{call.names[0], *settings});
}

Status pause_queue(AdminDesk& desk, AdminCall& call) {
  auto pause = parse_pause(call.names[0], call.request.body);
  if (!pause) return pause.error();
  return change_queue(desk, call, std::move(*pause));
}

Status resume_queue(AdminDesk& desk, AdminCall& call) {
  return change_queue(desk, call, QueuePause{.name = call.names[0], .paused = false});
}

Status drain_queue(AdminDesk& desk, AdminCall& call) {
  return change_queue(desk, call, QueueDrain{call.names[0]});
}

// ---- the rest
// -----------------------------------------------------------------------------------------

Status watch_feed(AdminDesk& desk, AdminCall& call) {
  HF_TRY(check_parameters(call, {"queue", "type", "id"}));
  AdminDesk::Filter filter;
  if (const auto* queue = call.request.parameter("queue")) filter.queue = *queue;
  if (const auto* type = call.request.parameter("type")) filter.type = *type;
  if (const auto* id = call.request.parameter("id")) {
    auto number = whole_number("id", *id, 1, std::numeric_limits<int64_t>::max());
    if (!number) return number.error();
    filter.id = *number;
  }
  desk.watch(call, std::move(filter));
  return ok_status();
}

Status show_stats(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, GetStats{}, [self = desk.shared_from_this()](Reply& reply) {
    return json_response(stats_json(std::get<Stats>(reply), self->host.peer_report()));
  });
  return ok_status();
}

Status show_clock(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, GetStats{}, [](Reply& reply) { return json_response(clock_json(std::get<Stats>(reply).clock)); });
  return ok_status();
}

Status show_link(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, GetStats{}, [](Reply& reply) { return json_response(link_json(std::get<Stats>(reply))); });
  return ok_status();
}

Status set_link(AdminDesk& desk, AdminCall& call) {
  auto link = parse_link(call.request.body);
  if (!link) return link.error();
  call.request.body.clear();
  desk.ask_then(call, std::move(*link), [self = desk.shared_from_this(), call](Reply&) mutable { (void)show_link(*self, call); });
  return ok_status();
}

// Does it, then answers with what the clock is now.
Status change_clock(AdminDesk& desk, AdminCall& call, Op op) {
  call.request.body.clear();
  desk.ask_then(call, std::move(op), [self = desk.shared_from_this(), call](Reply&) mutable { (void)show_clock(*self, call); });
  return ok_status();
}

Status confirm_clock(AdminDesk& desk, AdminCall& call) { return change_clock(desk, call, ConfirmClock{}); }
Status reset_clock(AdminDesk& desk, AdminCall& call) { return change_clock(desk, call, ForgetClockFloor{}); }

Status show_metrics(AdminDesk& desk, AdminCall& call) {
  if (!has_metrics()) return left_out("figures for Prometheus are", "METRICS");
  desk.ask(call, GetStats{}, [self = desk.shared_from_this()](Reply& reply) {
    ProcessFigures process;
    process.start_wall_ms = self->start_wall_ms;
    process.resident_bytes = resident_bytes();
    process.clients = self->server ? static_cast<int64_t>(self->server->clients()) : 0;
    ServerResponse response;
    response.body = prometheus_text(std::get<Stats>(reply), self->run_times, process, self->host.peer_report());
    response.content_type = kPrometheusType;
    return response;
  });
  return ok_status();
}

Status show_health(AdminDesk& desk, AdminCall& call) {
  const auto deadline = desk.after(kEngineAnswerMs, [responder = call.responder] {
    const Health health = stuck_health(kEngineAnswerMs);
    responder.reply(json_response(health_json(health), 503));
  });
  desk.ask(call, GetStats{}, [self = desk.shared_from_this(), deadline](Reply& reply) {
    self->call_off(deadline);
    const Health health = health_of(std::get<Stats>(reply), self->host.peer_report(), self->host.stuck_runs()->report(boot_ms()));
    return json_response(health_json(health), health.failing() ? 503 : 200);
  });
  return ok_status();
}

Status check_file(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, Check{}, [path = desk.host.path()](Reply& reply) {
    const std::string& problems = std::get<std::string>(reply);
    std::string json = problems.empty() ? "{\"ok\":true" : "{\"ok\":false,\"problems\":" + json_string(problems);
    json += ",\"file\":" + json_string(path) + ",\"set_aside\":[";
    bool first = true;
    for (const std::string& name : damaged_files(path)) {
      if (!std::exchange(first, false)) json += ",";
      json += json_string(name);
    }
    return json_response(json + "]}");
  });
  return ok_status();
}

Status back_up(AdminDesk& desk, AdminCall& call) {
  auto backup = parse_backup(call.request.body);
  if (!backup) return backup.error();
  desk.ask(call, *backup, [path = backup->path](Reply&) {
    return json_response("{\"path\":" + json_string(path) + "}", 201);
  });
  return ok_status();
}

Status prune(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, Prune{}, [](Reply& reply) {
    return json_response("{\"deleted\":" + std::to_string(std::get<int64_t>(reply)) + "}");
  });
  return ok_status();
}

Status end_safe_mode(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, EndSafeMode{}, [](Reply&) { return json_response("{}"); });
  return ok_status();
}

Status link_up(AdminDesk& desk, AdminCall& call) {
  desk.ask(call, LinkUp{}, [](Reply&) { return json_response("{}"); });
  return ok_status();
}

struct Route {
  std::string_view method;
  std::string_view path;  // * stands for one name, which is not empty
  Role needs;
  Serve serve;
};
constexpr Route kRoutes[] = {
    {"POST", "v1/jobs", Role::act, add_jobs},
    {"GET", "v1/jobs", Role::view, list_jobs},
    {"POST", "v1/jobs/retry-dead", Role::act, retry_dead},
    {"GET", "v1/jobs/*", Role::view, show_job},
    {"DELETE", "v1/jobs/*", Role::act, remove_job},
    {"PATCH", "v1/jobs/*", Role::act, edit_job},
    {"POST", "v1/jobs/*/cancel", Role::act, cancel_job},
    {"POST", "v1/jobs/*/progress", Role::act, job_progress},
    {"POST", "v1/jobs/*/checkpoint", Role::act, job_checkpoint},
    {"POST", "v1/jobs/*/log", Role::act, job_log},
    {"POST", "v1/jobs/*/retry", Role::act, retry_job},
    {"GET", "v1/jobs/*/why", Role::view, why_job},
    {"GET", "v1/jobs/*/wait", Role::view, wait_for_job},
    {"GET", "v1/schedules", Role::view, list_schedules},
    {"GET", "v1/schedules/*", Role::view, show_schedule},
    {"PUT", "v1/schedules/*", Role::act, put_schedule},
    {"DELETE", "v1/schedules/*", Role::act, remove_schedule},
    {"POST", "v1/schedules/*/pause", Role::act, pause_schedule},
    {"POST", "v1/schedules/*/resume", Role::act, resume_schedule},
    {"POST", "v1/schedules/*/run", Role::act, run_schedule},
    {"POST", "v1/schedules/*/backfill", Role::act, backfill_schedule},
    {"GET", "v1/queues", Role::view, list_queues},
    {"GET", "v1/queues/*", Role::view, show_queue},
    {"PUT", "v1/queues/*", Role::act, set_queue},
    {"POST", "v1/queues/*/pause", Role::act, pause_queue},
    {"POST", "v1/queues/*/resume", Role::act, resume_queue},
    {"POST", "v1/queues/*/drain", Role::act, drain_queue},
    {"POST", "v1/events/*", Role::act, emit_event},
    {"GET", "v1/subscriptions", Role::view, list_subscriptions},
    {"GET", "v1/subscriptions/*", Role::view, show_subscription},
    {"GET", "v1/conditions", Role::view, list_conditions},
    {"GET", "v1/conditions/*", Role::view, show_condition},
    {"PUT", "v1/conditions/*", Role::act, tell_condition},
    {"GET", "v1/watch", Role::view, watch_feed},
    {"GET", "v1/stats", Role::view, show_stats},
    {"GET", "v1/clock", Role::view, show_clock},
    {"POST", "v1/clock/confirm", Role::act, confirm_clock},
    {"POST", "v1/clock/reset", Role::act, reset_clock},
    {"GET", "v1/check", Role::act, check_file},
    {"POST", "v1/backup", Role::act, back_up},
    {"POST", "v1/prune", Role::act, prune},
    {"POST", "v1/safe-mode/end", Role::act, end_safe_mode},
    {"GET", "v1/link", Role::view, show_link},
    {"PUT", "v1/link", Role::act, set_link},
    {"POST", "v1/link/up", Role::act, link_up},
    {"GET", "metrics", Role::view, show_metrics},
    {"GET", "healthz", Role::view, show_health},
};

// True if the path fits; `names` takes what stands at the *.
bool fits(std::string_view pattern, const std::vector<std::string>& path,
          std::vector<std::string>* names) {
  names->clear();
  for (const std::string& segment : path) {
    if (pattern.empty()) return false;
    const size_t slash = pattern.find('/');
    const std::string_view wanted = pattern.substr(0, slash);
    pattern = slash == pattern.npos ? "" : pattern.substr(slash + 1);
    if (wanted == "*") {
      if (segment.empty()) return false;  // to the engine no name is all of them
      names->push_back(segment);
    } else if (wanted != segment) {
      return false;
    }
  }
  return pattern.empty() && !path.empty();
}

}  // namespace

void route_admin_request(AdminDesk& desk, ServerRequest request, Responder responder) {
  AdminCall call{std::move(request), std::move(responder), Sight::outline, {}};
  const Route* route = nullptr;
  std::string allowed;
  for (const Route& candidate : kRoutes) {
    std::vector<std::string> names;
    if (!fits(candidate.path, call.request.path, &names)) continue;
    if (candidate.method == call.request.method) {
      route = &candidate;
      call.names = std::move(names);
      break;
    }
    allowed += (allowed.empty() ? "" : ", ") + std::string(candidate.method);
    if (candidate.method == "GET") allowed += ", HEAD";
  }
  const Role role = desk.roles.role_of(call.request.peer);
  if (role == Role::none) {
    return call.responder.reply(
        error_response(Error{HF_E_DENIED, "this needs " + desk.roles.who_may_act()}));
  }
  if (!route && allowed.empty()) {
    return call.responder.reply(
        error_response(Error{HF_E_NOT_FOUND, "there is nothing at this path"}));
  }
  if (!route) {
    auto response = ServerResponse::error(
        405, "invalid", call.request.method + " is not possible here; allowed: " + allowed);
    response.headers.emplace_back("Allow", allowed);
    return call.responder.reply(std::move(response));
  }
  if (role < route->needs) {
    return call.responder.reply(error_response(
        Error{HF_E_DENIED, "you may only look; this needs " + desk.roles.who_may_act()}));
  }
  call.sight = role == Role::act ? Sight::all : Sight::outline;
  const Status served = route->serve(desk, call);
  if (!served) call.responder.reply(error_response(served.error()));
}

}  // namespace hf
