#include "handlers/device_probes.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

#include "core/names.h"
#include "core/units.h"
#include "platform/descriptor.h"
#include "platform/folder.h"

namespace hf {
namespace {


std::string failed(const std::string& what, int error) { return what + ": " + std::strerror(error); }

// The first line of a small file, without blanks; "": there is none, or it cannot be read now.
std::string line_of(const std::string& path) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  char text[256];
  ssize_t size = -1;
  while (file.fd >= 0 && (size = read(file.fd, text, sizeof text)) < 0 && errno == EINTR) {
  }
  std::string_view line(text, static_cast<size_t>(std::max<ssize_t>(size, 0)));
  line = line.substr(0, line.find('\n'));
  constexpr std::string_view kBlanks = " \t\r";
  line = line.substr(0, line.find_last_not_of(kBlanks) + 1);
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
  return std::string(line);
}

std::optional<int64_t> number_in(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// By name, so that the same one is named each time. Empty if the folder is not there.
std::vector<std::string> entries_of(const std::string& folder, std::string_view prefix) {
  std::vector<std::string> names = hf::entries_of(folder);
  std::erase_if(names, [&](const std::string& name) { return !name.starts_with(prefix); });
  std::sort(names.begin(), names.end());
  return names;
}

// ---- power: Documentation/ABI/testing/sysfs-class-power of the kernel

struct Supply {
  std::string name, folder, type;
};

// Those that feed this device: not what is in a mouse. A battery that was taken out is none.
std::vector<Supply> supplies_of(const std::string& root) {
  const std::string folder = root + "/sys/class/power_supply";
  std::vector<Supply> supplies;
  for (const std::string& name : entries_of(folder, "")) {
    Supply supply{name, folder + "/" + name + "/", ""};
    supply.type = line_of(supply.folder + "type");
    if (line_of(supply.folder + "scope") == "Device" || line_of(supply.folder + "present") == "0") continue;
    supplies.push_back(std::move(supply));
  }
  return supplies;
}

bool is_battery(const Supply& supply) { return supply.type == "Battery"; }

// The lowest charge, and of which battery; nothing if none says.
struct Charge {
  int64_t percent;
  std::string battery;
};
std::optional<Charge> lowest_charge(const std::vector<Supply>& supplies) {
  std::optional<Charge> lowest;
  for (const Supply& supply : supplies) {
    if (!is_battery(supply)) continue;
    const auto percent = number_in(line_of(supply.folder + "capacity"));
    if (!percent || *percent < 0 || *percent > 100) continue;
    if (!lowest || *percent < lowest->percent) lowest = Charge{*percent, supply.name};
  }
  return lowest;
}

// ---- temperature

std::string degrees_text(int64_t millis) {
  const int64_t tenths = static_cast<int64_t>(std::floor(static_cast<double>(millis) / 100));  // 74.96 is not 75 yet
  std::string text = std::to_string(std::abs(tenths) / 10);
  if (tenths % 10 != 0) text += "." + std::to_string(std::abs(tenths) % 10);
  return (tenths < 0 ? "-" : "") + text + " °C";
}

// ---- the network

// As text; "": of another kind, of this host alone or of the link alone.
std::string address_beyond_link(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address == nullptr) return "";
  if (address->sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, address, sizeof v4);
    const uint32_t host = ntohl(v4.sin_addr.s_addr);
    if (host == 0 || host >> 24 == 127 || host >> 16 == 0xa9fe) return "";  // 169.254.0.0/16
    inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
  } else if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, address, sizeof v6);
    if (IN6_IS_ADDR_UNSPECIFIED(&v6.sin6_addr) || IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr)) return "";
    inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
  }
  return text;
}

}  // namespace

ProbeAnswer look_power_mains(const std::string& root) {
  const std::vector<Supply> supplies = supplies_of(root);
  std::string offline;
  for (const Supply& supply : supplies) {
    const bool mains = supply.type == "Mains";
    if (!mains && !supply.type.starts_with("USB")) continue;
    if (number_in(line_of(supply.folder + "online")).value_or(0) > 0) return {true, "on " + supply.name};
    if (mains) offline = supply.name;  // a USB socket may be there for other things than to be fed by
  }
  if (std::any_of(supplies.begin(), supplies.end(), is_battery)) {
    const auto charge = lowest_charge(supplies);
    return {false, "on battery" + (charge ? ", " + std::to_string(charge->percent) + " %" : "")};
  }
  if (!offline.empty()) return {false, offline + " is not online"};
  return {true, "no battery: on mains"};
}

ProbeAnswer look_battery(const std::string& root, int percent) {
  const std::vector<Supply> supplies = supplies_of(root);
  if (std::none_of(supplies.begin(), supplies.end(), is_battery)) return {true, "no battery"};
  const auto charge = lowest_charge(supplies);
  if (!charge) return {false, "no battery says how full it is"};
  return {charge->percent >= percent, charge->battery + " is at " + std::to_string(charge->percent) + " %"};
}

ProbeAnswer look_temperature(const std::string& root, double degrees, const std::string& zone) {
  const std::string folder = root + "/sys/class/thermal/";
  std::optional<int64_t> hottest;
  bool there = false;
  for (const std::string& name : entries_of(folder, "thermal_zone")) {
    if (!zone.empty() && line_of(folder + name + "/type") != zone) continue;
    there = true;
    const auto millis = number_in(line_of(folder + name + "/temp"));  // one that is switched off has none
    if (millis) hottest = std::max(hottest.value_or(*millis), *millis);
  }
  const std::string which = zone.empty() ? "thermal zone" : "thermal zone " + hf::quoted(zone);
  if (!there) return {false, "no " + which};
  if (!hottest) return {false, "no " + which + " says how hot it is"};
  return {*hottest < std::llround(degrees * 1000), degrees_text(*hottest)};
}

ProbeAnswer look_load(const std::string& root, double load) {
  const ProbeAnswer unread{false, "the load cannot be read from /proc/loadavg"};
  const std::string line = line_of(root + "/proc/loadavg");
  const std::string_view word = std::string_view(line).substr(0, line.find(' '));
  // "0.52": two places, whatever the locale.
  const size_t dot = word.find('.');
  if (dot == word.npos || word.size() != dot + 3) return unread;
  const int64_t whole = number_in(word.substr(0, dot)).value_or(-1);
  const int64_t places = number_in(word.substr(dot + 1)).value_or(-1);
  if (whole < 0 || whole > 1'000'000 || places < 0) return unread;
  return {whole * 1000 + places * 10 < std::llround(load * 1000), "load " + std::string(word)};
}

ProbeAnswer look_free_space(const std::string& root, const std::string& path, int64_t bytes) {
  struct statvfs info;
  int code = 0;
  while ((code = statvfs((root + path).c_str(), &info)) != 0 && errno == EINTR) {
  }
  if (code != 0) return {false, failed(path, errno)};
  const auto most = static_cast<uint64_t>(INT64_MAX);
  const uint64_t blocks = info.f_bavail, size = info.f_frsize;
  const uint64_t free = size != 0 && blocks > most / size ? most : blocks * size;
  return {free >= static_cast<uint64_t>(bytes), format_size_human(static_cast<int64_t>(free)) + " free in " + path};
}

ProbeAnswer look_network(const ifaddrs* interfaces) {
  for (const ifaddrs* one = interfaces; one != nullptr; one = one->ifa_next) {
    constexpr unsigned kUp = IFF_UP | IFF_RUNNING;
    if ((one->ifa_flags & kUp) != kUp || (one->ifa_flags & IFF_LOOPBACK) != 0) continue;
    const std::string address = address_beyond_link(one->ifa_addr);
    if (!address.empty()) return {true, std::string(one->ifa_name) + ": " + address};
  }
  return {false, "no interface is up and has an address"};
}

ProbeAnswer look_network() {
  ifaddrs* interfaces = nullptr;
  if (getifaddrs(&interfaces) != 0) return {false, failed("the interfaces cannot be listed", errno)};
  const ProbeAnswer answer = look_network(interfaces);
  freeifaddrs(interfaces);
  return answer;
}

}  // namespace hf
