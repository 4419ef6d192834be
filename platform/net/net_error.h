// What went wrong with a lookup, a connection or a request, as a class that code decides on and one
// line for a person.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace hf {

enum class NetErrorKind : uint8_t {
  kNone,         // no error
  kCanceled,     // by cancel() or shutdown()
  kDns,          // the name does not resolve, or the resolver is busy with lookups that hang
  kConnect,      // no address of the host accepts a connection
  kProxy,        // the proxy lets nothing through: it refused, broke off, or is none
  kTlsDate,      // only the dates of a certificate are wrong, and our clock is not trusted
  kTlsVerify,    // the certificate is not acceptable
  kTlsProtocol,  // the handshake or a record failed otherwise; the peer sent an alert
  kTimeout,      // a deadline passed; NetError::phase says which
  kClosed,       // the connection was closed or reset before the response was whole
  kBadResponse,  // not HTTP, headers or body over the limit, a bad chunk
  kRefused,      // by us: an address that is not allowed, a bad URL or header
  kLocal,        // limits, memory, a certificate file that cannot be read
};

enum class NetPhase : uint8_t {
  kNone,
  kQueue,      // waiting for a connection
  kDns,
  kConnect,
  kProxy,      // the proxy is asked for a way through
  kTls,
  kSend,       // the request is being written
  kFirstByte,  // the request is written, nothing has come yet
  kReceive,
};

struct NetError {
  NetErrorKind kind = NetErrorKind::kNone;
  NetPhase phase = NetPhase::kNone;  // where the request stood
  std::string message;               // UTF-8, one line, never a secret: no path, query or header

  explicit operator bool() const { return kind != NetErrorKind::kNone; }
};

inline NetError net_error(NetErrorKind kind, std::string message) {
  return {kind, NetPhase::kNone, std::move(message)};
}

// "dns", "tls_date", ...: for logs and metrics.
const char* net_error_name(NetErrorKind kind);
// "name lookup", "TLS handshake", ...: to read in a sentence.
const char* net_phase_name(NetPhase phase);

// True if the server cannot have seen the request and nothing is known against it or the job: the world
// is not ready (no link, no name, no listener, no trusted clock). Such a failure defers; it spends no attempt.
bool world_not_ready(const NetError& error);

}  // namespace hf
