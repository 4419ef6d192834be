#include "platform/net/http_client.h"

#include <algorithm>
#include <list>
#include <optional>
#include <utility>
#include <vector>

#include "platform/clock.h"
#include "platform/net/client_connection.h"

namespace hf {
namespace {

Origin origin_of(const HttpRequest& request) {
  // Without TLS the configuration does not matter.
  return {request.url.https, request.url.host, request.url.port, request.url.host_is_ip,
          request.url.https ? request.tls : kTlsSystem, request.allow_private, request.proxy};
}

HttpResult failure(NetError error) {
  HttpResult result;
  result.error = std::move(error);
  return result;
}

std::string timeout_text(NetPhase phase, const std::string& name, int64_t ms) {
  const std::string within = " within " + std::to_string(ms) + " ms";
  switch (phase) {
    case NetPhase::kProxy: return "no answer of the proxy for " + name + within;
    case NetPhase::kTls: return "no TLS handshake with " + name + within;
    case NetPhase::kSend: return name + " took none of the request" + within;
    case NetPhase::kFirstByte: return "no response from " + name + within;
    case NetPhase::kReceive: return name + " sent no more of the response" + within;
    default: return "the request to " + name + " was not done" + within;
  }
}

// One request, from send() until its on_done is due.
struct Call {
  RequestId id = 0;
  HttpRequest request;
  Origin origin;
  std::shared_ptr<const std::string> head;
  HttpDoneFn on_done;
  NetPhase phase = NetPhase::kQueue;
  int64_t phase_limit_ms = 0;   // 0: the phase has no deadline of its own here
  int64_t phase_until_ms = 0;   // by the loop's clock
  int64_t whole_until_ms = 0;
  std::unique_ptr<LoopTimer> timer;
  ClientConnection* connection = nullptr;  // nullptr: it waits
  bool retried = false;
  int64_t wire_bytes = 0;
  HttpResult result;  // once on_done is due
};
using Calls = std::list<Call>;  // they move from one to the next, which needs no memory

}  // namespace

// The requests, the connections, and who gets which. All of it on the loop's thread.
class HttpClient::Pool final : public std::enable_shared_from_this<Pool>, public ClientConnection::Events {
 public:
  Pool(uv_loop_t* loop, HttpClientOptions options);

  RequestId send(HttpRequest request, HttpDoneFn on_done);
  bool cancel(RequestId id);
  bool withdraw(RequestId id);
  void shutdown(std::function<void()> when_closed);
  HttpClientStats stats() const;
  CertClock clock() const { return net_.cert_clock(); }
  TlsStore& tls() { return *net_.tls; }
  bool is_shut() const { return shut_; }

 private:
  // What is due is done from a callback of its own, so that no caller's code runs amid ours.
  void run_soon();
  void finish(Call& call, HttpResult result) noexcept;
  void do_due();
  void give_up() noexcept;

  void dispatch();
  bool assign(Call& call);
  ClientConnection* idle_connection(const Origin& origin);
  bool make_room(const Call& call);
  void begin_exchange(Call& call, ClientConnection& connection);
  void expire_idle();
  Call* call_of(const ClientConnection& connection);
  Call* find(RequestId id);

  void enter_phase(Call& call, NetPhase phase);
  void arm(Call& call);
  void deadline(RequestId id);

  void on_connection_phase(ClientConnection& connection, NetPhase phase) override;
  void on_connection_progress(ClientConnection& connection) override;
  void on_connection_open(ClientConnection& connection) override;
  void on_connection_done(ClientConnection& connection, HttpResult result) override;
  void on_connection_lost(ClientConnection& connection, NetError error) override;

  int64_t now_ms() const { return loop_now_ms(net_.loop); }

  const HttpClientOptions options_;
  HttpNet net_;
  std::unique_ptr<LoopTimer> soon_;
  std::unique_ptr<LoopTimer> idle_timer_;
  Calls waiting_, active_;  // for a connection, on one
  Calls due_;
  std::vector<std::unique_ptr<ClientConnection>> connections_;  // closed ones are dropped in run_soon
  RequestId last_id_ = 0;
  bool shut_ = false;
  HttpClientStats stats_;
};

HttpClient::Pool::Pool(uv_loop_t* loop, HttpClientOptions options) : options_(std::move(options)) {
  net_.loop = loop;
  net_.handles = std::make_shared<HandleCount>();
  net_.resolver = std::make_unique<Resolver>(loop, net_.handles, options_.resolver);
  net_.tls = std::make_unique<TlsStore>(loop, net_.handles);
  net_.cert_clock = options_.cert_clock;
  if (!net_.cert_clock) net_.cert_clock = [] { return CertClock{true, wall_ms()}; };
  soon_ = std::make_unique<LoopTimer>(loop, net_.handles, [this] { run_soon(); });
  idle_timer_ = std::make_unique<LoopTimer>(loop, net_.handles, [this] { expire_idle(); });
  net_.handles->no_memory = [this] { give_up(); };
}

// ---- requests

RequestId HttpClient::Pool::send(HttpRequest request, HttpDoneFn on_done) {
  const RequestId id = ++last_id_;
  Calls one(1);
  Call& call = one.front();
  call.id = id;
  call.on_done = std::move(on_done);
  const auto refuse = [&](NetErrorKind kind, std::string text) {
    call.result = failure(net_error(kind, std::move(text)));
    due_.splice(due_.end(), one);
    soon_->start(0);
    return id;
  };
  uv_update_time(net_.loop);  // deadlines begin now, not when the loop last woke
  const std::string name = request.url.host_port();
  if (request.url.host.empty() || request.url.target.empty())
    return refuse(NetErrorKind::kRefused, "the request has no URL");
  auto head = format_request_head(request);
  if (!head) return refuse(NetErrorKind::kRefused, "the request to " + name + ": " + head.error().message);
  auto whole = with_secrets(std::move(*head), request.secret_headers);
  if (whole->size() > kRequestHeaderMax)
    return refuse(NetErrorKind::kRefused, "the request to " + name + ": its headers are longer than " + std::to_string(kRequestHeaderMax) + " bytes");
  if (waiting_.size() >= options_.max_waiting)
    return refuse(NetErrorKind::kLocal, std::to_string(options_.max_waiting) + " requests wait already");

  call.origin = origin_of(request);
  call.request = std::move(request);
  call.head = std::move(whole);
  call.whole_until_ms = now_ms() + call.request.deadlines.whole_ms;
  call.timer = std::make_unique<LoopTimer>(net_.loop, net_.handles, [this, id] { deadline(id); });
  enter_phase(call, NetPhase::kQueue);
  waiting_.splice(waiting_.end(), one);
  ++stats_.requests;
  soon_->start(0);
  return id;
}

bool HttpClient::Pool::cancel(RequestId id) {
  Call* call = find(id);
  if (!call) return false;
  NetError error = net_error(NetErrorKind::kCanceled, {});
  (void)guarded([&] { error.message = "the request to " + call->origin.name() + " was cancelled"; });
  finish(*call, failure(std::move(error)));
  return true;
}

bool HttpClient::Pool::withdraw(RequestId id) {
  const Call* call = find(id);
  return call && call->phase < NetPhase::kSend && !call->retried && cancel(id);
}

Call* HttpClient::Pool::find(RequestId id) {
  for (Calls* calls : {&active_, &waiting_})
    for (Call& call : *calls)
      if (call.id == id) return &call;
  return nullptr;
}

// A connection that was at work for the call is closed: what is under way cannot be told apart.
void HttpClient::Pool::finish(Call& call, HttpResult result) noexcept {
  if (call.connection) call.wire_bytes += call.connection->take_wire_bytes();
  result.wire_bytes = call.wire_bytes;
  if (call.connection && !call.connection->idle() && !call.connection->closed()) {
    result.sent = call.phase >= NetPhase::kSend;
    call.connection->close();
  }
  if (result.error && result.error.phase == NetPhase::kNone) result.error.phase = call.phase;
  result.retried = call.retried;
  result.sent = result.sent || call.retried;
  call.result = std::move(result);
  call.timer.reset();
  call.connection = nullptr;
  for (Calls* calls : {&active_, &waiting_}) {
    const auto is_it = [&](const Call& other) { return &other == &call; };
    const auto it = std::find_if(calls->begin(), calls->end(), is_it);
    if (it == calls->end()) continue;
    due_.splice(due_.end(), *calls, it);
    break;
  }
  if (soon_) soon_->start(0);
}

// Memory ran out in a callback, and nobody knows how far it had come: every request under way ends, unanswered.
void HttpClient::Pool::give_up() noexcept {
  if (shut_) return;
  for (Calls* calls : {&active_, &waiting_})
    while (!calls->empty()) finish(calls->front(), failure(net_error(NetErrorKind::kLocal, "out of memory")));
  for (auto& connection : connections_) connection->close();
  soon_->start(0);
}

void HttpClient::Pool::do_due() {
  Calls one;
  one.splice(one.end(), due_, due_.begin());
  one.front().on_done(std::move(one.front().result));
}

void HttpClient::Pool::run_soon() {
  const std::shared_ptr<Pool> self = shared_from_this();  // an on_done may destroy the client
  std::erase_if(connections_, [](const auto& connection) { return connection->closed(); });
  // Only what is due now: an on_done that sends a request which is refused at once cannot hold the loop.
  for (size_t left = due_.size(); left > 0 && !due_.empty(); --left) do_due();
  if (shut_) return;
  if (!due_.empty()) soon_->start(0);
  dispatch();
}

void HttpClient::Pool::shutdown(std::function<void()> when_closed) {
  const std::shared_ptr<Pool> self = shared_from_this();
  if (!shut_) {
    shut_ = true;
    net_.handles->no_memory = nullptr;
    for (Calls* calls : {&active_, &waiting_})
      while (!calls->empty()) cancel(calls->front().id);
    soon_.reset();
    idle_timer_.reset();
    for (auto& connection : connections_) connection->close();
    // The closed connections themselves stay until the pool goes: this may be called within one's event.
    net_.resolver.reset();
    net_.tls.reset();
    while (!due_.empty()) do_due();
  }
  if (when_closed) net_.handles->when_none(std::move(when_closed));
}

// ---- deadlines

void HttpClient::Pool::enter_phase(Call& call, NetPhase phase) {
  const HttpDeadlines& deadlines = call.request.deadlines;
  call.phase = phase;
  switch (phase) {
    case NetPhase::kProxy: call.phase_limit_ms = deadlines.connect_ms; break;
    case NetPhase::kTls: call.phase_limit_ms = deadlines.tls_ms; break;
    case NetPhase::kFirstByte: call.phase_limit_ms = deadlines.first_byte_ms; break;
    case NetPhase::kSend:
    case NetPhase::kReceive: call.phase_limit_ms = deadlines.progress_ms; break;
    default: call.phase_limit_ms = 0; break;  // the resolver and TcpConnect keep theirs
  }
  call.phase_until_ms = now_ms() + call.phase_limit_ms;
  arm(call);
}

void HttpClient::Pool::arm(Call& call) {
  int64_t until_ms = call.whole_until_ms;
  if (call.phase_limit_ms > 0) until_ms = std::min(until_ms, call.phase_until_ms);
  call.timer->start(until_ms - now_ms());
}

void HttpClient::Pool::deadline(RequestId id) {
  Call& call = *find(id);
  const bool whole = now_ms() >= call.whole_until_ms;
  if (!whole && (call.phase_limit_ms == 0 || now_ms() < call.phase_until_ms)) return arm(call);
  const std::string name = call.origin.name();
  NetError error = {NetErrorKind::kTimeout, call.phase,
                    whole ? "the request to " + name + " was not done within " +
                                std::to_string(call.request.deadlines.whole_ms) + " ms (" +
                                net_phase_name(call.phase) + ")"
                          : timeout_text(call.phase, name, call.phase_limit_ms)};
  finish(call, failure(std::move(error)));
}

// ---- connections

// Gives waiting requests their connections, in order; one that must wait does not hold up those to other origins.
void HttpClient::Pool::dispatch() {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    const auto call = it++;
    if (assign(*call)) active_.splice(active_.end(), waiting_, call);
  }
}

bool HttpClient::Pool::assign(Call& call) {
  ClientConnection* idle = call.retried ? nullptr : idle_connection(call.origin);
  if (idle) {
    ++stats_.reused;
    begin_exchange(call, *idle);
    return true;
  }
  if (!make_room(call)) return false;
  connections_.push_back(std::make_unique<ClientConnection>(net_, call.origin, *this));
  ++stats_.connections_opened;
  call.connection = connections_.back().get();
  call.connection->open(call.request.deadlines);
  return true;
}

// The one used last: the others may grow old and close.
ClientConnection* HttpClient::Pool::idle_connection(const Origin& origin) {
  ClientConnection* best = nullptr;
  for (const auto& connection : connections_)
    if (connection->idle() && connection->origin() == origin &&
        (!best || connection->idle_since_ms > best->idle_since_ms))
      best = connection.get();
  return best;
}

// True if one more connection may be opened, closing an idle one for it if need be.
bool HttpClient::Pool::make_room(const Call& call) {
  int all = 0, same = 0;
  ClientConnection* idle_same = nullptr;
  ClientConnection* oldest = nullptr;
  for (const auto& connection : connections_) {
    if (connection->closed()) continue;
    ++all;
    const bool is_same = connection->origin() == call.origin;
    if (is_same) ++same;
    if (!connection->idle()) continue;
    if (is_same) idle_same = connection.get();
    if (!oldest || connection->idle_since_ms < oldest->idle_since_ms) oldest = connection.get();
  }
  ClientConnection* victim = nullptr;
  if (same >= options_.max_connections_per_origin) {
    if (!(victim = idle_same)) return false;
  } else if (all >= options_.max_connections) {
    if (!(victim = oldest)) return false;
  }
  if (victim) victim->close();
  return true;
}

void HttpClient::Pool::begin_exchange(Call& call, ClientConnection& connection) {
  call.connection = &connection;
  connection.exchange(call.head, call.request);
}

void HttpClient::Pool::expire_idle() {
  int64_t next_ms = -1;
  for (const auto& connection : connections_) {
    if (!connection->idle()) continue;
    const int64_t left_ms = connection->idle_since_ms + options_.idle_ms - now_ms();
    if (left_ms <= 0)
      connection->close();
    else
      next_ms = next_ms < 0 ? left_ms : std::min(next_ms, left_ms);
  }
  if (next_ms >= 0) idle_timer_->start(next_ms);
  soon_->start(0);
}

Call* HttpClient::Pool::call_of(const ClientConnection& connection) {
  for (Calls* calls : {&active_, &waiting_})  // it is waiting while its connection is made
    for (Call& call : *calls)
      if (call.connection == &connection) return &call;
  return nullptr;
}

// ---- what connections tell

void HttpClient::Pool::on_connection_phase(ClientConnection& connection, NetPhase phase) {
  if (Call* call = call_of(connection)) enter_phase(*call, phase);
}

void HttpClient::Pool::on_connection_progress(ClientConnection& connection) {
  // The timer is not set anew for each packet: it looks here when it fires.
  Call* call = call_of(connection);
  if (call && call->phase_limit_ms > 0 && call->phase != NetPhase::kFirstByte)
    call->phase_until_ms = now_ms() + call->phase_limit_ms;
}

void HttpClient::Pool::on_connection_open(ClientConnection& connection) {
  if (connection.origin().under_tls) ++(connection.resumed() ? stats_.tls_resumed : stats_.tls_full);
  begin_exchange(*call_of(connection), connection);
}

void HttpClient::Pool::on_connection_done(ClientConnection& connection, HttpResult result) {
  Call& call = *call_of(connection);
  if (connection.idle()) {
    connection.idle_since_ms = now_ms();
    if (!idle_timer_->armed()) idle_timer_->start(options_.idle_ms);
  }
  const bool unanswered = result.error.kind == NetErrorKind::kClosed && result.error.phase != NetPhase::kReceive;
  if (unanswered && result.reused && !call.retried && !call.request.streamed) {
    call.retried = true;
    call.wire_bytes += connection.take_wire_bytes();
    call.connection = nullptr;
    ++stats_.retried;
    enter_phase(call, NetPhase::kQueue);
    const auto is_it = [&](const Call& other) { return &other == &call; };
    waiting_.splice(waiting_.begin(), active_, std::find_if(active_.begin(), active_.end(), is_it));
    soon_->start(0);
    return;
  }
  finish(call, std::move(result));
}

void HttpClient::Pool::on_connection_lost(ClientConnection& connection, NetError error) {
  if (Call* call = call_of(connection)) return finish(*call, failure(std::move(error)));
  soon_->start(0);  // an idle one; its place is free
}

HttpClientStats HttpClient::Pool::stats() const {
  HttpClientStats out = stats_;
  for (const auto& connection : connections_) {
    if (!connection->closed()) ++out.connections;
    if (connection->idle()) ++out.idle;
  }
  out.waiting = waiting_.size();
  return out;
}

// ---- the client

HttpClient::HttpClient(uv_loop_t* loop, HttpClientOptions options)
    : pool_(std::make_shared<Pool>(loop, std::move(options))) {}

HttpClient::~HttpClient() { pool_->shutdown({}); }

RequestId HttpClient::send(HttpRequest request, HttpDoneFn on_done) {
  if (!pool_->is_shut()) return pool_->send(std::move(request), std::move(on_done));
  on_done(failure(net_error(NetErrorKind::kCanceled, "the HTTP client is shut down")));
  return 0;
}

bool HttpClient::cancel(RequestId id) { return pool_->cancel(id); }
bool HttpClient::withdraw(RequestId id) { return pool_->withdraw(id); }

Result<TlsConfigId> HttpClient::add_tls(TlsConfig config) {
  if (pool_->is_shut()) return Error{HF_E_STATE, "the HTTP client is shut down"};
  return pool_->tls().add(std::move(config));
}

void HttpClient::remove_tls(TlsConfigId id) {
  if (!pool_->is_shut()) pool_->tls().remove(id);
}

CertEnds HttpClient::cert_ends(TlsConfigId id, const std::string& peer) const {
  return pool_->is_shut() ? CertEnds{} : pool_->tls().cert_ends(id, peer);
}

std::string HttpClient::tls_error(TlsConfigId id) const {
  return pool_->is_shut() ? "" : pool_->tls().last_error(id);
}

void HttpClient::shutdown(std::function<void()> when_closed) { pool_->shutdown(std::move(when_closed)); }

HttpClientStats HttpClient::stats() const { return pool_->stats(); }
CertClock HttpClient::clock() const { return pool_->clock(); }

}  // namespace hf
