#include "platform/net/dns.h"

#include <doctest/doctest.h>
#include <netdb.h>

#include <atomic>
#include <optional>
#include <vector>

#include "net_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

AddressScope scope(const char* ip) {
  const auto address = parse_ip(ip, 0);
  REQUIRE_MESSAGE(address.has_value(), ip);
  return address_scope(*address);
}

std::vector<Address> addresses(std::initializer_list<const char*> ips) {
  std::vector<Address> out;
  for (const char* ip : ips) out.push_back(*parse_ip(ip, 443));
  return out;
}

// Holds lookups until it is opened. Shared with threads that may outlive the test's other objects.
struct Gate {
  uv_mutex_t mutex;
  uv_cond_t changed;
  bool is_open = false;
  int inside = 0;

  Gate() {
    uv_mutex_init(&mutex);
    uv_cond_init(&changed);
  }
  ~Gate() {
    uv_cond_destroy(&changed);
    uv_mutex_destroy(&mutex);
  }
  void pass() {
    uv_mutex_lock(&mutex);
    ++inside;
    uv_cond_broadcast(&changed);
    while (!is_open) uv_cond_wait(&changed, &mutex);
    --inside;
    uv_cond_broadcast(&changed);
    uv_mutex_unlock(&mutex);
  }
  void wait_inside(int n) {
    uv_mutex_lock(&mutex);
    while (inside != n) uv_cond_wait(&changed, &mutex);
    uv_mutex_unlock(&mutex);
  }
  void open() {
    uv_mutex_lock(&mutex);
    is_open = true;
    uv_cond_broadcast(&changed);
    uv_mutex_unlock(&mutex);
  }
};

// "hang" waits at the gate, "none" does not exist, "many" has twenty addresses, others 192.0.2.1.
ResolverOptions with_gate(std::shared_ptr<Gate> gate, int64_t idle_exit_ms = 30000) {
  ResolverOptions options;
  options.threads.idle_exit_ms = idle_exit_ms;
  options.lookup = [gate](const std::string& host, std::vector<Address>* out) {
    if (host == "hang") gate->pass();
    if (host == "none") return EAI_NONAME;
    for (int i = 0; i < (host == "many" ? 20 : 1); ++i) out->push_back(*parse_ip("192.0.2.1", 0));
    return 0;
  };
  return options;
}

struct Setup {
  TestLoop loop;
  HandleCountPtr handles = std::make_shared<HandleCount>();
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  std::optional<Resolver> resolver;

  explicit Setup(int64_t idle_exit_ms = 30000) {
    resolver.emplace(loop.uv(), handles, with_gate(gate, idle_exit_ms));
  }
  ~Setup() {
    gate->open();
    resolver.reset();
    loop.drain();
    CHECK(handles->open() == 0);
  }
  Resolved look_up(const std::string& host, int64_t deadline_ms = 10000) {
    std::optional<Resolved> out;
    resolver->resolve(host, 443, deadline_ms, [&](Resolved r) { out = std::move(r); });
    CHECK(!out);
    REQUIRE(loop.run_until([&] { return out.has_value(); }));
    return *out;
  }
};

}  // namespace

TEST_CASE("address: scopes") {
  for (const char* ip : {"192.0.2.1", "8.8.8.8", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0",
                         "169.253.255.255", "223.255.255.255", "126.255.255.255", "2001:db8::1", "2606:4700::1111",
                         "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2001:1::1"})
    CHECK_MESSAGE(scope(ip) == AddressScope::kPublic, ip);
  for (const char* ip : {"127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
                         "::127.0.0.1", "2001:0:0:0:0:0:80ff:fffe"})
    CHECK_MESSAGE(scope(ip) == AddressScope::kLoopback, ip);
  for (const char* ip : {"10.0.0.1", "172.16.0.0", "172.31.255.255", "192.168.255.255", "100.64.0.0", "100.127.255.255",
                         "fc00::1", "fdff::1", "fec0::1", "::ffff:10.1.2.3", "64:ff9b:1::1", "64:ff9b::a00:1"})
    CHECK_MESSAGE(scope(ip) == AddressScope::kPrivate, ip);
  for (const char* ip : {"169.254.169.254", "fe80::1", "febf::1", "::ffff:169.254.169.254"})
    CHECK_MESSAGE(scope(ip) == AddressScope::kLinkLocal, ip);
  for (const char* ip : {"224.0.0.1", "239.255.255.255", "ff02::1"})
    CHECK_MESSAGE(scope(ip) == AddressScope::kMulticast, ip);
  for (const char* ip : {"0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0"})
    CHECK_MESSAGE(scope(ip) == AddressScope::kUnspecified, ip);
  for (const char* ip : {"255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.0.170"})
    CHECK_MESSAGE(scope(ip) == AddressScope::kReserved, ip);
}

TEST_CASE("address: text and parsing") {
  CHECK(parse_ip("192.0.2.1", 80)->text() == "192.0.2.1:80");
  CHECK(parse_ip("2001:DB8::0:1", 443)->text() == "[2001:db8::1]:443");
  for (const char* bad : {"", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.4 ", "::g", "fe80::1%lo", "[::1]"})
    CHECK_MESSAGE(!parse_ip(bad, 0).has_value(), bad);
}

TEST_CASE("address: what a request may go to") {
  Resolved r = allowed_addresses("h", addresses({"10.0.0.5", "192.0.2.1", "::1", "2001:db8::1"}), false);
  CHECK(!r.error);
  REQUIRE(r.addresses.size() == 2);
  CHECK(r.addresses[0].ip() == "192.0.2.1");
  CHECK(allowed_addresses("h", addresses({"10.0.0.5", "::1"}), true).addresses.size() == 2);
  r = allowed_addresses("ingest.example", addresses({"10.0.0.5", "::1"}), false);
  CHECK(r.error.kind == NetErrorKind::kRefused);
  CHECK(r.error.message == "ingest.example resolves to 10.0.0.5, a private address, and \"allow_private\" is not set");
}

TEST_CASE("dns: literals take no thread, names take one") {
  Setup s;
  CHECK(s.look_up("192.0.2.9").addresses.at(0).text() == "192.0.2.9:443");
  CHECK(s.look_up("::1").addresses.at(0).text() == "[::1]:443");
  CHECK(s.resolver->threads().threads() == 0);
  CHECK(s.look_up("some.example").addresses.at(0).text() == "192.0.2.1:443");
  CHECK(s.look_up("many").addresses.size() == kAddressesMax);
  CHECK(s.resolver->threads().threads() == 1);
  const Resolved none = s.look_up("none");
  CHECK(none.error.kind == NetErrorKind::kDns);
  CHECK(none.error.message == "the name none does not exist");
  CHECK(!s.loop.timer_armed());
}

TEST_CASE("dns: the system's resolver") {
  TestLoop loop;
  auto handles = std::make_shared<HandleCount>();
  {
    Resolver resolver(loop.uv(), handles, {});
    std::optional<Resolved> out;
    resolver.resolve("localhost", 80, 10000, [&](Resolved r) { out = std::move(r); });
    REQUIRE(loop.run_until([&] { return out.has_value(); }));
    REQUIRE_MESSAGE(!out->error, out->error.message);
    CHECK(address_scope(out->addresses.at(0)) == AddressScope::kLoopback);
    CHECK(out->addresses.at(0).port() == 80);
  }
  loop.drain();
}

TEST_CASE("dns: hanging lookups time out, and then later ones fail as busy") {
  Setup s;
  int timeouts = 0;
  for (int i = 0; i < kDnsThreads; ++i)
    s.resolver->resolve("hang", 1, 20, [&](Resolved r) {
      timeouts += r.error.kind == NetErrorKind::kTimeout && r.error.phase == NetPhase::kDns;
    });
  // One more waits for a thread, and times out without having had one.
  s.resolver->resolve("some.example", 1, 20, [&](Resolved r) { timeouts += r.error.kind == NetErrorKind::kTimeout; });
  REQUIRE(s.loop.run_until([&] { return timeouts == 3; }));
  s.gate->wait_inside(kDnsThreads);
  CHECK(s.resolver->threads().hung() == kDnsThreads);
  const Resolved busy = s.look_up("some.example");
  CHECK(busy.error.kind == NetErrorKind::kDns);
  CHECK(busy.error.message.find("busy") != std::string::npos);
  CHECK(world_not_ready(busy.error));
  CHECK(!s.look_up("192.0.2.9").error);

  s.gate->open();
  s.gate->wait_inside(0);
  REQUIRE(s.loop.run_until([&] { return s.resolver->threads().hung() == 0; }));
  CHECK(!s.look_up("some.example").error);
}

TEST_CASE("dns: one hanging lookup leaves the other thread for the rest") {
  Setup s;
  s.resolver->resolve("hang", 1, 100000, [](Resolved) { CHECK(false); });
  s.gate->wait_inside(1);
  for (int i = 0; i < 5; ++i) CHECK(!s.look_up("some.example").error);
}

TEST_CASE("dns: a cancelled lookup says nothing") {
  Setup s;
  const auto id = s.resolver->resolve("hang", 1, 10, [](Resolved) { CHECK(false); });
  s.gate->wait_inside(1);
  s.resolver->cancel(id);
  s.resolver->cancel(id);
  const auto literal = s.resolver->resolve("192.0.2.1", 1, 10, [](Resolved) { CHECK(false); });
  s.resolver->cancel(literal);
  CHECK(!s.look_up("some.example").error);
  s.gate->open();
  REQUIRE(s.loop.run_until([&] { return s.resolver->threads().hung() == 0; }));
}

TEST_CASE("dns: destroyed amid a hanging lookup") {
  auto gate = std::make_shared<Gate>();
  {
    TestLoop loop;
    auto handles = std::make_shared<HandleCount>();
    {
      Resolver resolver(loop.uv(), handles, with_gate(gate));
      resolver.resolve("hang", 1, 10000, [](Resolved) { CHECK(false); });
      resolver.resolve("other", 1, 10000, [](Resolved) {});
      gate->wait_inside(1);
    }
    loop.drain();
    CHECK(handles->open() == 0);
  }
  gate->open();  // the thread ends by itself
  gate->wait_inside(0);
}

TEST_CASE("dns: threads without work end") {
  Setup s(10);
  CHECK(!s.look_up("some.example").error);
  REQUIRE(s.loop.run_until([&] { return s.resolver->threads().threads() == 0; }));
  CHECK(!s.look_up("some.example").error);
}
