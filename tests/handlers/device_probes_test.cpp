// What a device knows of itself, read from trees that tests write.
#include "handlers/device_probes.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <net/if.h>
#include <netinet/in.h>

#include <filesystem>
#include <fstream>
#include <list>

#include "tests/temp_folder.h"

using namespace hf;

namespace {

struct Tree {
  TempFolder folder;
  const std::string root = folder.path();

  void write(const std::string& path, const std::string& text) {
    const std::string file = root + path;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file) << text;
  }
  using Files = std::initializer_list<std::pair<const char*, const char*>>;
  void supply(const std::string& name, Files files) {
    for (const auto& [file, text] : files) write("/sys/class/power_supply/" + name + "/" + file, std::string(text) + "\n");
  }
  void zone(int number, const std::string& type, const std::string& temp) {
    const std::string zone = "/sys/class/thermal/thermal_zone" + std::to_string(number);
    write(zone + "/type", type + "\n");
    if (!temp.empty()) write(zone + "/temp", temp + "\n");
  }
  void forget(const std::string& path) { std::filesystem::remove_all(root + path); }

  std::string mains() { return text(look_power_mains(root)); }
  std::string battery(int percent) { return text(look_battery(root, percent)); }
  std::string below(double degrees, const std::string& zone = "") { return text(look_temperature(root, degrees, zone)); }
  std::string load(double load) { return text(look_load(root, load)); }
  static std::string text(const ProbeAnswer& answer) { return (answer.open ? "open: " : "closed: ") + answer.why; }
};

// As getifaddrs lists them.
struct Interfaces {
  struct One {
    std::string name;
    sockaddr_storage address = {};
    ifaddrs list = {};
  };
  std::list<One> all;

  void add(const std::string& name, unsigned flags, const std::string& address) {
    One& one = all.emplace_back();
    one.name = name;
    one.list.ifa_name = one.name.data();
    one.list.ifa_flags = flags;
    if (address.empty()) return;  // as of one that is no IP interface
    auto* v4 = reinterpret_cast<sockaddr_in*>(&one.address);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&one.address);
    if (inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
      v4->sin_family = AF_INET;
    } else {
      REQUIRE(inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1);
      v6->sin6_family = AF_INET6;
    }
    one.list.ifa_addr = reinterpret_cast<sockaddr*>(&one.address);
  }
  std::string look() {
    ifaddrs* next = nullptr;
    for (auto it = all.rbegin(); it != all.rend(); ++it) next = &(it->list.ifa_next = next, it->list);
    return Tree::text(look_network(next));
  }
};

}  // namespace

TEST_SUITE("device probes") {
  TEST_CASE_FIXTURE(Tree, "on mains power: by what is online") {
    supply("BAT0", {{"type", "Battery"}, {"capacity", "41"}});
    supply("AC", {{"type", "Mains"}, {"online", "1"}});
    CHECK(mains() == "open: on AC");
    supply("AC", {{"online", "0"}});
    CHECK(mains() == "closed: on battery, 41 %");
    supply("ucsi-0", {{"type", "USB"}, {"online", "0"}});
    supply("ucsi-1", {{"type", "USB_PD"}, {"online", "2"}});  // "online programmable"
    CHECK(mains() == "open: on ucsi-1");
    supply("ucsi-1", {{"scope", "Device"}});  // it feeds another one
    CHECK(mains() == "closed: on battery, 41 %");
  }

  TEST_CASE_FIXTURE(Tree, "on mains power: without a battery") {
    CHECK(mains() == "open: no battery: on mains");  // also without a folder
    supply("hidpp", {{"type", "Battery"}, {"scope", "Device"}, {"capacity", "9"}});  // a mouse's
    supply("BAT1", {{"type", "Battery"}, {"present", "0"}});                         // taken out
    supply("usb", {{"type", "USB"}, {"online", "0"}});                               // nothing is plugged in
    CHECK(mains() == "open: no battery: on mains");
    supply("dc", {{"type", "Mains"}, {"online", "0"}});  // what it runs on is nothing that the kernel knows of
    CHECK(mains() == "closed: dc is not online");
    supply("dc", {{"online", "yes"}});
    CHECK(mains() == "closed: dc is not online");
    supply("dc", {{"online", "1"}});
    CHECK(mains() == "open: on dc");
  }

  TEST_CASE_FIXTURE(Tree, "a battery's charge: the lowest one of the device's own") {
    CHECK(battery(40) == "open: no battery");
    supply("BAT0", {{"type", "Battery"}, {"scope", "System"}, {"capacity", "80"}});
    supply("BAT1", {{"type", "Battery"}, {"capacity", "40"}});
    supply("mouse", {{"type", "Battery"}, {"scope", "Device"}, {"capacity", "3"}});
    CHECK(battery(40) == "open: BAT1 is at 40 %");
    CHECK(battery(41) == "closed: BAT1 is at 40 %");
    for (const char* garbage : {"", "full", "40 %", "-1", "101", "99999999999999999999"}) {
      supply("BAT1", {{"capacity", garbage}});
      CHECK(battery(41) == "open: BAT0 is at 80 %");
    }
    supply("BAT0", {{"capacity", ""}});
    CHECK(battery(1) == "closed: no battery says how full it is");
    CHECK(mains() == "closed: on battery");
  }

  TEST_CASE_FIXTURE(Tree, "temperature: the hottest zone, or the one that is named") {
    CHECK(below(75) == "closed: no thermal zone");
    zone(0, "cpu-thermal", "51234");
    zone(1, "gpu-thermal", "74999");
    zone(10, "off-thermal", "");
    CHECK(below(75) == "open: 74.9 °C");
    CHECK(below(74.999) == "closed: 74.9 °C");
    CHECK(below(51.3, "cpu-thermal") == "open: 51.2 °C");
    CHECK(below(51, "cpu-thermal") == "closed: 51.2 °C");
    CHECK(below(75, "cpu") == "closed: no thermal zone \"cpu\"");
    CHECK(below(75, "off-thermal") == "closed: no thermal zone \"off-thermal\" says how hot it is");
    zone(1, "gpu-thermal", "75000");
    CHECK(below(75) == "closed: 75 °C");
    forget("/sys/class/thermal");
    zone(0, "outside", "-12340");
    CHECK(below(-12.3) == "open: -12.4 °C");
    CHECK(below(-20) == "closed: -12.4 °C");
    zone(0, "outside", "-400");
    CHECK(below(0) == "open: -0.4 °C");
    zone(0, "outside", "hot");
    CHECK(below(75) == "closed: no thermal zone says how hot it is");
  }

  TEST_CASE_FIXTURE(Tree, "the load of the last minute") {
    CHECK(load(1) == "closed: the load cannot be read from /proc/loadavg");
    write("/proc/loadavg", "2.50 9.99 9.99 1/200 4711\n");
    CHECK(load(2.51) == "open: load 2.50");
    CHECK(load(2.5) == "closed: load 2.50");
    write("/proc/loadavg", "3.07 0.00 0.00 1/200 4711\n");
    CHECK(load(3.07) == "closed: load 3.07");  // also where it has no exact binary form
    for (const char* garbage : {"", "\n", "x", "1", "1.", "1.5", "1.500", "-1.00", "1.-1", ".50", "1,50", "99999999999999999999.00"}) {
      write("/proc/loadavg", garbage);
      CHECK(load(10000) == "closed: the load cannot be read from /proc/loadavg");
    }
  }

  TEST_CASE_FIXTURE(Tree, "free space") {
    write("/data/file", "x");
    const ProbeAnswer enough = look_free_space(root, "/data", 1);
    CHECK(enough.open);
    CHECK(enough.why.ends_with(" free in /data"));
    const ProbeAnswer less = look_free_space(root, "/data", INT64_MAX);
    CHECK_FALSE(less.open);
    CHECK(less.why.ends_with(" free in /data"));
    CHECK(text(look_free_space(root, "/none", 1)) == "closed: /none: No such file or directory");
    CHECK(text(look_free_space(root, "/data/file/x", 1)) == "closed: /data/file/x: Not a directory");
  }

  TEST_CASE_FIXTURE(Interfaces, "network: an interface with an address that is good beyond its link") {
    constexpr unsigned kUp = IFF_UP | IFF_RUNNING;
    const std::string down = "closed: no interface is up and has an address";
    CHECK(look() == down);
    add("lo", kUp | IFF_LOOPBACK, "127.0.0.1");
    add("lo", kUp | IFF_LOOPBACK, "10.0.0.1");
    add("can0", kUp, "");
    add("eth0", IFF_UP, "192.168.1.5");       // no carrier
    add("eth1", IFF_RUNNING, "192.168.1.5");  // switched off
    for (const char* address : {"169.254.7.7", "fe80::1", "febf::1", "::1", "::", "127.0.0.5", "0.0.0.0"}) add("eth2", kUp, address);
    CHECK(look() == down);
    add("eth3", kUp, "fd00::7");
    CHECK(look() == "open: eth3: fd00::7");
    all.pop_back();
    add("wlan0", kUp, "169.253.255.255");
    CHECK(look() == "open: wlan0: 169.253.255.255");
  }

  TEST_CASE("the device that this runs on says something of all of them") {
    for (const ProbeAnswer& answer : {look_power_mains(""), look_battery("", 1), look_temperature("", 150, ""), look_free_space("", "/", 1), look_network()}) {
      CHECK_FALSE(answer.why.empty());
    }
    CHECK(look_load("", 10000).open);
  }
}
