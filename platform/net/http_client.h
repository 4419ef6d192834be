// HTTP/1.1 requests on one libuv loop, with kept-alive connections, deadlines and bounds on everything.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "platform/net/dns.h"
#include "platform/net/http_message.h"
#include "platform/net/net_error.h"
#include "platform/net/tls_config.h"

namespace hf {

struct HttpClientOptions {
  int max_connections_per_origin = 4;
  int max_connections = 16;
  size_t max_waiting = 256;    // requests that wait for a connection; one more is kLocal
  int64_t idle_ms = 60000;     // an unused connection is closed after this
  std::function<CertClock()> cert_clock;  // loop's thread; default: the system's clock, trusted
  ResolverOptions resolver;
};

// Since the client was made, but for the first three.
struct HttpClientStats {
  int connections = 0;  // open, or being opened
  int idle = 0;
  size_t waiting = 0;
  uint64_t requests = 0;  // accepted by send()
  uint64_t connections_opened = 0;
  uint64_t reused = 0;  // exchanges on a kept-alive connection
  uint64_t retried = 0;
  uint64_t tls_full = 0;  // handshakes
  uint64_t tls_resumed = 0;
};

using RequestId = uint64_t;  // never 0, never used twice by a client
using HttpDoneFn = std::function<void(HttpResult)>;

// Owned and used on the loop's thread; never blocks it. When no request is under way, the one timer that may
// be armed is that of idle connections, and when those are gone the client makes no system call.
//
// A request may be sent twice: when a kept-alive connection turns out closed before a byte of the
// response came, the request goes out once more, on a fresh connection (HttpResult::retried). The server may have
// acted on the first, so every request here carries an idempotency key or needs none. One with a streamed body is not sent
// again: how much of it has arrived is for the caller to ask.
//
// An https origin is verified as its TlsConfig says, an address of loopback, link-local or private scope is refused
// unless the request allows it, and the address that was checked is the one that is connected to. No
// redirect is followed, no proxy used unless the request names it, no cookie kept.
//
// SIGPIPE must be blocked or ignored on the loop's thread (platform/thread.h blocks it).
class HttpClient {
 public:
  HttpClient(uv_loop_t* loop, HttpClientOptions options = {});
  // shutdown({}) if that was not called. The loop must still run until the handles are closed, which
  // shutdown's callback tells; the callbacks that are left need nothing of the client.
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Calls on_done once, from the loop, never within send(). on_done may call any function of the client,
  // also destroy it.
  RequestId send(HttpRequest request, HttpDoneFn on_done);
  // on_done comes with kCanceled. False if it was called, or its call is due, already.
  bool cancel(RequestId id);
  // The same, but of a request of which nothing has been sent. False: it goes on, or is over.
  bool withdraw(RequestId id);

  // Certificates for HttpRequest::tls. The files are read when a connection needs them, and again when
  // they change. The same configuration gives the same id; each add_tls wants its remove_tls.
  Result<TlsConfigId> add_tls(TlsConfig config);
  void remove_tls(TlsConfigId id);
  // As far as is known; `peer` is Url::host_port().
  CertEnds cert_ends(TlsConfigId id, const std::string& peer) const;
  // Why the last (re)load of its files failed; "" if it did not.
  std::string tls_error(TlsConfigId id) const;

  // Every on_done that is owed comes with kCanceled within this call (a result that is due already, as it is);
  // connections are closed; then, from the loop or at once, when_closed: nothing of the client is left on the
  // loop, which may be closed. A later send() fails with kCanceled and its on_done comes within it.
  void shutdown(std::function<void()> when_closed);

  HttpClientStats stats() const;
  CertClock clock() const;  // HttpClientOptions::cert_clock

 private:
  class Pool;
  std::shared_ptr<Pool> pool_;  // shared with its own callbacks while they run
};

}  // namespace hf
