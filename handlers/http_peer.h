// Where requests of one handler or sink go, and with what.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "platform/net/host_rules.h"
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
  int redirects = 0;             // 307 and 308 are followed so often a request, up to kRedirectsMax
  std::shared_ptr<const std::vector<HostRule>> allow_hosts = {};  // where they may lead; null: anywhere
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
  // once, from the loop. Where a redirect is followed to another server (same_server), the target's headers but
  // Content-Type and the client certificate stay here: they are for the eyes of the target. The deadline of the whole goes on.
  RequestId send(const HttpHeaders& ours, std::string content_type, std::string body,
                 const HttpDeadlines& deadlines, int64_t max_response, HttpDoneFn done);
  // A request that the caller has made, but for the headers of the target, its certificates and permissions. It goes to where
  // its URL says, and no redirect is followed. REQUIRES: the target is not signed
  RequestId send(HttpRequest request, HttpDoneFn done);
  bool cancel(RequestId id) { return client_.cancel(under_way(id)); }
  // Also of a request that was sent on and has not arrived there: nobody has taken it yet.
  bool withdraw(RequestId id) { return client_.withdraw(under_way(id)); }
  // Nothing is sent from now on.
  void release();

  std::string name() const { return url().host_port(); }
  const Url& url() const { return target_.url; }
  // Of the requests of a run that may take so long; 0 and less: as long as it takes. The engine asks for the end at the
  // timeout; the deadline of the whole is there in case it does not.
  HttpDeadlines deadlines(int64_t timeout_ms) const;

 private:
  void learn() const;
  RequestId not_sent(const std::string& why, HttpDoneFn done);
  void add_target(HttpRequest* request) const;
  Status add_permissions(HttpRequest* request);

  // A request that may be redirected.
  struct Hop {
    HttpRequest request;  // to where it goes now, but with all headers
    size_t own = 0;       // of its headers so many are for everybody
    HttpDoneFn done;
    int left = 0;
    int64_t until_ms = 0;  // by the loop's clock
    int64_t wire_bytes = 0;
    RequestId first = 0, now = 0;
  };
  using Hops = std::list<Hop>;

  Status make_tls();
  RequestId submit(HttpRequest request, HttpDoneFn done);
  RequestId submit_first(HttpRequest request, size_t own, HttpDoneFn done);
  void answered(Hops::iterator hop, HttpResult result);
  void follow(Hops::iterator hop, const Url& to);
  RequestId under_way(RequestId first) const;

  uv_loop_t* const loop_;
  HttpClient& client_;
  const HttpTarget target_;
  std::optional<TlsConfigId> tls_;  // made with the first request, on the loop
  std::optional<TlsConfigId> tls_elsewhere_;  // the same without a client certificate
  Hops hops_;
};

}  // namespace hf
