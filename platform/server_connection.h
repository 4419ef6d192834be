// One client of an HttpServer. Internal to the server.
#pragma once

#include <uv.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "platform/http_server.h"
#include "platform/request_parser.h"

namespace hf {

// What the connections of one server share. Lives until the last of them is closed.
struct ServerShared {
  HttpServerOptions options;
  HttpHandler handler;
  LoopPoster poster;
  std::size_t bodies_bytes = 0;  // of requests that are being read
  std::size_t guests_bodies_bytes = 0;  // of these, of guests
  bool shutting_down = false;
  std::uint64_t deadlines_set = 0;  // a clock that tells any two of them apart
  std::unique_ptr<char[]> read_buffer;  // used by one read at a time: what is read is parsed at once
  std::function<void(ServerConnection*)> closed;  // the connection is off the loop
};

inline constexpr std::size_t kHttpReadBuffer = 64 * 1024;

//            ┌───────────────── answer written, keep-alive ─────────────────┐
//            ▼                                                              │
//         reading ──request complete──► handling ──reply──► writing ────────┘
//            │                             └─open_stream─► streaming ─end─► writing
//            └──bad, too large, too late─► writing ──► lingering ──► closed
//
// One request at a time: the next one is read (into a bounded buffer) but not looked at until the answer
// is written. One deadline at a time, which is none while a handler has the request, unless the client has ended its input:
// that it went away altogether is then to be looked for.
//
// Owner: the server's set, until libuv has closed it. Thread: the loop's.
class ServerConnection : public std::enable_shared_from_this<ServerConnection> {
 public:
  ServerConnection(uv_loop_t* loop, std::shared_ptr<ServerShared> shared);
  ~ServerConnection();

  // False if the client is gone already; close() was called then. It is a guest or not from here on.
  bool accept(uv_stream_t* listener);
  // Then one of these two: it is served, or told that there is no place and closed.
  void begin();
  void turn_away();
  // Ends it once what it is at is done: at once if that is nothing.
  void finish();
  // Ends it now.
  void close();
  // Between requests, nothing has come; the lower `waits_since`, the longer.
  bool idle() const { return phase_ == Phase::kReading && parser_.state() == RequestParser::State::kIdle && input_.empty(); }
  std::uint64_t waits_since() const { return waits_since_; }
  bool guest() const { return entry_ != Entry::everything; }
  bool closed() const { return phase_ == Phase::kClosed; }

  // ---- for the Responder; `serial` tells a late answer from the present request's. Without memory for what is to be done
  // the connection is closed.
  void reply(std::uint64_t serial, const ServerResponse& response);
  bool open_stream(std::uint64_t serial, std::string_view content_type);
  bool send(std::uint64_t serial, std::string_view data);
  void end_stream(std::uint64_t serial);
  bool on_gone(std::uint64_t serial, LoopPoster::Prepared& gone);  // false if it is over
  void dropped(std::uint64_t serial);  // nobody will answer, or end the stream
  bool serves(std::uint64_t serial) const { return serial_ == serial && under_way(); }

 private:
  // What C calls, and the Responder: a client for whom there is no memory is cut off.
  template <class F>
  void or_close(F&& f) noexcept;

  enum class Phase { kReading, kHandling, kStreaming, kWriting, kLingering, kClosed };
  enum class Deadline { kNone, kHead, kBody, kIdle, kStall, kHangUp, kLinger };
  struct Write;

  bool under_way() const { return phase_ == Phase::kHandling || phase_ == Phase::kStreaming; }
  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&pipe_); }

  void do_reply(const ServerResponse& response);
  void do_open_stream(std::string_view content_type);
  void on_read(ssize_t length);
  void on_input_end();
  void advance();
  void react();
  void dispatch();
  void refuse(const ServerResponse& response);
  void start_reading();
  void stop_reading();

  void write(std::string data);
  void on_written(int status);
  void on_drained();
  void finish_with(std::string data, bool keep_alive);
  void linger();
  void lagged();
  void tell_gone();
  bool hung_up() const;
  void wait_for_handler() { set_deadline(input_over_ ? Deadline::kHangUp : Deadline::kNone); }

  void set_deadline(Deadline deadline);
  void arm_deadline();
  void on_deadline();
  std::uint64_t written_bytes() const;
  bool account_body();
  void release_body();

  std::shared_ptr<ServerShared> shared_;
  uv_pipe_t pipe_;
  uv_timer_t timer_;
  int open_handles_ = 2;
  RequestParser parser_;
  Peer peer_;
  Entry entry_ = Entry::everything;
  Phase phase_ = Phase::kReading;
  Deadline deadline_ = Deadline::kNone;
  std::uint64_t waits_since_ = 0;
  std::string input_;  // read, not parsed yet
  bool reading_ = false;
  bool input_over_ = false;
  bool advancing_ = false;

  std::uint64_t serial_ = 0;  // of the present request
  bool keep_alive_ = false;   // of the present request, as asked
  bool is_head_ = false;
  bool http_1_0_ = false;
  bool event_stream_ = false;
  bool close_after_write_ = false;
  LoopPoster::Prepared gone_;

  int writes_ = 0;                    // in libuv's queue
  std::uint64_t queued_bytes_ = 0;    // ever given to that queue
  std::uint64_t written_before_ = 0;  // of these, written when the stall deadline was set
  std::size_t body_before_ = 0;       // read when the body deadline was set
  std::size_t body_accounted_ = 0;    // this connection's part of shared_->bodies_bytes
  std::size_t lingered_ = 0;
};

// What the copies of one Responder share. Thread: any; only the loop's looks at the connection.
struct Responder::Exchange {
  Exchange(LoopPoster to_loop, std::weak_ptr<ServerConnection> of, std::uint64_t number)
      : poster(std::move(to_loop)), connection(std::move(of)), serial(number) {}
  ~Exchange();

  const LoopPoster poster;
  const std::weak_ptr<ServerConnection> connection;
  const std::uint64_t serial;
  std::atomic<bool> answered = false;
};

}  // namespace hf
