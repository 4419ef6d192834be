// Certificates made by the openssl command, and TLS servers: openssl's own, and one on the test's loop that
// can be told to misbehave.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "net_fixture.h"
#include "tests/temp_folder.h"

namespace hf::test {

// 2026-01-01, 2099-01-01: when certificates of these tests are valid, and a moment between.
inline constexpr const char* kFrom = "20260101000000Z";
inline constexpr const char* kTo = "20990101000000Z";
inline constexpr int64_t kWithinMs = 1785000000000;

// Runs a program of the PATH; what it prints goes to `output`. True if it exits with 0.
bool run(const std::vector<std::string>& arguments, const std::string& output);

// An authority with a key of its own, in a folder of its own.
class TestCa {
 public:
  explicit TestCa(const std::string& name, const char* from = kFrom, const char* to = kTo);

  struct Pair {
    std::string cert, key;  // files
  };
  // `san`: "DNS:ingest.example,IP:127.0.0.1"; "" for none.
  Pair issue(const std::string& common_name, const std::string& san, const char* from = kFrom,
             const char* to = kTo);
  // A certificate that is signed by its own key.
  Pair self_signed(const std::string& common_name);

  const std::string& file() const { return cert_; }
  const TempFolder& folder() const { return folder_; }

 private:
  TempFolder folder_;
  std::string cert_;
  int count_ = 0;
};

// Made once: a key and a certificate cost openssl some 20 ms.
struct TlsWorld {
  TestCa ca{"Test Root"};
  TestCa stranger{"Stranger"};
  TestCa::Pair good = ca.issue("ingest.example", "DNS:ingest.example,IP:127.0.0.1");
  TestCa::Pair client = ca.issue("device-7", "");
};
TlsWorld& tls_world();

// A client for which every name is 127.0.0.1, and the clock of certificates stands.
struct TlsSetup {
  TestLoop loop;
  CertClock clock{true, kWithinMs};
  HttpClient client;
  TlsConfig config;  // trusts the authority of tls_world()

  TlsSetup();
  ~TlsSetup();
  HttpRequest request(uint16_t port, const std::string& host = "ingest.example");
  HttpResult get(uint16_t port, const std::string& host = "ingest.example");
};

// The kind of it, and what its message has.
void check_error(const HttpResult& result, NetErrorKind kind, const std::string& text);

// `openssl s_server -www` on 127.0.0.1, killed and reaped by the destructor.
class OpensslServer {
 public:
  OpensslServer(const TestCa::Pair& pair, const std::vector<std::string>& options = {});
  ~OpensslServer();
  OpensslServer(const OpensslServer&) = delete;
  OpensslServer& operator=(const OpensslServer&) = delete;
  uint16_t port() const { return port_; }

 private:
  pid_t pid_ = -1;
  int output_ = -1;
  uint16_t port_ = 0;
};

// The server's side of TLS for the clients of a Peer.
class TlsPeer {
 public:
  // Called for each plain-text arrival.
  class Client {
   public:
    std::string got;
    int requests = 0;
    void say(const std::string& bytes);
    void finish();      // close_notify, then FIN
    void cut();         // FIN without close_notify
   private:
    friend class TlsPeer;
    struct Ssl;
    std::shared_ptr<Ssl> ssl_;
  };
  using Script = std::function<void(Client&)>;

  // `protocol`: the one that it takes of those that a client offers (ALPN); "": it does not look at them.
  TlsPeer(TestLoop& loop, const TestCa::Pair& pair, Script on_bytes, std::string protocol = "");
  ~TlsPeer();
  uint16_t port() const { return peer_->port(); }
  int connections() const { return peer_->connections(); }

 private:
  struct Settings;
  void on_wire(Peer::Client& wire);
  std::unique_ptr<Settings> settings_;
  const Script on_bytes_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::unique_ptr<Peer> peer_;
};

}  // namespace hf::test
