#include "platform/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/descriptor.h"

namespace hf {

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }  // npos + 1 is 0

int64_t size_of(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? static_cast<int64_t>(info.st_size) : -1;
}

std::vector<std::string> entries_of(const std::string& folder) {
  struct Open {
    DIR* dir;
    ~Open() {
      if (dir != nullptr) closedir(dir);
    }
  };
  std::vector<std::string> names;
  const Open open{opendir(folder.c_str())};
  if (open.dir == nullptr) return names;
  while (const dirent* entry = readdir(open.dir)) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) names.emplace_back(entry->d_name);
  }
  return names;
}

std::string read_small(const std::string& path, size_t most) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  std::string text(file.fd < 0 ? 0 : most + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = read(file.fd, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    size += static_cast<size_t>(got);
  }
  text.resize(size > most ? 0 : size);
  return text;
}

}  // namespace hf
