// A raw client of a Unix stream socket: blocking, with a limit on every wait.
#pragma once

#include <doctest/doctest.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>

namespace hf {

struct ClientResponse {
  int status = 0;
  std::string head, body;
  bool has(std::string_view text) const { return head.find(text) != std::string::npos; }
};

class UnixClient {
 public:
  explicit UnixClient(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path.data(), path.size());
    REQUIRE(connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  UnixClient(UnixClient&& other) noexcept : fd_(std::exchange(other.fd_, -1)), input_(std::move(other.input_)) {}
  ~UnixClient() { close(); }

  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  int fd() const { return fd_; }
  void end_input() { ::shutdown(fd_, SHUT_WR); }

  // False once the server takes no more.
  bool send(std::string_view data) {
    while (!data.empty()) {
      const ssize_t sent = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return false;
      data.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // Waits until `text` has come; returns all up to and with it.
  std::string until(std::string_view text) {
    std::size_t found;
    while ((found = input_.find(text)) == std::string::npos)
      if (!more()) return std::exchange(input_, std::string());
    return take(found + text.size());
  }

  // Waits for the end of the connection; returns all that came before.
  std::string rest() {
    while (more()) {
    }
    return std::exchange(input_, std::string());
  }

  // One response that has a Content-Length or no body.
  ClientResponse response(bool head_only = false) {
    ClientResponse got;
    got.head = until("\r\n\r\n");
    if (got.head.size() > 12) got.status = atoi(got.head.c_str() + 9);
    const std::size_t field = got.head.find("Content-Length: ");
    if (field == std::string::npos || head_only) return got;
    const auto length = static_cast<std::size_t>(atoll(got.head.c_str() + field + 16));
    while (input_.size() < length)
      if (!more()) break;
    got.body = take(std::min(length, input_.size()));
    return got;
  }

  ClientResponse get(const std::string& path) {
    send("GET " + path + " HTTP/1.1\r\nHost: t\r\n\r\n");
    return response();
  }

  // True if the server has ended the connection and nothing came before that.
  bool ended() { return input_.empty() && !more() && input_.empty(); }

 private:
  // False at the end of the connection.
  bool more() {
    pollfd wait{fd_, POLLIN, 0};
    int ready;
    do {
      ready = poll(&wait, 1, 60'000);
    } while (ready < 0 && errno == EINTR);
    REQUIRE_MESSAGE(ready == 1, "the server says nothing");
    char data[16384];
    const ssize_t length = recv(fd_, data, sizeof data, 0);
    if (length <= 0) return false;
    input_.append(data, static_cast<std::size_t>(length));
    return true;
  }

  std::string take(std::size_t bytes) {
    std::string taken = input_.substr(0, bytes);
    input_.erase(0, bytes);
    return taken;
  }

  int fd_;
  std::string input_;
};

}  // namespace hf
