// The name of a server in the file system: a Unix stream socket that takes no one else's place.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "core/result.h"

namespace hf {

inline constexpr std::size_t kSocketPathMax = 107;  // sockaddr_un::sun_path without its NUL

// The number of a group: decimal digits, or a name in /etc/group. Read from the file itself: NSS may ask
// the network. HF_E_NOT_FOUND.
Result<gid_t> group_id(const std::string& name, const char* group_file = "/etc/group");

// A listening descriptor and the file it is reached by.
//
// Owner: the server. Thread: any, one at a time.
class ListenSocket {
 public:
  // Makes the socket file, in a folder that exists. It appears with its group and mode set and with the
  // server listening: made under another name in the same folder, then renamed. A socket that nobody
  // listens on is replaced.
  // HF_E_INVALID: the path is empty, too long, or taken by something that is no socket; HF_E_CONFLICT: a
  // server listens there (the message has its process id); HF_E_NOT_FOUND: no such folder; HF_E_DENIED;
  // HF_E_READ_ONLY; HF_E_IO.
  static Result<ListenSocket> create(const std::string& path, mode_t mode, std::optional<gid_t> group);
  // Takes a socket that the service manager made and owns: its file is left alone.
  static Result<ListenSocket> adopt(int fd);

  ListenSocket() = default;
  ListenSocket(ListenSocket&& other) noexcept { *this = std::move(other); }
  ListenSocket& operator=(ListenSocket&& other) noexcept;
  ~ListenSocket();  // closes the descriptor if it was not released, and removes the file

  const std::string& path() const { return path_; }  // "" if adopted
  // The caller closes it from now on.
  int release_fd();
  // Removes the file, if it is still the one that was made here.
  void remove_file();

 private:
  int fd_ = -1;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace hf
