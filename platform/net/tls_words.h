// What a configuration writes of TLS: names of cipher suites, pins of keys.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/result.h"
#include "platform/net/tls_config.h"

namespace hf {

struct TlsSuite {
  std::string_view name;  // IANA's
  int number;             // IANA's, which is mbedTLS's
  TlsVersion version;     // the one version that it is for
};

// Those that are allowed and that this build's mbedTLS has, the first is liked best. Forward secrecy and authenticated
// encryption only.
std::span<const TlsSuite> tls_suites();
// nullptr: it is none of tls_suites().
const TlsSuite* find_tls_suite(int number);
const TlsSuite* find_tls_suite(std::string_view name);

// "sha256/" and the base64 of 32 bytes. HF_E_INVALID.
Result<SpkiPin> parse_pin(std::string_view text);
std::string pin_text(const SpkiPin& pin);

}  // namespace hf
