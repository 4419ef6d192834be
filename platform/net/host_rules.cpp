#include "platform/net/host_rules.h"

#include <algorithm>

#include "core/names.h"

namespace hf {

Result<HostRule> parse_host_rule(std::string_view text) {
  constexpr std::string_view kBelow = "*.";
  HostRule rule;
  rule.subdomains = text.starts_with(kBelow);
  const std::string rest(text.substr(rule.subdomains ? kBelow.size() : 0));
  const auto invalid = [&](const std::string& why) { return Error{HF_E_INVALID, quoted(text, 300) + " is no host: " + why + " (expected HOST, *.HOST, HOST:PORT or *.HOST:PORT)"}; };
  if (rest.find_first_of("/?") != rest.npos) return invalid("a scheme or path is not part of it");
  // Whether it names a port is seen by its being the same with either scheme.
  const auto plain = parse_url("http://" + rest), tls = parse_url("https://" + rest);
  if (!plain || !tls) return invalid(plain ? tls.error().message : plain.error().message);
  if (rule.subdomains && plain->host_is_ip) return invalid("below an address there is nothing");
  rule.host = plain->host;
  if (plain->port == tls->port) rule.port = plain->port;
  return rule;
}

bool allows(std::span<const HostRule> rules, const Url& url) {
  return std::any_of(rules.begin(), rules.end(), [&](const HostRule& rule) {
    const bool port = rule.port == 0 ? url.has_default_port() : rule.port == url.port;
    return port && (rule.subdomains ? url.host.ends_with("." + rule.host) : url.host == rule.host);
  });
}

}  // namespace hf
