#include "handlers/target_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/names.h"
#include "handlers/header_fields.h"
#include "handlers/topic.h"
#include "platform/broker/broker_client.h"
#include "platform/broker/mqtt.h"
#include "platform/descriptor.h"
#include "platform/net/proxy_tunnel.h"
#include "platform/net/url.h"

namespace hf {
namespace {

// A file of the daemon's, or a folder if that is allowed.
bool check_readable(const JsonValue& v, bool folder_allowed) {
  const std::string& file = v.node().text;
  const Descriptor in(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info;
  if (in.fd < 0 || fstat(in.fd, &info) != 0) return v.fail(quoted(file, 200) + ": " + std::strerror(errno));
  if (!S_ISREG(info.st_mode) && !(folder_allowed && S_ISDIR(info.st_mode))) {
    return v.fail(quoted(file, 200) + ": this is not a regular file");
  }
  return true;
}

bool check_secret(const JsonValue& v) {
  const auto file = open_secret(v.node().text);
  return file || v.fail(file.error().message);
}

bool check_tls(const JsonValue& object) {
  const auto tls = member_of(object, "tls");
  if (!tls) return true;
  const auto ca = member_of(*tls, "ca");
  const auto cert = member_of(*tls, "cert");
  const auto key = member_of(*tls, "key");
  return (!ca || check_readable(*ca, true)) &&
         (!cert || (cert->node().text.starts_with(kCredentialPrefix) ? check_secret(*cert) : check_readable(*cert, false))) &&
         (!key || check_secret(*key));
}

bool load_keys(const JsonValue& object, SignConfig& sign) {
  if (sign.names.empty()) return true;
  const auto signing = member_of(object, "sign");
  const auto names = member_of(*signing, "keys");
  auto keys = std::make_shared<SigningKeys>();
  for (size_t i = 0; i < sign.names.size(); ++i) {
    Result<Secret> key = read_signing_key(sign.names[i]);
    if (!key) return names->item(i).fail(key.error().message);
    keys->push_back(std::move(*key));
  }
  sign.keys = std::move(keys);
  return true;
}

bool load_headers(const JsonValue& object, HttpConfig& http) {
  for (SecretHeaderConfig& header : http.secret_headers) {
    const auto headers = member_of(object, "headers");
    const auto value = member_of(*headers, header.name);
    const auto name = member_of(*value, "secret");
    Result<Secret> secret = read_secret(header.value.name);
    if (!secret) return name->fail(secret.error().message);
    const std::string_view bytes = secret->bytes();
    if (std::any_of(bytes.begin(), bytes.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; })) {
      return name->fail(header.value.name + " has a control character, which is not allowed in an HTTP header");
    }
    header.value.secret = std::make_shared<const Secret>(std::move(*secret));
  }
  return http.secret_headers.empty() || check_headers_size(*member_of(object, "headers"), http);
}

bool load_login(const JsonValue& object, HttpConfig& http) {
  if (http.proxy_auth.name.empty()) return true;
  const auto name = member_of(object, "proxy_auth");
  const Result<Secret> text = read_secret(http.proxy_auth.name);
  if (!text) return name->fail(text.error().message);
  Result<Secret> login = proxy_login(*text);
  if (!login) return name->fail(http.proxy_auth.name + ": " + login.error().message);
  http.proxy_auth.secret = std::make_shared<const Secret>(std::move(*login));
  return true;
}

bool load_secret(const JsonValue& place, SecretConfig& secret) {
  Result<Secret> read = read_secret(secret.name);
  if (!read) return place.fail(read.error().message);
  if (read->bytes().find('\0') != std::string_view::npos) return place.fail("a NUL byte is not allowed in this secret");
  secret.secret = std::make_shared<const Secret>(std::move(*read));
  return true;
}

bool check_allowed(const JsonValue& v, const Url& url, const Config& config) {
  if (!config.network.restricted || allows(config.network.allow_hosts, url)) return true;
  return v.fail(url.host_port() + " is none of the hosts of \"network.allow_hosts\"");
}

bool check_proxy(const JsonValue& object, const HttpConfig& http, const Config& config) {
  if (http.proxy.empty()) return http.proxy_auth.name.empty() || member_of(object, "proxy_auth")->fail("this is for a \"proxy\", and there is none");
  const auto value = member_of(object, "proxy");
  const auto url = parse_url(http.proxy);
  if (!url) return value->fail(url.error().message);
  if (url->https || url->target != "/") return value->fail("a proxy is \"http://HOST:PORT\": it is spoken to without TLS, and has no path");
  return check_allowed(*value, *url, config);
}

}  // namespace

bool check_target(const JsonValue& object, HttpConfig& http, const Config& config) {
  const auto url_value = member_of(object, "url");
  const auto url = parse_url(http.url);
  if (!url) return url_value->fail(url.error().message);
  if (!check_allowed(*url_value, *url, config) || !check_proxy(object, http, config)) return false;
  if (!url->https && member_of(object, "tls")) {
    return member_of(object, "tls")->fail("the URL is http, which knows no TLS: https is meant");
  }
  if (!url->https) url_value->warn("plain http: what is sent can be read and changed on its way");
  if (config.of == ConfigOf::another) return true;
  return check_tls(object) && load_keys(object, http.sign) && load_headers(object, http) && load_login(object, http);
}

bool check_broker(const JsonValue& object, SinkConfig& sink, const Config& config) {
  const auto url_value = member_of(object, "url");
  const auto broker = parse_broker_url(sink.http.url);
  if (!broker) return url_value->fail(broker.error().message);
  if (!check_allowed(*url_value, broker->url, config) || !check_proxy(object, sink.http, config)) return false;
  const bool is_mqtt = broker->kind == BrokerKind::kMqtt;
  if (is_mqtt && !has_mqtt()) return url_value->fail("this build has no MQTT (it was configured without HOLDFAST_MQTT)");
  for (const char* name : {"compress", "files", "format", "headers", "on_status", "redirects", "sign", "batch", is_mqtt ? "nats" : "mqtt"}) {
    if (const auto other = member_of(object, name)) return other->fail("it does not go with a broker's URL of this kind");
  }
  const std::string section = is_mqtt ? "mqtt" : "nats", where = is_mqtt ? "topic" : "subject";
  const auto said = member_of(object, section);
  if (!said) return object.fail(quoted(section) + " is missing: it says the " + where);
  BrokerConfig& details = is_mqtt ? *sink.mqtt : *sink.nats;
  const auto topic = member_of(*said, where);
  if (!topic) return said->fail(quoted(where) + " is missing: it says where the results go");
  if (auto ok = check_topic(broker->kind, details.topic); !ok) return topic->fail(ok.error().message);
  if (!details.password.name.empty() && details.user.empty()) return said->fail("\"password\" needs a \"username\"");
  if (const auto tls = member_of(object, "tls"); tls && !broker->url.https)
    return tls->fail(std::string("the URL has no TLS: ") + (is_mqtt ? "mqtts" : "tls") + ":// is meant");
  if (!broker->url.https) url_value->warn("no TLS: what is sent, a password too, can be read and changed on its way");
  if (sink.concurrency > static_cast<int>(kBrokerMessagesMax))
    return member_of(object, "concurrency")->fail("of a broker at most " + std::to_string(kBrokerMessagesMax) + " are allowed");
  if (config.of == ConfigOf::another) return true;
  for (const auto& [name, secret] : {std::pair("password", &details.password), std::pair("token", &details.token)}) {
    if (const auto place = member_of(*said, name); place && !load_secret(*place, *secret)) return false;
  }
  return check_tls(object) && load_login(object, sink.http);
}

}  // namespace hf
