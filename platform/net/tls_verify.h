// Whether a server's certificate is acceptable, and the sentence that says why not.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "platform/net/net_error.h"
#include "platform/net/tls_config.h"

struct mbedtls_x509_crt;
struct mbedtls_x509_time;

namespace hf {

// Milliseconds since 1970.
int64_t cert_time_ms(const mbedtls_x509_time& time);

// Sits in mbedTLS's verification of one handshake, as its callback: takes the dates from CertClock instead of
// the system's clock, the rule of RFC 9110, 4.3.4 that an IP address is proven by an iPAddress name
// alone, and the pins. A plain object, on the thread of its session.
class CertCheck {
 public:
  // When every certificate of the chain is valid, milliseconds since 1970.
  struct Validity {
    int64_t from_ms = INT64_MIN;
    int64_t to_ms = INT64_MAX;
    bool contains(int64_t wall_ms) const { return from_ms <= wall_ms && wall_ms <= to_ms; }
  };

  // `name` ("ingest.example:443") is for messages. `pins` live longer; none: any key will do.
  CertCheck(std::string host, bool host_is_ip, std::string name, CertClock clock, std::span<const SpkiPin> pins);

  // For each certificate of the chain, depth 0 is the server's own. Changes `flags` (MBEDTLS_X509_BADCERT_*).
  void check(const mbedtls_x509_crt& certificate, int depth, uint32_t* flags);

  // False after a resumed handshake: the certificate was checked when the session began.
  bool called() const { return called_; }
  const Validity& validity() const { return validity_; }  // REQUIRES: called()
  // When the first certificate that the server sent ends; the authority at the top of the chain is not among them, unless the server
  // is its own. REQUIRES: called()
  int64_t server_end_ms() const { return server_end_ms_; }
  // REQUIRES: flags != 0, the result of the verification.
  NetError error(uint32_t flags) const;

 private:
  void check_dates(const mbedtls_x509_crt& certificate, int depth, uint32_t* flags);
  void check_pin(const mbedtls_x509_crt& certificate, int depth, uint32_t* flags);

  const std::string host_;
  const bool host_is_ip_;
  const std::string name_;
  const CertClock clock_;
  const std::span<const SpkiPin> pins_;
  bool pinned_ = false;     // one of the keys was among those
  std::string keys_;        // of the chain, for a message
  std::string pin_fault_;
  bool called_ = false;
  Validity validity_;
  int64_t server_end_ms_ = INT64_MAX;
  std::string date_fault_;  // "expired on 2026-01-02"
  std::string names_;       // what the certificate is for
  std::string issuer_;
  bool self_signed_ = false;
};

}  // namespace hf
