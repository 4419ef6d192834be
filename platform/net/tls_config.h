// What a TLS client is told: values, no state.
#pragma once

#include <cstdint>
#include <string>

namespace hf {

// For the dates of certificates. An untrusted clock that finds fault with a date makes the failure deferrable
// (kTlsDate); every other fault is the same with and without a clock.
struct CertClock {
  bool trusted = true;
  int64_t wall_ms = 0;  // since 1970
};

struct TlsConfig {
  // Whom to trust: a PEM file, or a folder of them; both empty: the system's bundle.
  std::string ca_file;
  std::string ca_dir;
  // Our certificate chain and key, PEM; both or none. The key file must be closed to group and others.
  std::string cert_file;
  std::string key_file;
  bool tls13_only = false;
  // The server is not verified at all: anyone on the way can read and change everything. For the bench alone.
  bool dangerously_skip_verification = false;

  bool operator==(const TlsConfig&) const = default;
};

}  // namespace hf
