#include "platform/net/tls_session.h"

#include <mbedtls/error.h>
#include <mbedtls/ssl.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "platform/memory.h"

namespace hf {
namespace {

struct AlertName {
  int number;
  const char* text;
};
// RFC 8446, 6.2
constexpr AlertName kAlerts[] = {
    {MBEDTLS_SSL_ALERT_MSG_UNEXPECTED_MESSAGE, "unexpected message"},
    {MBEDTLS_SSL_ALERT_MSG_BAD_RECORD_MAC, "bad record"},
    {MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE, "no common cipher or parameters"},
    {MBEDTLS_SSL_ALERT_MSG_BAD_CERT, "bad certificate"},
    {MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT, "unsupported certificate"},
    {MBEDTLS_SSL_ALERT_MSG_CERT_REVOKED, "our certificate is revoked"},
    {MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED, "our certificate is expired"},
    {MBEDTLS_SSL_ALERT_MSG_CERT_UNKNOWN, "our certificate is not acceptable"},
    {MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA, "our certificate is signed by an authority it does not know"},
    {MBEDTLS_SSL_ALERT_MSG_ACCESS_DENIED, "access denied"},
    {MBEDTLS_SSL_ALERT_MSG_PROTOCOL_VERSION, "no common TLS version"},
    {MBEDTLS_SSL_ALERT_MSG_INSUFFICIENT_SECURITY, "insufficient security"},
    {MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR, "internal error"},
    {MBEDTLS_SSL_ALERT_MSG_UNRECOGNIZED_NAME, "it does not know this host name"},
    {116, "it requires a client certificate"},
};

std::string alert_text(int number, bool offered_http) {
  if (number == MBEDTLS_SSL_ALERT_MSG_NO_APPLICATION_PROTOCOL)
    return std::string(offered_http ? "it does not speak HTTP/1.1" : "it takes no protocol that was offered (\"alpn\")") + " (alert 120)";
  for (const AlertName& alert : kAlerts)
    if (alert.number == number) return std::string(alert.text) + " (alert " + std::to_string(number) + ")";
  return "alert " + std::to_string(number);
}

std::string reason(int code) {
  char text[128] = "";
  mbedtls_strerror(code, text, sizeof text);
  return text;
}

}  // namespace

struct TlsSession::Ssl {
  mbedtls_ssl_context context;
  Ssl() { mbedtls_ssl_init(&context); }
  ~Ssl() { mbedtls_ssl_free(&context); }
};

TlsSession::TlsSession(std::shared_ptr<TlsContext> context, const std::string& host, bool host_is_ip,
                       const std::string& peer, CertClock clock)
    : context_(std::move(context)),
      peer_(peer),
      check_(host, host_is_ip, peer, clock, context_->pins()),
      ssl_(std::make_unique<Ssl>()) {}

TlsSession::~TlsSession() = default;

NetError TlsSession::create(std::shared_ptr<TlsContext> context, const std::string& host, bool host_is_ip,
                            const std::string& peer, CertClock clock, std::unique_ptr<TlsSession>* out) {
  std::unique_ptr<TlsSession> session(new TlsSession(std::move(context), host, host_is_ip, peer, clock));
  mbedtls_ssl_context* ssl = &session->ssl_->context;
  int code = mbedtls_ssl_setup(ssl, session->context_->settings());
  // An address is not allowed in SNI (RFC 6066, 3) and not sent; CertCheck compares it.
  if (code == 0) code = mbedtls_ssl_set_hostname(ssl, host_is_ip ? nullptr : host.c_str());
  if (code != 0)
    return net_error(NetErrorKind::kLocal, "no TLS session for " + peer + ": " + reason(code));
  mbedtls_ssl_set_verify(
      ssl,
      [](void* self, mbedtls_x509_crt* certificate, int depth, uint32_t* flags) {
        // What could not be checked is not accepted.
        const bool checked = guarded([&] { static_cast<TlsSession*>(self)->check_.check(*certificate, depth, flags); });
        if (!checked) *flags |= MBEDTLS_X509_BADCERT_OTHER;
        return checked ? 0 : MBEDTLS_ERR_X509_ALLOC_FAILED;
      },
      session.get());
  mbedtls_ssl_set_bio(
      ssl, session.get(),
      [](void* self, const unsigned char* bytes, size_t size) {
        return static_cast<TlsSession*>(self)->put_output(bytes, size);
      },
      [](void* self, unsigned char* buffer, size_t max) {
        return static_cast<TlsSession*>(self)->take_input(buffer, max);
      },
      nullptr);
  session->context_->resume(peer, clock.wall_ms, ssl);
  *out = std::move(session);
  return {};
}

int TlsSession::take_input(unsigned char* out, size_t max) {
  if (input_.empty()) return MBEDTLS_ERR_SSL_WANT_READ;
  const size_t size = std::min(max, input_.size());
  std::memcpy(out, input_.data(), size);
  input_.remove_prefix(size);
  return static_cast<int>(size);
}

int TlsSession::put_output(const unsigned char* bytes, size_t size) {
  if (output_.size() >= kTlsOutputMax) return MBEDTLS_ERR_SSL_WANT_WRITE;
  if (!guarded([&] { output_.append(reinterpret_cast<const char*>(bytes), size); })) return MBEDTLS_ERR_SSL_ALLOC_FAILED;
  return static_cast<int>(size);
}

TlsSession::Step TlsSession::handshake() {
  const int code = mbedtls_ssl_handshake(&ssl_->context);
  if (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE) return Step::kWait;
  if (check_.called()) context_->saw_server(peer_, check_.server_end_ms());
  if (code != 0) return fail(code);
  established_ = true;
  // TLS 1.3 sends tickets later, see read().
  if (mbedtls_ssl_get_version_number(&ssl_->context) == MBEDTLS_SSL_VERSION_TLS1_2)
    keep_session();
  return Step::kOk;
}

void TlsSession::keep_session() {
  context_->keep_session(peer_, check_.called() ? &check_.validity() : nullptr, &ssl_->context);
}

TlsSession::Step TlsSession::read(char* out, size_t max, size_t* size) {
  for (;;) {
    const int code = mbedtls_ssl_read(&ssl_->context, reinterpret_cast<unsigned char*>(out), max);
    if (code > 0) {
      *size = static_cast<size_t>(code);
      return Step::kOk;
    }
    // WANT_READ does not mean that the input is used up: 3.6 says so once it has read a ticket's header, and
    // works on it in the next call.
    const bool more = !input_.empty() || mbedtls_ssl_check_pending(&ssl_->context) != 0;
    if (code == MBEDTLS_ERR_SSL_WANT_READ && more) continue;
    if (code == MBEDTLS_ERR_SSL_WANT_READ || code == MBEDTLS_ERR_SSL_WANT_WRITE) return Step::kWait;
    if (code == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
      keep_session();
      continue;
    }
    if (code == 0 || code == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) return Step::kEnd;
    return fail(code);
  }
}

size_t TlsSession::write(std::string_view bytes) {
  const size_t size = std::min(bytes.size(), size_t{MBEDTLS_SSL_OUT_CONTENT_LEN});
  const int code =
      mbedtls_ssl_write(&ssl_->context, reinterpret_cast<const unsigned char*>(bytes.data()), size);
  return code > 0 ? static_cast<size_t>(code) : 0;
}

void TlsSession::close_notify() {
  if (established_ && !error_) mbedtls_ssl_close_notify(&ssl_->context);
}

const char* TlsSession::version() const { return mbedtls_ssl_get_version(&ssl_->context); }

TlsSession::Step TlsSession::fail(int code) {
  if (!established_) context_->forget_session(peer_);  // in case that is what the server dislikes
  const uint32_t flags = mbedtls_ssl_get_verify_result(&ssl_->context);
  const bool verified = code == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED || code == MBEDTLS_ERR_SSL_BAD_CERTIFICATE;
  const auto protocol = [this](const std::string& text) {
    error_ = net_error(NetErrorKind::kTlsProtocol, text);
  };
  if (verified && flags != 0 && flags != UINT32_MAX) {
    error_ = check_.error(flags);
  } else if (code == MBEDTLS_ERR_SSL_ALLOC_FAILED || code == MBEDTLS_ERR_X509_ALLOC_FAILED) {
    error_ = net_error(NetErrorKind::kLocal, "no memory for TLS with " + peer_);
  } else if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
    // The two bytes of the alert are still the message that was read; there is no public accessor.
    protocol(peer_ + (established_ ? " ended TLS: " : " refused the TLS handshake: ") +
             alert_text(ssl_->context.MBEDTLS_PRIVATE(in_msg)[1], context_->offers_http()));
  } else if (code == MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION) {
    protocol(peer_ + " offers no TLS version that is accepted here");
  } else if (code == MBEDTLS_ERR_SSL_INVALID_RECORD && !established_) {
    protocol("what " + peer_ + " says is not TLS");
  } else {
    protocol("TLS with " + peer_ + " failed: " + reason(code));
  }
  return Step::kFailed;
}

}  // namespace hf
