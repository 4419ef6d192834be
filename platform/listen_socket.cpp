#include "platform/listen_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "platform/folder.h"

namespace hf {
namespace {

constexpr int kBacklog = 128;
constexpr std::size_t kGroupFileMax = 1 << 20;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, path.data(), path.size());  // REQUIRES: path.size() <= kSocketPathMax
  return address;
}

Error system_error(const std::string& what, int error) {
  const int code = error == EACCES || error == EPERM ? HF_E_DENIED
                   : error == ENOENT || error == ENOTDIR ? HF_E_NOT_FOUND
                   : error == EROFS                      ? HF_E_READ_ONLY
                   : error == EEXIST                     ? HF_E_CONFLICT
                                                         : HF_E_IO;
  return {code, what + ": " + strerror(error)};
}

// Ok if `path` is free, or a socket left behind by a dead server, which is removed.
Status make_room(const std::string& path) {
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0)
    return errno == ENOENT ? ok_status() : Status(system_error("socket path '" + path + "'", errno));
  if (!S_ISSOCK(found.st_mode))
    return Error{HF_E_INVALID, "socket path '" + path + "' is taken by something that is not a socket"};

  // Non-blocking: a live server with a full backlog would hold us.
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return system_error("cannot make a socket", errno);
  const sockaddr_un address = address_of(path);
  const int connected = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = connected == 0 ? 0 : errno;
  ucred server{};
  socklen_t length = sizeof server;
  const bool known = error == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &server, &length) == 0;
  close(fd);
  // A child that a killed server was just starting holds its descriptors until it becomes its program: nobody serves
  // there any more, though the kernel still takes connections.
  const bool orphaned = known && server.pid > 0 && kill(server.pid, 0) != 0 && errno == ESRCH;
  if ((error == 0 && !orphaned) || error == EAGAIN || error == EINPROGRESS || error == EPROTOTYPE)
    return Error{HF_E_CONFLICT, "a server listens on '" + path + "'" +
                                    (known ? " (process " + std::to_string(server.pid) + ")" : "")};
  if (error == ENOENT) return ok_status();  // its server removed it meanwhile
  if (error != ECONNREFUSED && !orphaned) return system_error("cannot tell whether a server listens on '" + path + "'", error);
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    return system_error("cannot remove the abandoned socket '" + path + "'", errno);
  return ok_status();
}

// A short name in the same folder, of this process and descriptor alone; "" if it would be too long.
std::string temporary_name(const std::string& path, int fd) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  std::string name = folder + ".hf" + std::to_string(getpid()) + "." + std::to_string(fd);
  return name.size() <= kSocketPathMax ? name : "";
}

}  // namespace

Result<gid_t> group_id(const std::string& name, const char* group_file) {
  gid_t id{};
  const auto parse = [&id](std::string_view text) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    return error == std::errc() && end == text.data() + text.size();
  };
  if (parse(name)) return id;
  const std::string file = read_small(group_file, kGroupFileMax);
  for (std::string_view rest = file; !rest.empty();) {
    // name:password:number:members
    const std::string_view text = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(text.size() + 1, rest.size()));
    const std::size_t first = text.find(':');
    if (first == std::string_view::npos || text.substr(0, first) != name) continue;
    const std::size_t second = text.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::size_t third = text.find(':', second + 1);
    if (parse(text.substr(second + 1, third == std::string_view::npos ? third : third - second - 1))) return id;
  }
  return Error{HF_E_NOT_FOUND, "there is no group '" + name + "'"};
}

Result<ListenSocket> ListenSocket::create(const std::string& path, mode_t mode, std::optional<gid_t> group) {
  if (path.empty() || path.find('\0') != std::string::npos)
    return Error{HF_E_INVALID, "the socket path is empty or has a NUL byte"};
  if (path.size() > kSocketPathMax)
    return Error{HF_E_INVALID, "the socket path has " + std::to_string(path.size()) + " bytes, at most " +
                                   std::to_string(kSocketPathMax) + " are allowed: '" + path + "'"};
  HF_TRY(make_room(path));

  ListenSocket made;
  made.fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (made.fd_ < 0) return system_error("cannot make a socket", errno);
  // Linux gives the file the descriptor's mode: closed to others from its first moment, without
  // touching the process's umask.
  if (fchmod(made.fd_, 0600) != 0) return system_error("cannot set the mode of a socket", errno);
  const std::string temporary = temporary_name(path, made.fd_);
  const std::string& first_path = temporary.empty() ? path : temporary;
  if (!temporary.empty()) unlink(temporary.c_str());  // of a dead process with our numbers
  const sockaddr_un address = address_of(first_path);
  if (bind(made.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const int error = errno == EADDRINUSE ? EEXIST : errno;
    return system_error("cannot make the socket '" + path + "'", error);
  }
  made.path_ = first_path;  // from here on the destructor tidies up
  struct stat file {};
  if (lstat(first_path.c_str(), &file) != 0) return system_error("socket '" + path + "'", errno);
  made.device_ = file.st_dev;
  made.inode_ = file.st_ino;
  if (listen(made.fd_, kBacklog) != 0) return system_error("cannot listen on '" + path + "'", errno);
  if (group && lchown(first_path.c_str(), static_cast<uid_t>(-1), *group) != 0)
    return system_error("cannot give the socket to group " + std::to_string(*group), errno);
  if (chmod(first_path.c_str(), mode) != 0) return system_error("cannot set the mode of '" + path + "'", errno);
  if (!temporary.empty()) {
    if (renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) != 0) {
      // File systems without RENAME_NOREPLACE (EINVAL) have link(), which does not replace either.
      const int error = errno == EINVAL && link(temporary.c_str(), path.c_str()) == 0 ? 0 : errno;
      if (error != 0) return system_error("cannot make the socket '" + path + "'", error);
      unlink(temporary.c_str());
    }
    made.path_ = path;
  }
  return made;
}

Result<ListenSocket> ListenSocket::adopt(int fd) {
  int listening = 0, type = 0;
  socklen_t length = sizeof(int);
  sockaddr_un address{};
  socklen_t address_length = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &address_length) != 0 ||
      getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0 ||
      getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0)
    return system_error("descriptor " + std::to_string(fd) + " is not a socket", errno);
  if (address.sun_family != AF_UNIX || type != SOCK_STREAM || !listening)
    return Error{HF_E_INVALID, "descriptor " + std::to_string(fd) + " is not a listening Unix stream socket"};
  ListenSocket adopted;
  adopted.fd_ = fd;
  return adopted;
}

ListenSocket& ListenSocket::operator=(ListenSocket&& other) noexcept {
  if (this == &other) return *this;
  remove_file();
  if (fd_ >= 0) close(fd_);
  fd_ = std::exchange(other.fd_, -1);
  path_ = std::exchange(other.path_, std::string());
  device_ = other.device_;
  inode_ = other.inode_;
  return *this;
}

ListenSocket::~ListenSocket() {
  remove_file();
  if (fd_ >= 0) close(fd_);
}

int ListenSocket::release_fd() { return std::exchange(fd_, -1); }

void ListenSocket::remove_file() {
  if (path_.empty()) return;
  struct stat found {};
  if (lstat(path_.c_str(), &found) == 0 && found.st_dev == device_ && found.st_ino == inode_)
    unlink(path_.c_str());
  path_.clear();
}

}  // namespace hf
