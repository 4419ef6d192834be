#include "handlers/config_fields.h"

#include <algorithm>

#include "core/budget.h"
#include "core/left_out.h"
#include "core/losses.h"
#include "core/names.h"
#include "handlers/batch_fields.h"
#include "handlers/condition_fields.h"
#include "handlers/header_fields.h"
#include "handlers/limits_fields.h"
#include "handlers/outcome_fields.h"
#include "handlers/redirect.h"
#include "handlers/subscription_fields.h"
#include "handlers/tls_fields.h"
#include "platform/json_choices.h"
#include "platform/json_spec.h"

namespace hf {
namespace {

constexpr int64_t kDay = 86400LL * 1000;
constexpr int64_t kYear = 366 * kDay;
constexpr size_t kNamedMax = 1000;  // handlers, sinks, queues, schedules each

constexpr std::array<JsonChoice<LogLevel>, 4> kLogLevels = {{
    {"error", LogLevel::kError},
    {"warn", LogLevel::kWarn},
    {"info", LogLevel::kInfo},
    {"debug", LogLevel::kDebug},
}};
constexpr std::array<JsonChoice<const char*>, 5> kMethods = {{
    {"POST", "POST"},
    {"PUT", "PUT"},
    {"PATCH", "PATCH"},
    {"GET", "GET"},
    {"DELETE", "DELETE"},
}};
constexpr std::array<JsonChoice<BatchFormat>, 3> kFormats = {{
    {"ndjson", BatchFormat::ndjson},
    {"json", BatchFormat::json},
    {"raw", BatchFormat::raw},
}};
constexpr std::array<JsonChoice<Encoding>, 3> kEncodings = {{
    {"none", Encoding::none},
    {"gzip", Encoding::gzip},
    {"zstd", Encoding::zstd},
}};

bool read_timeout(const JsonValue& v, int64_t* timeout_ms) {
  if (v.node().kind == JsonNode::Kind::string && v.node().text == "none") {
    *timeout_ms = -1;
    return true;
  }
  return v.duration(timeout_ms, 1, kYear);
}

// 0 is "delete at once", which Limits has as -1.
bool read_retention(const JsonValue& v, int64_t* keep_ms) {
  if (!v.duration(keep_ms, 0, 10 * kYear)) return false;
  if (*keep_ms == 0) *keep_ms = -1;
  return true;
}

bool read_file_name(const JsonValue& v, std::string* file) {
  return v.text(file, 4095);
}

// ---- the tables, from the inside out

constexpr JsonField<SignConfig> kSignFields[] = {
    {"keys", "array", [](SignConfig& s, const JsonValue& v) { return v.texts(&s.names, 2); }},
};
bool read_sign(const JsonValue& v, SignConfig* sign) {
  if (!read_fields(v, {{kSignFields, *sign}})) return false;
  return !sign->names.empty() || v.fail("\"keys\" is missing: one key, or two while they change");
}

bool read_deadline(const JsonValue& v, int64_t* ms) {
  return v.duration(ms, 100, 3600 * 1000);
}
constexpr JsonField<DeadlinesConfig> kDeadlineFields[] = {
    {"dns", "duration", [](DeadlinesConfig& d, const JsonValue& v) { return read_deadline(v, &d.dns_ms); }},
    {"connect", "duration", [](DeadlinesConfig& d, const JsonValue& v) { return read_deadline(v, &d.connect_ms); }},
    {"tls", "duration", [](DeadlinesConfig& d, const JsonValue& v) { return read_deadline(v, &d.tls_ms); }},
    {"first_byte", "duration", [](DeadlinesConfig& d, const JsonValue& v) { return read_deadline(v, &d.first_byte_ms); }},
    {"progress", "duration", [](DeadlinesConfig& d, const JsonValue& v) { return read_deadline(v, &d.progress_ms); }},
};

// What a sink and an http handler share.
constexpr JsonField<HttpConfig> kTargetFields[] = {
    {"url", "URL", [](HttpConfig& h, const JsonValue& v) { return v.text(&h.url); }},
    {"headers", "object",
     [](HttpConfig& h, const JsonValue& v) { return read_headers(v, &h); }},
    {"proxy", "URL", [](HttpConfig& h, const JsonValue& v) { return v.text(&h.proxy); }},
    {"proxy_auth", "name", [](HttpConfig& h, const JsonValue& v) { return v.text(&h.proxy_auth.name); }},
    {"tls", "object", [](HttpConfig& h, const JsonValue& v) { return read_tls(v, &h.tls); }},
    {"allow_private", "bool",
     [](HttpConfig& h, const JsonValue& v) { return v.boolean(&h.allow_private); }},
    {"sign", "object", [](HttpConfig& h, const JsonValue& v) { return read_sign(v, &h.sign); }},
    {"deadlines", "object", [](HttpConfig& h, const JsonValue& v) { return read_fields(v, {{kDeadlineFields, h.deadlines}}); }},
    {"redirects", "number", [](HttpConfig& h, const JsonValue& v) { return v.integer(&h.redirects, 0, kRedirectsMax); }},
    {"on_status", "object", [](HttpConfig& h, const JsonValue& v) { return read_on_status(v, &h.on_status); }},
};
constexpr JsonField<HttpConfig> kMethodFields[] = {
    {"method", "choice",
     [](HttpConfig& h, const JsonValue& v) { return v.choice(&h.method, kMethods); }},
};
bool read_http(const JsonValue& v, HttpConfig* http) {
  if (!read_fields(v, {{kMethodFields, *http}, {kTargetFields, *http}})) return false;
  return !http->url.empty() || v.fail("\"url\" is missing: it says where the request goes");
}

constexpr JsonField<Policy> kPolicyFields[] = {
    {"timeout", "duration",
     [](Policy& p, const JsonValue& v) { return read_timeout(v, &p.timeout_ms); }},
    {"max_attempts", "number",
     [](Policy& p, const JsonValue& v) { return v.integer(&p.max_attempts, 1, HF_ATTEMPTS_MAX); }},
    {"backoff", "object",
     [](Policy& p, const JsonValue& v) { return read_backoff(v, &p.backoff); }},
};

constexpr std::array<JsonChoice<bool>, 2> kRunLogs = {{{"none", false}, {"stderr", true}}};
constexpr JsonField<HandlerConfig> kHandlerFields[] = {
    {"exec", "array", [](HandlerConfig& h, const JsonValue& v) { return v.texts(&h.exec, 256); }},
    {"env", "object", [](HandlerConfig& h, const JsonValue& v) { return v.text_map(&h.env, 256); }},
    {"cwd", "file", [](HandlerConfig& h, const JsonValue& v) { return read_file_name(v, &h.cwd); }},
    {"kill_grace", "duration",
     [](HandlerConfig& h, const JsonValue& v) { return v.duration(&h.kill_grace_ms, 0, kDay); }},
    {"heartbeat", "duration",
     [](HandlerConfig& h, const JsonValue& v) { return v.duration(&h.heartbeat_ms, kHeartbeatMinMs, kHeartbeatMaxMs); }},
    {"soft_timeout", "duration",
     [](HandlerConfig& h, const JsonValue& v) { return v.duration(&h.soft_timeout_ms, kSoftTimeoutMinMs, kSoftTimeoutMaxMs); }},
    {"log", "choice", [](HandlerConfig& h, const JsonValue& v) { return v.choice(&h.log_stderr, kRunLogs); }},
    {"on_exit", "object", [](HandlerConfig& h, const JsonValue& v) { return read_on_exit(v, &h.on_exit); }},
    {"batch", "object",
     [](HandlerConfig& h, const JsonValue& v) { return h.batch = read_fields(v, {{kBatchFields<HandlerConfig>, h}}); }},
    {"http", "object", [](HandlerConfig& h, const JsonValue& v) { return read_http(v, &h.http); }},
    {"concurrency", "number",
     [](HandlerConfig& h, const JsonValue& v) { return v.integer(&h.concurrency, 1, 10000); }},
    {"rate_limit", "rate", [](HandlerConfig& h, const JsonValue& v) { return read_rate_limit(v, &h.rates.rate_limit); }},
    {"throttle", "rate", [](HandlerConfig& h, const JsonValue& v) { return read_throttle(v, &h.rates.throttle); }},
    {"defer", "duration",
     [](HandlerConfig& h, const JsonValue& v) { return v.duration(&h.defer_ms, 1, kDay); }},
    {"when", "array", [](HandlerConfig& h, const JsonValue& v) { return read_when(v, &h.when); }},
    {"sink", "name", [](HandlerConfig& h, const JsonValue& v) { return v.name("sink", &h.sink); }},
    {"callback", "name",
     [](HandlerConfig& h, const JsonValue& v) { return v.name("callback", &h.callback); }},
    {"failure_callback", "name",
     [](HandlerConfig& h, const JsonValue& v) { return v.name("failure_callback", &h.failure_callback); }},
};
bool read_handler(const JsonValue& v, HandlerConfig* handler) {
  if (!read_fields(v, {{kHandlerFields, *handler}, {process_fields(), handler->limits}, {kPolicyFields, handler->policy}})) return false;
  const JsonNode& node = v.node();
  if (node.find("exec") && node.find("http")) {
    return v.fail("\"exec\" and \"http\" exclude each other: a handler is a program or a request");
  }
  if (!node.find("exec") && !node.find("http")) {
    return v.fail("\"exec\" or \"http\" is missing: one of them says what runs these jobs");
  }
  std::vector<std::string_view> of_programs = {"env", "cwd", "kill_grace", "heartbeat", "soft_timeout", "log", "on_exit", "batch"};
  for (const auto& field : process_fields()) of_programs.push_back(field.name);
  for (const std::string_view name : of_programs) {
    if (!handler->is_exec() && node.find(name)) {
      return v.fail("\"" + std::string(name) + "\" is for \"exec\" only");
    }
  }
  if (handler->batch && handler->log_stderr) return v.fail("\"log\" and \"batch\" exclude each other: what a program writes is of no job alone");
  RunnerSpec timed;
  timed.policy = handler->policy;
  timed.heartbeat_ms = handler->heartbeat_ms;
  timed.soft_timeout_ms = handler->soft_timeout_ms;
  if (const Status ok = check_deadlines(timed); !ok) return v.fail(ok.error().message);
  for (const auto& [name, value] : handler->env) {
    if (name.find('=') != std::string::npos || name.find('\0') != std::string::npos) {
      return v.fail("\"env\": " + quoted(name) + " cannot be the name of a variable");
    }
  }
  return true;
}

constexpr std::array<JsonChoice<UploadKind>, 3> kUploadKinds = {{
    {"tus", UploadKind::tus},
    {"range", UploadKind::range},
    {"put", UploadKind::put},
}};
constexpr JsonField<FilesOptions> kFilesFields[] = {
    {"root", "file",
     [](FilesOptions& f, const JsonValue& v) {
       if (!read_file_name(v, &f.root)) return false;
       return f.root.starts_with('/') || v.fail("the full path of the folder is meant, with a / in front");
     }},
    {"protocol", "choice",
     [](FilesOptions& f, const JsonValue& v) { return v.choice(&f.protocol, kUploadKinds); }},
    {"chunk", "size",
     [](FilesOptions& f, const JsonValue& v) { return v.size(&f.chunk, kUploadChunkMin, kUploadChunkMax); }},
    {"delete_after", "bool",
     [](FilesOptions& f, const JsonValue& v) { return v.boolean(&f.delete_after); }},
    {"checksum", "bool",
     [](FilesOptions& f, const JsonValue& v) { return v.boolean(&f.checksum); }},
};
bool read_files(const JsonValue& v, FilesOptions* files) {
  if (!read_fields(v, {{kFilesFields, *files}})) return false;
  return !files->root.empty() || v.fail("\"root\" is missing: the folder in which the files are");
}

constexpr JsonField<BrokerConfig> kMqttFields[] = {
    {"topic", "string", [](BrokerConfig& b, const JsonValue& v) { return v.text(&b.topic); }},
    {"client_id", "string", [](BrokerConfig& b, const JsonValue& v) { return v.text(&b.client_id, 256); }},
    {"username", "string", [](BrokerConfig& b, const JsonValue& v) { return v.text(&b.user, 256); }},
    {"password", "string", [](BrokerConfig& b, const JsonValue& v) { return v.text(&b.password.name); }},
    {"session_expiry", "duration",
     [](BrokerConfig& b, const JsonValue& v) { return v.duration(&b.session_expiry_ms, 0, kYear); }},
};
constexpr JsonField<BrokerConfig> kNatsFields[] = {
    {"subject", "string", [](BrokerConfig& b, const JsonValue& v) { return v.text(&b.topic); }},
    {"username", "string", [](BrokerConfig& b, const JsonValue& v) { return v.text(&b.user, 256); }},
    {"password", "string", [](BrokerConfig& b, const JsonValue& v) { return v.text(&b.password.name); }},
    {"token", "string", [](BrokerConfig& b, const JsonValue& v) { return v.text(&b.token.name); }},
};

bool read_compress(const JsonValue& v, Encoding* encoding) {
  if (!v.choice(encoding, kEncodings)) return false;
  return *encoding == Encoding::none || can_compress() || v.fail(left_out("compression is", "COMPRESSION").message);
}

constexpr JsonField<SinkConfig> kSinkFields[] = {
    {"files", "object",
     [](SinkConfig& s, const JsonValue& v) { return read_files(v, &s.files); }},
    {"mqtt", "object",
     [](SinkConfig& s, const JsonValue& v) {
       return read_fields(v, {{kMqttFields, s.mqtt.emplace()}});
     }},
    {"nats", "object",
     [](SinkConfig& s, const JsonValue& v) {
       return read_fields(v, {{kNatsFields, s.nats.emplace()}});
     }},
    {"batch", "object",
     [](SinkConfig& s, const JsonValue& v) {
       return read_fields(v, {{kBatchFields<SinkConfig>, s}});
     }},
    {"format", "choice", [](SinkConfig& s, const JsonValue& v) { return v.choice(&s.format, kFormats); }},
    {"compress", "choice", [](SinkConfig& s, const JsonValue& v) { return read_compress(v, &s.compress); }},
    {"concurrency", "number",
     [](SinkConfig& s, const JsonValue& v) { return v.integer(&s.concurrency, 1, 10000); }},
    {"sequence", "bool", [](SinkConfig& s, const JsonValue& v) { return v.boolean(&s.sequence); }},
    {"newest_first", "number",
     [](SinkConfig& s, const JsonValue& v) { return v.integer(&s.newest_percent, 0, 100); }},
    {"splay", "duration",
     [](SinkConfig& s, const JsonValue& v) { return v.duration(&s.splay_ms.emplace(0), 0, kSplayMaxMs); }},
    {"defer", "duration",
     [](SinkConfig& s, const JsonValue& v) { return v.duration(&s.defer_ms, 1, kDay); }},
};
bool read_sink(const JsonValue& v, SinkConfig* sink) {
  if (!read_fields(
          v, {{kTargetFields, sink->http}, {kSinkFields, *sink}, {sink_queue_fields(), sink->queue}, {kPolicyFields, sink->policy}})) {
    return false;
  }
  if (!sink->files.root.empty()) {
    if (v.node().find("batch")) return v.fail("\"batch\" and \"files\" exclude each other: each file is an upload of its own");
    if (v.node().find("sign")) return v.fail("\"sign\" and \"files\" exclude each other: a signature is over a whole body, and a file is never whole in memory");
    if (v.node().find("on_status")) return v.fail("\"on_status\" and \"files\" exclude each other: the protocol of an upload says what a status means");
    for (const char* name : {"format", "compress"}) {
      if (v.node().find(name)) return v.fail("\"" + std::string(name) + "\" is how results look: \"files\" go as they are");
    }
  }
  if (sink->format == BatchFormat::raw && sink->batch_jobs > 1) {
    return v.fail("\"format\": \"raw\" sends each result by itself: \"batch.max_jobs\" " + std::to_string(sink->batch_jobs) +
                  " excludes it, 1 is meant (or \"json\" or \"ndjson\")");
  }
  const auto& headers = sink->http.headers;
  if (sink->compress != Encoding::none && std::any_of(headers.begin(), headers.end(), [](const auto& header) {
        return equal_no_case(header.first, "Content-Encoding");
      })) {
    return v.fail("\"headers\": Content-Encoding is said by \"compress\"");
  }
  return !sink->http.url.empty() || v.fail("\"url\" is missing: it says where results go");
}

constexpr JsonField<Limits> kLimitFields[] = {
    {"max_jobs", "number",
     [](Limits& l, const JsonValue& v) { return v.integer(&l.max_jobs, 1, 1000000000); }},
    {"max_bytes", "size",
     [](Limits& l, const JsonValue& v) { return v.size(&l.max_bytes, 1 << 20, int64_t{1} << 46); }},
    {"max_payload", "size",
     [](Limits& l, const JsonValue& v) { return v.size(&l.max_payload, 1, 16 << 20); }},
    {"concurrency", "number",
     [](Limits& l, const JsonValue& v) { return v.integer(&l.concurrency, 1, 10000); }},
    {"ballast", "size",
     [](Limits& l, const JsonValue& v) {
       if (!v.size(&l.ballast, 0, 1 << 30)) return false;
       if (l.ballast != 0) return v.size(&l.ballast, 256 << 10, 1 << 30);
       l.ballast = -1;  // none; 0 is what was not said
       return true;
     }},
    {"crash_loop", "number",
     [](Limits& l, const JsonValue& v) {
       if (!v.integer(&l.crash_loop, 0, 1000)) return false;
       if (l.crash_loop == 0) l.crash_loop = -1;  // never; 0 is what was not said
       return true;
     }},
    {"grouped_within", "duration",
     [](Limits& l, const JsonValue& v) { return v.duration(&l.grouped_within_ms, kGroupedWithinMinMs, kGroupedWithinMaxMs); }},
    {"flash_budget", "size",
     [](Limits& l, const JsonValue& v) {
       if (!v.size(&l.flash_budget, 0, kFlashBudgetMax)) return false;
       if (l.flash_budget != 0) return v.size(&l.flash_budget, kFlashBudgetMin, kFlashBudgetMax);
       l.flash_budget = -1;  // none; 0 is what was not said
       return true;
     }},
};
constexpr JsonField<Config> kFullFields[] = {
    {"when_full", "choice", [](Config& c, const JsonValue& v) { return v.choice(&c.when_full, kWhenFull); }},
};
constexpr JsonField<Limits> kRetentionFields[] = {
    {"completed", "duration",
     [](Limits& l, const JsonValue& v) { return read_retention(v, &l.keep_completed_ms); }},
    {"dead", "duration",
     [](Limits& l, const JsonValue& v) { return read_retention(v, &l.keep_dead_ms); }},
    {"completed_count", "number",
     [](Limits& l, const JsonValue& v) {
       return v.integer(&l.keep_completed_count, 1, 1000000000);
     }},
    {"dead_count", "number",
     [](Limits& l, const JsonValue& v) { return v.integer(&l.keep_dead_count, 1, 1000000000); }},
};

constexpr JsonField<ClockConfig> kClockFields[] = {
    {"kernel", "bool",
     [](ClockConfig& c, const JsonValue& v) { return v.boolean(&c.options.kernel); }},
    {"sync_file", "file",
     [](ClockConfig& c, const JsonValue& v) { return read_file_name(v, &c.options.sync_file); }},
    {"sync_command", "array",
     [](ClockConfig& c, const JsonValue& v) { return v.texts(&c.command, 256); }},
    {"sync_every", "duration",
     [](ClockConfig& c, const JsonValue& v) { return v.duration(&c.command_every_ms, 1000, kDay); }},
    {"plausible", "bool",
     [](ClockConfig& c, const JsonValue& v) { return v.boolean(&c.options.rule.plausible); }},
    {"floor", "time",
     [](ClockConfig& c, const JsonValue& v) { return v.time(&c.options.rule.floor_ms); }},
    {"ceiling", "time",
     [](ClockConfig& c, const JsonValue& v) { return v.time(&c.options.rule.ceiling_ms); }},
    {"holdover", "duration",
     [](ClockConfig& c, const JsonValue& v) {
       return v.duration(&c.options.rule.holdover_ms, 0, kHoldoverMaxMs);
     }},
};
bool read_clock(const JsonValue& v, ClockConfig* clock) {
  if (!read_fields(v, {{kClockFields, *clock}})) return false;
  if (v.node().find("sync_every") && clock->command.empty()) {
    return v.fail("\"sync_every\" is how often \"sync_command\" is asked, and there is none");
  }
  if (auto ok = validate(clock->options.rule); !ok) return v.fail(ok.error().message);
  const ClockOptions& o = clock->options;
  if (!o.kernel && o.sync_file.empty() && clock->command.empty() && !o.rule.plausible) {
    return v.fail("nothing is left by which the clock could be trusted: leave \"kernel\" or \"plausible\" on, or name a \"sync_file\" or a \"sync_command\"");
  }
  return true;
}

constexpr JsonField<BudgetSpec> kBudgetFields[] = {
    {"rate", "size", [](BudgetSpec& b, const JsonValue& v) { return v.size(&b.rate, 1, int64_t{1} << 40); }},
    {"day", "size", [](BudgetSpec& b, const JsonValue& v) { return v.size(&b.day_bytes, kBudgetBytesMin, kBudgetBytesMax); }},
    {"month", "size", [](BudgetSpec& b, const JsonValue& v) { return v.size(&b.month_bytes, kBudgetBytesMin, kBudgetBytesMax); }},
    {"reserve", "number", [](BudgetSpec& b, const JsonValue& v) { return v.integer(&b.reserve_percent, 0, kReserveMax); }},
    {"reserve_priority", "number",
     [](BudgetSpec& b, const JsonValue& v) {
       return v.integer(&b.reserve_priority, -HF_PRIORITY_MAX, HF_PRIORITY_MAX);
     }},
};
bool read_budget(const JsonValue& v, BudgetSpec* budget) {
  if (!read_fields(v, {{kBudgetFields, *budget}})) return false;
  const bool spans = budget->day_bytes > 0 || budget->month_bytes > 0;
  if (budget->rate == 0 && !spans) return v.fail("nothing is limited: expected \"rate\", \"day\" or \"month\"");
  if (v.node().find("reserve_priority") && budget->reserve_percent == 0) return v.fail("\"reserve_priority\" says for whom \"reserve\" is kept, and there is none");
  return budget->reserve_percent == 0 || spans || v.fail("\"reserve\" is a share of \"day\" and \"month\", and there is neither");
}

// Objects whose names are the user's: {"report": {...}, ...}.
template <class T, class Read>
bool read_named(const JsonValue& v, std::string_view kind, std::vector<T>* into, Read read, size_t most = kNamedMax) {
  if (!v.expect(JsonNode::Kind::object)) return false;
  if (v.node().items.size() > most) {
    return v.fail("there are " + std::to_string(v.node().items.size()) + ": at most " +
                  std::to_string(most) + " are allowed");
  }
  for (size_t i = 0; i < v.node().items.size(); ++i) {
    const JsonValue item = v.member(i);
    if (auto name = check_name(kind, v.node().names[i]); !name)
      return item.fail(name.error().message);
    if (!read(item, v.node().names[i], &into->emplace_back())) return false;
  }
  return true;
}

bool read_budgets(const JsonValue& v, std::vector<BudgetSpec>* budgets) {
  return read_named(v, "link", budgets,
                    [](const JsonValue& item, const std::string& name, BudgetSpec* budget) {
                      budget->link = name;
                      return read_budget(item, budget);
                    },
                    kBudgetsMax);
}

constexpr JsonField<LinkConfig> kLinkFields[] = {
    {"default", "name", [](LinkConfig& l, const JsonValue& v) { return v.name("link", &l.budgets.link); }},
    {"file", "file", [](LinkConfig& l, const JsonValue& v) { return read_file_name(v, &l.file); }},
    {"budgets", "object", [](LinkConfig& l, const JsonValue& v) { return read_budgets(v, &l.budgets.budgets); }},
};

constexpr JsonField<SetLossReport> kLossFields[] = {
    {"sink", "name", [](SetLossReport& l, const JsonValue& v) { return v.name("sink", &l.sink); }},
    {"every", "duration", [](SetLossReport& l, const JsonValue& v) { return v.duration(&l.every_ms, kLossReportMinMs, kLossReportMaxMs); }},
};
bool read_losses(const JsonValue& v, SetLossReport* losses) {
  if (!read_fields(v, {{kLossFields, *losses}})) return false;
  return !losses->sink.empty() || v.fail("\"sink\" is missing: it says where they are told");
}

bool read_hosts(const JsonValue& v, NetworkConfig* network) {
  std::vector<std::string> texts;
  if (!v.texts(&texts, kHostRulesMax)) return false;
  for (size_t i = 0; i < texts.size(); ++i) {
    auto rule = parse_host_rule(texts[i]);
    if (!rule) return v.item(i).fail(rule.error().message);
    network->allow_hosts.push_back(std::move(*rule));
  }
  network->restricted = true;
  return true;
}
constexpr JsonField<NetworkConfig> kNetworkFields[] = {
    {"allow_hosts", "array", [](NetworkConfig& n, const JsonValue& v) { return read_hosts(v, &n); }},
};

constexpr JsonField<AdminConfig> kAdminFields[] = {
    {"group", "string", [](AdminConfig& a, const JsonValue& v) { return v.text(&a.group, 256); }},
    {"open_view", "bool",
     [](AdminConfig& a, const JsonValue& v) { return v.boolean(&a.open_view); }},
    {"max_clients", "number",
     [](AdminConfig& a, const JsonValue& v) { return v.integer(&a.max_clients, 1, 1024); }},
};
constexpr JsonField<Config> kLogFields[] = {
    {"level", "choice",
     [](Config& c, const JsonValue& v) { return v.choice(&c.log_level, kLogLevels); }},
};

bool read_conditions(const JsonValue& v, Config* config) {
  return read_named(v, "condition", &config->conditions,
                    [](const JsonValue& item, const std::string& name, ConditionConfig* condition) {
                      condition->spec.name = name;
                      return read_condition(item, condition);
                    },
                    kConditionsMax);
}
bool read_handlers(const JsonValue& v, Config* config) {
  return read_named(v, "handler", &config->handlers,
                    [](const JsonValue& item, const std::string& name, HandlerConfig* handler) {
                      handler->type = name;
                      return read_handler(item, handler);
                    });
}
bool read_sinks(const JsonValue& v, Config* config) {
  return read_named(v, "sink", &config->sinks,
                    [](const JsonValue& item, const std::string& name, SinkConfig* sink) {
                      sink->name = name;
                      return read_sink(item, sink);
                    });
}
bool read_queues(const JsonValue& v, Config* config) {
  return read_named(v, "queue", &config->queues,
                    [](const JsonValue& item, const std::string& name, QueueConfig* queue) {
                      queue->name = name;
                      if (is_sink_queue(name)) {
                        return item.fail("the queue of a sink's deliveries: its settings are those of \"sinks\"");
                      }
                      return read_fields(item, {{queue_fields(), queue->settings}});
                    });
}
bool read_schedules(const JsonValue& v, Config* config) {
  return read_named(v, "schedule", &config->schedules,
                    [](const JsonValue& item, const std::string& name, ScheduleSpec* schedule) {
                      schedule->name = name;
                      return read_schedule(item, schedule);
                    });
}
bool read_subscriptions(const JsonValue& v, Config* config) {
  return read_named(v, "subscription", &config->subscriptions,
                    [](const JsonValue& item, const std::string& name, SubscriptionSpec* subscription) {
                      subscription->name = name;
                      return read_subscription(item, subscription);
                    },
                    kSubscriptionsMax);
}

constexpr JsonField<Config> kDocumentFields[] = {
    {"database", "file",
     [](Config& c, const JsonValue& v) { return read_file_name(v, &c.database); }},
    {"socket", "file",
     [](Config& c, const JsonValue& v) { return v.text(&c.socket, 107); }},  // sun_path
    {"device", "name", [](Config& c, const JsonValue& v) { return v.name("device", &c.device); }},
    {"conditions", "object", [](Config& c, const JsonValue& v) { return read_conditions(v, &c); }},
    {"handlers", "object", [](Config& c, const JsonValue& v) { return read_handlers(v, &c); }},
    {"sinks", "object", [](Config& c, const JsonValue& v) { return read_sinks(v, &c); }},
    {"queues", "object", [](Config& c, const JsonValue& v) { return read_queues(v, &c); }},
    {"schedules", "object", [](Config& c, const JsonValue& v) { return read_schedules(v, &c); }},
    {"subscriptions", "object", [](Config& c, const JsonValue& v) { return read_subscriptions(v, &c); }},
    {"limits", "object",
     [](Config& c, const JsonValue& v) {
       return read_fields(v, {{kLimitFields, c.limits}, {kFullFields, c}});
     }},
    {"retention", "object",
     [](Config& c, const JsonValue& v) {
       return read_fields(v, {{kRetentionFields, c.limits}});
     }},
    {"clock", "object", [](Config& c, const JsonValue& v) { return read_clock(v, &c.clock); }},
    {"losses", "object", [](Config& c, const JsonValue& v) { return read_losses(v, &c.losses); }},
    {"link", "object", [](Config& c, const JsonValue& v) { return read_fields(v, {{kLinkFields, c.link}}); }},
    {"network", "object",
     [](Config& c, const JsonValue& v) {
       return read_fields(v, {{kNetworkFields, c.network}});
     }},
    {"admin", "object",
     [](Config& c, const JsonValue& v) {
       return read_fields(v, {{kAdminFields, c.admin}});
     }},
    {"log", "object",
     [](Config& c, const JsonValue& v) {
       return read_fields(v, {{kLogFields, c}});
     }},
    {"stop_grace", "duration",
     [](Config& c, const JsonValue& v) { return v.duration(&c.stop_grace_ms, 0, kDay); }},
};

template <class T>
void append(std::vector<ConfigKey>* keys, std::string_view prefix,
            std::span<const JsonField<T>> table) {
  for (const JsonField<T>& field : table) {
    keys->push_back({std::string(prefix) + std::string(field.name), field.kind});
  }
}

}  // namespace

bool read_config(const JsonValue& document, Config* config) {
  return read_fields(document, {{kDocumentFields, *config}});
}

std::vector<ConfigKey> config_keys() {
  std::vector<ConfigKey> keys;
  const auto add = [&]<class T, size_t N>(std::string_view prefix, const JsonField<T>(&table)[N]) {
    append<T>(&keys, prefix, table);
  };
  add("", kDocumentFields);
  append(&keys, "conditions.*.", condition_fields());
  add("handlers.*.", kHandlerFields);
  append(&keys, "handlers.*.", process_fields());
  append(&keys, "handlers.*.limits.", limit_fields());
  add("handlers.*.batch.", kBatchFields<HandlerConfig>);
  add("handlers.*.", kPolicyFields);
  append(&keys, "handlers.*.backoff.", backoff_fields());
  add("handlers.*.http.", kMethodFields);
  add("handlers.*.http.", kTargetFields);
  append(&keys, "handlers.*.http.tls.", tls_fields());
  add("handlers.*.http.sign.", kSignFields);
  add("handlers.*.http.deadlines.", kDeadlineFields);
  add("sinks.*.", kTargetFields);
  add("sinks.*.", kSinkFields);
  add("sinks.*.", kPolicyFields);
  append(&keys, "sinks.*.", sink_queue_fields());
  append(&keys, "sinks.*.backoff.", backoff_fields());
  append(&keys, "sinks.*.tls.", tls_fields());
  add("sinks.*.batch.", kBatchFields<SinkConfig>);
  add("sinks.*.mqtt.", kMqttFields);
  add("sinks.*.nats.", kNatsFields);
  add("sinks.*.sign.", kSignFields);
  add("sinks.*.files.", kFilesFields);
  add("sinks.*.deadlines.", kDeadlineFields);
  append(&keys, "queues.*.", queue_fields());
  append(&keys, "schedules.*.", schedule_fields());
  append(&keys, "schedules.*.", scheduled_job_fields());
  append(&keys, "schedules.*.backoff.", backoff_fields());
  append(&keys, "subscriptions.*.", subscription_fields());
  append(&keys, "subscriptions.*.", subscribed_job_fields());
  append(&keys, "subscriptions.*.backoff.", backoff_fields());
  add("limits.", kLimitFields);
  add("limits.", kFullFields);
  add("retention.", kRetentionFields);
  add("clock.", kClockFields);
  add("losses.", kLossFields);
  add("link.", kLinkFields);
  add("link.budgets.*.", kBudgetFields);
  add("network.", kNetworkFields);
  add("admin.", kAdminFields);
  add("log.", kLogFields);
  return keys;
}

}  // namespace hf
