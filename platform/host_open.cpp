#include "platform/host_open.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "core/names.h"

namespace hf {

std::string host_name() {
  char name[HF_NAME_MAX + 1] = {};
  if (gethostname(name, HF_NAME_MAX) != 0 || name[0] == 0) return "device";
  std::string text = name;
  for (char& c : text) {
    if (!is_letter(c) && !is_digit(c) && c != '-' && c != '.') c = '-';
  }
  return text;
}

Status check_device(const std::string& device) {
  bool fits = !device.empty() && device.size() <= HF_NAME_MAX && std::all_of(device.begin(), device.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '_' || c == '.' || c == '-';
  });
  if (fits) return ok_status();
  return Error{HF_E_INVALID, "device " + quoted(device) + ": allowed are 1 to 64 of A-Z a-z 0-9 _ . -"};
}

Status check_database_path(const std::string& path) {
  if (path.empty()) return Error{HF_E_INVALID, "the path of the database is empty"};
  if (path.size() > 1000) return Error{HF_E_INVALID, "the path of the database has " + std::to_string(path.size()) + " bytes; at most 1000"};
  size_t slash = path.rfind('/');
  std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  struct stat info;
  if (stat(folder.c_str(), &info) != 0) return Error{HF_E_IO, "the folder " + folder + " of the database: " + strerror(errno)};
  if (!S_ISDIR(info.st_mode)) return Error{HF_E_IO, folder + " is not a folder"};
  if (stat(path.c_str(), &info) == 0) {
    if (!S_ISREG(info.st_mode)) return Error{HF_E_IO, path + " is not a regular file"};
    if (access(path.c_str(), R_OK | W_OK) != 0) return Error{HF_E_READ_ONLY, path + " cannot be read and written by this user"};
  }
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    return Error{HF_E_READ_ONLY, "the folder " + folder + " cannot be written by this user, and the database needs its log beside it"};
  }
  return ok_status();
}

namespace {

// Reads a file of /proc line by line: without a stream, which would link 300 KB of locales to a small static program.
class Lines {
 public:
  explicit Lines(const std::string& path) : file_(std::fopen(path.c_str(), "re")) {}
  ~Lines() {
    if (file_ != nullptr) std::fclose(file_);
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;
  // The next one, without its end; null: there is none.
  const char* next() {
    if (file_ == nullptr || std::fgets(line_, sizeof line_, file_) == nullptr) return nullptr;
    line_[strcspn(line_, "\n")] = 0;
    return line_;
  }

 private:
  std::FILE* const file_;
  char line_[256];  // those of /proc/locks have some 70 bytes
};

std::string name_of_process(pid_t pid) {
  Lines lines("/proc/" + std::to_string(pid) + "/comm");
  const char* name = lines.next();
  return name != nullptr ? name : "";
}

// The process that holds a lock on the file, from /proc/locks; 0 if it is this one or cannot be told. The file itself
// is not opened: closing any descriptor of a file drops the locks that this process has on it (fcntl(2)).
pid_t holder_of(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return 0;
  // "1: POSIX  ADVISORY  WRITE 4242 08:01:131090 1073741826 1073742335"
  std::string inode = ":" + std::to_string(info.st_ino) + " ";
  Lines locks("/proc/locks");
  while (const char* line = locks.next()) {
    if (strstr(line, inode.c_str()) == nullptr || strstr(line, "POSIX") == nullptr) continue;
    for (int field = 1; field < 5; ++field) {  // the fifth
      line += strcspn(line, " ");
      line += strspn(line, " ");
    }
    const long pid = std::strtol(line, nullptr, 10);
    if (pid > 0 && pid != getpid()) return static_cast<pid_t>(pid);
  }
  return 0;
}

}  // namespace

Error explain_open_error(const std::string& path, Error error) {
  if (error.code == HF_E_LOCKED) {
    pid_t pid = holder_of(path);
    error.message = path + " is in use by ";
    if (pid > 0) {
      std::string name = name_of_process(pid);
      error.message += "process " + std::to_string(pid) + (name.empty() ? "" : " (" + name + ")");
    } else {
      error.message += "another engine of this process";
    }
  } else if ((error.code == HF_E_FOREIGN || error.code == HF_E_VERSION || error.code == HF_E_CORRUPT) &&
             error.message.find(path) == std::string::npos) {
    error.message = path + ": " + error.message;
  }
  return error;
}

}  // namespace hf
