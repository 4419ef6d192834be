// Which hosts requests may go to, where a configuration says so.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/result.h"
#include "platform/net/url.h"

namespace hf {

inline constexpr size_t kHostRulesMax = 1000;

struct HostRule {
  std::string host;         // as Url has it
  bool subdomains = false;  // those below it, in place of itself
  uint16_t port = 0;        // 0: the one that the scheme has anyway
  bool operator==(const HostRule&) const = default;
};

// "ingest.example", "ingest.example:8443", "*.hooks.example", "192.0.2.1", "[2001:db8::1]:8443". HF_E_INVALID.
Result<HostRule> parse_host_rule(std::string_view text);
// True if one of them fits. Names alone are compared; what addresses they have is checked when they are known (dns.h).
bool allows(std::span<const HostRule> rules, const Url& url);

}  // namespace hf
