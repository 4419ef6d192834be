#include "handlers/http_peer.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "core/names.h"
#include "handlers/next_turn.h"
#include "handlers/redirect.h"
#include "platform/memory.h"
#include "platform/net/loop_handles.h"

namespace hf {
namespace {

constexpr int64_t kAfterTimeoutMs = 1000;
constexpr int64_t kWithoutTimeoutMs = int64_t{365} * 24 * 3600 * 1000;

}  // namespace

HttpPeer::HttpPeer(uv_loop_t* loop, HttpClient& client, HttpTarget target)
    : loop_(loop), client_(client), target_(std::move(target)) {}

HttpPeer::~HttpPeer() {
  assert(!tls_ && hops_.empty());
}

Status HttpPeer::make_tls() {
  if (!target_.tls || tls_) return ok_status();
  auto added = client_.add_tls(*target_.tls);
  if (!added) return added.error();
  tls_ = added.value();
  if (target_.redirects == 0) return ok_status();
  TlsConfig without = *target_.tls;
  without.cert_file.clear();
  without.key_file.clear();
  added = client_.add_tls(std::move(without));
  if (!added) {
    release();
    return added.error();
  }
  tls_elsewhere_ = added.value();
  return ok_status();
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
  const size_t own = request.headers.fields().size();
  add_target(&request);
  if (!body.empty() && request.headers.find("Content-Type") == nullptr)
    request.headers.add("Content-Type", std::move(content_type));
  request.body = std::make_shared<const std::string>(std::move(body));
  request.limits.max_body_bytes = static_cast<size_t>(max_response);
  request.deadlines = deadlines;
  if (const Status made = add_permissions(&request); !made) return not_sent(made.error().message, std::move(done));
  return target_.redirects > 0 ? submit_first(std::move(request), own, std::move(done)) : submit(std::move(request), std::move(done));
}

RequestId HttpPeer::send(HttpRequest request, HttpDoneFn done) {
  assert(!target_.sign);
  add_target(&request);
  if (const Status made = add_permissions(&request); !made) return not_sent(made.error().message, std::move(done));
  return submit(std::move(request), std::move(done));
}

void HttpPeer::add_target(HttpRequest* request) const {
  for (const auto& [name, value] : target_.headers.fields())
    if (request->headers.find(name) == nullptr) request->headers.add(name, value);
  for (const SecretHeader& header : target_.secret_headers)
    if (request->headers.find(header.name) == nullptr) request->secret_headers.push_back(header);
  request->proxy = target_.proxy;
}

Status HttpPeer::add_permissions(HttpRequest* request) {
  HF_TRY(make_tls());
  request->tls = tls_.value_or(kTlsSystem);
  request->allow_private = target_.allow_private;
  return ok_status();
}

RequestId HttpPeer::submit(HttpRequest request, HttpDoneFn done) {
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

// ---- redirects

RequestId HttpPeer::submit_first(HttpRequest request, size_t own, HttpDoneFn done) {
  uv_update_time(loop_);
  Hops one(1);
  const auto hop = one.begin();
  hop->until_ms = loop_now_ms(loop_) + request.deadlines.whole_ms;
  hop->left = target_.redirects;
  hop->request = request;
  hop->own = own;
  hop->done = std::move(done);
  hop->first = hop->now = submit(std::move(request), [this, hop](HttpResult result) { answered(hop, std::move(result)); });
  hops_.splice(hops_.end(), one);
  return hop->first;
}

void HttpPeer::answered(Hops::iterator hop, HttpResult result) {
  hop->wire_bytes += result.wire_bytes;
  result.wire_bytes = hop->wire_bytes;
  const bool may = result.ok() && hop->left > 0;
  bool followed = false;
  const bool enough_memory = guarded([&] {
    const auto to = may ? redirect_of(result.response, hop->request.url) : std::nullopt;
    if (!to || (target_.allow_hosts && !allows(*target_.allow_hosts, *to))) return;
    follow(hop, *to);
    followed = true;
  });
  if (followed) return;
  if (!enough_memory) result.error = net_error(NetErrorKind::kLocal, "out of memory");  // so short that it needs none
  const HttpDoneFn done = std::move(hop->done);
  hops_.erase(hop);
  done(std::move(result));
}

void HttpPeer::follow(Hops::iterator hop, const Url& to) {
  const HttpRequest& whole = hop->request;
  HttpRequest request;
  if (same_server(target_.url, to)) {
    request = whole;
  } else {  // nothing goes along that is not named here
    request.method = whole.method;
    request.body = whole.body;
    request.limits = whole.limits;
    request.allow_private = whole.allow_private;
    request.proxy = whole.proxy;
    request.tls = tls_elsewhere_.value_or(kTlsSystem);
    size_t left = hop->own;
    for (const auto& [name, value] : whole.headers.fields()) {
      if (left > 0 || equal_no_case(name, "Content-Type")) request.headers.add(name, value);
      left -= left > 0;
    }
  }
  request.url = to;
  request.deadlines = whole.deadlines;
  request.deadlines.whole_ms = std::max<int64_t>(hop->until_ms - loop_now_ms(loop_), 1);
  hop->now = submit(std::move(request), [this, hop](HttpResult result) { answered(hop, std::move(result)); });
  hop->request.url = to;
  --hop->left;
}

RequestId HttpPeer::under_way(RequestId first) const {
  for (const Hop& hop : hops_)
    if (hop.first == first && first != 0) return hop.now;
  return first;
}

HttpDeadlines HttpPeer::deadlines(int64_t timeout_ms) const {
  HttpDeadlines deadlines = target_.deadlines;
  deadlines.whole_ms = timeout_ms > 0 ? timeout_ms + kAfterTimeoutMs : kWithoutTimeoutMs;
  if (deadlines.first_byte_ms == 0) deadlines.first_byte_ms = deadlines.whole_ms;
  return deadlines;
}

// Without memory nothing is learnt, and the answer is told all the same.
void HttpPeer::learn() const {
  if (!target_.url.https || !target_.learn) return;
  (void)guarded([&] { target_.learn(client_.cert_ends(tls_.value_or(kTlsSystem), name()), client_.clock()); });
}

void HttpPeer::release() {
  for (auto* tls : {&tls_, &tls_elsewhere_})
    if (*tls) client_.remove_tls(*std::exchange(*tls, std::nullopt));
}

}  // namespace hf
