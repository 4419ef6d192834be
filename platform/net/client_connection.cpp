#include "platform/net/client_connection.h"

#include <utility>

namespace hf {

std::string Origin::name() const {
  Url url;
  url.host = host;
  url.port = port;
  return url.host_port();
}

ClientConnection::ClientConnection(HttpNet& net, Origin origin, Events& events)
    : net_(net),
      origin_(std::move(origin)),
      name_(origin_.name()),
      events_(events),
      stream_(name_, net.buffer, *this) {}

ClientConnection::~ClientConnection() { close(); }

void ClientConnection::close() {
  state_ = State::kClosed;
  if (lookup_ != 0) net_.resolver->cancel(std::exchange(lookup_, 0));
  if (ticket_ != 0) net_.tls->cancel(std::exchange(ticket_, 0));
  connect_.reset();
  if (tunnel_) tunnel_->close();
  socket_.reset();
  stop_body();
  stream_.close();
}

// ---- opening

void ClientConnection::open(const HttpDeadlines& deadlines) {
  state_ = State::kOpening;
  connect_ms_ = deadlines.connect_ms;
  events_.on_connection_phase(*this, NetPhase::kDns);
  const HttpProxy* proxy = origin_.proxy.get();
  lookup_ = net_.resolver->resolve(proxy ? proxy->host : origin_.host, proxy ? proxy->port : origin_.port, deadlines.dns_ms, [this](Resolved result) {
    lookup_ = 0;
    resolved(std::move(result));
  });
}

// Those to connect to, or why none. The proxy is named by the configuration, which is as good as an allow_private.
Resolved ClientConnection::allowed(Resolved result) const {
  if (result.error) return result;
  if (!origin_.proxy) return allowed_addresses(origin_.host, std::move(result.addresses), origin_.allow_private);
  if (origin_.host_is_ip) result.error = allowed_addresses(origin_.host, {*parse_ip(origin_.host, origin_.port)}, origin_.allow_private).error;
  return result;
}

void ClientConnection::resolved(Resolved result) {
  Resolved allowed = this->allowed(std::move(result));
  if (allowed.error) return lose(std::move(allowed.error));
  events_.on_connection_phase(*this, NetPhase::kConnect);
  connect_ = std::make_unique<TcpConnect>(
      net_.loop, net_.handles, origin_.proxy ? "the proxy " + origin_.proxy->name() : name_, std::move(allowed.addresses), connect_ms_,
      [this](NetError error, TcpSocketPtr socket, const Address&) {
        connect_.reset();
        connected(std::move(error), std::move(socket));
      });
}

void ClientConnection::connected(NetError error, TcpSocketPtr socket) {
  if (error) return lose(std::move(error));
  if (!origin_.proxy) return led_through({}, std::move(socket));
  events_.on_connection_phase(*this, NetPhase::kProxy);
  tunnel_ = std::make_unique<ProxyTunnel>(*origin_.proxy, name_, std::move(socket), net_.buffer,
                                          [this](NetError failed, TcpSocketPtr way) { led_through(std::move(failed), std::move(way)); });
}

void ClientConnection::led_through(NetError error, TcpSocketPtr socket) {
  if (error) return lose(std::move(error));
  socket_ = std::move(socket);
  if (!origin_.https) return start_stream(nullptr);
  events_.on_connection_phase(*this, NetPhase::kTls);
  const auto ticket =
      net_.tls->get(origin_.tls, [this](const std::string& text, std::shared_ptr<TlsContext> context) {
        ticket_ = 0;
        if (!context) return lose(net_error(NetErrorKind::kLocal, "no TLS with " + name_ + ": " + text));
        std::unique_ptr<TlsSession> session;
        NetError failed = TlsSession::create(std::move(context), origin_.host, origin_.host_is_ip, name_,
                                             net_.cert_clock(), &session);
        if (failed) return lose(std::move(failed));
        start_stream(std::move(session));
      });
  if (!ticket)
    return lose(net_error(NetErrorKind::kLocal, "no TLS with " + name_ + ": " + ticket.error().message));
  ticket_ = *ticket;
}

void ClientConnection::start_stream(std::unique_ptr<TlsSession> session) {
  const bool plain = !session;
  NetError error = stream_.start(std::move(socket_), std::move(session));
  if (error) return lose(std::move(error));
  if (plain) on_stream_open();
}

void ClientConnection::on_stream_open() {
  state_ = State::kIdle;
  events_.on_connection_open(*this);
}

void ClientConnection::lose(NetError error) {
  close();
  events_.on_connection_lost(*this, std::move(error));
}

// ---- one exchange

void ClientConnection::exchange(std::shared_ptr<const std::string> head, const HttpRequest& request) {
  state_ = State::kExchanging;
  ++exchanges_;
  phase_ = NetPhase::kSend;
  parser_.emplace(request.method == "HEAD", request.limits);
  events_.on_connection_phase(*this, phase_);
  body_ = request.streamed;
  body_read_ = 0;
  stream_.send({std::move(head), body_ ? nullptr : request.body});
  read_body();
}

void ClientConnection::read_body() {
  if (!body_ || body_reading_ || ahead_ || body_read_ == body_->size()) return;
  body_reading_ = true;
  body_->read(body_read_, [this, handles = net_.handles](Result<HttpBody::Piece> piece) {
    body_reading_ = false;
    handles->guard([&] {
      if (!piece) return finish(net_error(NetErrorKind::kLocal, "the body of the request to " + name_ + ": " + piece.error().message));
      body_read_ += static_cast<int64_t>((*piece)->size());
      ahead_ = std::move(*piece);
      send_ahead();
    });
  });
}

void ClientConnection::send_ahead() {
  if (!ahead_ || !stream_.sent()) return;
  stream_.send({std::exchange(ahead_, nullptr)});
  read_body();
}

void ClientConnection::stop_body() {
  if (body_reading_) body_->stop();
  body_reading_ = false;
  body_.reset();
  ahead_.reset();
}

void ClientConnection::on_stream_progress() {
  if (!exchanging()) return;
  events_.on_connection_progress(*this);
  send_ahead();
  if (phase_ != NetPhase::kSend || !request_sent()) return;
  phase_ = NetPhase::kFirstByte;
  events_.on_connection_phase(*this, phase_);
}

void ClientConnection::on_stream_data(std::string_view bytes) {
  if (!exchanging())
    return lose(net_error(NetErrorKind::kClosed, name_ + " sent something that nobody asked for"));
  if (phase_ != NetPhase::kReceive) {
    phase_ = NetPhase::kReceive;
    events_.on_connection_phase(*this, phase_);
  }
  events_.on_connection_progress(*this);
  switch (parser_->feed(bytes)) {
    case HttpParser::State::kReading: return;
    case HttpParser::State::kDone: return finish_with_response();
    case HttpParser::State::kFailed:
      return finish(net_error(NetErrorKind::kBadResponse, name_ + ": " + parser_->error()));
  }
}

void ClientConnection::on_stream_end(NetError error, bool clean) {
  if (!exchanging()) return lose(std::move(error));
  if (clean && parser_->started() && parser_->finish() == HttpParser::State::kDone)
    return finish_with_response();
  if (error.kind == NetErrorKind::kClosed)
    error.message += parser_->started() ? " in the middle of the response" : " before the response";
  finish(std::move(error));
}

void ClientConnection::finish_with_response() {
  HttpResult result;
  result.response = parser_->take_response();
  result.sent = true;
  result.reused = exchanges_ > 1;
  // An answer that came before the whole request was sent ends the connection: the rest is not wanted.
  if (parser_->keep_alive() && request_sent()) {
    state_ = State::kIdle;
    stop_body();
  } else {
    close();
  }
  events_.on_connection_done(*this, std::move(result));
}

void ClientConnection::finish(NetError error) {
  HttpResult result;
  error.phase = error.phase == NetPhase::kNone ? phase_ : error.phase;
  result.error = std::move(error);
  result.sent = true;
  result.reused = exchanges_ > 1;
  close();
  events_.on_connection_done(*this, std::move(result));
}

}  // namespace hf
