#include "handlers/apply_config.h"

#include <algorithm>
#include <set>

#include "core/jobs.h"
#include "core/names.h"
#include "core/units.h"
#include "handlers/broker_sink.h"
#include "handlers/clock_command.h"
#include "handlers/device_probes.h"
#include "handlers/exec.h"
#include "handlers/exec_probe.h"
#include "handlers/file_sink.h"
#include "handlers/http.h"
#include "handlers/link_file.h"
#include "handlers/outbound.h"
#include "handlers/sink.h"
#include "platform/broker/mqtt.h"
#include "platform/broker/nats_session.h"
#include "platform/function_probe.h"
#include "platform/memory.h"
#include "platform/net/proxy_tunnel.h"
#include "platform/net/tls_context.h"
#include "platform/net/url.h"

namespace hf {
namespace {

// Of an upload, unless the configuration says otherwise: a server that answers 503 for hours costs no result.
constexpr int kSinkAttempts = 100;
// Messages to a broker without an answer, unless the sink says otherwise.
constexpr int kBrokerInFlight = 20;

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
        &Limits::keep_dead_ms, &Limits::keep_completed_count, &Limits::keep_dead_count, &Limits::crash_loop, &Limits::ballast, &Limits::grouped_within_ms}) {
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

HttpDeadlines deadlines_of(const DeadlinesConfig& config, const HttpDeadlines& defaults) {
  HttpDeadlines deadlines = defaults;
  const auto take = [](int64_t said_ms, int64_t* ms) { *ms = said_ms > 0 ? said_ms : *ms; };
  take(config.dns_ms, &deadlines.dns_ms);
  take(config.connect_ms, &deadlines.connect_ms);
  take(config.tls_ms, &deadlines.tls_ms);
  take(config.first_byte_ms, &deadlines.first_byte_ms);
  take(config.progress_ms, &deadlines.progress_ms);
  return deadlines;
}

// Null if there is none. load_config has read it.
std::shared_ptr<const HttpProxy> proxy_of(const HttpConfig& http) {
  if (http.proxy.empty()) return nullptr;
  const Url url = *parse_url(http.proxy);
  return std::make_shared<const HttpProxy>(HttpProxy{url.host, url.port, http.proxy_auth.secret});
}

HttpTarget target_of(const HttpConfig& http, const HttpDeadlines& defaults) {
  HttpTarget target;
  target.url = *parse_url(http.url);  // load_config has read it
  target.method = http.method;
  for (const auto& [name, value] : http.headers) target.headers.add(name, value);
  for (const SecretHeaderConfig& header : http.secret_headers) {
    if (header.value.secret) target.secret_headers.push_back({header.name, header.prefix, header.value.secret});
  }
  target.proxy = proxy_of(http);
  target.tls = http.tls;
  target.allow_private = http.allow_private;
  target.sign = http.sign.keys;
  target.deadlines = deadlines_of(http.deadlines, defaults);
  target.redirects = http.redirects;
  return target;
}

bool has_budgets(const Config& config) { return !config.link.budgets.budgets.empty(); }

std::function<Result<std::unique_ptr<BrokerSession>>()> session_of(const SinkConfig& sink, const std::string& device, bool under_tls) {
  const std::string name = "holdfast-" + device + "-" + sink.name;
  if (sink.nats) {
    return [options = NatsOptions{under_tls, name, sink.nats->user, sink.nats->password.secret, sink.nats->token.secret}] {
      return NatsSession::open(options);
    };
  }
  MqttOptions options;
  options.client_id = sink.mqtt->client_id.empty() ? name : sink.mqtt->client_id;
  options.user = sink.mqtt->user;
  options.password = sink.mqtt->password.secret;
  options.session_expiry_s = sink.mqtt->session_expiry_ms / 1000;
  options.max_in_flight = runner_spec(sink).concurrency;
  return [options] { return make_mqtt_session(options); };
}

BrokerSinkOptions broker_of(const SinkConfig& sink, Host& host) {
  BrokerSinkOptions options;
  options.topic = sink.mqtt ? sink.mqtt->topic : sink.nats->topic;
  options.device = host.device();
  BrokerOptions& broker = options.broker;
  broker.url = parse_broker_url(sink.http.url)->url;  // load_config has read it
  broker.tls = sink.http.tls;
  broker.allow_private = sink.http.allow_private;
  broker.proxy = proxy_of(sink.http);
  broker.deadlines = deadlines_of(sink.http.deadlines, {});
  broker.cert_clock = [&host] { return host.cert_clock(); };
  broker.tls_after_greeting = sink.nats.has_value();
  broker.make_session = session_of(sink, options.device, broker.url.https);
  return options;
}

// Makes the runners of one configuration.
class Runners {
 public:
  Runners(Host& host, const Config& config, int64_t max_result)
      : host_(host),
        config_(config),
        max_result_(max_result),
        client_(std::make_shared<SharedClient>(host.loop(), client_options(host))) {}

  Status set(const HandlerConfig& handler) {
    host_.peers().drop("handlers." + handler.type);  // it may have been a request
    return host_.set_runner(runner_spec(handler),
                            handler.is_exec() ? exec(handler) : http(handler));
  }

  Status set(const SinkConfig& sink) {
    host_.peers().drop("sinks." + sink.name);
    if (!sink.files.root.empty()) return host_.set_runner(runner_spec(sink), files(sink));
    uv_loop_t* loop = host_.loop().uv();
    if (sink.is_broker()) {
      return host_.set_runner(runner_spec(sink), std::make_shared<BrokerSinkRunner>(loop, broker_of(sink, host_), end_run()));
    }
    SinkOptions options{target("sinks." + sink.name, sink.http, {}), sink.format, sink.compress, sink.name, host_.log(), sink.http.on_status};
    return host_.set_runner(runner_spec(sink),
                            outbound([loop, options, end = end_run()](HttpClient& client) {
                              return std::make_unique<SinkRunner>(loop, client, options, end);
                            }));
  }

 private:
  static HttpClientOptions client_options(Host& host) {
    HttpClientOptions options;
    options.cert_clock = [&host] { return host.cert_clock(); };
    return options;
  }
  EndRun end_run() const {
    return [&host = host_](RunEnded ended) { host.end_run(std::move(ended)); };
  }
  // What is not taken, since there is no room or memory, is missing in a log, or costs something at the next attempt.
  std::function<void(Op)> tell() const {
    return [&host = host_](Op op) { (void)guarded([&] { (void)host.submit(std::move(op), {}); }); };
  }
  std::shared_ptr<Runner> outbound(OutboundRunner::Make make) const {
    return std::make_shared<OutboundRunner>(host_.loop(), client_, std::move(make));
  }
  std::shared_ptr<Runner> exec(const HandlerConfig& handler) const {
    ExecOptions options;
    options.argv = handler.exec;
    options.cwd = handler.cwd;
    options.env = handler.env;
    options.socket = config_.socket;
    options.kill_grace_ms = handler.kill_grace_ms;
    options.max_result = max_result_;
    options.on_exit = handler.on_exit;
    options.limits = handler.limits;
    options.soft_timeout_ms = handler.soft_timeout_ms;
    options.log_stderr = handler.log_stderr;
    options.batch = handler.batch;
    return std::make_shared<ExecRunner>(host_.loop().uv(), std::move(options), end_run(), tell());
  }
  // Makes the peer known, with what its files say.
  HttpTarget target(const std::string& name, const HttpConfig& config, const HttpDeadlines& defaults) const {
    HttpTarget target = target_of(config, defaults);
    if (config_.network.restricted) target.allow_hosts = std::make_shared<const std::vector<HostRule>>(config_.network.allow_hosts);
    if (!target.url.https) return target;
    const bool verified = !config.tls || !config.tls->dangerously_skip_verification;
    host_.peers().put(name, verified);
    if (!verified) host_.log().warn("tls_unverified", {{"peer", name}});
    if (config.tls && !(config.tls->ca_file + config.tls->ca_dir + config.tls->cert_file).empty()) {
      const auto context = TlsContext::load(*config.tls);
      if (context) host_.peers().learn(name, (*context)->cert_ends(""), host_.cert_clock());
      if (!context) host_.log().warn("tls_files", {{"peer", name}, {"error", context.error().message}});
    }
    target.learn = [&host = host_, name](const CertEnds& ends, CertClock clock) { host.peers().learn(name, ends, clock); };
    return target;
  }
  std::shared_ptr<Runner> files(const SinkConfig& sink) const {
    FileSinkOptions options{target("sinks." + sink.name, sink.http, {}), sink.files};
    if (has_budgets(config_)) options.slice = sink.files.chunk;
    uv_loop_t* loop = host_.loop().uv();
    const EndRunThen end = [&host = host_](RunEnded ended, std::function<void()> recorded) {
      recorded ? host.end_run(std::move(ended), std::move(recorded)) : host.end_run(std::move(ended));
    };
    return outbound([loop, options, end, tell = tell()](HttpClient& client) {
      return std::make_unique<FileSinkRunner>(loop, client, options, end, tell);
    });
  }
  std::shared_ptr<Runner> http(const HandlerConfig& handler) const {
    HttpDeadlines defaults;
    defaults.first_byte_ms = 0;  // what is asked for may take the job's timeout to be made
    HttpOptions options{target("handlers." + handler.type, handler.http, defaults), max_result_, handler.http.on_status};
    uv_loop_t* loop = host_.loop().uv();
    return outbound([loop, options, end = end_run()](HttpClient& client) {
      return std::make_unique<HttpRunner>(loop, client, options, end);
    });
  }

  Host& host_;
  const Config& config_;
  const int64_t max_result_;
  const std::shared_ptr<SharedClient> client_;
};

// True if `before` has it just so.
template <class T>
bool unchanged(const T& item, const std::vector<T>* before) {
  return before && std::find(before->begin(), before->end(), item) != before->end();
}

Status set_runners(Host& host, const Config& now, const Config* before,
                   int64_t max_payload_before) {
  const int64_t max_payload = host.limits().max_payload;
  Runners runners(host, now, max_payload);
  // What the runners of handlers depend on beside their own lines.
  const bool other_rules = !before || before->network != now.network;
  const bool anew = other_rules || max_payload != max_payload_before || before->socket != now.socket;
  std::set<std::string> names;
  for (const SinkConfig& sink : now.sinks) {
    names.insert(runner_name(sink));
    const bool sliced = before && !sink.files.root.empty() && has_budgets(*before) != has_budgets(now);
    if (other_rules || sliced || !unchanged(sink, before ? &before->sinks : nullptr)) HF_TRY(runners.set(sink));
  }
  for (const HandlerConfig& handler : now.handlers) {
    names.insert(handler.type);
    if (anew || !unchanged(handler, &before->handlers)) HF_TRY(runners.set(handler));
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
std::shared_ptr<Probe> probe_of(const ConditionConfig& condition, Host& host, const std::string& socket) {
  uv_loop_t* loop = host.loop().uv();
  if (condition.kind == ConditionKind::exec) {
    ExecOptions exec;
    exec.socket = socket;
    return std::make_shared<ExecProbe>(loop, condition.exec, base_environment(exec), condition.timeout_ms);
  }
  auto look = look_of(condition);
  return look ? std::make_shared<FunctionProbe>(loop, condition.timeout_ms, std::move(look)) : nullptr;
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
    auto probe = probe_of(condition, host, now.socket);
    if (auto ok = host.set_condition(condition.spec, std::move(probe)); !ok) return at(now, "conditions." + condition.spec.name, ok.error());
  }
  return ok_status();
}

// ---- the clock

Status set_clock(Host& host, const Config& now, const Config* before) {
  if (now.clock == (before ? before->clock : ClockConfig())) return ok_status();
  if (now.clock.command.empty()) return host.set_clock(now.clock.options);
  ExecOptions exec;
  exec.socket = now.socket;
  auto command = std::make_shared<ClockCommand>(host, now.clock.command, base_environment(exec), now.clock.command_every_ms);
  HF_TRY(host.set_clock(now.clock.options, [command] { command->stop(); }));
  command->start();
  return ok_status();
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
