// Notices that a network came up: an address or a route that is new, by rtnetlink(7). Without a system call while nothing
// happens, and with nothing to wake for while nobody waits.
#pragma once

#include <memory>

namespace hf {

// Thread: one at a time.
class LinkWatch {
 public:
  // Null where there is no netlink (another system, a sandbox), or no descriptor left for it.
  static std::unique_ptr<LinkWatch> create();
  ~LinkWatch();
  LinkWatch(const LinkWatch&) = delete;
  LinkWatch& operator=(const LinkWatch&) = delete;

  int fd() const { return fd_; }  // readable: look()
  // On: it is told of what happens from now on. Off: of nothing; an IPv6 network repeats its routes for ever.
  void listen(bool on);
  // What happened since: true if something came up.
  bool look();

 private:
  explicit LinkWatch(int fd) : fd_(fd) {}

  const int fd_;
  bool listens_ = false;
};

}  // namespace hf
