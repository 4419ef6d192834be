// An IP address and port, and which addresses a device may be sent to.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hf {

// A plain value.
struct Address {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  };

  Address() : v6{} {}
  bool is_v6() const { return any.sa_family == AF_INET6; }
  uint16_t port() const { return ntohs(is_v6() ? v6.sin6_port : v4.sin_port); }
  std::string ip() const;    // "192.0.2.1", "2001:db8::1"
  std::string text() const;  // "192.0.2.1:443", "[2001:db8::1]:443"

  // nullopt for any other family.
  static std::optional<Address> from(const sockaddr* address, uint16_t port);
};

// An IPv4 address in dotted-quad form or an IPv6 address, without brackets or a zone.
std::optional<Address> parse_ip(std::string_view text, uint16_t port);

enum class AddressScope : uint8_t {
  kPublic,
  kUnspecified,  // 0.0.0.0/8, ::
  kLoopback,     // 127/8, ::1
  kLinkLocal,    // 169.254/16, fe80::/10
  kPrivate,      // RFC 1918, 100.64/10 (RFC 6598), fc00::/7, fec0::/10, 64:ff9b:1::/48
  kMulticast,    // 224/4, ff00::/8
  kReserved,     // 192.0.0/24, 198.18/15, 240/4
};

// An IPv6 address that carries an IPv4 one (mapped, compatible, NAT64, 6to4, Teredo) has the scope of that
// one, so that the check cannot be gone around.
AddressScope address_scope(const Address& address);

// "a loopback address", ...
const char* address_scope_name(AddressScope scope);

}  // namespace hf
