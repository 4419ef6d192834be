// A file that says which link there is: what a modem's hook or the network manager's dispatcher writes, "metered\n".
#pragma once

#include <uv.h>

#include <memory>
#include <string>

#include "platform/host.h"

namespace hf {

// Thread: the loop's, but for start() and stop(): any. Lives until it was stopped and its handle is closed.
class LinkFile : public std::enable_shared_from_this<LinkFile> {
 public:
  // For make_shared. After start() it is read at once, and each time that it is written or another one takes its place
  // (inotify: no system call meanwhile); its first word goes to the engine as SetLink. While it is not there, or empty, it says
  // nothing. REQUIRES: stop() before the host's loop stops; its folder is there, on a file system that does not hang.
  LinkFile(Host& host, std::string path);
  void start();
  void stop();

 private:
  void open();
  void look();

  Host& host_;
  const std::string path_;
  const std::string folder_, name_;
  uv_fs_event_t watch_ = {};
  bool opened_ = false, stopped_ = false;
  std::shared_ptr<LinkFile> itself_;
};

}  // namespace hf
