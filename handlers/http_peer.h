// Where requests of one handler or sink go, and with what.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "platform/net/http_client.h"
#include "platform/net/webhook_signature.h"

namespace hf {

struct HttpTarget {
  Url url;
  std::string method = "POST";
  HttpHeaders headers;           // beside ours, or in place of our Content-Type and User-Agent
  std::vector<SecretHeader> secret_headers = {};
  std::shared_ptr<const HttpProxy> proxy = {};
  std::optional<TlsConfig> tls;  // default: the system's CA bundle, no client certificate
  bool allow_private = false;    // may be at loopback, link-local and private addresses
  HttpDeadlines deadlines;       // first_byte_ms 0: as long as the whole
  // What is sent is signed with them, under its Idempotency-Key; null: it is not signed. While the clock is not trusted
  // nothing is sent then: a receiver goes by the time in a signature.
  std::shared_ptr<const SigningKeys> sign;
  // Told after each answer when certificates end. Loop thread.
  std::function<void(const CertEnds& ends, CertClock clock)> learn = {};
};

// Loop thread, but may be made and destroyed on any.
class HttpPeer {
 public:
  // `client` outlives the HttpPeer.
  HttpPeer(uv_loop_t* loop, HttpClient& client, HttpTarget target);
  // REQUIRES: release(), or nothing was ever sent
  ~HttpPeer();
  HttpPeer(const HttpPeer&) = delete;
  HttpPeer& operator=(const HttpPeer&) = delete;

  // `ours` has an Idempotency-Key. Headers of the target with a name that is in it are left out. `done` is called
  // once, from the loop.
  RequestId send(const HttpHeaders& ours, std::string content_type, std::string body,
                 const HttpDeadlines& deadlines, int64_t max_response, HttpDoneFn done);
  // A request that the caller has made, but for the headers of the target, its certificates and permissions. It goes to where
  // its URL says. REQUIRES: the target is not signed
  RequestId send(HttpRequest request, HttpDoneFn done);
  bool cancel(RequestId id) { return client_.cancel(id); }
  bool withdraw(RequestId id) { return client_.withdraw(id); }
  // Nothing is sent from now on.
  void release();

  std::string name() const { return url().host_port(); }
  const Url& url() const { return target_.url; }
  // Of the requests of a run that may take so long; 0 and less: the target's own. The engine asks for the end at the
  // timeout; the deadline of the whole is there in case it does not.
  HttpDeadlines deadlines(int64_t timeout_ms) const;

 private:
  void learn() const;
  RequestId not_sent(const std::string& why, HttpDoneFn done);
  void add_target(HttpRequest* request) const;
  RequestId send_with_tls(HttpRequest request, HttpDoneFn done);

  uv_loop_t* const loop_;
  HttpClient& client_;
  const HttpTarget target_;
  std::optional<TlsConfigId> tls_;  // made with the first request, on the loop
};

}  // namespace hf
