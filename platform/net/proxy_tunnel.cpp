#include "platform/net/proxy_tunnel.h"

#include <mbedtls/base64.h>

#include <algorithm>
#include <utility>

#include "platform/net/url.h"

namespace hf {
namespace {

HttpLimits answer_limits() {
  HttpLimits limits;
  limits.max_header_bytes = kProxyAnswerMax;
  return limits;
}

// "[::1]:3128"
std::string host_port(const std::string& host, uint16_t port) {
  Url url;
  url.host = host;
  url.port = port;
  return url.host_port();
}

std::shared_ptr<const std::string> request_of(const HttpProxy& proxy, const std::string& target) {
  constexpr std::string_view kAuthorization = "Proxy-Authorization: Basic ";
  const std::string_view login = proxy.login ? proxy.login->bytes() : std::string_view();
  const std::string start = "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n";
  // Of its whole size at once, so that the password lies nowhere else.
  const std::shared_ptr<std::string> text = wiped_string(start.size() + kAuthorization.size() + login.size() + 4);
  text->append(start);
  if (!login.empty()) text->append(kAuthorization).append(login).append("\r\n");
  text->append("\r\n");
  return text;
}

}  // namespace

std::string HttpProxy::name() const { return host_port(host, port); }

Result<Secret> proxy_login(const Secret& text) {
  const std::string_view bytes = text.bytes();
  const bool plain = std::none_of(bytes.begin(), bytes.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });  // RFC 7617, 2
  if (!plain || bytes.find(':') == bytes.npos || bytes.front() == ':') return Error{HF_E_INVALID, "this is no login: expected user:password"};
  Result<Secret> login = Secret::of(kSecretBytesMax);
  if (!login) return login.error();
  size_t size = 0;
  if (mbedtls_base64_encode(reinterpret_cast<unsigned char*>(login->data()), kSecretBytesMax, &size, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()) != 0)
    return Error{HF_E_TOO_LARGE, "the login is too long"};
  login->shrink(size);
  return login;
}

ProxyTunnel::ProxyTunnel(const HttpProxy& proxy, std::string target, bool target_speaks_first, TcpSocketPtr socket,
                         ReadBuffer& buffer, DoneFn on_done)
    : proxy_("the proxy " + proxy.name()),
      target_(std::move(target)),
      target_speaks_first_(target_speaks_first),
      has_password_(proxy.login != nullptr),
      on_done_(std::move(on_done)),
      stream_(proxy_, buffer, *this),
      parser_(true, answer_limits()) {  // as after HEAD: nothing follows the headers
  (void)stream_.start(std::move(socket), nullptr);  // a plain one begins at once
  stream_.send({request_of(proxy, target_)});
}

void ProxyTunnel::fail(std::string message) {
  stream_.close();
  on_done_(net_error(NetErrorKind::kProxy, std::move(message)), nullptr, {});
}

void ProxyTunnel::on_stream_data(std::string_view bytes) {
  switch (parser_.feed(bytes)) {
    case HttpParser::State::kReading: return;
    case HttpParser::State::kFailed: return fail(proxy_ + ": " + parser_.error());
    case HttpParser::State::kDone: break;
  }
  const int status = parser_.take_response().status;
  if (status < 200 || status > 299) {
    std::string why = proxy_ + " answered " + std::to_string(status) + " to CONNECT " + target_;
    if (status == 407) why += has_password_ ? ": it does not take the user and password of \"proxy_auth\"" : ": it wants a user and a password, \"proxy_auth\"";
    return fail(std::move(why));
  }
  const size_t more = parser_.overfed();
  // In TLS, HTTP and MQTT the client speaks first.
  if ((more > 0 && !target_speaks_first_) || !stream_.sent())
    return fail(proxy_ + " sent more than its answer to CONNECT " + target_);
  std::string said(bytes.substr(bytes.size() - more));
  on_done_({}, stream_.release(), std::move(said));
}

void ProxyTunnel::on_stream_end(NetError error, bool) {
  error.kind = NetErrorKind::kProxy;
  error.message += " before it answered CONNECT " + target_;
  on_done_(std::move(error), nullptr, {});
}

}  // namespace hf
