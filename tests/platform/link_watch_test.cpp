// rtnetlink as it is: addresses of a network namespace of our own. What this looks like to a daemon is in e2e/link_test.py.
#include "platform/link_watch.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <cstring>

using namespace hf;

namespace {

bool readable(int fd, int ms) {
  pollfd one{fd, POLLIN, 0};
  return poll(&one, 1, ms) == 1;
}

bool set_address(const char* name, const char* address) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  sockaddr_in in{};
  in.sin_family = AF_INET;
  inet_pton(AF_INET, address, &in.sin_addr);
  std::memcpy(&request.ifr_addr, &in, sizeof in);
  const bool done = fd >= 0 && ioctl(fd, SIOCSIFADDR, &request) == 0;
  close(fd);
  return done;
}

// In a namespace of its own: 0 if all is well, 77 if there is none here, else the number of what failed.
int in_a_namespace() {
  if (unshare(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) != 0) return 77;
  auto watch = LinkWatch::create();
  if (!watch) return 77;
  if (!set_address("lo", "127.0.0.1")) return 77;
  if (readable(watch->fd(), 50)) return 1;  // it does not listen
  watch->listen(true);
  if (!set_address("lo:1", "127.0.0.2")) return 77;
  if (readable(watch->fd(), 500) && watch->look()) return 2;  // the loopback is no network
  if (!set_address("lo:2", "10.9.0.1")) return 77;
  if (!readable(watch->fd(), 2000)) return 3;
  if (!watch->look()) return 4;
  if (watch->look()) return 5;
  watch->listen(false);
  if (!set_address("lo:3", "10.10.0.1")) return 77;
  if (readable(watch->fd(), 50)) return 6;
  return 0;
}

}  // namespace

TEST_CASE("link watch: an address that is new, while somebody waits") {
  const pid_t child = fork();
  if (child == 0) _exit(in_a_namespace());
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) {
    MESSAGE("no network namespace here");
    return;
  }
  CHECK(WEXITSTATUS(status) == 0);
}
