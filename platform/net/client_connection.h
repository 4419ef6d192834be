// One connection to one origin: opened once, then one exchange of request and response after another.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "platform/net/dial.h"
#include "platform/net/http_parser.h"
#include "platform/net/stream.h"

namespace hf {

// Owned by the HttpClient, on the loop's thread. The owner is told what happens through Events, and may
// close() a connection in each of them but not destroy it.
class ClientConnection final : private StreamEvents {
 public:
  class Events {
   public:
    virtual void on_connection_phase(ClientConnection& connection, NetPhase phase) = 0;
    virtual void on_connection_progress(ClientConnection& connection) = 0;
    virtual void on_connection_open(ClientConnection& connection) = 0;
    // The exchange ended. idle() tells whether the connection can take another one; else it is closed.
    virtual void on_connection_done(ClientConnection& connection, HttpResult result) = 0;
    // It could not be opened, or it was idle and the server ended it. It is closed.
    virtual void on_connection_lost(ClientConnection& connection, NetError error) = 0;

   protected:
    ~Events() = default;
  };

  ClientConnection(HttpNet& net, Origin origin, Events& events);
  ~ClientConnection();
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;

  // Looks up the name, connects, makes the TLS handshake. The deadlines of lookup and connect are kept here,
  // that of the handshake by the owner. May report on_connection_phase within this call, nothing else.
  void open(const HttpDeadlines& deadlines);
  // REQUIRES: idle()
  void exchange(std::shared_ptr<const std::string> head, const HttpRequest& request);
  // No event follows.
  void close();

  const Origin& origin() const { return origin_; }
  bool idle() const { return state_ == State::kIdle; }
  bool closed() const { return state_ == State::kClosed; }
  int exchanges() const { return exchanges_; }
  // Since the last call: read and written.
  int64_t take_wire_bytes() { return stream_.wire_bytes() - std::exchange(wire_bytes_taken_, stream_.wire_bytes()); }
  bool resumed() const { return stream_.tls() && stream_.tls()->resumed(); }
  int64_t idle_since_ms = 0;  // the owner's

 private:
  enum class State { kNew, kOpening, kIdle, kExchanging, kClosed };
  bool exchanging() const { return state_ == State::kExchanging; }

  void dialled(NetError error, Way way);
  void lose(NetError error);
  void finish(NetError error);
  void finish_with_response();
  void read_body();
  void send_ahead();
  void stop_body();
  bool request_sent() const { return stream_.sent() && (!body_ || (!ahead_ && body_read_ == body_->size())); }

  void on_stream_open() override;
  void on_stream_data(std::string_view bytes) override;
  void on_stream_progress() override;
  void on_stream_end(NetError error, bool clean) override;

  HttpNet& net_;
  const Origin origin_;
  const std::string name_;
  Events& events_;
  State state_ = State::kNew;
  std::unique_ptr<Dial> dial_;  // kept to the end: it must not go within its callbacks
  Stream stream_;
  int exchanges_ = 0;
  int64_t wire_bytes_taken_ = 0;
  NetPhase phase_ = NetPhase::kNone;
  std::optional<HttpParser> parser_;
  // Of a streamed body: one piece is with the stream, one is read ahead.
  std::shared_ptr<HttpBody> body_;
  int64_t body_read_ = 0;  // bytes
  bool body_reading_ = false;
  HttpBody::Piece ahead_;
};

}  // namespace hf
