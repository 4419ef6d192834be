#include "platform/net/address.h"

#include <arpa/inet.h>

#include <cstring>

namespace hf {
namespace {

struct Range4 {
  uint32_t network;
  int bits;
  AddressScope scope;
};

// IANA special-purpose registry, as far as it names places that are not on the public network.
constexpr Range4 kRanges4[] = {
    {0x00000000, 8, AddressScope::kUnspecified}, {0x0a000000, 8, AddressScope::kPrivate},
    {0x64400000, 10, AddressScope::kPrivate},    {0x7f000000, 8, AddressScope::kLoopback},
    {0xa9fe0000, 16, AddressScope::kLinkLocal},  {0xac100000, 12, AddressScope::kPrivate},
    {0xc0000000, 24, AddressScope::kReserved},   {0xc0a80000, 16, AddressScope::kPrivate},
    {0xc6120000, 15, AddressScope::kReserved},   {0xe0000000, 4, AddressScope::kMulticast},
    {0xf0000000, 4, AddressScope::kReserved},
};

AddressScope scope4(uint32_t ip) {
  for (const Range4& range : kRanges4)
    if ((ip ^ range.network) >> (32 - range.bits) == 0) return range.scope;
  return AddressScope::kPublic;
}

uint32_t be32(const uint8_t* p) {
  return uint32_t{p[0]} << 24 | uint32_t{p[1]} << 16 | uint32_t{p[2]} << 8 | p[3];
}

bool starts_with(const uint8_t* ip, std::initializer_list<uint8_t> prefix) {
  return std::equal(prefix.begin(), prefix.end(), ip);
}

AddressScope scope6(const uint8_t* ip) {
  static constexpr uint8_t kZero[12] = {};
  if (std::memcmp(ip, kZero, 12) == 0) {  // ::/96: unspecified, loopback, IPv4-compatible
    const uint32_t low = be32(ip + 12);
    if (low == 0) return AddressScope::kUnspecified;
    if (low == 1) return AddressScope::kLoopback;
    return scope4(low);
  }
  if (std::memcmp(ip, kZero, 10) == 0 && ip[10] == 0xff && ip[11] == 0xff) return scope4(be32(ip + 12));
  if (starts_with(ip, {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01})) return AddressScope::kPrivate;
  if (starts_with(ip, {0x00, 0x64, 0xff, 0x9b}) && std::memcmp(ip + 4, kZero, 8) == 0)
    return scope4(be32(ip + 12));                                               // NAT64, RFC 6052
  if (starts_with(ip, {0x20, 0x02})) return scope4(be32(ip + 2));               // 6to4, RFC 3056
  if (starts_with(ip, {0x20, 0x01, 0x00, 0x00})) return scope4(~be32(ip + 12));  // Teredo, RFC 4380
  if (ip[0] == 0xff) return AddressScope::kMulticast;
  if (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80) return AddressScope::kLinkLocal;
  if (ip[0] == 0xfe && (ip[1] & 0xc0) == 0xc0) return AddressScope::kPrivate;
  if ((ip[0] & 0xfe) == 0xfc) return AddressScope::kPrivate;
  return AddressScope::kPublic;
}

}  // namespace

std::string Address::ip() const {
  char buffer[INET6_ADDRSTRLEN] = "";
  if (is_v6())
    inet_ntop(AF_INET6, &v6.sin6_addr, buffer, sizeof buffer);
  else
    inet_ntop(AF_INET, &v4.sin_addr, buffer, sizeof buffer);
  return buffer;
}

std::string Address::text() const {
  return (is_v6() ? "[" + ip() + "]" : ip()) + ":" + std::to_string(port());
}

std::optional<Address> Address::from(const sockaddr* address, uint16_t port) {
  Address out;
  if (address->sa_family == AF_INET) {
    std::memcpy(&out.v4, address, sizeof out.v4);
    out.v4.sin_port = htons(port);
  } else if (address->sa_family == AF_INET6) {
    std::memcpy(&out.v6, address, sizeof out.v6);
    out.v6.sin6_port = htons(port);
  } else {
    return std::nullopt;
  }
  return out;
}

std::optional<Address> parse_ip(std::string_view text, uint16_t port) {
  if (text.size() >= INET6_ADDRSTRLEN) return std::nullopt;
  const std::string copy(text);
  Address out;
  if (inet_pton(AF_INET, copy.c_str(), &out.v4.sin_addr) == 1) {
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(port);
    return out;
  }
  out = Address();
  if (inet_pton(AF_INET6, copy.c_str(), &out.v6.sin6_addr) == 1) {
    out.v6.sin6_family = AF_INET6;
    out.v6.sin6_port = htons(port);
    return out;
  }
  return std::nullopt;
}

AddressScope address_scope(const Address& address) {
  if (address.is_v6()) return scope6(address.v6.sin6_addr.s6_addr);
  return scope4(ntohl(address.v4.sin_addr.s_addr));
}

const char* address_scope_name(AddressScope scope) {
  switch (scope) {
    case AddressScope::kPublic: return "a public address";
    case AddressScope::kUnspecified: return "the unspecified address";
    case AddressScope::kLoopback: return "a loopback address";
    case AddressScope::kLinkLocal: return "a link-local address";
    case AddressScope::kPrivate: return "a private address";
    case AddressScope::kMulticast: return "a multicast address";
    case AddressScope::kReserved: return "a reserved address";
  }
  return "an unknown address";
}

}  // namespace hf
