// An HTTP/1.1 request and what came of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"
#include "platform/net/net_error.h"
#include "platform/net/url.h"
#include "platform/secret.h"

namespace hf {

// In order; names are compared without case.
class HttpHeaders {
 public:
  void add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
  }
  const std::string* find(std::string_view name) const;  // the first; nullptr if there is none
  std::string_view get(std::string_view name) const {    // "" if there is none
    const std::string* value = find(name);
    return value ? std::string_view(*value) : std::string_view();
  }
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// A header whose value is `before` and what is in `secret`. The characters are those that a header may have.
struct SecretHeader {
  std::string name, before;
  std::shared_ptr<const Secret> secret;
};

struct HttpProxy;  // proxy_tunnel.h

struct HttpLimits {
  size_t max_header_bytes = 16 * 1024;  // status line, headers, also of 1xx responses, and trailers
  size_t max_body_bytes = 64 * 1024;    // kept of the body
  // A longer body: false: the rest is not read, HttpResponse::body_cut is set; true: kBadResponse.
  bool long_body_is_error = false;
};

// Milliseconds, > 0, each from the start of its phase. What passes ends the request with kTimeout.
struct HttpDeadlines {
  int64_t dns_ms = 10000;
  int64_t connect_ms = 10000;  // all addresses together
  int64_t tls_ms = 15000;
  int64_t first_byte_ms = 30000;  // after the request is written
  int64_t progress_ms = 30000;    // between two steps of sending or receiving
  int64_t whole_ms = 120000;      // from send(), the wait for a connection included
};

using TlsConfigId = uint32_t;                 // of HttpClient::add_tls
inline constexpr TlsConfigId kTlsSystem = 0;  // the system's CA bundle, no client certificate

// A body that is read while it is sent: two pieces of it are in memory at most. Loop thread.
class HttpBody {
 public:
  using Piece = std::shared_ptr<const std::string>;
  virtual ~HttpBody() = default;
  virtual int64_t size() const = 0;  // > 0; exactly so many bytes follow
  // Calls `ready` once, from the loop, never within this call, with 1 to kBodyPieceMax bytes that begin at `at` (from 0), or with
  // why they cannot be read. REQUIRES: at < size(), and no `ready` is owed.
  virtual void read(int64_t at, std::function<void(Result<Piece>)> ready) = 0;
  // The `ready` that is owed, if any, is not called.
  virtual void stop() = 0;
};
inline constexpr size_t kBodyPieceMax = 64 * 1024;

struct HttpRequest {
  std::string method = "GET";
  Url url;
  HttpHeaders headers;  // none that is_own_header()
  std::shared_ptr<const std::string> body;  // shared with the caller, not copied; nullptr: none
  std::shared_ptr<HttpBody> streamed;       // ... or this one in its place
  HttpLimits limits;
  HttpDeadlines deadlines;
  TlsConfigId tls = kTlsSystem;
  bool allow_private = false;  // may connect to loopback, link-local and private addresses
  std::vector<SecretHeader> secret_headers = {};
  // Through this one, which may be at any address; it looks up the name, so that of the server's address only a literal one is
  // checked. The same pointer for requests that may share connections. nullptr: none.
  std::shared_ptr<const HttpProxy> proxy = {};
};

struct HttpResponse {
  int status = 0;  // 200..599; 1xx are skipped
  HttpHeaders headers;
  std::string body;
  bool body_cut = false;
};

// Exactly one of `error` and `response` is set.
struct HttpResult {
  NetError error;
  HttpResponse response;
  bool sent = false;     // a byte of the request may have reached the server
  bool retried = false;  // sent again, since a kept-alive connection was closed under it
  bool reused = false;   // on a kept-alive connection
  int64_t wire_bytes = 0;  // read and written for it, the handshake of its connection and what it sent in vain included; without TCP and IP

  bool ok() const { return !error; }
};

// The request line and headers as sent. HF_E_INVALID: a name, value or method with characters that are
// not allowed (CR and LF above all), or a header that is the client's own; HF_E_TOO_LARGE beyond
// kRequestHeaderMax.
inline constexpr size_t kRequestHeaderMax = 32 * 1024;
Result<std::string> format_request_head(const HttpRequest& request);
// The same with the secret headers, in memory that is overwritten when it goes.
std::shared_ptr<const std::string> with_secrets(std::string head, const std::vector<SecretHeader>& headers);

// Host, Content-Length, Transfer-Encoding, Connection, ...: the client's own, which nobody else sets.
bool is_own_header(std::string_view name);

}  // namespace hf
