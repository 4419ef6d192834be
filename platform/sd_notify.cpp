#include "platform/sd_notify.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>

namespace hf {
namespace {

// A whole, positive decimal number; 0 for anything else.
std::int64_t positive_number(const char* text) {
  if (text == nullptr) return 0;
  std::int64_t value = 0;
  const char* end = text + strlen(text);
  const auto [stop, error] = std::from_chars(text, end, value);
  return error == std::errc() && stop == end && value > 0 ? value : 0;
}

// A newline would start another assignment.
std::string one_line(std::string_view text) {
  std::string line(text);
  std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\0'; }, ' ');
  return line;
}

std::int64_t monotonic_us() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);  // the protocol asks for this clock
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace

SdNotify::SdNotify(const char* address) {
  if (address == nullptr || (address[0] != '/' && address[0] != '@') || address[1] == '\0') return;
  address_ = address;
  if (address_.size() >= sizeof(sockaddr_un::sun_path)) return;
  if (address_[0] == '@') address_[0] = '\0';
  fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

SdNotify::~SdNotify() {
  if (fd_ >= 0) close(fd_);
}

bool SdNotify::send(const std::string& message) {
  if (fd_ < 0) return false;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  memcpy(to.sun_path, address_.data(), address_.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  ssize_t sent;
  do {
    sent = sendto(fd_, message.data(), message.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                  reinterpret_cast<const sockaddr*>(&to), length);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(message.size());
}

bool SdNotify::ready(std::string_view status) {
  return send(status.empty() ? "READY=1" : "READY=1\nSTATUS=" + one_line(status));
}

bool SdNotify::stopping(std::string_view status) {
  return send(status.empty() ? "STOPPING=1" : "STOPPING=1\nSTATUS=" + one_line(status));
}

bool SdNotify::reloading() {
  return send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_us()));
}

bool SdNotify::status(std::string_view text) { return send("STATUS=" + one_line(text)); }

bool SdNotify::watchdog() { return send("WATCHDOG=1"); }

std::int64_t watchdog_interval_ms(const char* usec, const char* pid, std::int64_t own_pid) {
  if (pid != nullptr && positive_number(pid) != own_pid) return 0;
  return positive_number(usec) / 1000;
}

int systemd_listen_fd(const char* listen_pid, const char* listen_fds, std::int64_t own_pid) {
  constexpr int kFirst = 3;  // SD_LISTEN_FDS_START
  if (positive_number(listen_pid) != own_pid || positive_number(listen_fds) < 1) return -1;
  if (fcntl(kFirst, F_SETFD, FD_CLOEXEC) < 0) return -1;
  return kFirst;
}

}  // namespace hf
