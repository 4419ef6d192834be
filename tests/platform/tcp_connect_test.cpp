// Which address gets the connection. Addresses of the loopback network are the hosts: one that refuses, one that drops what
// asks for a connection (a listener whose queue is full), one that accepts.
#include "platform/net/tcp_connect.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <unistd.h>

#include <optional>

#include "net_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

// Listens on an address, and takes no connection out of the queue of one: what comes after it gets no answer.
class Silent {
 public:
  Silent(const std::string& ip, uint16_t port) {
    Address address = *parse_ip(ip, port);
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    REQUIRE(bind(listener_, &address.any, sizeof address.v4) == 0);
    REQUIRE(listen(listener_, 0) == 0);
    for (int& filler : fillers_) {
      filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      (void)connect(filler, &address.any, sizeof address.v4);
    }
  }
  ~Silent() {
    close(listener_);
    for (const int filler : fillers_) close(filler);
  }
  Silent(const Silent&) = delete;
  Silent& operator=(const Silent&) = delete;

 private:
  int listener_ = -1;
  int fillers_[2];
};

struct Outcome {
  NetError error;
  std::string ip;
  int64_t took_ms = 0;
};

struct Setup {
  TestLoop loop;
  HandleCountPtr handles = std::make_shared<HandleCount>();
  Peer peer{loop, [](Peer::Client&) {}};
  ~Setup() { CHECK(nothing_left()); }
  bool nothing_left() {
    return loop.run_until([&] { return handles->open() == 0; });
  }
  std::vector<Address> at(std::initializer_list<const char*> ips) const {
    std::vector<Address> out;
    for (const char* ip : ips) out.push_back(*parse_ip(ip, peer.port()));
    return out;
  }
  Outcome connect(std::vector<Address> addresses, int64_t deadline_ms) {
    std::optional<Outcome> out;
    uv_update_time(loop.uv());
    const int64_t begin_ms = loop_now_ms(loop.uv());
    TcpConnect attempt(loop.uv(), handles, "some.example:1", std::move(addresses), deadline_ms, [&](NetError error, TcpSocketPtr socket, const Address& address) {
      CHECK(socket.operator bool() != error.operator bool());
      out = Outcome{std::move(error), socket ? address.ip() : "", loop_now_ms(loop.uv()) - begin_ms};
    });
    CHECK(!out);
    REQUIRE(loop.run_until([&] { return out.has_value(); }));
    return *out;
  }
};

std::string ips(const std::vector<Address>& addresses) {
  std::string out;
  for (const Address& address : addresses) out += (out.empty() ? "" : " ") + address.ip();
  return out;
}

}  // namespace

TEST_CASE("connect: families take turns, beginning with that of the first") {
  const auto turns = [](std::initializer_list<const char*> list) {
    std::vector<Address> addresses;
    for (const char* ip : list) addresses.push_back(*parse_ip(ip, 1));
    return ips(in_turns(std::move(addresses)));
  };
  CHECK(turns({"::1", "::2", "::3", "10.0.0.1", "10.0.0.2"}) == "::1 10.0.0.1 ::2 10.0.0.2 ::3");
  CHECK(turns({"10.0.0.1", "::1", "::2", "10.0.0.2", "::3"}) == "10.0.0.1 ::1 10.0.0.2 ::2 ::3");
  CHECK(turns({"10.0.0.1", "10.0.0.2"}) == "10.0.0.1 10.0.0.2");
  CHECK(turns({"::1"}) == "::1");
}

TEST_CASE("connect: one that refuses costs no wait") {
  Setup s;
  const Outcome out = s.connect(s.at({"127.0.0.2", "127.0.0.3", "127.0.0.1"}), 100000);
  CHECK(out.ip == "127.0.0.1");
  CHECK(out.took_ms < kConnectStaggerMs);
}

TEST_CASE("connect: one that is silent costs 250 ms, and goes when another accepts") {
  Setup s;
  const Silent silent("127.0.0.2", s.peer.port());
  const Outcome out = s.connect(s.at({"127.0.0.2", "127.0.0.1"}), 100000);
  CHECK(out.ip == "127.0.0.1");
  CHECK(out.took_ms >= kConnectStaggerMs);
  CHECK(out.took_ms < 20000);  // not its share of the time, as it would be one after the other
  CHECK(s.peer.connections() == 1);
}

TEST_CASE("connect: a family that is silent does not hold up the other") {
  Setup s;
  const Silent one("127.0.0.2", s.peer.port()), two("127.0.0.3", s.peer.port());
  // "::ffff:..." are addresses of IPv6 that lead to the same network.
  const Outcome out = s.connect(s.at({"::ffff:127.0.0.2", "::ffff:127.0.0.3", "127.0.0.1"}), 100000);
  CHECK(out.ip == "127.0.0.1");
  CHECK(out.took_ms >= kConnectStaggerMs);
  CHECK(out.took_ms < 2 * kConnectStaggerMs + 20000);
}

TEST_CASE("connect: more addresses than sockets: the oldest makes room after its share") {
  Setup s;
  const Silent silent("127.0.0.2", s.peer.port());
  const char* deaf = "127.0.0.2";
  const Outcome out = s.connect(s.at({deaf, deaf, deaf, deaf, deaf, deaf, deaf, "127.0.0.1"}), 1600);
  CHECK_MESSAGE(out.ip == "127.0.0.1", out.error.message);
  CHECK(out.took_ms >= 800);  // half of the time is the first ones'
}

TEST_CASE("connect: never more than so many sockets at once, and the end is the deadline") {
  Setup s;
  const Silent silent("127.0.0.2", s.peer.port());
  std::optional<NetError> failed;
  size_t most = 0;
  const char* deaf = "127.0.0.2";
  {
    TcpConnect attempt(s.loop.uv(), s.handles, "some.example:1", s.at({deaf, deaf, deaf, deaf, deaf, deaf, deaf, deaf}), 200,
                       [&](NetError error, TcpSocketPtr, const Address&) { failed = std::move(error); });
    // One handle is the timer's.
    REQUIRE(s.loop.run_until([&] {
      most = std::max(most, s.handles->open());
      return failed.has_value();
    }));
  }
  CHECK(most >= kConnectsAtOnce + 1);
  CHECK(most <= kConnectsAtOnce + 2);  // one that is closed goes a turn of the loop later
  CHECK(failed->kind == NetErrorKind::kTimeout);
  CHECK(failed->phase == NetPhase::kConnect);
  CHECK(failed->message.starts_with("no connection to some.example:1 within 200 ms (127.0.0.2: connection timed out; "));
}

TEST_CASE("connect: given up in the middle, nothing is left") {
  Setup s;
  const Silent silent("127.0.0.2", s.peer.port());
  bool called = false;
  {
    TcpConnect attempt(s.loop.uv(), s.handles, "some.example:1", s.at({"127.0.0.2", "127.0.0.2"}), 100000,
                       [&](NetError, TcpSocketPtr, const Address&) { called = true; });
    REQUIRE(s.loop.run_until([&] { return s.handles->open() >= 3; }));
  }
  CHECK(s.nothing_left());
  CHECK(!called);
}
