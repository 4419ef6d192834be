#include "platform/sd_notify.h"

#include <doctest/doctest.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>

#include "platform/host.h"
#include "tests/temp_folder.h"

using namespace hf;

namespace {

// The manager's end. `address` as $NOTIFY_SOCKET has it.
class Manager {
 public:
  explicit Manager(const std::string& address) : address_(address) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    memcpy(name.sun_path, address.data(), address.size());
    if (address[0] == '@') name.sun_path[0] = '\0';
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    REQUIRE(bind(fd_, reinterpret_cast<sockaddr*>(&name),
                 static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size())) == 0);
  }
  ~Manager() { close(fd_); }

  const char* address() const { return address_.c_str(); }
  // "" if nothing came
  std::string got() {
    char text[512];
    const ssize_t length = recv(fd_, text, sizeof text, 0);
    return length < 0 ? "" : std::string(text, static_cast<std::size_t>(length));
  }

 private:
  std::string address_;
  int fd_;
};

}  // namespace

TEST_CASE("sd_notify: the messages, over a path") {
  const TempFolder folder;
  Manager manager(folder / "notify");
  SdNotify notify(manager.address());
  CHECK(notify.present());
  CHECK(notify.ready());
  CHECK(manager.got() == "READY=1");
  CHECK(notify.ready("3 jobs wait"));
  CHECK(manager.got() == "READY=1\nSTATUS=3 jobs wait");
  CHECK(notify.stopping("draining"));
  CHECK(manager.got() == "STOPPING=1\nSTATUS=draining");
  CHECK(notify.watchdog());
  CHECK(manager.got() == "WATCHDOG=1");
  CHECK(notify.reloading());
  const std::string reloading = manager.got();
  CHECK(reloading.rfind("RELOADING=1\nMONOTONIC_USEC=", 0) == 0);
  CHECK(std::stoll(reloading.substr(reloading.rfind('=') + 1)) > 0);
}

TEST_CASE("sd_notify: over an abstract address") {
  Manager manager("@holdfast-test-" + std::to_string(getpid()));
  SdNotify notify(manager.address());
  CHECK(notify.ready());
  CHECK(manager.got() == "READY=1");
}

TEST_CASE("sd_notify: a status cannot smuggle in another assignment") {
  const TempFolder folder;
  Manager manager(folder / "notify");
  SdNotify notify(manager.address());
  CHECK(notify.status("a\nMAINPID=1"));
  CHECK(manager.got() == "STATUS=a MAINPID=1");
}

TEST_CASE("sd_notify: without a manager nothing happens") {
  for (const char* address : {static_cast<const char*>(nullptr), "", "/", "@", "relative", "vsock:2:1234"}) {
    SdNotify notify(address);
    CHECK_FALSE(notify.present());
    CHECK_FALSE(notify.ready());
  }
  CHECK_FALSE(SdNotify((std::string("/") + std::string(200, 'x')).c_str()).present());
  SdNotify nobody("/nonexistent/notify");
  CHECK_FALSE(nobody.ready());
}

TEST_CASE("sd_notify: a manager that does not read does not hold the daemon") {
  const TempFolder folder;
  Manager manager(folder / "notify");
  SdNotify notify(manager.address());
  int sent = 0;
  while (sent < 1'000'000 && notify.watchdog()) ++sent;  // until the socket is full
  CHECK(sent < 1'000'000);
  CHECK_FALSE(notify.watchdog());
}

TEST_CASE("watchdog interval") {
  CHECK(watchdog_interval_ms("30000000", nullptr, 7) == 30'000);
  CHECK(watchdog_interval_ms("30000000", "7", 7) == 30'000);
  CHECK(watchdog_interval_ms("30000000", "8", 7) == 0);
  CHECK(watchdog_interval_ms("30000000", "x", 7) == 0);
  CHECK(watchdog_interval_ms(nullptr, nullptr, 7) == 0);
  for (const char* bad : {"", "0", "-5", "12s", "99999999999999999999"}) CHECK(watchdog_interval_ms(bad, nullptr, 7) == 0);
}

TEST_CASE("socket activation: only for this process") {
  CHECK(systemd_listen_fd(nullptr, nullptr, 7) == -1);
  CHECK(systemd_listen_fd("8", "1", 7) == -1);
  CHECK(systemd_listen_fd("7", "0", 7) == -1);
}

TEST_CASE("watchdog: both threads must have gone round, but the engine at long work has a quarter of an hour") {
  const Host::Pulse before{7, 7, 0};
  CHECK(Host::Pulse{8, 8, 0}.alive_since(before));
  CHECK_FALSE(Host::Pulse{7, 8, 0}.alive_since(before));
  CHECK_FALSE(Host::Pulse{8, 7, 0}.alive_since(before));
  CHECK(Host::Pulse{7, 8, 1}.alive_since(before));
  CHECK(Host::Pulse{7, 8, kLongWorkMaxMs}.alive_since(before));
  CHECK_FALSE(Host::Pulse{7, 8, kLongWorkMaxMs + 1}.alive_since(before));
  CHECK_FALSE(Host::Pulse{8, 7, 1}.alive_since(before));
}
