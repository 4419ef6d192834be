#include "platform/net/dial.h"

#include <utility>

namespace hf {

std::string Origin::name() const {
  Url url;
  url.host = host;
  url.port = port;
  return url.host_port();
}

Dial::Dial(HttpNet& net, Origin origin, const HttpDeadlines& deadlines, PhaseFn on_phase, DoneFn on_done)
    : net_(net),
      origin_(std::move(origin)),
      name_(origin_.name()),
      connect_ms_(deadlines.connect_ms),
      on_phase_(std::move(on_phase)),
      on_done_(std::move(on_done)) {
  const HttpProxy* proxy = origin_.proxy.get();
  lookup_ = net_.resolver->resolve(proxy ? proxy->host : origin_.host, proxy ? proxy->port : origin_.port, deadlines.dns_ms,
                                   [this](Resolved result) {
                                     lookup_ = 0;
                                     resolved(std::move(result));
                                   });
}

void Dial::close() {
  over_ = true;
  if (lookup_ != 0) net_.resolver->cancel(std::exchange(lookup_, 0));
  if (ticket_ != 0) net_.tls->cancel(std::exchange(ticket_, 0));
  connect_.reset();
  if (tunnel_) tunnel_->close();
  socket_.reset();
}

// False if that was the end of it.
bool Dial::enter(NetPhase phase) {
  phase_ = phase;
  on_phase_(phase);
  return !over_;
}

// Those to connect to, or why none. The proxy is named by the configuration, which is as good as an allow_private.
Resolved Dial::allowed(Resolved result) const {
  if (result.error) return result;
  if (!origin_.proxy) return allowed_addresses(origin_.host, std::move(result.addresses), origin_.allow_private);
  if (origin_.host_is_ip)
    result.error = allowed_addresses(origin_.host, {*parse_ip(origin_.host, origin_.port)}, origin_.allow_private).error;
  return result;
}

void Dial::resolved(Resolved result) {
  Resolved allowed = this->allowed(std::move(result));
  if (allowed.error) return fail(std::move(allowed.error));
  if (!enter(NetPhase::kConnect)) return;
  connect_ = std::make_unique<TcpConnect>(
      net_.loop, net_.handles, origin_.proxy ? "the proxy " + origin_.proxy->name() : name_, std::move(allowed.addresses), connect_ms_,
      [this](NetError error, TcpSocketPtr socket, const Address&) {
        connect_.reset();
        connected(std::move(error), std::move(socket));
      });
}

void Dial::connected(NetError error, TcpSocketPtr socket) {
  if (error) return fail(std::move(error));
  if (!origin_.proxy) return led_through({}, std::move(socket), {});
  if (!enter(NetPhase::kProxy)) return;
  tunnel_ = std::make_unique<ProxyTunnel>(*origin_.proxy, name_, origin_.server_speaks_first, std::move(socket), net_.buffer,
                                          [this](NetError failed, TcpSocketPtr way, std::string said) {
                                            led_through(std::move(failed), std::move(way), std::move(said));
                                          });
}

void Dial::led_through(NetError error, TcpSocketPtr socket, std::string said) {
  if (error) return fail(std::move(error));
  socket_ = std::move(socket);
  said_ = std::move(said);
  if (!origin_.under_tls) return done(nullptr);
  if (!enter(NetPhase::kTls)) return;
  const auto ticket = net_.tls->get(origin_.tls, [this](const std::string& text, std::shared_ptr<TlsContext> context) {
    ticket_ = 0;
    if (!context) return fail(net_error(NetErrorKind::kLocal, "no TLS with " + name_ + ": " + text));
    std::unique_ptr<TlsSession> session;
    NetError failed =
        TlsSession::create(std::move(context), origin_.host, origin_.host_is_ip, name_, net_.cert_clock(), &session);
    if (failed) return fail(std::move(failed));
    done(std::move(session));
  });
  if (!ticket) return fail(net_error(NetErrorKind::kLocal, "no TLS with " + name_ + ": " + ticket.error().message));
  ticket_ = *ticket;
}

void Dial::fail(NetError error) {
  if (error.phase == NetPhase::kNone) error.phase = phase_;
  close();
  on_done_(std::move(error), {});
}

void Dial::done(std::unique_ptr<TlsSession> tls) {
  over_ = true;
  on_done_({}, {std::move(socket_), std::move(tls), std::move(said_)});
}

}  // namespace hf
