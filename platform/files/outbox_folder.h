// Files below a folder into which others write, opened so that no name leads out of it: no "..", no symbolic link, no
// device, no pipe.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "core/result.h"
#include "platform/descriptor.h"

namespace hf {

inline constexpr size_t kFileNameMax = 1024;               // bytes of a path below the folder
inline constexpr int64_t kFileBytesMax = int64_t{1} << 40;  // 1 TiB

// By which a change is noticed.
struct FileState {
  uint64_t inode = 0;
  int64_t size = 0;
  int64_t mtime_ns = 0;  // since 1970
  bool operator==(const FileState&) const = default;
};

// What was checked is what is read: by its descriptor. Any thread, and several at once.
class OutboxFile {
 public:
  OutboxFile(int fd, const FileState& state) : in_(fd), state_(state) {}
  const FileState& state() const { return state_; }  // when it was opened
  // The bytes from `at` on; shorter only at the end of the file. HF_E_CONFLICT: it is not any more what was opened; HF_E_IO.
  // May block for as long as the disk does.
  Status read(int64_t at, char* into, size_t size) const;

 private:
  const Descriptor in_;
  const FileState state_;
};

// Any thread; each call may block for as long as the disk does.
class OutboxFolder {
 public:
  explicit OutboxFolder(std::string root) : root_(std::move(root)) {}
  const std::string& root() const { return root_; }

  // A regular file of at most `max_bytes`. HF_E_STATE: the folder itself cannot be opened (a card that is not mounted); of the
  // file HF_E_NOT_FOUND, HF_E_DENIED, HF_E_TOO_LARGE, HF_E_IO, HF_E_INVALID: a path that is not allowed, or no regular file.
  Result<std::shared_ptr<const OutboxFile>> open(const std::string& path, int64_t max_bytes = kFileBytesMax) const;

  // Deletes it, if it is still the file that `state` is of. HF_E_CONFLICT if it is not, else as open().
  Status remove(const std::string& path, const FileState& state) const;

 private:
  const std::string root_;
};

// Relative, of names with a "/" between, none of them "." or "..". HF_E_INVALID says what is wrong.
Status check_outbox_path(const std::string& path);

// openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS) below the open folder; -1 and errno. Where the kernel
// or a sandbox does not have the call (ENOSYS, EPERM): open_by_steps(). REQUIRES: check_outbox_path(path)
int open_beneath(int folder, const std::string& path, int flags);
// The same, name by name, each with O_NOFOLLOW.
int open_by_steps(int folder, const std::string& path, int flags);

}  // namespace hf
