#include "platform/link_watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace hf {
namespace {

// One's own addresses on the loopback, and routes of single hosts and to nowhere, are no network.
bool comes_up(const nlmsghdr& message) {
  if (message.nlmsg_type == RTM_NEWADDR) {
    const auto& address = *static_cast<const ifaddrmsg*>(NLMSG_DATA(&message));
    return address.ifa_scope == RT_SCOPE_UNIVERSE || address.ifa_scope == RT_SCOPE_SITE;
  }
  if (message.nlmsg_type != RTM_NEWROUTE) return false;
  const auto& route = *static_cast<const rtmsg*>(NLMSG_DATA(&message));
  return route.rtm_type == RTN_UNICAST && route.rtm_scope == RT_SCOPE_UNIVERSE && (route.rtm_flags & RTM_F_CLONED) == 0;
}

constexpr unsigned kGroups[] = {RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE};

}  // namespace

std::unique_ptr<LinkWatch> LinkWatch::create() {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
  if (fd < 0) return nullptr;
  std::unique_ptr<LinkWatch> watch(new LinkWatch(fd));
  sockaddr_nl any{};  // without a number of its own it would be told of nothing that the kernel does by itself
  any.nl_family = AF_NETLINK;
  return bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0 ? std::move(watch) : nullptr;
}

LinkWatch::~LinkWatch() { close(fd_); }

void LinkWatch::listen(bool on) {
  if (on == listens_) return;
  listens_ = on;
  for (const unsigned group : kGroups) {
    (void)setsockopt(fd_, SOL_NETLINK, on ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP, &group, sizeof group);
  }
}

bool LinkWatch::look() {
  bool up = false;
  alignas(nlmsghdr) char bytes[8192];
  while (true) {
    const ssize_t got = recv(fd_, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) {  // more happened than it was told of
      up = true;
      continue;
    }
    if (got <= 0) return up && listens_;
    auto left = static_cast<unsigned>(got);
    for (auto* message = static_cast<nlmsghdr*>(static_cast<void*>(bytes)); NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
      up |= comes_up(*message);
    }
  }
}

}  // namespace hf
