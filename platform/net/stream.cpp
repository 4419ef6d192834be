#include "platform/net/stream.h"

#include <algorithm>
#include <utility>

namespace hf {
namespace {

constexpr size_t kWriteMax = 64 * 1024;  // bytes a write: a step of progress

}  // namespace

struct Stream::Write {
  uv_write_t request;
  Stream* owner;  // nullptr once the stream is closed
  std::string owned;  // the bytes are in here, or in there
  std::shared_ptr<const std::string> shared;
};

Stream::Stream(std::string name, ReadBuffer& buffer, StreamEvents& events)
    : name_(std::move(name)), buffer_(buffer), events_(events) {}

NetError Stream::start(TcpSocketPtr socket, std::unique_ptr<TlsSession> tls) {
  socket_ = std::move(socket);
  socket_->owner = this;
  tls_ = std::move(tls);
  open_ = !tls_;
  const auto on_alloc = [](uv_handle_t* handle, size_t, uv_buf_t* out) {
    ReadBuffer& buffer = static_cast<Stream*>(static_cast<TcpSocket*>(handle->data)->owner)->buffer_;
    *out = uv_buf_init(buffer.wire, sizeof buffer.wire);
  };
  const auto on_data = [](uv_stream_t* stream, ssize_t size, const uv_buf_t*) {
    auto* self = static_cast<TcpSocket*>(stream->data);
    const HandleCountPtr handles = self->handles;
    handles->guard([self, size] { static_cast<Stream*>(self->owner)->on_read(size); });
  };
  uv_read_start(socket_->stream(), on_alloc, on_data);  // cannot fail on a connected stream
  return tls_ ? begin_tls() : NetError();
}

NetError Stream::secure(std::unique_ptr<TlsSession> tls) {
  tls_ = std::move(tls);
  open_ = false;
  return begin_tls();
}

NetError Stream::begin_tls() {
  if (tls_->handshake() == TlsSession::Step::kFailed) return tls_->error();
  pump();
  return {};
}

void Stream::close() {
  if (!socket_) return;
  if (writing_) {
    std::exchange(writing_, nullptr)->owner = nullptr;
  } else if (tls_) {
    tls_->close_notify();
    std::string goodbye = tls_->take_output();
    uv_buf_t buf = uv_buf_init(goodbye.data(), static_cast<unsigned>(goodbye.size()));
    if (!goodbye.empty() && !write_failed_) uv_try_write(socket_->stream(), &buf, 1);
  }
  socket_.reset();
  parts_.clear();
  offset_ = 0;
}

TcpSocketPtr Stream::release() {
  uv_read_stop(socket_->stream());
  socket_->owner = nullptr;
  return std::move(socket_);
}

void Stream::end(NetError error, bool clean) {
  close();
  events_.on_stream_end(std::move(error), clean);
}

// ---- reading

void Stream::on_read(ssize_t size) {
  if (size == 0) return;
  if (size > 0) {
    wire_bytes_ += size;
    const std::string_view bytes(buffer_.wire, static_cast<size_t>(size));
    if (!tls_) return events_.on_stream_data(bytes);
    tls_->receive(bytes);
    return run_tls();
  }
  const std::string when = open_ ? "" : " during the TLS handshake";
  if (size != UV_EOF)
    return end(net_error(NetErrorKind::kClosed,
                         "the connection to " + name_ + " broke" + when + ": " + uv_strerror(static_cast<int>(size))),
               false);
  end(net_error(NetErrorKind::kClosed, name_ + " closed the connection" + when), !tls_);
}

void Stream::run_tls() {
  if (!open_) {
    const TlsSession::Step step = tls_->handshake();
    if (step == TlsSession::Step::kWait) return pump();
    if (step != TlsSession::Step::kOk) return end(tls_->error(), false);
    open_ = true;
    pump();
    events_.on_stream_open();
  }
  read_tls();
  if (socket_) pump();
}

void Stream::read_tls() {
  while (socket_) {
    size_t size = 0;
    switch (tls_->read(buffer_.plain, sizeof buffer_.plain, &size)) {
      case TlsSession::Step::kOk: events_.on_stream_data({buffer_.plain, size}); break;
      case TlsSession::Step::kWait: return;
      case TlsSession::Step::kEnd:
        return end(net_error(NetErrorKind::kClosed, name_ + " closed the connection"), true);
      case TlsSession::Step::kFailed: return end(tls_->error(), false);
    }
  }
}

// ---- writing

void Stream::send(std::vector<std::shared_ptr<const std::string>> parts) {
  for (auto& part : parts)
    if (part && !part->empty()) parts_.push_back(std::move(part));
  pump();
}

// Starts the next write, if none is under way and there is something to write.
void Stream::pump() {
  if (!socket_ || writing_ || write_failed_) return;
  if (tls_)
    write_tls();
  else
    write_plain();
}

void Stream::advance(size_t size) {
  offset_ += size;
  if (offset_ < parts_.front()->size()) return;
  parts_.pop_front();
  offset_ = 0;
}

void Stream::write_plain() {
  if (parts_.empty()) return;
  const std::shared_ptr<const std::string> part = parts_.front();
  const std::string_view bytes = std::string_view(*part).substr(offset_, kWriteMax);
  advance(bytes.size());
  write({}, part, bytes);
}

void Stream::write_tls() {
  while (open_ && !parts_.empty() && tls_->output_size() < kTlsOutputMax) {
    const std::string_view rest = std::string_view(*parts_.front()).substr(offset_);
    const size_t taken = tls_->write(rest);
    if (taken == 0) break;  // failed: the reading side says why
    advance(taken);
  }
  std::string output = tls_->take_output();
  if (output.empty()) return;
  write(std::move(output), nullptr, {});
}

void Stream::write(std::string owned, std::shared_ptr<const std::string> shared, std::string_view bytes) {
  writing_ = new Write{{}, this, std::move(owned), std::move(shared)};
  writing_->request.data = writing_;
  if (!writing_->shared) bytes = writing_->owned;
  wire_bytes_ += static_cast<int64_t>(bytes.size());
  const uv_buf_t buf =
      uv_buf_init(const_cast<char*>(bytes.data()), static_cast<unsigned>(bytes.size()));
  const auto on_written = [](uv_write_t* request, int code) {
    const std::unique_ptr<Write> own(static_cast<Write*>(request->data));
    if (!own->owner) return;
    const HandleCountPtr handles = static_cast<TcpSocket*>(request->handle->data)->handles;
    handles->guard([&] { own->owner->written(code); });
  };
  if (uv_write(&writing_->request, socket_->stream(), &buf, 1, on_written) == 0) return;
  delete std::exchange(writing_, nullptr);
  write_failed_ = true;
}

void Stream::written(int code) {
  writing_ = nullptr;
  if (code != 0) {
    // The peer may have answered before it closed ("413" amid the body). What it said is read first.
    write_failed_ = true;
    parts_.clear();
    return;
  }
  pump();
  if (open_) events_.on_stream_progress();
}

}  // namespace hf
