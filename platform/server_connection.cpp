#include "platform/server_connection.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>

#include "platform/memory.h"

namespace hf {
namespace {

constexpr std::size_t kLingerBytes = 4 * 1024 * 1024;  // read past after the last answer, then cut

Peer peer_of(uv_pipe_t* pipe) {
  Peer peer;
  uv_os_fd_t fd;
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(pipe), &fd) != 0) return peer;
  ucred cred{};
  socklen_t length = sizeof cred;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) != 0) return peer;
  peer.pid = cred.pid;
  peer.uid = cred.uid;
  peer.gid = cred.gid;
#ifdef SO_PEERGROUPS
  length = 0;  // asks for the size (ERANGE); 0 groups succeed at once
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, nullptr, &length) != 0 && errno == ERANGE) {
    peer.groups.resize(length / sizeof(gid_t));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer.groups.data(), &length) != 0) peer.groups.clear();
  }
#endif
  return peer;
}

}  // namespace

struct ServerConnection::Write {
  uv_write_t request;
  std::string data;
};

ServerConnection::ServerConnection(uv_loop_t* loop, std::shared_ptr<ServerShared> shared)
    : shared_(std::move(shared)), parser_(shared_->options.request) {
  uv_pipe_init(loop, &pipe_, 0);   // neither can fail
  uv_timer_init(loop, &timer_);
  pipe_.data = timer_.data = this;
}

ServerConnection::~ServerConnection() { assert(open_handles_ == 0); }

template <class F>
void ServerConnection::or_close(F&& f) noexcept {
  if (guarded(f)) return;
  advancing_ = false;
  close();
}

bool ServerConnection::accept(uv_stream_t* listener) {
  if (uv_accept(listener, stream()) != 0) {
    close();
    return false;
  }
  or_close([this] {
    peer_ = peer_of(&pipe_);
    if (shared_->options.entry) entry_ = shared_->options.entry(peer_);
  });
  return phase_ != Phase::kClosed;
}

void ServerConnection::begin() {
  or_close([this] {
    if (entry_ == Entry::stranger) return refuse(shared_->options.to_strangers);
    set_deadline(Deadline::kHead);
    start_reading();
  });
}

void ServerConnection::turn_away() {
  or_close([this] {
    const ServerResponse full = ServerResponse::error(503, "busy", "too many clients");
    std::string data = response_head(full.status, full.content_type, full.headers,
                                     static_cast<long long>(full.body.size()), false, false, false) + full.body;
    uv_buf_t buffer = uv_buf_init(data.data(), static_cast<unsigned>(data.size()));
    uv_try_write(stream(), &buffer, 1);  // fits in an empty socket
  });
  close();
}

// ---- reading ------------------------------------------------------------------------------------

void ServerConnection::start_reading() {
  if (reading_ || input_over_ || phase_ == Phase::kClosed) return;
  const auto allocate = [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
    auto* self = static_cast<ServerConnection*>(handle->data);
    *buffer = uv_buf_init(self->shared_->read_buffer.get(), kHttpReadBuffer);
  };
  const auto read = [](uv_stream_t* stream, ssize_t length, const uv_buf_t*) {
    auto* self = static_cast<ServerConnection*>(stream->data);
    self->or_close([self, length] { self->on_read(length); });
  };
  if (uv_read_start(stream(), allocate, read) == 0)
    reading_ = true;
  else
    close();
}

void ServerConnection::stop_reading() {
  if (reading_) uv_read_stop(stream());
  reading_ = false;
}

void ServerConnection::on_read(ssize_t length) {
  if (length == 0 || phase_ == Phase::kClosed) return;  // 0: EAGAIN
  if (length < 0) {
    stop_reading();
    input_over_ = true;
    if (length != UV_EOF)
      close();
    else
      on_input_end();
    return;
  }
  const bool ignored = phase_ == Phase::kStreaming || phase_ == Phase::kLingering || close_after_write_;
  if (ignored) {
    lingered_ += static_cast<std::size_t>(length);
    if (lingered_ > kLingerBytes) close();
    return;
  }
  input_.append(shared_->read_buffer.get(), static_cast<std::size_t>(length));
  advance();
  if (phase_ != Phase::kReading && input_.size() >= shared_->options.pending_bytes) stop_reading();
}

// The client will send no more. It may still read: only a hang-up says that it does not.
void ServerConnection::on_input_end() {
  const bool answer_wanted = phase_ == Phase::kHandling || phase_ == Phase::kStreaming || phase_ == Phase::kWriting;
  if (!answer_wanted || hung_up())
    close();
  else if (deadline_ == Deadline::kNone)
    wait_for_handler();
}

bool ServerConnection::hung_up() const {
  uv_os_fd_t fd;
  if (uv_fileno(reinterpret_cast<const uv_handle_t*>(&pipe_), &fd) != 0) return true;
  pollfd state{fd, 0, 0};
  return poll(&state, 1, 0) > 0 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

// Looks at what was read. A handler that answers at once comes back here: the outer loop goes on then.
void ServerConnection::advance() {
  if (advancing_) return;
  advancing_ = true;
  while (phase_ == Phase::kReading && !input_.empty()) {
    const std::size_t used = parser_.feed(input_);
    input_.erase(0, used);
    react();
  }
  advancing_ = false;
  if (phase_ == Phase::kReading && input_over_) close();
}

void ServerConnection::react() {
  switch (parser_.state()) {
    case RequestParser::State::kIdle:
      break;
    case RequestParser::State::kHead:
      set_deadline(Deadline::kHead);
      break;
    case RequestParser::State::kBody:
      if (!account_body()) {
        refuse(ServerResponse::error(503, "busy", "too much is being sent by all clients together"));
        break;
      }
      set_deadline(Deadline::kBody);
      if (parser_.take_expects_continue()) write("HTTP/1.1 100 Continue\r\n\r\n");
      break;
    case RequestParser::State::kComplete:
      if (account_body())
        dispatch();
      else
        refuse(ServerResponse::error(503, "busy", "too much is being sent by all clients together"));
      break;
    case RequestParser::State::kFailed:
      refuse(parser_.failure());
      break;
  }
}

bool ServerConnection::account_body() {
  const std::size_t more = parser_.body_bytes() - body_accounted_;
  body_accounted_ += more;
  shared_->bodies_bytes += more;
  if (guest()) shared_->guests_bodies_bytes += more;
  const std::size_t most = shared_->options.bodies_bytes;
  return shared_->bodies_bytes <= most && (!guest() || shared_->guests_bodies_bytes <= most / 2);
}

void ServerConnection::release_body() {
  shared_->bodies_bytes -= body_accounted_;
  if (guest()) shared_->guests_bodies_bytes -= body_accounted_;
  body_accounted_ = 0;
}

void ServerConnection::dispatch() {
  keep_alive_ = parser_.keep_alive();
  is_head_ = parser_.is_head();
  http_1_0_ = parser_.http_1_0();
  ServerRequest request = parser_.take();
  request.peer = peer_;
  phase_ = Phase::kHandling;
  wait_for_handler();
  ++serial_;
  Responder responder(std::make_shared<Responder::Exchange>(shared_->poster, weak_from_this(), serial_));
  shared_->handler(std::move(request), std::move(responder));
}

void ServerConnection::refuse(const ServerResponse& response) {
  input_.clear();
  std::string head = response_head(response.status, response.content_type, response.headers,
                                   static_cast<long long>(response.body.size()), false, false, http_1_0_);
  finish_with(head + response.body, false);
}

// ---- answering ----------------------------------------------------------------------------------

void ServerConnection::reply(std::uint64_t serial, const ServerResponse& response) {
  if (serves(serial) && phase_ == Phase::kHandling) or_close([&] { do_reply(response); });
}

void ServerConnection::do_reply(const ServerResponse& response) {
  const bool keep_alive = keep_alive_ && !close_after_write_;
  const bool bodyless = response.status == 204 || response.status == 304 || response.status < 200;
  std::string data = response_head(response.status, response.body.empty() ? std::string() : response.content_type,
                                   response.headers, bodyless ? -1 : static_cast<long long>(response.body.size()),
                                   false, keep_alive, http_1_0_);
  if (!is_head_ && !bodyless) data += response.body;
  finish_with(std::move(data), keep_alive);
}

bool ServerConnection::open_stream(std::uint64_t serial, std::string_view content_type) {
  if (!serves(serial) || phase_ != Phase::kHandling) return false;
  or_close([&] { do_open_stream(content_type); });
  return phase_ == Phase::kStreaming;
}

void ServerConnection::do_open_stream(std::string_view content_type) {
  if (http_1_0_) keep_alive_ = false;  // the end of the body is the end of the connection
  const bool keep_alive = keep_alive_ && !close_after_write_;
  event_stream_ = content_type == "text/event-stream";
  FieldList fields;
  if (event_stream_) fields.emplace_back("Cache-Control", "no-store");
  std::string head = response_head(200, std::string(content_type), fields, -1, !http_1_0_, keep_alive, http_1_0_);
  if (is_head_) {
    finish_with(std::move(head), keep_alive);
    return;
  }
  phase_ = Phase::kStreaming;
  release_body();
  write(std::move(head));
}

bool ServerConnection::send(std::uint64_t serial, std::string_view data) {
  if (!serves(serial) || phase_ != Phase::kStreaming) return false;
  if (data.empty()) return true;
  const std::size_t waiting = uv_stream_get_write_queue_size(stream());
  or_close([&] {
    if (waiting > 0 && waiting + data.size() > shared_->options.stream_buffer_bytes)
      lagged();
    else
      write(http_1_0_ ? std::string(data) : http_chunk(data));
  });
  return phase_ == Phase::kStreaming;
}

void ServerConnection::end_stream(std::uint64_t serial) {
  if (!serves(serial) || phase_ != Phase::kStreaming) return;
  or_close([&] { finish_with(http_1_0_ ? std::string() : std::string(kHttpLastChunk), keep_alive_ && !close_after_write_); });
}

void ServerConnection::lagged() {
  tell_gone();
  if (!event_stream_) {
    close();  // without the last chunk: the client sees that it does not have all
    return;
  }
  constexpr std::string_view kLagged = "event: lagged\ndata: {}\n\n";
  finish_with(http_1_0_ ? std::string(kLagged) : http_chunk(kLagged) + std::string(kHttpLastChunk), false);
}

bool ServerConnection::on_gone(std::uint64_t serial, LoopPoster::Prepared& gone) {
  if (!serves(serial)) return false;
  gone_ = std::move(gone);
  return true;
}

void ServerConnection::dropped(std::uint64_t serial) {
  if (!serves(serial)) return;
  if (phase_ == Phase::kStreaming)
    close();
  else
    or_close([&] { do_reply(ServerResponse::error(500, "internal", "the request was dropped without an answer")); });
}

// Writes the last bytes of an answer.
void ServerConnection::finish_with(std::string data, bool keep_alive) {
  phase_ = Phase::kWriting;
  gone_.clear();
  release_body();
  if (!keep_alive || shared_->shutting_down) close_after_write_ = true;
  write(std::move(data));
  if (writes_ == 0) on_drained();
}

// ---- writing ------------------------------------------------------------------------------------

void ServerConnection::write(std::string data) {
  if (phase_ == Phase::kClosed || data.empty()) return;
  if (writes_ == 0) {
    uv_buf_t buffer = uv_buf_init(data.data(), static_cast<unsigned>(data.size()));
    const int written = uv_try_write(stream(), &buffer, 1);
    if (written < 0 && written != UV_EAGAIN) {
      close();
      return;
    }
    if (written > 0) data.erase(0, static_cast<std::size_t>(written));
    if (data.empty()) return;
  }
  auto* write = new Write;
  write->data = std::move(data);
  write->request.data = write;
  uv_buf_t buffer = uv_buf_init(write->data.data(), static_cast<unsigned>(write->data.size()));
  const auto done = [](uv_write_t* request, int status) {
    auto* self = static_cast<ServerConnection*>(request->handle->data);
    delete static_cast<Write*>(request->data);
    self->or_close([self, status] { self->on_written(status); });
  };
  if (uv_write(&write->request, stream(), &buffer, 1, done) != 0) {
    delete write;
    close();
    return;
  }
  ++writes_;
  queued_bytes_ += buffer.len;
  set_deadline(Deadline::kStall);
}

void ServerConnection::on_written(int status) {
  --writes_;
  if (phase_ == Phase::kClosed) return;
  if (status != 0)
    close();
  else if (writes_ == 0)
    on_drained();
}

void ServerConnection::on_drained() {
  switch (phase_) {
    case Phase::kStreaming:
      wait_for_handler();
      break;
    case Phase::kWriting:
      if (close_after_write_) {
        linger();
        break;
      }
      phase_ = Phase::kReading;
      set_deadline(Deadline::kIdle);
      start_reading();
      advance();
      break;
    case Phase::kReading:  // "100 Continue" is out
      set_deadline(Deadline::kBody);
      break;
    default:
      break;
  }
}

// After the last answer: a close with input unread would make some clients miss it.
void ServerConnection::linger() {
  uv_os_fd_t fd;
  if (input_over_ || uv_fileno(reinterpret_cast<uv_handle_t*>(&pipe_), &fd) != 0) {
    close();
    return;
  }
  ::shutdown(fd, SHUT_WR);
  phase_ = Phase::kLingering;
  input_.clear();
  set_deadline(Deadline::kLinger);
  start_reading();
}

// ---- deadlines ----------------------------------------------------------------------------------

std::uint64_t ServerConnection::written_bytes() const {
  return queued_bytes_ - uv_stream_get_write_queue_size(reinterpret_cast<const uv_stream_t*>(&pipe_));
}

// Keeps one that runs: a deadline is for the whole of what it limits.
void ServerConnection::set_deadline(Deadline deadline) {
  if (deadline == deadline_ || phase_ == Phase::kClosed) return;
  deadline_ = deadline;
  if (deadline == Deadline::kNone)
    uv_timer_stop(&timer_);
  else
    arm_deadline();
}

void ServerConnection::arm_deadline() {
  const HttpServerOptions& options = shared_->options;
  std::int64_t ms = 0;
  switch (deadline_) {
    case Deadline::kNone: return;
    case Deadline::kHead: ms = options.head_deadline_ms; break;
    case Deadline::kBody: ms = options.body_deadline_ms; break;
    case Deadline::kIdle: ms = options.idle_deadline_ms; break;
    case Deadline::kStall: ms = options.write_stall_ms; break;
    case Deadline::kHangUp: ms = options.hang_up_look_ms; break;
    case Deadline::kLinger: ms = options.linger_ms; break;
  }
  body_before_ = parser_.body_bytes();
  written_before_ = written_bytes();
  waits_since_ = ++shared_->deadlines_set;
  const auto expired = [](uv_timer_t* timer) {
    auto* self = static_cast<ServerConnection*>(timer->data);
    self->or_close([self] { self->on_deadline(); });
  };
  uv_timer_start(&timer_, expired, static_cast<std::uint64_t>(ms), 0);
}

void ServerConnection::on_deadline() {
  const HttpServerOptions& options = shared_->options;
  switch (deadline_) {
    case Deadline::kHead:
      if (parser_.state() == RequestParser::State::kHead) {
        refuse(ServerResponse::error(408, "timeout", "the request's header did not come in time"));
        return;
      }
      break;
    case Deadline::kBody:
      if (parser_.body_bytes() - body_before_ < options.body_progress_bytes)
        refuse(ServerResponse::error(408, "timeout", "the request's body did not come in time"));
      else
        arm_deadline();
      return;
    case Deadline::kStall:
      if (written_bytes() > written_before_) {
        arm_deadline();
        return;
      }
      break;
    case Deadline::kHangUp:
      if (!hung_up()) {
        arm_deadline();
        return;
      }
      break;
    default:
      break;
  }
  close();
}

// ---- the end ------------------------------------------------------------------------------------

void ServerConnection::finish() {
  switch (phase_) {
    case Phase::kHandling:
    case Phase::kWriting:
      close_after_write_ = true;
      break;
    case Phase::kStreaming:
      close_after_write_ = true;
      tell_gone();
      end_stream(serial_);
      break;
    default:
      close();
      break;
  }
}

// Never from within the caller's call: it may be in the middle of what it would end.
void ServerConnection::tell_gone() {
  if (!gone_.empty()) shared_->poster.post(std::exchange(gone_, {}));
}

void ServerConnection::close() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  tell_gone();
  release_body();
  const auto closed = [](uv_handle_t* handle) {
    auto* self = static_cast<ServerConnection*>(handle->data);
    if (--self->open_handles_ > 0) return;
    const auto shared = self->shared_;  // outlives *self, which `closed` frees
    shared->closed(self);
  };
  uv_close(reinterpret_cast<uv_handle_t*>(&pipe_), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), closed);
}

}  // namespace hf
