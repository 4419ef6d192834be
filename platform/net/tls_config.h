// What a TLS client is told: values, no state.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hf {

// For the dates of certificates. An untrusted clock that finds fault with a date makes the failure deferrable
// (kTlsDate); every other fault is the same with and without a clock.
struct CertClock {
  bool trusted = true;
  int64_t wall_ms = 0;  // since 1970
};

enum class TlsVersion : uint8_t { v1_2, v1_3 };

// SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 7469, 2.4); as text: pin_text().
using SpkiPin = std::array<uint8_t, 32>;

inline constexpr size_t kPinsMax = 16;
inline constexpr size_t kAlpnMax = 4;         // protocols that are offered
inline constexpr size_t kAlpnBytesMax = 255;  // of the name of one (RFC 7301, 3.1)

// When the first of somebody's certificates ends, milliseconds since 1970; 0: it has none, or it is not known. In the order of
// kCertsOf: our client certificate with its chain; the authorities, where a configuration names them; the server's chain
// as it was last seen, without the authority at its top.
inline constexpr std::array<std::string_view, 3> kCertsOf = {"client", "ca", "server"};
inline constexpr size_t kClientCert = 0, kCaCert = 1, kServerCert = 2;
using CertEnds = std::array<int64_t, kCertsOf.size()>;

struct TlsConfig {
  // Whom to trust: a PEM file, or a folder of them; both empty: the system's bundle.
  std::string ca_file;
  std::string ca_dir;
  // Our certificate chain and key, PEM; both or none. The key as open_secret() has it; the certificate is the path of a file, or
  // "cred:NAME".
  std::string cert_file;
  std::string key_file;
  TlsVersion min_version = TlsVersion::v1_2;
  std::vector<int> suites;    // numbers of TlsSuite, the first is liked best; empty: all that there are
  // Not empty: the server's chain, verified as ever, has to have one of these keys, its own or that of an authority.
  std::vector<SpkiPin> pins;  // at most kPinsMax
  bool speaks_http = true;  // http/1.1 is offered by ALPN unless `alpn` says what is; else nothing is
  // Offered by ALPN, the first is liked best; at most kAlpnMax of 1 to kAlpnBytesMax bytes, none of them NUL.
  std::vector<std::string> alpn;
  // The server is not verified at all: anyone on the way can read and change everything. For the bench alone.
  bool dangerously_skip_verification = false;

  bool operator==(const TlsConfig&) const = default;
};

}  // namespace hf
