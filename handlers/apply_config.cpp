#include "handlers/apply_config.h"

#include <algorithm>
#include <set>

#include "core/jobs.h"
#include "core/names.h"
#include "core/units.h"
#include "handlers/device_probes.h"
#include "handlers/link_file.h"
#include "handlers/runners.h"
#include "platform/function_probe.h"

namespace hf {
namespace {

// Of an upload, unless the configuration says otherwise: a server that answers 503 for hours costs no result.
constexpr int kSinkAttempts = 100;
// What `path` of the configuration says is wrong: the engine's words with the place in front.
Error at(const Config& config, const std::string& path, const Error& error) {
  return Error{error.code, config.file + ": " + path + ": " + error.message};
}

std::string runner_name(const SinkConfig& sink) {
  return std::string(kSinkPrefix) + sink.name;
}

// ---- limits

// `now`, else the default if `before` said it, else what the host has.
template <class T>
T limit(T Limits::*field, const Config& now, const Config* before, const Limits& host) {
  if (now.limits.*field != T()) return now.limits.*field;
  return before && before->limits.*field != T() ? Limits().*field : host.*field;
}

Limits limits_of(const Config& now, const Config* before, const Limits& host) {
  Limits limits;
  limits.concurrency = limit(&Limits::concurrency, now, before, host);
  for (const auto field :
       {&Limits::max_payload, &Limits::max_jobs, &Limits::max_bytes, &Limits::keep_completed_ms,
        &Limits::keep_dead_ms, &Limits::keep_completed_count, &Limits::keep_dead_count, &Limits::crash_loop, &Limits::ballast, &Limits::grouped_within_ms,
        &Limits::flash_budget}) {
    limits.*field = limit(field, now, before, host);
  }
  limits.when_full = now.when_full.value_or(before && before->when_full ? Limits().when_full : host.when_full);
  return limits;
}

// ---- checking

SetBudgets budgets_of(const Config& config);

Status check(const Config& config, const Limits& limits) {
  if (auto resolved = resolve(limits); !resolved) return at(config, "limits", resolved.error());
  if (const size_t links = budgets_of(config).budgets.size(); links > kBudgetsMax) {
    return at(config, "link", {HF_E_INVALID, "with those that conditions name there are budgets of " + std::to_string(links) + " links; at most " +
                                                 std::to_string(kBudgetsMax) + " are allowed"});
  }
  for (const HandlerConfig& handler : config.handlers) {
    if (auto ok = validate(handler.policy); !ok)
      return at(config, "handlers." + handler.type, ok.error());
  }
  for (const SinkConfig& sink : config.sinks) {
    if (auto ok = validate(sink.policy); !ok) return at(config, "sinks." + sink.name, ok.error());
  }
  for (const ScheduleSpec& schedule : config.schedules) {
    if (auto ok = validate(schedule.job.policy); !ok)
      return at(config, "schedules." + schedule.name, ok.error());
    if (auto ok = payload_fits(schedule.job.payload, *resolve(limits)); !ok)
      return at(config, "schedules." + schedule.name, {HF_E_INVALID, ok.error().message});
  }
  for (const SubscriptionSpec& subscription : config.subscriptions) {
    if (auto ok = payload_fits(subscription.job.payload, *resolve(limits)); !ok)
      return at(config, "subscriptions." + subscription.name, {HF_E_INVALID, ok.error().message});
  }
  return ok_status();
}

// ---- runners

// Messages to a broker without an answer, unless the sink says otherwise.
constexpr int kBrokerInFlight = 20;

bool has_budgets(const Config& config) { return !config.link.budgets.budgets.empty(); }

// True if `before` has it just so.
template <class T>
bool unchanged(const T& item, const std::vector<T>* before) {
  return before && std::find(before->begin(), before->end(), item) != before->end();
}

Status set_runner(Host& host, const std::string& place, const RunnerSpec& spec, const Config& now, const Result<std::shared_ptr<Runner>>& runner) {
  return runner ? host.set_runner(spec, *runner) : Status(at(now, place, runner.error()));
}

Status set_runners(Host& host, const Config& now, const Config* before,
                   int64_t max_payload_before) {
  const int64_t max_payload = host.limits().max_payload;
  const RequestRunners requests(host, now, max_payload);
  // What the runners of handlers depend on beside their own lines.
  const bool other_rules = !before || before->network != now.network;
  const bool anew = other_rules || max_payload != max_payload_before || before->socket != now.socket;
  std::set<std::string> names;
  for (const SinkConfig& sink : now.sinks) {
    names.insert(runner_name(sink));
    const bool sliced = before && !sink.files.root.empty() && has_budgets(*before) != has_budgets(now);
    if (!other_rules && !sliced && unchanged(sink, before ? &before->sinks : nullptr)) continue;
    const std::string place = "sinks." + sink.name;
    host.peers().drop(place);
    HF_TRY(set_runner(host, place, runner_spec(sink), now, requests.of(sink)));
  }
  for (const HandlerConfig& handler : now.handlers) {
    names.insert(handler.type);
    if (!anew && unchanged(handler, &before->handlers)) continue;
    const std::string place = "handlers." + handler.type;
    host.peers().drop(place);  // it may have been a request
    HF_TRY(set_runner(host, place, runner_spec(handler), now, handler.is_exec() ? exec_runner(host, handler, now.socket, max_payload) : requests.of(handler)));
  }
  if (!before) return ok_status();
  for (const HandlerConfig& handler : before->handlers) {
    if (names.count(handler.type)) continue;
    (void)host.remove_runner(handler.type);
    host.peers().drop("handlers." + handler.type);
  }
  for (const SinkConfig& sink : before->sinks) {
    if (names.count(runner_name(sink))) continue;
    (void)host.remove_runner(runner_name(sink));
    host.peers().drop("sinks." + sink.name);
  }
  return ok_status();
}

// ---- conditions

std::function<ProbeAnswer()> look_of(const ConditionConfig& c) {
  switch (c.kind) {
    case ConditionKind::power: return [] { return look_power_mains(""); };
    case ConditionKind::battery: return [percent = c.percent] { return look_battery("", percent); };
    case ConditionKind::temperature: return [below = c.below, zone = c.zone] { return look_temperature("", below, zone); };
    case ConditionKind::load: return [below = c.below] { return look_load("", below); };
    case ConditionKind::free_space: return [path = c.path, bytes = c.bytes] { return look_free_space("", path, bytes); };
    case ConditionKind::network: return [] { return look_network(); };
    case ConditionKind::none:
    case ConditionKind::exec:
    case ConditionKind::link:
    case ConditionKind::told: break;
  }
  return nullptr;
}

// Null: nobody is asked.
Result<std::shared_ptr<Probe>> probe_of(const ConditionConfig& condition, Host& host, const std::string& socket) {
  if (condition.kind == ConditionKind::exec) return exec_probe(host, condition, socket);
  auto look = look_of(condition);
  return look ? std::make_shared<FunctionProbe>(host.loop().uv(), condition.timeout_ms, std::move(look)) : std::shared_ptr<Probe>();
}

bool has_condition(const Config& config, const std::string& name) {
  return std::any_of(config.conditions.begin(), config.conditions.end(), [&](const ConditionConfig& c) { return c.spec.name == name; });
}

// Those of `before` that `now` does not have.
void remove_conditions(Host& host, const Config& now, const Config& before) {
  for (const ConditionConfig& condition : before.conditions) {
    if (!has_condition(now, condition.spec.name)) (void)host.remove_condition(condition.spec.name);
  }
}

Status set_conditions(Host& host, const Config& now, const Config* before) {
  // Where there is no room for both, what goes does so first: what names it still waits a little.
  if (before && before->conditions.size() + now.conditions.size() > kConditionsMax) remove_conditions(host, now, *before);
  for (const ConditionConfig& condition : now.conditions) {
    const bool same = unchanged(condition, before ? &before->conditions : nullptr) && (condition.exec.empty() || before->socket == now.socket);
    if (same) continue;
    const auto probe = probe_of(condition, host, now.socket);
    if (auto ok = probe ? host.set_condition(condition.spec, *probe) : probe.error(); !ok) return at(now, "conditions." + condition.spec.name, ok.error());
  }
  return ok_status();
}

// ---- the clock

Status set_clock(Host& host, const Config& now, const Config* before) {
  if (now.clock == (before ? before->clock : ClockConfig())) return ok_status();
  if (now.clock.command.empty()) return host.set_clock(now.clock.options);
  return set_clock_command(host, now.clock, now.socket);
}

// ---- the link

// A link that a condition names is one that there may be: it has a budget of nothing.
SetBudgets budgets_of(const Config& config) {
  SetBudgets all = config.link.budgets;
  std::set<std::string> known = {kLinkDefault, kLinkMetered, all.link};
  for (const BudgetSpec& budget : all.budgets) known.insert(budget.link);
  for (const ConditionConfig& condition : config.conditions) {
    for (const std::string& link : condition.spec.links) {
      if (known.insert(link).second) all.budgets.emplace_back().link = link;
    }
  }
  return all;
}

Status set_link(Host& host, const Config& now, const Config* before) {
  const SetBudgets budgets = budgets_of(now);
  if (now.link.file == (before ? before->link.file : "") && budgets == (before ? budgets_of(*before) : SetBudgets())) return ok_status();
  if (now.link.file.empty()) return host.set_budgets(budgets);
  auto file = std::make_shared<LinkFile>(host, now.link.file);
  HF_TRY(host.set_budgets(budgets, [file] { file->stop(); }));
  file->start();
  return ok_status();
}

// ---- queues, subscriptions and schedules

// `kept`: the configuration whose retention is in force.
Status set_queues(Host& host, const Config& now, const Config* before, const Config* kept) {
  const std::map<std::string, QueueSettings> queues = queue_settings(now, kept);
  for (const auto& [name, settings] : queues) {
    if (auto ok = host.set_queue_defaults(name, settings); !ok) {
      return at(now, is_sink_queue(name) ? "sinks." + name.substr(kSinkPrefix.size()) : "queues." + name, ok.error());
    }
  }
  if (!before) return ok_status();
  for (const auto& [name, settings] : queue_settings(*before)) {
    if (!queues.contains(name)) HF_TRY(host.set_queue_defaults(name, {}));
  }
  return ok_status();
}

// Those that are gone go first, so that there is room for others.
Status set_subscriptions(Host& host, const Config& now, const Config* before) {
  for (const SubscriptionSpec& there : before ? before->subscriptions : std::vector<SubscriptionSpec>()) {
    const bool stays = std::any_of(now.subscriptions.begin(), now.subscriptions.end(), [&](const SubscriptionSpec& s) { return s.name == there.name; });
    if (stays) continue;
    // The program may have removed it itself.
    if (auto ok = host.remove_subscription(there.name); !ok && ok.error().code != HF_E_NOT_FOUND) return ok;
  }
  for (const SubscriptionSpec& subscription : now.subscriptions) {
    if (unchanged(subscription, before ? &before->subscriptions : nullptr)) continue;
    if (auto ok = host.set_subscription(subscription); !ok) return at(now, "subscriptions." + subscription.name, ok.error());
  }
  return ok_status();
}

Result<std::vector<ScheduleInfo>> schedules_there(Host& host) {
  Reply reply = host.call(ScheduleList{});
  if (const auto* error = std::get_if<Error>(&reply)) return *error;
  return std::move(std::get<std::vector<ScheduleInfo>>(reply));
}

Status set_schedules(Host& host, const Config& now) {
  std::set<std::string> names;
  for (const ScheduleSpec& schedule : now.schedules) {
    names.insert(schedule.name);
    ScheduleSpec spec = schedule;
    spec.configured = true;
    const Reply reply = host.call(SchedulePut{std::move(spec)});
    if (const auto* error = std::get_if<Error>(&reply))
      return at(now, "schedules." + schedule.name, *error);
  }
  const auto all = schedules_there(host);
  if (!all) return all.error();
  for (const ScheduleInfo& there : *all) {
    if (!there.spec.configured || names.count(there.spec.name)) continue;
    const Reply removed = host.call(ScheduleRemove{there.spec.name});
    if (const auto* error = std::get_if<Error>(&removed)) return *error;
  }
  return ok_status();
}

// ---- all of it

// One part of what becomes another one. `kept`: whose retention of queues stays; `max_payload`: what the runners that are there
// were made with.
struct Change {
  Host& host;
  const Config& now;
  const Config* before;
  const Config* kept;
  int64_t max_payload;
};
using Step = Status (*)(const Change& c);
Status placed(const Config& config, const char* path, const Status& status) {
  return status ? ok_status() : Status(at(config, path, status.error()));
}
// The link goes before the runners: nothing is sent without its budget. Of schedules the take-back is another one.
constexpr Step kSteps[] = {[](const Change& c) { return placed(c.now, "clock", set_clock(c.host, c.now, c.before)); },
                           [](const Change& c) { return placed(c.now, "link", set_link(c.host, c.now, c.before)); },
                           [](const Change& c) { return placed(c.now, "losses", c.host.set_loss_report(c.now.losses)); },
                           [](const Change& c) { return set_conditions(c.host, c.now, c.before); },
                           [](const Change& c) { return set_queues(c.host, c.now, c.before, c.kept); },
                           [](const Change& c) { return set_runners(c.host, c.now, c.before, c.max_payload); },
                           [](const Change& c) { return set_subscriptions(c.host, c.now, c.before); }};
constexpr size_t kConditionsStep = 3;

// `begun`: the steps that may have changed something.
Status take_steps(const Change& change, size_t* begun) {
  for (const Step step : kSteps) {
    ++*begun;
    HF_TRY(step(change));
  }
  return ok_status();
}

// Of schedules, whoever made them: those that are there as they were, and no others.
Status put_back(Host& host, const std::vector<ScheduleInfo>& schedules) {
  const auto there = schedules_there(host);
  if (!there) return there.error();
  const auto find = [](const std::vector<ScheduleInfo>& all, const std::string& name) {
    return std::find_if(all.begin(), all.end(), [&](const ScheduleInfo& s) { return s.spec.name == name; });
  };
  for (const ScheduleInfo& now : *there) {
    if (!now.spec.configured || find(schedules, now.spec.name) != schedules.end()) continue;
    const Reply removed = host.call(ScheduleRemove{now.spec.name});
    if (const auto* error = std::get_if<Error>(&removed)) return *error;
  }
  for (const ScheduleInfo& was : schedules) {
    const auto now = find(*there, was.spec.name);
    if (now != there->end() && now->spec == was.spec) continue;
    const Reply put = host.call(SchedulePut{was.spec});
    if (const auto* error = std::get_if<Error>(&put)) return *error;
  }
  return ok_status();
}

}  // namespace

RunnerSpec runner_spec(const HandlerConfig& handler) {
  RunnerSpec spec;
  spec.name = handler.type;
  spec.concurrency = handler.concurrency;
  spec.policy = handler.policy;
  spec.rates = handler.rates;
  spec.heartbeat_ms = handler.heartbeat_ms;
  spec.soft_timeout_ms = handler.soft_timeout_ms;
  spec.when = handler.when;
  if (handler.defer_ms) spec.defer_ms = handler.defer_ms;
  spec.sink = handler.sink;
  spec.callback = handler.callback;
  spec.failure_callback = handler.failure_callback;
  spec.network = !handler.is_exec();
  if (handler.batch) spec.batch = {handler.batch_jobs, handler.batch_bytes, handler.batch_wait_ms};
  return spec;
}

RunnerSpec runner_spec(const SinkConfig& sink) {
  RunnerSpec spec;
  spec.name = runner_name(sink);
  spec.concurrency = sink.concurrency;
  spec.policy = sink.policy;
  if (spec.policy.max_attempts == 0) spec.policy.max_attempts = kSinkAttempts;
  if (sink.defer_ms) spec.defer_ms = sink.defer_ms;
  if (sink.splay_ms) spec.splay_ms = *sink.splay_ms;
  if (!sink.files.root.empty()) {
    // An upload ends by itself when it does not get on. One after another: two share the link, and are both late.
    if (spec.policy.timeout_ms == 0) spec.policy.timeout_ms = -1;
    if (spec.concurrency == 0) spec.concurrency = 1;
  }
  spec.batch = {sink.batch_jobs, sink.batch_bytes, sink.batch_wait_ms};
  spec.network = true;
  spec.newest_percent = sink.newest_percent;
  spec.sequence = sink.sequence;
  if (sink.is_broker() && spec.concurrency == 0) spec.concurrency = kBrokerInFlight;
  return spec;
}

Status apply_config(Host& host, const Config& now, const Config* before) {
  if (host.loop().on_loop_thread()) {
    return Error{HF_E_THREAD, "a configuration cannot be applied on the loop thread"};
  }
  const Limits limits_before = host.limits();
  const Limits limits = limits_of(now, before, limits_before);
  HF_TRY(check(now, limits));
  const auto schedules = schedules_there(host);
  if (!schedules) return schedules.error();

  // What is kept goes last: what retention has deleted nobody puts back.
  Limits careful = limits;
  careful.keep_completed_ms = limits_before.keep_completed_ms;
  careful.keep_dead_ms = limits_before.keep_dead_ms;
  careful.keep_completed_count = limits_before.keep_completed_count;
  careful.keep_dead_count = limits_before.keep_dead_count;
  careful.when_full = limits_before.when_full;
  size_t begun = 0;
  Status applied = placed(now, "limits", host.set_limits(careful));
  if (applied) applied = take_steps({host, now, before, before, limits_before.max_payload}, &begun);
  if (applied) applied = set_schedules(host, now);
  if (applied) applied = set_queues(host, now, before, &now);
  if (applied) applied = placed(now, "limits", host.set_limits(limits));
  if (applied) {
    if (before) remove_conditions(host, now, *before);
    return ok_status();
  }
  const Config nothing;  // before the first one
  const Config& back_to = before ? *before : nothing;
  const int64_t max_payload = host.limits().max_payload;
  const auto note = [&](const Status& back) {
    if (!back) host.log().error("configuration_not_taken_back", {{"reason", back.error().message}});
  };
  note(host.set_limits(limits_before));
  for (size_t i = 0; i < begun; ++i) note(kSteps[i]({host, back_to, &now, before, max_payload}));
  if (begun > kConditionsStep) remove_conditions(host, back_to, now);
  note(put_back(host, *schedules));
  return applied;
}

}  // namespace hf
