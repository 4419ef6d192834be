// A TLS client session without I/O: bytes from the wire in, bytes for the wire out.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "platform/net/net_error.h"
#include "platform/net/tls_context.h"
#include "platform/net/tls_verify.h"

namespace hf {

inline constexpr size_t kTlsOutputMax = 32 * 1024;  // bytes made for the wire and not taken yet, about

// Owned by one stream, used on the loop's thread.
class TlsSession {
 public:
  enum class Step {
    kOk,
    kWait,    // for receive(), or for take_output()
    kEnd,     // the server said close_notify
    kFailed,  // error() says why; what take_output() has (an alert) may still be sent
  };

  // `peer` ("ingest.example:443") names the server in messages and keeps sessions apart.
  // kLocal if there is no memory.
  static NetError create(std::shared_ptr<TlsContext> context, const std::string& host, bool host_is_ip,
                         const std::string& peer, CertClock clock, std::unique_ptr<TlsSession>* out);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // The bytes are looked at by the calls of handshake() and read() that follow, until kWait; they must live so
  // long. REQUIRES: the bytes before are used up.
  void receive(std::string_view bytes) { input_ = bytes; }

  Step handshake();
  Step read(char* out, size_t max, size_t* size);
  // Returns how much was taken: 0 if the output is full or the session failed. REQUIRES: the handshake is
  // over; when called again after 0, with the same bytes.
  size_t write(std::string_view bytes);
  void close_notify();

  size_t output_size() const { return output_.size(); }
  std::string take_output() { return std::exchange(output_, {}); }

  const NetError& error() const { return error_; }
  bool resumed() const { return established_ && !check_.called(); }
  const char* version() const;  // "TLSv1.3"

 private:
  struct Ssl;
  TlsSession(std::shared_ptr<TlsContext> context, const std::string& host, bool host_is_ip,
             const std::string& peer, CertClock clock);
  int take_input(unsigned char* out, size_t max);
  int put_output(const unsigned char* bytes, size_t size);
  void keep_session();
  Step fail(int code);

  const std::shared_ptr<TlsContext> context_;
  const std::string peer_;
  CertCheck check_;
  std::unique_ptr<Ssl> ssl_;
  std::string_view input_;
  std::string output_;
  bool established_ = false;
  NetError error_;
};

}  // namespace hf
