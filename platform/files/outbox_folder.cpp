#include "platform/files/outbox_folder.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "core/names.h"
#include "core/units.h"

namespace hf {
namespace {

FileState state_of(const struct stat& info) {
  return {static_cast<uint64_t>(info.st_ino), static_cast<int64_t>(info.st_size),
          static_cast<int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec};
}

Error error_of(const std::string& path, int error) {
  const std::string what = quoted(path, 200) + ": ";
  switch (error) {
    case ENOENT: return {HF_E_NOT_FOUND, what + "there is no such file"};
    case ENOTDIR: return {HF_E_INVALID, what + "a part of it is not a folder, or is a symbolic link, which is not followed"};
    case ELOOP: return {HF_E_INVALID, what + "there is a symbolic link in it, which is not followed"};
    case EXDEV: return {HF_E_INVALID, what + "it leads out of the folder"};
    case ENXIO: return {HF_E_INVALID, what + "this is not a regular file"};
    case EACCES: return {HF_E_DENIED, what + std::strerror(error)};
    case ENAMETOOLONG: return {HF_E_INVALID, what + std::strerror(error)};
    default: return {HF_E_IO, what + std::strerror(error)};
  }
}

Error no_folder(const std::string& root, int error) {
  return {HF_E_STATE, "the folder " + quoted(root, 200) + " cannot be opened: " + std::strerror(error)};
}

int open_root(const std::string& root) { return ::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC); }

}  // namespace

Status check_outbox_path(const std::string& path) {
  const auto invalid = [&](const char* why) { return Error{HF_E_INVALID, quoted(path, 200) + ": " + why}; };
  if (path.empty()) return Error{HF_E_INVALID, "the name of the file is empty"};
  if (path.size() > kFileNameMax) return Error{HF_E_INVALID, "the name of the file is longer than " + std::to_string(kFileNameMax) + " bytes"};
  if (path.find('\0') != std::string::npos) return invalid("a NUL is not allowed in it");
  if (path[0] == '/') return invalid("the name of the file is to be relative to the folder, without a / in front");
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string name = path.substr(begin, end - begin);
    if (name.empty()) return invalid("there is an empty name in it");
    if (name == "." || name == "..") return invalid("\".\" and \"..\" are not allowed in it");
    begin = end + 1;
  }
  return ok_status();
}

int open_by_steps(int folder, const std::string& path, int flags) {
  int at = folder;
  size_t begin = 0;
  for (size_t slash; (slash = path.find('/', begin)) != std::string::npos; begin = slash + 1) {
    const int next = openat(at, path.substr(begin, slash - begin).c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    const int error = errno;
    if (at != folder) close(at);
    errno = error;
    if (next < 0) return -1;
    at = next;
  }
  const int fd = openat(at, path.c_str() + begin, flags | O_NOFOLLOW | O_CLOEXEC);
  const int error = errno;
  if (at != folder) close(at);
  errno = error;
  return fd;
}

int open_beneath(int folder, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const long fd = syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how);
  if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(fd);
  return open_by_steps(folder, path, flags);
}

Status OutboxFile::read(int64_t at, char* into, size_t size) const {
  const Error changed{HF_E_CONFLICT, "the file changed while it was read"};
  size_t got = 0;
  while (got < size) {
    const ssize_t n = pread(in_.fd, into + got, size - got, static_cast<off_t>(at + static_cast<int64_t>(got)));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error{HF_E_IO, std::string("the file cannot be read: ") + std::strerror(errno)};
    if (n == 0) return changed;  // cut off
    got += static_cast<size_t>(n);
  }
  struct stat info;
  if (fstat(in_.fd, &info) != 0) return Error{HF_E_IO, std::string("the file cannot be read: ") + std::strerror(errno)};
  return state_of(info) == state_ ? ok_status() : Status(changed);
}

Result<std::shared_ptr<const OutboxFile>> OutboxFolder::open(const std::string& path, int64_t max_bytes) const {
  HF_TRY(check_outbox_path(path));
  const Descriptor folder(open_root(root_));
  if (folder.fd < 0) return no_folder(root_, errno);
  // Not blocking: a pipe would wait for its writer.
  Descriptor in(open_beneath(folder.fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  if (in.fd < 0) return error_of(path, errno);
  struct stat info;
  if (fstat(in.fd, &info) != 0) return error_of(path, errno);
  if (!S_ISREG(info.st_mode)) return error_of(path, ENXIO);
  if (info.st_size > max_bytes) {
    return Error{HF_E_TOO_LARGE, quoted(path, 200) + " has " + format_size_human(info.st_size) + "; the limit is " + format_size_human(max_bytes)};
  }
  auto file = std::make_shared<const OutboxFile>(in.fd, state_of(info));
  in.fd = -1;
  return file;
}

Status OutboxFolder::remove(const std::string& path, const FileState& state) const {
  HF_TRY(check_outbox_path(path));
  const Descriptor folder(open_root(root_));
  if (folder.fd < 0) return no_folder(root_, errno);
  const size_t slash = path.rfind('/');
  const Descriptor parent(slash == std::string::npos ? fcntl(folder.fd, F_DUPFD_CLOEXEC, 0)
                                                     : open_beneath(folder.fd, path.substr(0, slash), O_PATH | O_DIRECTORY));
  if (parent.fd < 0) return error_of(path, errno);
  const char* name = path.c_str() + (slash == std::string::npos ? 0 : slash + 1);
  struct stat info;
  if (fstatat(parent.fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return error_of(path, errno);
  if (!S_ISREG(info.st_mode) || !(state_of(info) == state)) return Error{HF_E_CONFLICT, quoted(path, 200) + ": there is another file of this name by now"};
  if (unlinkat(parent.fd, name, 0) != 0) return error_of(path, errno);
  return ok_status();
}

}  // namespace hf
