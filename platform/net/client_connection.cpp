#include "platform/net/client_connection.h"

#include <utility>

namespace hf {

ClientConnection::ClientConnection(HttpNet& net, Origin origin, Events& events)
    : net_(net),
      origin_(std::move(origin)),
      name_(origin_.name()),
      events_(events),
      stream_(name_, net.buffer, *this) {}

ClientConnection::~ClientConnection() { close(); }

void ClientConnection::close() {
  state_ = State::kClosed;
  if (dial_) dial_->close();
  stop_body();
  stream_.close();
}

// ---- opening

void ClientConnection::open(const HttpDeadlines& deadlines) {
  state_ = State::kOpening;
  events_.on_connection_phase(*this, NetPhase::kDns);
  dial_ = std::make_unique<Dial>(
      net_, origin_, deadlines, [this](NetPhase phase) { events_.on_connection_phase(*this, phase); },
      [this](NetError error, Way way) { dialled(std::move(error), std::move(way)); });
}

void ClientConnection::dialled(NetError error, Way way) {
  if (error) return lose(std::move(error));
  const bool plain = !way.tls;
  NetError failed = stream_.start(std::move(way.socket), std::move(way.tls));
  if (failed) return lose(std::move(failed));
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
