// The connection to a broker, with a protocol of lines: "+ID" and "-ID" are answers.
#include <doctest/doctest.h>

#include <vector>

#include "platform/broker/broker_client.h"
#include "tls_fixture.h"

using namespace hf;
using hf::test::Peer;
using hf::test::TestLoop;
using hf::test::tls_world;
using hf::test::TlsPeer;

namespace {

class Lines final : public BrokerSession {
 public:
  explicit Lines(std::string first = {}) : out_(std::move(first)) {}
  State state() const override { return state_; }
  const std::string& failure() const override { return failure_; }
  void receive(std::string_view bytes) override {
    for (const char c : bytes) {
      if (c != '\n') {
        line_ += c;
        continue;
      }
      const std::string line = std::exchange(line_, {});
      if (line == "hello") state_ = State::kReady;
      if (line == "no") {
        state_ = State::kFailed;
        failure_ = "said no";
      }
      if (line[0] == '+') answers_.push_back({std::stoull(line.substr(1)), Verdict::kStored, ""});
      if (line[0] == '-') answers_.push_back({std::stoull(line.substr(1)), Verdict::kRefused, "bad"});
    }
  }
  std::string take_output() override { return std::exchange(out_, {}); }
  std::list<BrokerAnswer> take_answers() override { return std::exchange(answers_, {}); }
  std::optional<BrokerAnswer> publish(uint64_t id, const BrokerMessage& message) override {
    if (message.payload == "no") return BrokerAnswer{id, Verdict::kRefused, "never"};
    out_ += std::to_string(id) + " " + message.payload + "\n";
    return std::nullopt;
  }
  void goodbye() override { out_ += "bye\n"; }

 private:
  State state_ = State::kGreeting;
  std::string failure_, line_, out_;
  std::list<BrokerAnswer> answers_;
};

struct Fixture {
  TestLoop loop;
  std::string heard;
  Peer::Script script = [](Peer::Client& client) {
    const std::string got = client.take();
    for (size_t at = 0; at < got.size(); at = got.find('\n', at) + 1) {
      const std::string id = got.substr(at, got.find(' ', at) - at);
      if (got.substr(at, 3) != "bye") client.say("+" + id + "\n");
    }
  };
  Peer peer{loop,
            [this](Peer::Client& client) {
              heard += client.got;
              script(client);
            },
            [this](Peer::Client& client) {
              if (greets) client.say("hello\n");
            }};
  bool greets = true;
  BrokerOptions options;
  std::unique_ptr<BrokerClient> broker;
  std::vector<std::string> results;
  NetError error;  // of the last result that had one

  Fixture() {
    options.url = peer.url();
    options.allow_private = true;
    speaks_first("");
  }
  void speaks_first(const std::string& words) {
    options.make_session = [words] { return Result<std::unique_ptr<BrokerSession>>(std::make_unique<Lines>(words)); };
  }
  // The peer is a proxy that answers with these pieces, and then the broker itself: broker.example, which nobody here can look up.
  void through_proxy(const std::vector<std::string>& says) {
    greets = false;
    options.url = parse_broker_url("nats://broker.example")->url;
    options.allow_private = false;
    options.proxy = std::make_shared<const HttpProxy>(HttpProxy{"127.0.0.1", peer.port(), nullptr});
    script = [says, lines = script](Peer::Client& client) {
      if (client.got == "hi\n") {
        client.take();
        client.say("hello\n");
      } else if (client.requests > 0) {
        lines(client);
      } else if (client.got.find("\r\n\r\n") != std::string::npos) {
        ++client.requests;
        client.take();
        for (const std::string& piece : says) client.say(piece);
      }
    };
  }
  ~Fixture() {
    stop();
    peer.stop_listening();
  }
  void stop() {
    bool closed = !broker;
    if (broker) broker->shutdown([&] { closed = true; });
    CHECK(loop.run_until([&] { return closed; }));
    broker.reset();
  }
  PublishId publish(const std::string& payload = "x") {
    if (!broker) broker = std::make_unique<BrokerClient>(loop.uv(), options);
    return broker->publish({"t", "k", payload}, [this](const PublishResult& result) {
      if (result.error) error = result.error;
      results.push_back(result.answer  ? (result.answer->verdict == Verdict::kStored ? "stored" : result.answer->text)
                        : result.error ? std::string(net_error_name(result.error.kind)) + (result.sent ? " sent" : "")
                                       : "cancelled");
    });
  }
  void wait_for(size_t count) {
    CHECK(loop.run_until([&] { return results.size() >= count; }));
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "broker: messages share a connection and end by their answers") {
  for (int i = 0; i < 100; ++i) publish();
  wait_for(100);
  CHECK(results == std::vector<std::string>(100, "stored"));
  publish();
  wait_for(101);
  CHECK(peer.connections() == 1);
}

TEST_CASE_FIXTURE(Fixture, "broker: a message that is refused, by the protocol or the broker, is no other's fault") {
  script = [](Peer::Client& client) {
    client.take();
    client.say("-1\n+3\n+3\n+99\n");
  };
  publish();
  publish("no");
  publish();
  wait_for(3);
  CHECK(results == std::vector<std::string>{"never", "bad", "stored"});
}

TEST_CASE_FIXTURE(Fixture, "broker: nobody listens: nothing was sent") {
  peer.stop_listening();
  publish();
  publish();
  wait_for(2);
  CHECK(results == std::vector<std::string>(2, "connect"));
}

TEST_CASE_FIXTURE(Fixture, "broker: an address that is not allowed is not connected to") {
  options.allow_private = false;
  publish();
  wait_for(1);
  CHECK(results == std::vector<std::string>{"refused"});
  CHECK(peer.connections() == 0);
}

TEST_CASE_FIXTURE(Fixture, "broker: it refuses the connection: nothing was sent") {
  greets = false;
  publish();
  CHECK(loop.run_until([&] { return peer.connections() == 1; }));
  peer.client(0).say("no\n");
  wait_for(1);
  CHECK(results == std::vector<std::string>{"bad_response"});
  CHECK(heard.empty());
}

TEST_CASE_FIXTURE(Fixture, "broker: a connection that breaks: what was sent may have arrived; the next message opens another") {
  script = [](Peer::Client& client) {
    client.take();
    client.reset();
  };
  publish();
  publish();
  wait_for(2);
  CHECK(results == std::vector<std::string>(2, "closed sent"));
  script = [](Peer::Client& client) {
    client.take();
    client.say("+3\n");
  };
  publish();
  wait_for(3);
  CHECK(results.back() == "stored");
  CHECK(peer.connections() == 2);
}

TEST_CASE_FIXTURE(Fixture, "broker: a broker that says nothing, at first or to a message, is left after its time") {
  options.deadlines.first_byte_ms = 60;
  greets = false;
  publish();
  wait_for(1);
  CHECK(results.back() == "timeout");
  greets = true;
  script = [](Peer::Client&) {};
  publish();
  wait_for(2);
  CHECK(results.back() == "timeout sent");
  CHECK(loop.run_until([&] { return peer.open() == 0; }));
}

TEST_CASE_FIXTURE(Fixture, "broker: an unused connection is closed with a goodbye, and then no timer is left") {
  options.idle_ms = 40;
  publish();
  wait_for(1);
  CHECK(broker->connected());
  CHECK(loop.run_until([&] { return peer.open() == 0; }));
  CHECK(heard.ends_with("bye\n"));
  CHECK_FALSE(loop.timer_armed());
  publish();
  wait_for(2);
  CHECK(peer.connections() == 2);
}

TEST_CASE_FIXTURE(Fixture, "broker: a cancelled message ends at once, and its answer is passed over") {
  script = [](Peer::Client&) {};
  const PublishId first = publish();
  CHECK(loop.run_until([&] { return !heard.empty(); }));
  CHECK(broker->cancel(first));
  CHECK_FALSE(broker->cancel(first));
  const PublishId second = publish();
  CHECK(broker->cancel(second));
  wait_for(2);
  CHECK(results == std::vector<std::string>(2, "cancelled"));
  peer.client(0).say("+1\n");
  script = [](Peer::Client& client) { client.say("+3\n"); };
  publish();
  wait_for(3);
  CHECK(results.back() == "stored");
  CHECK(peer.connections() == 1);
}

TEST_CASE_FIXTURE(Fixture, "broker: more messages than it keeps are refused") {
  script = [](Peer::Client&) {};
  for (size_t i = 0; i <= kBrokerMessagesMax; ++i) publish();
  wait_for(1);
  CHECK(results == std::vector<std::string>{"local"});
}

TEST_CASE_FIXTURE(Fixture, "broker: a shutdown ends every message within the call") {
  script = [](Peer::Client&) {};
  publish();
  CHECK(loop.run_until([&] { return !heard.empty(); }));
  publish();
  broker->shutdown({});
  CHECK(results == std::vector<std::string>(2, "cancelled"));
  publish();
  CHECK(results.size() == 3);
}

TEST_CASE_FIXTURE(Fixture, "broker: a large message is sent whole") {
  script = [](Peer::Client& client) {
    if (client.got.ends_with("\n")) client.say("+1\n");
  };
  const std::string payload(3'000'000, 'p');
  publish(payload);
  wait_for(1);
  CHECK(results.back() == "stored");
  CHECK(peer.client(0).got == "1 " + payload + "\n");
}

TEST_CASE_FIXTURE(Fixture, "broker: through a proxy; it looks the name up") {
  speaks_first("hi\n");
  through_proxy({"HTTP/1.1 200 Connection established\r\n\r\n"});
  publish();
  publish();
  wait_for(2);
  CHECK(results == std::vector<std::string>(2, "stored"));
  CHECK(heard.starts_with("CONNECT broker.example:4222 HTTP/1.1\r\nHost: broker.example:4222\r\n\r\nhi\n"));
  CHECK(peer.connections() == 1);
}

TEST_CASE_FIXTURE(Fixture, "broker: what a broker that speaks first says along with the proxy's answer is heard") {
  options.tls_after_greeting = true;
  SUBCASE("all") { through_proxy({"HTTP/1.1 200 OK\r\n\r\nhello\n"}); }
  SUBCASE("a part") { through_proxy({"HTTP/1.1 200 OK\r\n\r\nhel", "lo\n"}); }
  SUBCASE("nothing") { through_proxy({"HTTP/1.1 200 OK\r\n\r\n", "hello\n"}); }
  publish();
  wait_for(1);
  CHECK(results == std::vector<std::string>{"stored"});
}

TEST_CASE_FIXTURE(Fixture, "broker: words along with the proxy's answer of one that does not speak first are none of the broker's") {
  through_proxy({"HTTP/1.1 200 OK\r\n\r\nhello\n"});
  publish();
  wait_for(1);
  CHECK(results == std::vector<std::string>{"proxy"});
  CHECK(error.message == "the proxy " + options.proxy->name() + " sent more than its answer to CONNECT broker.example:4222");
}

TEST_CASE_FIXTURE(Fixture, "broker: a proxy that refuses, or is away: nothing was sent") {
  through_proxy({"HTTP/1.1 403 Forbidden\r\n\r\n"});
  publish();
  publish();
  wait_for(2);
  CHECK(results == std::vector<std::string>(2, "proxy"));
  CHECK(error.message == "the proxy " + options.proxy->name() + " answered 403 to CONNECT broker.example:4222");
  CHECK(error.phase == NetPhase::kProxy);
  CHECK(world_not_ready(error));
  CHECK(loop.run_until([&] { return peer.open() == 0; }));
  peer.stop_listening();
  publish();
  wait_for(3);
  CHECK(results.back() == "connect");
  CHECK(error.message.starts_with("no connection to the proxy " + options.proxy->name()));
}

TEST_CASE_FIXTURE(Fixture, "broker: a proxy that says nothing is left after the time for a connection") {
  through_proxy({});
  options.deadlines.connect_ms = 60;
  publish();
  wait_for(1);
  CHECK(results == std::vector<std::string>{"timeout"});
  CHECK(error.message == "no answer of the proxy for broker.example:4222 within 60 ms");
  CHECK(error.phase == NetPhase::kProxy);
  CHECK(world_not_ready(error));
  CHECK(loop.run_until([&] { return peer.open() == 0; }));
  CHECK_FALSE(loop.timer_armed());
  // A shutdown in the middle of it.
  publish();
  CHECK(loop.run_until([&] { return peer.connections() == 2 && !peer.client(1).gone && heard.ends_with("\r\n\r\n"); }));
  broker->shutdown({});
  CHECK(results.back() == "cancelled");
}

TEST_CASE_FIXTURE(Fixture, "broker: an address of the broker that is not allowed is not asked for") {
  speaks_first("hi\n");
  through_proxy({"HTTP/1.1 200 OK\r\n\r\n"});
  options.url = parse_broker_url("nats://169.254.169.254")->url;
  publish();
  wait_for(1);
  CHECK(results == std::vector<std::string>{"refused"});
  CHECK(error.message.find("169.254.169.254") != std::string::npos);
  CHECK(peer.connections() == 0);
  stop();
  options.allow_private = true;
  publish();
  wait_for(2);
  CHECK(results.back() == "stored");
}

TEST_CASE_FIXTURE(Fixture, "broker: by ALPN is offered what was said, and nothing by itself") {
  const auto publish_to = [&](TlsPeer& server, std::vector<std::string> alpn) {
    results.clear();
    options.url = parse_broker_url("tls://ingest.example:" + std::to_string(server.port()))->url;
    options.cert_clock = [] { return CertClock{true, hf::test::kWithinMs}; };
    options.resolver.lookup = [](const std::string&, std::vector<Address>* out) {
      out->push_back(*parse_ip("127.0.0.1", 0));
      return 0;
    };
    options.tls.emplace();
    options.tls->ca_file = tls_world().ca.file();
    options.tls->alpn = std::move(alpn);
    speaks_first("hi\n");
    publish();
    wait_for(1);
    stop();
    return results.front();
  };
  const auto lines = [](TlsPeer::Client& client) {
    client.got.clear();
    client.say(client.requests++ == 0 ? "hello\n" : "+1\n");
  };
  TlsPeer server(loop, tls_world().good, lines, "x-amzn-mqtt-ca");
  CHECK(publish_to(server, {"mqtt", "x-amzn-mqtt-ca"}) == "stored");
  CHECK(publish_to(server, {}) == "stored");  // a server refuses what is not its own, not silence
  CHECK(publish_to(server, {"http/1.1", "mqtt"}) == "tls_protocol");
  CHECK(error.message.find("it takes no protocol that was offered (\"alpn\") (alert 120)") != std::string::npos);
}
