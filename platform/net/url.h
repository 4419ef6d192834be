// URLs of http, https and of brokers, validated once at the edge (configuration, API) and passed as values from there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace hf {

inline constexpr size_t kUrlMax = 2048;  // bytes of a URL

// A plain value, made by parse_url and parse_broker_url alone.
struct Url {
  bool https = false;  // of a broker: under TLS
  bool host_is_ip = false;
  std::string host;    // lower case; an IP literal in its canonical form, without brackets
  uint16_t port = 0;   // 80 or 443 if the URL names none
  std::string target;  // path and query as sent, begins with "/"

  std::string authority() const;  // the Host header: "host", "[::1]:8443"; a default port is left out
  bool has_default_port() const;
  std::string host_port() const;  // for messages: "ingest.example:443"
  std::string text() const;       // the whole; parse_url reads it back
  bool same_origin(const Url& other) const { return https == other.https && host == other.host && port == other.port; }
  bool operator==(const Url&) const = default;
};

// Refused: other schemes, user info, fragments, an empty or malformed host, IPv6 zones, port 0, control
// characters, blanks, backslashes, bytes beyond ASCII (they are to be percent-encoded, or punycode in a host),
// and hosts that look like a number but are not a dotted quad ("0x7f.1"). HF_E_INVALID, HF_E_TOO_LARGE.
Result<Url> parse_url(std::string_view text);

// What a server means that says `reference` in its answer for `base` (Location: RFC 3986, 5.2): a whole URL, or what is to be
// put in place of the host, path, query or last part of the path. A fragment is left out. Errors as parse_url.
Result<Url> resolve_reference(const Url& base, std::string_view reference);

// mqtt:// and mqtts:// (ports 1883 and 8883), nats:// and tls:// (4222 both; tls is NATS under TLS, as its own clients have it).
// Refused: what parse_url refuses, and a path.
enum class BrokerKind : uint8_t { kMqtt, kNats };
struct BrokerUrl {
  BrokerKind kind = BrokerKind::kMqtt;
  Url url;
};
bool is_broker_url(std::string_view text);  // by its scheme; it may be a bad one yet
Result<BrokerUrl> parse_broker_url(std::string_view text);

}  // namespace hf
