// An HTTP server on a thread of its own, which remembers what it said yes to. It allocates whatever the library may not.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>

#include "failing_new.h"

namespace hf::test {

class RememberingPeer {
 public:
  RememberingPeer() {
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
  uint16_t port() const { return port_; }
  bool has(const std::string& text) {
    std::lock_guard lock(mutex_);
    return bodies_.find(text) != std::string::npos;
  }
  void forget() {
    std::lock_guard lock(mutex_);
    bodies_.clear();
  }

 private:
  void serve() {
    failing_new::Spare mine;
    while (!over_) {
      pollfd wait{listener_, POLLIN, 0};
      if (poll(&wait, 1, 20) < 1) continue;
      const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) continue;
      answer(client);
      close(client);
    }
  }
  // One request. A client that goes away in the middle gets no yes.
  void answer(int client) {
    const timeval limit{2, 0};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    std::string got;
    size_t head = 0, length = 0;
    while (head == 0 || got.size() < head + length) {
      char data[4096];
      const ssize_t n = recv(client, data, sizeof data, 0);
      if (n <= 0) return;
      got.append(data, static_cast<size_t>(n));
      if (head != 0 || got.find("\r\n\r\n") == std::string::npos) continue;
      head = got.find("\r\n\r\n") + 4;
      const size_t field = got.find("Content-Length: ");
      if (field < head) length = std::stoul(got.substr(field + 16));
    }
    {
      std::lock_guard lock(mutex_);
      bodies_ += got.substr(head);
    }
    constexpr char kYes[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    (void)!send(client, kYes, sizeof kYes - 1, MSG_NOSIGNAL);
  }

  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> over_{false};
  std::mutex mutex_;
  std::string bodies_;
  std::thread thread_;
};

}  // namespace hf::test
