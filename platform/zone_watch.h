// Notices that files of the time zone database come, go or change, without a system call while they do not: inotify(7).
#pragma once

#include <map>
#include <memory>
#include <string>

namespace hf {

// Thread: one at a time.
class ZoneWatch {
 public:
  static constexpr size_t kFoldersMax = 64;  // further ones are not watched

  // Null where there is no inotify, or no descriptor left for it.
  static std::unique_ptr<ZoneWatch> create();
  ~ZoneWatch();
  ZoneWatch(const ZoneWatch&) = delete;
  ZoneWatch& operator=(const ZoneWatch&) = delete;

  int fd() const { return fd_; }  // readable: look()
  // A folder that is not there yet is waited for in the nearest one above it.
  void add(const std::string& folder);
  // What happened since is forgotten, and folders that came or went are found anew.
  void look();

 private:
  explicit ZoneWatch(int fd) : fd_(fd) {}
  int watch(const std::string& folder) const;

  const int fd_;
  std::map<std::string, int> folders_;  // the watch of each; -1: of one above it
};

}  // namespace hf
