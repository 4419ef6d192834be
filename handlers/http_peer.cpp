#include "handlers/http_peer.h"

#include <cassert>
#include <utility>

#include "handlers/next_turn.h"
#include "platform/memory.h"

namespace hf {
namespace {

constexpr int64_t kAfterTimeoutMs = 1000;

}  // namespace

HttpPeer::HttpPeer(uv_loop_t* loop, HttpClient& client, HttpTarget target)
    : loop_(loop), client_(client), target_(std::move(target)) {}

HttpPeer::~HttpPeer() {
  assert(!tls_);
}

RequestId HttpPeer::not_sent(const std::string& why, HttpDoneFn done) {
  HttpResult failed;
  failed.error = net_error(NetErrorKind::kLocal, why);
  on_next_turn(loop_, [done = std::move(done), failed]() mutable { done(std::move(failed)); });
  return RequestId{0};
}

RequestId HttpPeer::send(const HttpHeaders& ours, std::string content_type, std::string body,
                         const HttpDeadlines& deadlines, int64_t max_response, HttpDoneFn done) {
  HttpRequest request;
  request.method = target_.method;
  request.url = target_.url;
  request.headers = ours;
  if (target_.sign) {
    const CertClock clock = client_.clock();
    if (!clock.trusted) return not_sent("the request to " + name() + " is to be signed, and the clock is not trusted yet: its time would be wrong", std::move(done));
    const Status added = add_signature(&request.headers, *target_.sign, ours.get("Idempotency-Key"), clock.wall_ms / 1000, body);
    if (!added) return not_sent(added.error().message, std::move(done));
  }
  add_target(&request);
  if (!body.empty() && request.headers.find("Content-Type") == nullptr)
    request.headers.add("Content-Type", std::move(content_type));
  request.body = std::make_shared<const std::string>(std::move(body));
  request.limits.max_body_bytes = static_cast<size_t>(max_response);
  request.deadlines = deadlines;
  return send_with_tls(std::move(request), std::move(done));
}

RequestId HttpPeer::send(HttpRequest request, HttpDoneFn done) {
  assert(!target_.sign);
  add_target(&request);
  return send_with_tls(std::move(request), std::move(done));
}

void HttpPeer::add_target(HttpRequest* request) const {
  for (const auto& [name, value] : target_.headers.fields())
    if (request->headers.find(name) == nullptr) request->headers.add(name, value);
  for (const SecretHeader& header : target_.secret_headers)
    if (request->headers.find(header.name) == nullptr) request->secret_headers.push_back(header);
  request->proxy = target_.proxy;
}

RequestId HttpPeer::send_with_tls(HttpRequest request, HttpDoneFn done) {
  if (target_.tls && !tls_) {
    auto added = client_.add_tls(*target_.tls);
    if (!added) return not_sent(added.error().message, std::move(done));
    tls_ = added.value();
  }
  request.tls = tls_.value_or(kTlsSystem);
  request.allow_private = target_.allow_private;
  // A client that is shut down answers within send().
  const auto within = std::make_shared<bool>(true);
  const RequestId id = client_.send(
      std::move(request), [this, loop = loop_, within, done = std::move(done)](HttpResult result) {
        if (!*within) {
          learn();
          return done(std::move(result));
        }
        on_next_turn(loop, [done, result = std::move(result)]() mutable { done(std::move(result)); });
      });
  *within = false;
  return id;
}

HttpDeadlines HttpPeer::deadlines(int64_t timeout_ms) const {
  HttpDeadlines deadlines = target_.deadlines;
  if (timeout_ms > 0) deadlines.whole_ms = timeout_ms + kAfterTimeoutMs;
  if (deadlines.first_byte_ms == 0) deadlines.first_byte_ms = deadlines.whole_ms;
  return deadlines;
}

// Without memory nothing is learnt, and the answer is told all the same.
void HttpPeer::learn() const {
  if (!target_.url.https || !target_.learn) return;
  (void)guarded([&] { target_.learn(client_.cert_ends(tls_.value_or(kTlsSystem), name()), client_.clock()); });
}

void HttpPeer::release() {
  if (tls_) client_.remove_tls(*std::exchange(tls_, std::nullopt));
}

}  // namespace hf
