// A way through a proxy: HTTP CONNECT (RFC 9110, 9.3.6).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "platform/net/http_parser.h"
#include "platform/net/net_error.h"
#include "platform/net/stream.h"
#include "platform/secret.h"

namespace hf {

// A proxy for HTTP, spoken to without TLS.
struct HttpProxy {
  std::string host;  // as Url has it
  uint16_t port = 0;
  std::shared_ptr<const Secret> login;  // base64 of "user:password"; null: it is told none

  std::string name() const;  // for messages: "squid.example:3128"
};

// The login that is in a secret's text "user:password". HF_E_INVALID; the text of the error is nothing of it.
Result<Secret> proxy_login(const Secret& text);

inline constexpr size_t kProxyAnswerMax = 8 * 1024;  // bytes of its answer to CONNECT

// Owned and used on the loop's thread; not destroyed within `on_done`.
class ProxyTunnel final : private StreamEvents {
 public:
  // `error`, or the socket as one that leads to the target, and what the target has `said` by now. Called once, not within the
  // constructor.
  using DoneFn = std::function<void(NetError error, TcpSocketPtr socket, std::string said)>;

  // `target` ("ingest.example:443") is where it is to lead; `target_speaks_first`: else its words are an error. Has no deadline of
  // its own.
  ProxyTunnel(const HttpProxy& proxy, std::string target, bool target_speaks_first, TcpSocketPtr socket, ReadBuffer& buffer,
              DoneFn on_done);
  ProxyTunnel(const ProxyTunnel&) = delete;
  ProxyTunnel& operator=(const ProxyTunnel&) = delete;
  void close() { stream_.close(); }  // `on_done` is not called any more

 private:
  void fail(std::string message);
  void on_stream_open() override {}
  void on_stream_data(std::string_view bytes) override;
  void on_stream_progress() override {}
  void on_stream_end(NetError error, bool clean) override;

  const std::string proxy_, target_;  // for messages
  const bool target_speaks_first_, has_password_;
  const DoneFn on_done_;
  Stream stream_;
  HttpParser parser_;
};

}  // namespace hf
