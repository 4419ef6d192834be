// What a daemon tells its service manager: the protocol of sd_notify(3), without libsystemd.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hf {

// Sends one datagram a call to the manager's socket; does nothing if there is none. Never blocks: a
// message that does not fit in the socket is lost.
//
// Owner: the daemon's main. Thread: any.
class SdNotify {
 public:
  // address: the value of $NOTIFY_SOCKET, "/path" or "@abstract"; "" or null: no manager.
  explicit SdNotify(const char* address);
  ~SdNotify();
  SdNotify(const SdNotify&) = delete;
  SdNotify& operator=(const SdNotify&) = delete;

  bool present() const { return fd_ >= 0; }

  // True if the manager has it.
  bool ready(std::string_view status = "");
  bool stopping(std::string_view status = "");
  bool reloading();  // followed by ready() once the new configuration holds
  bool status(std::string_view text);  // one line for `systemctl status`
  bool watchdog();

 private:
  bool send(const std::string& message);

  int fd_ = -1;
  std::string address_;  // sun_path, a leading NUL for an abstract one
};

// Milliseconds within which watchdog() is expected, from $WATCHDOG_USEC and $WATCHDOG_PID (either may
// be null); 0: not asked for, or meant for another process. Ping at half of it.
std::int64_t watchdog_interval_ms(const char* usec, const char* pid, std::int64_t own_pid);

// The listening socket that the manager passed ($LISTEN_PID, $LISTEN_FDS), -1 if it passed none. Only the
// first is taken; it is made close-on-exec.
int systemd_listen_fd(const char* listen_pid, const char* listen_fds, std::int64_t own_pid);

}  // namespace hf
