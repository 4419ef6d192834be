#pragma once

#include <unistd.h>

namespace hf {

// Owns a file descriptor until the end of the scope. -1: none.
struct Descriptor {
  explicit Descriptor(int number = -1) : fd(number) {}
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int fd;
};

}  // namespace hf
