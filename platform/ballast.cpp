#include "platform/ballast.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "core/random.h"

namespace hf {
namespace {

constexpr int64_t kPart = 65536;

Status failed(const std::string& what) {
  const int error = errno;
  return Error{error == ENOSPC || error == EDQUOT ? HF_E_FULL : HF_E_IO, what + ": " + strerror(error)};
}

// Blocks of the disk, not a hole. Where the file system cannot reserve them they are written, with bytes that it cannot
// make fewer.
bool fill(int fd, int64_t bytes) {
  if (fallocate(fd, 0, 0, bytes) == 0) return true;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return false;
  Random random(static_cast<uint64_t>(bytes));
  std::vector<uint64_t> part(kPart / sizeof(uint64_t));
  for (int64_t at = 0; at < bytes; at += kPart) {
    for (uint64_t& word : part) word = random.next();
    const size_t n = static_cast<size_t>(std::min(kPart, bytes - at));
    if (pwrite(fd, part.data(), n, at) != static_cast<ssize_t>(n)) {
      if (errno == 0) errno = ENOSPC;  // cut short
      return false;
    }
  }
  return true;
}

}  // namespace

Status Ballast::keep(int64_t bytes) {
  struct stat info;
  const bool there = stat(path_.c_str(), &info) == 0;
  if (there && info.st_size == bytes && int64_t{info.st_blocks} * 512 >= bytes) return ok_status();
  if (there) give_up();
  struct statvfs fs;
  const size_t slash = path_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
  if (statvfs(folder.c_str(), &fs) != 0) return failed(folder);
  const int64_t wanted = std::max<int64_t>(bytes, 0) + kRoomBeside;
  if (static_cast<int64_t>(fs.f_bavail) < wanted / static_cast<int64_t>(fs.f_frsize) + 1) {
    errno = ENOSPC;
    return failed(path_);
  }
  if (bytes < 0) return ok_status();
  const int fd = open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return failed(path_);
  errno = 0;
  const bool made = fill(fd, bytes) && fsync(fd) == 0;
  const Status status = made ? ok_status() : failed(path_);
  close(fd);
  if (!made) give_up();
  return status;
}

bool Ballast::give_up() { return unlink(path_.c_str()) == 0; }

}  // namespace hf
