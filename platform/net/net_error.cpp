#include "platform/net/net_error.h"

namespace hf {

const char* net_error_name(NetErrorKind kind) {
  switch (kind) {
    case NetErrorKind::kNone: return "none";
    case NetErrorKind::kCanceled: return "canceled";
    case NetErrorKind::kDns: return "dns";
    case NetErrorKind::kConnect: return "connect";
    case NetErrorKind::kProxy: return "proxy";
    case NetErrorKind::kTlsDate: return "tls_date";
    case NetErrorKind::kTlsVerify: return "tls_verify";
    case NetErrorKind::kTlsProtocol: return "tls_protocol";
    case NetErrorKind::kTimeout: return "timeout";
    case NetErrorKind::kClosed: return "closed";
    case NetErrorKind::kBadResponse: return "bad_response";
    case NetErrorKind::kRefused: return "refused";
    case NetErrorKind::kLocal: return "local";
  }
  return "unknown";
}

const char* net_phase_name(NetPhase phase) {
  switch (phase) {
    case NetPhase::kNone: return "start";
    case NetPhase::kQueue: return "wait for a connection";
    case NetPhase::kDns: return "name lookup";
    case NetPhase::kConnect: return "connect";
    case NetPhase::kProxy: return "wait for the proxy";
    case NetPhase::kTls: return "TLS handshake";
    case NetPhase::kSend: return "sending of the request";
    case NetPhase::kFirstByte: return "wait for the response";
    case NetPhase::kReceive: return "response";
  }
  return "unknown";
}

bool world_not_ready(const NetError& error) {
  switch (error.kind) {
    case NetErrorKind::kDns:
    case NetErrorKind::kConnect:
    case NetErrorKind::kProxy:
    case NetErrorKind::kTlsDate: return true;
    case NetErrorKind::kTimeout:
      return error.phase == NetPhase::kQueue || error.phase == NetPhase::kDns ||
             error.phase == NetPhase::kConnect || error.phase == NetPhase::kProxy;
    default: return false;
  }
}

}  // namespace hf
