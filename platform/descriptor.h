#pragma once

#include <unistd.h>

#include <utility>

namespace hf {

// Owns a file descriptor until the end of the scope. -1: none.
struct Descriptor {
  explicit Descriptor(int number = -1) : fd(number) {}
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  Descriptor(Descriptor&& other) noexcept : fd(std::exchange(other.fd, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd, other.fd);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int fd;
};

}  // namespace hf
