// Runners of requests, deliveries and uploads, as a configuration has them.
#include "handlers/apply_config.h"
#include "handlers/broker_sink.h"
#include "handlers/file_sink.h"
#include "handlers/http.h"
#include "handlers/outbound.h"
#include "handlers/runners.h"
#include "handlers/sink.h"
#include "platform/broker/mqtt.h"
#include "platform/broker/nats_session.h"
#include "platform/net/proxy_tunnel.h"
#include "platform/net/tls_context.h"
#include "platform/net/url.h"

namespace hf {
namespace {

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

}  // namespace

class RequestRunners::Maker {
 public:
  Maker(Host& host, const Config& config, int64_t max_result)
      : host_(host),
        config_(config),
        max_result_(max_result),
        client_(std::make_shared<SharedClient>(host.loop(), client_options(host))) {}

  std::shared_ptr<Runner> of(const HandlerConfig& handler) const {
    HttpDeadlines defaults;
    defaults.first_byte_ms = 0;  // what is asked for may take the job's timeout to be made
    HttpOptions options{target("handlers." + handler.type, handler.http, defaults), max_result_, handler.http.on_status};
    uv_loop_t* loop = host_.loop().uv();
    return outbound([loop, options, end = end_run()](HttpClient& client) {
      return std::make_unique<HttpRunner>(loop, client, options, end);
    });
  }

  std::shared_ptr<Runner> of(const SinkConfig& sink) const {
    if (!sink.files.root.empty()) return files(sink);
    uv_loop_t* loop = host_.loop().uv();
    if (sink.is_broker()) return std::make_shared<BrokerSinkRunner>(loop, broker_of(sink, host_), end_run());
    SinkOptions options{target("sinks." + sink.name, sink.http, {}), sink.format, sink.compress, sink.name, host_.log(), sink.http.on_status};
    return outbound([loop, options, end = end_run()](HttpClient& client) {
      return std::make_unique<SinkRunner>(loop, client, options, end);
    });
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
  std::shared_ptr<Runner> outbound(OutboundRunner::Make make) const {
    return std::make_shared<OutboundRunner>(host_.loop(), client_, std::move(make));
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
    if (!config_.link.budgets.budgets.empty()) options.slice = sink.files.chunk;
    uv_loop_t* loop = host_.loop().uv();
    const EndRunThen end = [&host = host_](RunEnded ended, std::function<void()> recorded) {
      recorded ? host.end_run(std::move(ended), std::move(recorded)) : host.end_run(std::move(ended));
    };
    return outbound([loop, options, end, tell = teller(host_)](HttpClient& client) {
      return std::make_unique<FileSinkRunner>(loop, client, options, end, tell);
    });
  }
  Host& host_;
  const Config& config_;
  const int64_t max_result_;
  const std::shared_ptr<SharedClient> client_;
};

RequestRunners::RequestRunners(Host& host, const Config& config, int64_t max_result)
    : maker_(std::make_unique<Maker>(host, config, max_result)) {}
RequestRunners::~RequestRunners() = default;
Result<std::shared_ptr<Runner>> RequestRunners::of(const HandlerConfig& handler) const { return maker_->of(handler); }
Result<std::shared_ptr<Runner>> RequestRunners::of(const SinkConfig& sink) const { return maker_->of(sink); }

}  // namespace hf
