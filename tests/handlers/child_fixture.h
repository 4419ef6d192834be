// What child processes tell a test.
#pragma once

#include <dirent.h>
#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "tests/temp_folder.h"

namespace hf::test {

// A named pipe through which a child says a line.
class Fifo {
 public:
  Fifo() {
    REQUIRE(mkfifo(path_.c_str(), 0600) == 0);
    fd_ = open(path_.c_str(), O_RDWR | O_CLOEXEC);  // does not wait for the other side
    REQUIRE(fd_ >= 0);
  }
  ~Fifo() {
    close(fd_);
  }
  const std::string& path() const { return path_; }

  // Waits for a line, without its newline.
  std::string line() {
    std::string text;
    for (char c; text.find('\n') == std::string::npos; text += c) {
      pollfd ready{fd_, POLLIN, 0};
      REQUIRE(poll(&ready, 1, 60'000) == 1);
      REQUIRE(read(fd_, &c, 1) == 1);
    }
    text.pop_back();
    return text;
  }

 private:
  const TempFolder folder_;
  const std::string path_ = folder_ / "fifo";
  int fd_;
};

// Waits until a process is gone, be it our child or not. False after a minute.
inline bool gone(pid_t pid) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return errno == ESRCH;
  pollfd ended{fd, POLLIN, 0};
  const bool in_time = poll(&ended, 1, 60'000) == 1;
  close(fd);
  return in_time;
}

inline int open_descriptors() {
  DIR* folder = opendir("/proc/self/fd");
  REQUIRE(folder != nullptr);
  int count = 0;
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

inline bool no_children() {
  return waitpid(-1, nullptr, WNOHANG) == -1;
}

}  // namespace hf::test
