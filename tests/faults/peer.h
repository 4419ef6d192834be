// A server on a thread of its own, which remembers what it said yes to. It allocates whatever the library may not.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <poll.h>
#include <psa/crypto.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "fault.h"
#include "tls_fixture.h"

namespace hf::test {

// The server's side of TLS.
class ServerTls {
 public:
  explicit ServerTls(const TestCa::Pair& pair) {
    mbedtls_ssl_config_init(&config_);
    mbedtls_x509_crt_init(&cert_);
    mbedtls_pk_init(&key_);
    REQUIRE(psa_crypto_init() == PSA_SUCCESS);
    REQUIRE(mbedtls_x509_crt_parse_file(&cert_, pair.cert.c_str()) == 0);
    REQUIRE(mbedtls_pk_parse_keyfile(&key_, pair.key.c_str(), nullptr, random, nullptr) == 0);
    REQUIRE(mbedtls_ssl_config_defaults(&config_, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT) == 0);
    mbedtls_ssl_conf_rng(&config_, random, nullptr);
    REQUIRE(mbedtls_ssl_conf_own_cert(&config_, &cert_, &key_) == 0);
  }
  ~ServerTls() {
    mbedtls_ssl_config_free(&config_);
    mbedtls_x509_crt_free(&cert_);
    mbedtls_pk_free(&key_);
  }
  ServerTls(const ServerTls&) = delete;
  ServerTls& operator=(const ServerTls&) = delete;
  const mbedtls_ssl_config* config() const { return &config_; }

 private:
  static int random(void*, unsigned char* out, size_t size) { return getrandom(out, size, 0) == static_cast<ssize_t>(size) ? 0 : -1; }
  mbedtls_ssl_config config_;
  mbedtls_x509_crt cert_;
  mbedtls_pk_context key_;
};

// A client, with TLS or without.
class Wire {
 public:
  explicit Wire(int fd) : fd_(fd) {
    mbedtls_ssl_init(&ssl_);
    const timeval limit{2, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  void begin_tls(const ServerTls* tls) {
    tls_ = true;
    broken_ = mbedtls_ssl_setup(&ssl_, tls->config()) != 0;
    mbedtls_ssl_set_bio(
        &ssl_, &fd_,
        [](void* to, const unsigned char* bytes, size_t size) {
          const ssize_t n = ::send(*static_cast<int*>(to), bytes, size, MSG_NOSIGNAL);
          return n < 0 ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : static_cast<int>(n);
        },
        [](void* from, unsigned char* out, size_t max) {
          const ssize_t n = recv(*static_cast<int*>(from), out, max, 0);
          return n < 0 ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : static_cast<int>(n);
        },
        nullptr);
    broken_ = broken_ || mbedtls_ssl_handshake(&ssl_) != 0;
  }
  ~Wire() {
    if (tls_ && !broken_) mbedtls_ssl_close_notify(&ssl_);
    mbedtls_ssl_free(&ssl_);
    close(fd_);
  }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  ssize_t read(char* out, size_t max) {
    if (broken_) return -1;
    return tls_ ? mbedtls_ssl_read(&ssl_, reinterpret_cast<unsigned char*>(out), max) : recv(fd_, out, max, 0);
  }
  void write(const char* bytes, size_t size) {
    if (tls_)
      (void)mbedtls_ssl_write(&ssl_, reinterpret_cast<const unsigned char*>(bytes), size);
    else
      (void)!::send(fd_, bytes, size, MSG_NOSIGNAL);
  }

 private:
  int fd_;
  bool tls_ = false, broken_ = false;
  mbedtls_ssl_context ssl_;
};

enum class Speaks { http, https, https_behind_a_proxy, nats };

class RememberingPeer {
 public:
  // `pair`: of those under TLS.
  explicit RememberingPeer(Speaks what, const TestCa::Pair* pair = nullptr) : what_(what), tls_(pair != nullptr ? std::make_unique<ServerTls>(*pair) : nullptr) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(listen(listener_, 64) == 0);
    REQUIRE(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~RememberingPeer() {
    over_ = true;
    thread_.join();
    close(listener_);
  }
  std::string port() const { return std::to_string(port_); }
  bool has(const std::string& text) {
    std::lock_guard lock(mutex_);
    return bodies_.find(text) != std::string::npos;
  }
  bool has_something() {
    std::lock_guard lock(mutex_);
    return !bodies_.empty();
  }
  void forget() {
    std::lock_guard lock(mutex_);
    bodies_.clear();
  }

 private:
  void serve() {
    fault::Spare mine;
    while (!over_) {
      pollfd wait{listener_, POLLIN, 0};
      if (poll(&wait, 1, 20) < 1) continue;
      const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) continue;
      Wire wire(client);
      if (what_ == Speaks::nats) {
        speak_nats(wire);
        continue;
      }
      std::string connect;
      if (what_ == Speaks::https_behind_a_proxy) {
        while (connect.find("\r\n\r\n") == std::string::npos && more(wire, &connect)) {
        }
        if (connect.starts_with("CONNECT ")) say(wire, "HTTP/1.1 200 OK\r\n\r\n");
      }
      if (tls_) wire.begin_tls(tls_.get());
      answer(wire);
    }
  }
  static bool more(Wire& client, std::string* got) {
    char data[4096];
    const ssize_t n = client.read(data, sizeof data);
    if (n > 0) got->append(data, static_cast<size_t>(n));
    return n > 0;
  }
  static void say(Wire& client, const std::string& text) { client.write(text.data(), text.size()); }
  // One request. A client that goes away in the middle gets no yes.
  void answer(Wire& client) {
    std::string got;
    size_t head = 0, length = 0;
    while (head == 0 || got.size() < head + length) {
      if (!more(client, &got)) return;
      if (head != 0 || got.find("\r\n\r\n") == std::string::npos) continue;
      head = got.find("\r\n\r\n") + 4;
      const size_t field = got.find("Content-Length: ");
      if (field < head) length = std::stoul(got.substr(field + 16));
    }
    keep(got.substr(head));
    say(client, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  }
  // As much of a server with one stream as a publisher sees, until the client goes away or says nothing for two seconds.
  void speak_nats(Wire& client) {
    say(client, "INFO {\"headers\":true,\"max_payload\":1048576}\r\n");
    std::string got;
    while (true) {
      const size_t end = got.find("\r\n");
      if (end == std::string::npos) {
        if (!more(client, &got)) return;
        continue;
      }
      const std::string line = got.substr(0, end);
      got.erase(0, end + 2);
      if (line == "PING") say(client, "PONG\r\n");
      if (!line.starts_with("HPUB ")) continue;
      // HPUB subject reply headers bytes
      const size_t reply = line.find(' ', 5) + 1;
      const size_t bytes = std::stoul(line.substr(line.rfind(' ') + 1));
      while (got.size() < bytes + 2) {
        if (!more(client, &got)) return;
      }
      keep(got.substr(0, bytes));
      got.erase(0, bytes + 2);
      const std::string ack = R"({"stream":"s","seq":1})";
      say(client, "MSG " + line.substr(reply, line.find(' ', reply) - reply) + " 1 " + std::to_string(ack.size()) + "\r\n" + ack + "\r\n");
    }
  }
  void keep(const std::string& body) {
    std::lock_guard lock(mutex_);
    bodies_ += body;
  }

  const Speaks what_;
  const std::unique_ptr<ServerTls> tls_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> over_{false};
  std::mutex mutex_;
  std::string bodies_;
  std::thread thread_;
};

}  // namespace hf::test
