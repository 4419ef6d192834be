#include "platform/net/dial.h"

#include <utility>

namespace hf {

Dial::Dial(HttpNet& net, DialTarget target, const HttpDeadlines& deadlines, DoneFn on_done)
    : net_(net), target_(std::move(target)), connect_ms_(deadlines.connect_ms), on_done_(std::move(on_done)) {
  lookup_ = net_.resolver->resolve(target_.host, target_.port, deadlines.dns_ms, [this](Resolved result) {
    lookup_ = 0;
    resolved(std::move(result));
  });
}

Dial::~Dial() {
  if (lookup_ != 0) net_.resolver->cancel(lookup_);
  if (ticket_ != 0) net_.tls->cancel(ticket_);
}

void Dial::resolved(Resolved result) {
  if (result.error) return fail(std::move(result.error), NetPhase::kDns);
  Resolved allowed = allowed_addresses(target_.host, std::move(result.addresses), target_.allow_private);
  if (allowed.error) return fail(std::move(allowed.error), NetPhase::kDns);
  connect_ = std::make_unique<TcpConnect>(net_.loop, net_.handles, target_.name, std::move(allowed.addresses), connect_ms_,
                                          [this](NetError error, TcpSocketPtr socket, const Address&) {
                                            connect_.reset();
                                            connected(std::move(error), std::move(socket));
                                          });
}

void Dial::connected(NetError error, TcpSocketPtr socket) {
  if (error) return fail(std::move(error), NetPhase::kConnect);
  if (!target_.under_tls) return done({}, std::move(socket), nullptr);
  socket_ = std::move(socket);
  const auto ticket = net_.tls->get(target_.tls, [this](const std::string& text, std::shared_ptr<TlsContext> context) {
    ticket_ = 0;
    if (!context) return fail(net_error(NetErrorKind::kLocal, "no TLS with " + target_.name + ": " + text), NetPhase::kTls);
    std::unique_ptr<TlsSession> session;
    NetError failed = TlsSession::create(std::move(context), target_.host, target_.host_is_ip, target_.name,
                                         net_.cert_clock(), &session);
    if (failed) return fail(std::move(failed), NetPhase::kTls);
    done({}, std::move(socket_), std::move(session));
  });
  if (!ticket)
    return fail(net_error(NetErrorKind::kLocal, "no TLS with " + target_.name + ": " + ticket.error().message), NetPhase::kTls);
  ticket_ = *ticket;
}

void Dial::fail(NetError error, NetPhase phase) {
  if (error.phase == NetPhase::kNone) error.phase = phase;
  done(std::move(error), nullptr, nullptr);
}

void Dial::done(NetError error, TcpSocketPtr socket, std::unique_ptr<TlsSession> tls) {
  const DoneFn on_done = on_done_;  // it may destroy us
  on_done(std::move(error), std::move(socket), std::move(tls));
}

}  // namespace hf
