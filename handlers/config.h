// The configuration file of the daemon, and of any host program that wants one (hf_load_config), as
// plain data. docs/reference.md, "Configuration", is its description.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/requests.h"
#include "core/result.h"
#include "handlers/batch_body.h"
#include "handlers/exec_batch.h"
#include "handlers/files_options.h"
#include "handlers/outcome_rules.h"
#include "handlers/process_limits.h"
#include "platform/batch_limits.h"
#include "platform/host.h"
#include "platform/log.h"
#include "platform/net/host_rules.h"
#include "platform/net/tls_config.h"
#include "platform/net/webhook_signature.h"

namespace hf {

inline constexpr size_t kConfigBytesMax = 1 << 20;

using TextMap = std::vector<std::pair<std::string, std::string>>;

struct SignConfig {
  std::vector<std::string> names;           // of its keys; none: it is not signed
  std::shared_ptr<const SigningKeys> keys;  // null if it is of another device
  bool operator==(const SignConfig& other) const;  // also what is in them
};

// A secret that is named.
struct SecretConfig {
  std::string name;                      // "": none
  std::shared_ptr<const Secret> secret;  // null if it is of another device
  bool operator==(const SecretConfig& other) const;  // also what is in it
};

struct SecretHeaderConfig {
  std::string name;
  std::string prefix;
  SecretConfig value;
  bool operator==(const SecretHeaderConfig&) const = default;
};

// Of the phases of a request; 0: the default.
struct DeadlinesConfig {
  int64_t dns_ms = 0;
  int64_t connect_ms = 0;
  int64_t tls_ms = 0;
  int64_t first_byte_ms = 0;
  int64_t progress_ms = 0;
  bool operator==(const DeadlinesConfig&) const = default;
};

// Where requests go.
struct HttpConfig {
  std::string method = "POST";
  std::string url;
  TextMap headers;
  std::vector<SecretHeaderConfig> secret_headers;
  std::string proxy;  // "": none
  SecretConfig proxy_auth;  // the secret is what HttpProxy::login wants
  std::optional<TlsConfig> tls;
  bool allow_private = false;
  SignConfig sign;
  DeadlinesConfig deadlines;
  int redirects = 0;
  OutcomeRules on_status;
  bool operator==(const HttpConfig&) const = default;
};

// How it is known whether a condition is open.
enum class ConditionKind : uint8_t { none, power, battery, temperature, load, free_space, network, exec, link, told };
struct ConditionConfig {
  ConditionSpec spec;
  ConditionKind kind = ConditionKind::none;
  int percent = 0;                // of a battery
  double below = 0;               // degrees, or load
  std::string zone = {};          // of temperature; "": all
  int64_t bytes = 0;              // of free space
  std::string path = {};          // ... and where
  std::vector<std::string> exec = {};  // the program that is asked
  int64_t timeout_ms = kProbeTimeoutMs;  // of an answer
  bool operator==(const ConditionConfig&) const = default;
};

struct HandlerConfig {
  std::string type;
  Policy policy;
  int concurrency = 0;   // 0: no limit of its own
  RateLimits rates;
  int64_t defer_ms = 0;  // 0: the default
  std::string sink, callback, failure_callback;
  std::vector<std::string> when;  // conditions
  // One of the two: a program, or a request.
  std::vector<std::string> exec;
  TextMap env;
  std::string cwd;
  int64_t kill_grace_ms = 5000;
  int64_t heartbeat_ms = 0, soft_timeout_ms = 0;  // 0: none
  bool log_stderr = false;
  OutcomeRules on_exit;
  ProcessLimits limits;
  bool batch = false;  // the program takes many jobs at once, so many:
  static constexpr int kJobsMax = kBatchJobsMax;
  int batch_jobs = kBatchJobs;
  int64_t batch_bytes = kExecBatchBytes;
  int64_t batch_wait_ms = 0;
  HttpConfig http;  // url "": it is a program

  bool is_exec() const { return !exec.empty(); }
  bool operator==(const HandlerConfig&) const = default;
};

// What a sink that is a broker says beside its URL, which is SinkConfig::http.url.
struct BrokerConfig {
  std::string topic;      // of NATS: the subject; with places: handlers/topic.h
  std::string client_id;  // of MQTT; "": made of the device's and the sink's name
  std::string user;
  SecretConfig password;
  SecretConfig token;     // of NATS
  int64_t session_expiry_ms = 3600 * 1000;  // of MQTT
  bool operator==(const BrokerConfig&) const = default;
};

struct SinkConfig {
  std::string name;
  HttpConfig http;
  FilesOptions files;
  std::optional<BrokerConfig> mqtt, nats;  // one of them if the URL is a broker's
  Policy policy;
  int concurrency = 0;
  int64_t defer_ms = 0;
  static constexpr int kJobsMax = kSinkBatchJobsMax;
  int batch_jobs = 1;
  int64_t batch_bytes = 0;
  int64_t batch_wait_ms = 0;
  BatchFormat format = BatchFormat::ndjson;
  Encoding compress = Encoding::none;
  std::optional<int64_t> splay_ms;
  int newest_percent = 0;
  bool sequence = false;
  QueueSettings queue;  // of its deliveries

  bool is_broker() const { return mqtt.has_value() || nats.has_value(); }
  bool operator==(const SinkConfig&) const = default;
};

struct QueueConfig {
  std::string name;
  QueueSettings settings;
};

struct NetworkConfig {
  bool restricted = false;  // to these
  std::vector<HostRule> allow_hosts;
  bool operator==(const NetworkConfig&) const = default;
};

struct AdminConfig {
  std::string group;  // "": none
  bool open_view = false;
  int max_clients = 64;
  bool operator==(const AdminConfig&) const = default;
};

// Of another device: the programs, files, folders and groups that it names need not be on this one.
enum class ConfigOf : uint8_t { this_device, another };

struct ClockConfig {
  ClockOptions options;
  std::vector<std::string> command;  // exit code 0: the clock is right; empty: none
  int64_t command_every_ms = 60'000;
  bool operator==(const ClockConfig&) const = default;
};

// What the network may cost, and a file whose first word says which link there is; "": none.
struct LinkConfig {
  SetBudgets budgets;
  std::string file;
  bool operator==(const LinkConfig&) const = default;
};

struct Config {
  std::string file;                      // where it was read
  ConfigOf of = ConfigOf::this_device;
  std::string database, socket, device;  // "": the default
  std::vector<ConditionConfig> conditions;
  std::vector<std::string> other_conditions;  // that "when" may name, too: the program has made them
  std::vector<HandlerConfig> handlers;
  std::vector<SinkConfig> sinks;
  std::vector<QueueConfig> queues;
  std::vector<ScheduleSpec> schedules;
  std::vector<SubscriptionSpec> subscriptions;
  Limits limits = {.concurrency = 0};  // 0: not said
  std::optional<WhenFull> when_full;   // of the limits
  ClockConfig clock;
  LinkConfig link;
  SetLossReport losses;
  NetworkConfig network;
  AdminConfig admin;
  LogLevel log_level = LogLevel::kInfo;
  int64_t stop_grace_ms = 10000;
  std::vector<std::string> warnings;  // what is allowed, but perhaps not meant
};

// Reads and checks all of it, other files it names included. HF_E_NOT_FOUND, HF_E_DENIED,
// HF_E_TOO_LARGE of the file itself, else HF_E_INVALID: one line, "FILE:LINE:
// handlers.report.timeout: what was found, what is allowed".
Result<Config> load_config(const std::string& file, ConfigOf of = ConfigOf::this_device, const std::vector<std::string>& other_conditions = {});
// The same of text that is there already; `file` is its name in messages.
Result<Config> parse_config(std::string_view text, const std::string& file, ConfigOf of = ConfigOf::this_device,
                            const std::vector<std::string>& other_conditions = {});

// Every key there is, "handlers.*.timeout", with the kind of its value: for the test of the
// reference.
struct ConfigKey {
  std::string path;
  std::string_view kind;
};
std::vector<ConfigKey> config_keys();

}  // namespace hf
