#include "platform/net/url.h"

#include <algorithm>

#include "platform/net/address.h"

namespace hf {
namespace {

constexpr uint16_t kHttpPort = 80;
constexpr uint16_t kHttpsPort = 443;
struct BrokerScheme {
  std::string_view name;
  BrokerKind kind;
  bool under_tls;
  uint16_t port;
};
constexpr BrokerScheme kBrokerSchemes[] = {{"mqtt", BrokerKind::kMqtt, false, 1883},
                                           {"mqtts", BrokerKind::kMqtt, true, 8883},
                                           {"nats", BrokerKind::kNats, false, 4222},
                                           {"tls", BrokerKind::kNats, true, 4222}};
constexpr size_t kHostMax = 253;  // RFC 1035, 2.3.4, as text
constexpr size_t kLabelMax = 63;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = lower(c);
  return out;
}

Error invalid(std::string message) { return {HF_E_INVALID, std::move(message)}; }

Status check_characters(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const std::string where = " at byte " + std::to_string(i + 1) + " of the URL";
    if (c < 0x20 || c == 0x7f) return invalid("a control character" + where);
    if (c == ' ') return invalid("a blank" + where + "; write %20");
    if (c >= 0x80)
      return invalid("a byte beyond ASCII" + where + "; use percent-encoding, or punycode in the host");
    if (c == '\\') return invalid("a backslash" + where);
    if (c == '#') return invalid("a fragment (#)" + where + "; it is never sent to a server");
  }
  return ok_status();
}

// "0x7f.1", "2130706433", "127.1": inet_aton's forms, which resolvers take for addresses.
bool ends_in_number(std::string_view host) {
  const size_t dot = host.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? host : host.substr(dot + 1);
  if (last.size() >= 2 && last[0] == '0' && last[1] == 'x') return true;
  return std::all_of(last.begin(), last.end(), is_digit);
}

Status check_name(const std::string& host) {
  if (host.size() > kHostMax)
    return invalid("the host is longer than " + std::to_string(kHostMax) + " bytes");
  size_t begin = 0;
  while (begin <= host.size()) {
    const size_t end = std::min(host.find('.', begin), host.size());
    const size_t size = end - begin;
    if (size == 0) return invalid("the host \"" + host + "\" has an empty label");
    if (size > kLabelMax)
      return invalid("a label of the host is longer than " + std::to_string(kLabelMax) + " bytes");
    if (host[begin] == '-' || host[end - 1] == '-')
      return invalid("a label of the host \"" + host + "\" begins or ends with '-'");
    begin = end + 1;
  }
  for (const char c : host)
    if (!is_alpha(c) && !is_digit(c) && c != '-' && c != '.' && c != '_')
      return invalid(std::string("the character '") + c + "' is not allowed in a host");
  if (ends_in_number(host))
    return invalid("the host \"" + host + "\" looks like a number but is no IPv4 address a.b.c.d");
  return ok_status();
}

Status parse_host(std::string_view text, bool bracketed, Url* url) {
  if (text.empty()) return invalid("the URL has no host");
  const auto ip = parse_ip(text, 0);
  if (bracketed) {
    if (text.find('%') != std::string_view::npos) return invalid("an IPv6 zone is not allowed in a URL");
    if (!ip || !ip->is_v6()) return invalid("\"[" + std::string(text) + "]\" is no IPv6 address");
  } else if (ip && ip->is_v6()) {
    return invalid("an IPv6 address in a URL is written in brackets: [" + std::string(text) + "]");
  }
  url->host_is_ip = ip.has_value();
  url->host = ip ? ip->ip() : lower(text);
  if (!ip) HF_TRY(check_name(url->host));
  return ok_status();
}

Status parse_port(std::string_view text, Url* url) {
  unsigned port = 0;
  for (const char c : text) {
    if (!is_digit(c)) return invalid("the port \"" + std::string(text) + "\" is no number");
    port = std::min(port * 10 + static_cast<unsigned>(c - '0'), 100000u);
  }
  if (port == 0 || port > 65535)
    return invalid("the port \"" + std::string(text) + "\" is not between 1 and 65535");
  url->port = static_cast<uint16_t>(port);
  return ok_status();
}

Status parse_authority(std::string_view text, Url* url) {
  if (text.find('@') != std::string_view::npos)
    return invalid("a user name or password is not allowed in a URL");
  if (!text.empty() && text[0] == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return invalid("the ']' of the IPv6 address is missing");
    HF_TRY(parse_host(text.substr(1, close - 1), true, url));
    const std::string_view rest = text.substr(close + 1);
    if (rest.empty()) return ok_status();
    if (rest[0] != ':') return invalid("what follows the ']' must be a port");
    return parse_port(rest.substr(1), url);
  }
  // More than one colon is a bare IPv6 address, which parse_host explains.
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos)
    return parse_host(text, false, url);
  HF_TRY(parse_host(text.substr(0, colon), false, url));
  return parse_port(text.substr(colon + 1), url);
}

}  // namespace

std::string Url::host_port() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool Url::has_default_port() const { return port == (https ? kHttpsPort : kHttpPort); }

std::string Url::authority() const {
  std::string out = host_port();
  if (has_default_port()) out.resize(out.rfind(':'));
  return out;
}

std::string Url::text() const { return (https ? "https://" : "http://") + authority() + target; }

namespace {

// RFC 3986, 5.2.4, of a path that begins with "/".
std::string without_dots(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const size_t next = std::min(path.find('/', 1), path.size());
    const std::string_view part = path.substr(0, next);
    const bool last = next == path.size();
    path.remove_prefix(next);
    if (part == "/..") out.resize(out.empty() ? 0 : out.rfind('/'));
    if (part != "/." && part != "/..") out += part;
    else if (last) out += '/';
  }
  return out;
}

}  // namespace

Result<Url> resolve_reference(const Url& base, std::string_view reference) {
  reference = reference.substr(0, reference.find('#'));
  const size_t special = std::min(reference.find_first_of(":/?"), reference.size());
  if (special > 0 && special < reference.size() && reference[special] == ':') return parse_url(reference);
  if (reference.starts_with("//")) return parse_url((base.https ? "https:" : "http:") + std::string(reference));
  const std::string base_path = base.target.substr(0, base.target.find('?'));
  const size_t query = std::min(reference.find('?'), reference.size());
  const std::string_view path = reference.substr(0, query);
  Url url = base;
  if (reference.empty()) return url;
  if (path.empty()) {
    url.target = base_path;
  } else if (path[0] == '/') {
    url.target = without_dots(path);
  } else {
    url.target = without_dots(base_path.substr(0, base_path.rfind('/') + 1) + std::string(path));
  }
  url.target += reference.substr(query);
  return parse_url(url.text());
}

namespace {

Result<size_t> find_scheme_end(std::string_view text, std::string_view expected) {
  if (text.empty()) return invalid("the URL is empty");
  if (text.size() > kUrlMax)
    return Error{HF_E_TOO_LARGE, "the URL is longer than " + std::to_string(kUrlMax) + " bytes"};
  HF_TRY(check_characters(text));
  const size_t end = text.find("://");
  if (end == std::string_view::npos) return invalid("the URL does not begin with " + std::string(expected));
  return end;
}

// What follows "://"; the port is the scheme's if it names none.
Status parse_rest(std::string_view rest, Url* url) {
  const size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());
  HF_TRY(parse_authority(rest.substr(0, authority_end), url));
  url->target = rest.substr(authority_end);
  return ok_status();
}

const BrokerScheme* broker_scheme(std::string_view text) {
  const std::string name = lower(text.substr(0, std::min(text.find("://"), text.size())));
  const auto found = std::find_if(std::begin(kBrokerSchemes), std::end(kBrokerSchemes),
                                  [&](const BrokerScheme& scheme) { return scheme.name == name; });
  return found == std::end(kBrokerSchemes) ? nullptr : found;
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  const auto scheme_end = find_scheme_end(text, "http:// or https://");
  if (!scheme_end) return scheme_end.error();
  Url url;
  const std::string scheme = lower(text.substr(0, *scheme_end));
  if (scheme != "http" && scheme != "https")
    return invalid("the scheme \"" + scheme + "\" is not known; http and https are");
  url.https = scheme == "https";
  url.port = url.https ? kHttpsPort : kHttpPort;
  HF_TRY(parse_rest(text.substr(*scheme_end + 3), &url));
  if (url.target.empty() || url.target[0] == '?') url.target.insert(0, "/");
  return url;
}

bool is_broker_url(std::string_view text) { return text.find("://") != std::string_view::npos && broker_scheme(text); }

Result<BrokerUrl> parse_broker_url(std::string_view text) {
  const auto scheme_end = find_scheme_end(text, "mqtts:// or tls://");
  if (!scheme_end) return scheme_end.error();
  const BrokerScheme* scheme = broker_scheme(text);
  if (!scheme) return invalid("the scheme is not known; mqtt, mqtts, nats and tls are");
  BrokerUrl broker;
  broker.kind = scheme->kind;
  broker.url.https = scheme->under_tls;
  broker.url.port = scheme->port;
  HF_TRY(parse_rest(text.substr(*scheme_end + 3), &broker.url));
  if (!broker.url.target.empty() && broker.url.target != "/")
    return invalid("a broker's URL has no path: the topic or subject has a key of its own");
  broker.url.target = "/";
  return broker;
}

}  // namespace hf
