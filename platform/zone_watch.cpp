#include "platform/zone_watch.h"

#include <sys/inotify.h>
#include <unistd.h>

#include "platform/folder.h"

namespace hf {
namespace {

// What is written counts when it is closed.
constexpr uint32_t kWhat = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

}  // namespace

std::unique_ptr<ZoneWatch> ZoneWatch::create() {
  const int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  return fd >= 0 ? std::unique_ptr<ZoneWatch>(new ZoneWatch(fd)) : nullptr;
}

ZoneWatch::~ZoneWatch() { close(fd_); }

int ZoneWatch::watch(const std::string& folder) const {
  const int there = inotify_add_watch(fd_, folder.c_str(), kWhat);  // the same one again, if it is watched already
  if (there >= 0) return there;
  for (std::string above = folder; above != "/" && above != ".";) {
    above = folder_of(above);
    if (inotify_add_watch(fd_, above.c_str(), kWhat) >= 0) break;
  }
  return -1;
}

void ZoneWatch::add(const std::string& folder) {
  if (folders_.contains(folder) || folders_.size() == kFoldersMax) return;
  folders_.emplace(folder, watch(folder));
}

void ZoneWatch::look() {
  char events[4096];
  while (read(fd_, events, sizeof events) > 0) {
  }
  // A watch goes with its folder, and one that was renamed is watched at its old name no more.
  for (auto& [folder, wd] : folders_) {
    const int now = watch(folder);
    if (wd >= 0 && now != wd) inotify_rm_watch(fd_, wd);
    wd = now;
  }
}

}  // namespace hf
