// Connections of one client to a TLS server, one after the other, each with a request: for tests/bench/tls.py, which counts
// instructions. The server is another process and does not count.
//
//   bench_tls PORT CA CERT KEY full|resume COUNT      of localhost; prints {"full": n, "resumed": n}
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "platform/clock.h"
#include "platform/net/tls_session.h"

using namespace hf;

namespace {

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "bench_tls: %s\n", why.c_str());
  std::exit(1);
}

// A blocking connection.
class Wire {
 public:
  explicit Wire(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    void* any = &address;
    if (fd_ < 0 || connect(fd_, static_cast<sockaddr*>(any), sizeof address) != 0) fail("no connection");
  }
  ~Wire() { close(fd_); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  void send(TlsSession& session) {
    const std::string bytes = session.take_output();
    for (size_t at = 0; at < bytes.size();) {
      const ssize_t sent = ::send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) fail("the connection broke off");
      at += static_cast<size_t>(sent);
    }
  }
  // False at the end.
  bool receive(TlsSession& session) {
    const ssize_t got = recv(fd_, buffer_, sizeof buffer_, 0);
    if (got <= 0) return false;
    session.receive({buffer_, static_cast<size_t>(got)});
    return true;
  }

 private:
  const int fd_;
  char buffer_[16384];
};

// True if it was resumed.
bool connect_once(const std::shared_ptr<TlsContext>& context, uint16_t port) {
  const std::string peer = "localhost:" + std::to_string(port);
  std::unique_ptr<TlsSession> session;
  const NetError failed = TlsSession::create(context, "localhost", false, peer, CertClock{true, wall_ms()}, &session);
  if (failed) fail(failed.message);
  Wire wire(port);
  TlsSession::Step step;
  while ((step = session->handshake()) == TlsSession::Step::kWait) {
    wire.send(*session);
    if (!wire.receive(*session)) fail("the server ended the handshake");
  }
  if (step != TlsSession::Step::kOk) fail(session->error().message);
  constexpr std::string_view kRequest = "GET / HTTP/1.0\r\n\r\n";
  if (session->write(kRequest) != kRequest.size()) fail("the request was not taken");
  wire.send(*session);
  char text[4096];
  size_t size = 0;
  // To the end: a ticket of TLS 1.3 comes with the answer.
  while ((step = session->read(text, sizeof text, &size)) != TlsSession::Step::kEnd) {
    if (step == TlsSession::Step::kFailed) fail(session->error().message);
    if (step == TlsSession::Step::kWait && !wire.receive(*session)) break;
  }
  return session->resumed();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) fail("usage: bench_tls PORT CA CERT KEY full|resume COUNT");
  const auto port = static_cast<uint16_t>(std::atoi(argv[1]));
  TlsConfig config;
  config.ca_file = argv[2];
  config.cert_file = argv[3];
  config.key_file = argv[4];
  const bool resume = std::string(argv[5]) == "resume";
  const auto context = TlsContext::load(config);
  if (!context) fail(context.error().message);
  int full = 0, resumed = 0;
  for (int i = 0; i < std::atoi(argv[6]); ++i) {
    if (!resume) (*context)->forget_session("localhost:" + std::to_string(port));
    ++(connect_once(*context, port) ? resumed : full);
  }
  std::printf("{\"full\": %d, \"resumed\": %d}\n", full, resumed);
}
