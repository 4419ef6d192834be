// Bytes over TCP, plain or under TLS.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "platform/net/net_error.h"
#include "platform/net/tcp_connect.h"
#include "platform/net/tls_session.h"

namespace hf {

// Where reads of all streams of a client land; what is read is consumed before the callback returns.
struct ReadBuffer {
  char wire[16 * 1024];
  char plain[16 * 1024];
};

// Loop thread. Each may close() the stream, but not destroy it.
class StreamEvents {
 public:
  virtual void on_stream_open() = 0;  // under TLS: the server is verified
  virtual void on_stream_data(std::string_view bytes) = 0;
  virtual void on_stream_progress() = 0;  // some or all of what was sent is with the kernel
  // Nothing follows. `clean`: the peer said that it is finished (FIN, under TLS close_notify); `error`
  // is set in any case.
  virtual void on_stream_end(NetError error, bool clean) = 0;

 protected:
  ~StreamEvents() = default;
};

// Owned and used on the loop's thread. A write to a closed connection raises SIGPIPE where that is not
// blocked: the loop's thread blocks it (platform/thread.h).
class Stream {
 public:
  // `name` ("ingest.example:443") is for messages. `buffer` and `events` outlive the stream.
  Stream(std::string name, ReadBuffer& buffer, StreamEvents& events);
  ~Stream() { close(); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Begins; `tls` is nullptr for a plain stream, which is open at once, without an event. No event within
  // this call; an error if the handshake cannot begin.
  NetError start(TcpSocketPtr socket, std::unique_ptr<TlsSession> tls);

  // From now on under TLS; on_stream_open comes again. An error if the handshake cannot begin. REQUIRES: open, plain, sent()
  NetError secure(std::unique_ptr<TlsSession> tls);

  // Sends the parts in order. No event within this call. REQUIRES: open, and sent()
  void send(std::vector<std::shared_ptr<const std::string>> parts);
  bool sent() const { return parts_.empty() && !writing_ && !write_failed_; }

  // No event follows. Under TLS it says goodbye if it can do so without waiting.
  void close();
  bool closed() const { return !socket_; }
  // The socket, from which nothing is read any more; the stream is as if closed. REQUIRES: plain, open, sent()
  TcpSocketPtr release();
  const TlsSession* tls() const { return tls_.get(); }
  // Bytes read and written, a handshake's too; without what the kernel adds for TCP and IP.
  int64_t wire_bytes() const { return wire_bytes_; }

 private:
  struct Write;
  NetError begin_tls();
  void on_read(ssize_t size);
  void run_tls();
  void read_tls();
  void pump();
  void write_plain();
  void write_tls();
  void write(std::string owned, std::shared_ptr<const std::string> shared, std::string_view bytes);
  void written(int code);
  void advance(size_t size);
  void end(NetError error, bool clean);

  const std::string name_;
  ReadBuffer& buffer_;
  StreamEvents& events_;
  TcpSocketPtr socket_;
  std::unique_ptr<TlsSession> tls_;
  bool open_ = false;
  std::deque<std::shared_ptr<const std::string>> parts_;
  size_t offset_ = 0;  // of the first part
  int64_t wire_bytes_ = 0;
  Write* writing_ = nullptr;  // frees itself in its callback
  bool write_failed_ = false;  // the end comes from the reading side, after what the peer still said
};

}  // namespace hf
