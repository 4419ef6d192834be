// MqttSession against bytes as a broker says them (MQTT 5, OASIS standard of 2019). The real broker: e2e/mqtt.
#include <doctest/doctest.h>

#include "platform/broker/mqtt.h"

using namespace hf;
using namespace std::string_literals;

namespace {

MqttOptions options() {
  MqttOptions options;
  options.client_id = "gw";
  options.session_expiry_s = 0x0e10;
  return options;
}

std::unique_ptr<BrokerSession> session(const MqttOptions& with = options()) {
  auto made = make_mqtt_session(with);
  REQUIRE(made);
  return std::move(*made);
}

// Session Present 0, Success, and the properties.
std::string connack(const std::string& properties = "") {
  return "\x20"s + static_cast<char>(3 + properties.size()) + "\0\0"s + static_cast<char>(properties.size()) + properties;
}
std::string puback(char packet) { return "\x40\x02\0"s + packet; }
std::string puback(char packet, char reason) { return "\x40\x03\0"s + packet + reason; }

std::unique_ptr<BrokerSession> ready(const std::string& properties = "") {
  auto made = session();
  made->take_output();
  made->receive(connack(properties));
  REQUIRE(made->state() == BrokerSession::State::kReady);
  return made;
}

BrokerMessage message(const std::string& payload = "{}") { return {"gw/results", "gw-17", payload}; }

int count(const std::string& bytes, const std::string& what) {
  int n = 0;
  for (size_t at = bytes.find(what); at != bytes.npos; at = bytes.find(what, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("mqtt: CONNECT takes up a session, and says how long it is kept and how large a packet may be") {
  auto fresh = session();
  CHECK(fresh->state() == BrokerSession::State::kGreeting);
  const std::string connect = fresh->take_output();
  CHECK(connect.substr(2, 10) == "\0\4MQTT\5\0\0\x78"s);                  // version 5, no flag: Clean Start 0, no will; keep alive 120 s
  CHECK(connect.find("\x11\0\0\x0e\x10"s) != connect.npos);          // session expiry 3600 s
  CHECK(connect.find("\x27\0\1\0\0"s) != connect.npos);              // maximum packet size 64 KiB
  CHECK(connect.ends_with("\0\2gw"s));
  CHECK(fresh->take_output() == "");
}

TEST_CASE("mqtt: user and password go into CONNECT") {
  MqttOptions with = options();
  with.user = "u";
  auto secret = Secret::of(2);
  REQUIRE(secret);
  std::copy_n("pw", 2, secret->data());
  with.password = std::make_shared<const Secret>(std::move(*secret));
  const std::string connect = session(with)->take_output();
  CHECK(connect[9] == '\xc0');
  CHECK(connect.ends_with("\0\2gw\0\1u\0\2pw"s));
}

TEST_CASE("mqtt: a message goes with QoS 1, its key and its type, and is stored when the broker says so") {
  auto made = ready();
  REQUIRE_FALSE(made->publish(7, message("{\"a\":1}")));
  const std::string publish = made->take_output();
  CHECK(publish[0] == '\x32');
  CHECK(publish.substr(2, 14) == "\0\x0agw/results\0\1"s);  // topic, packet 1
  CHECK(publish.find("\x26\0\x0fidempotency-key\0\5gw-17"s) != publish.npos);
  CHECK(publish.find("\3\0\x10" "application/json"s) != publish.npos);
  CHECK(publish.find("\1\1"s) != publish.npos);  // UTF-8
  CHECK(publish.ends_with("{\"a\":1}"));
  CHECK(made->take_answers().empty());
  made->receive(puback(1));
  const auto answers = made->take_answers();
  REQUIRE(answers.size() == 1);
  CHECK(answers.front().id == 7);
  CHECK(answers.front().verdict == Verdict::kStored);
  made->receive(puback(1));  // nobody waits for it
  CHECK(made->take_answers().empty());
  CHECK(made->state() == BrokerSession::State::kReady);
}

TEST_CASE("mqtt: what a PUBACK says, for the message") {
  const std::pair<int, Verdict> kSays[] = {
      {0x00, Verdict::kStored},   {0x10, Verdict::kStored},  {0x80, Verdict::kTryAgain}, {0x83, Verdict::kTryAgain},
      {0x87, Verdict::kTryAgain}, {0x90, Verdict::kRefused}, {0x91, Verdict::kTryAgain}, {0x95, Verdict::kRefused},
      {0x97, Verdict::kBusy},     {0x99, Verdict::kRefused}};
  for (const auto& [code, verdict] : kSays) {
    CAPTURE(code);
    CHECK(mqtt_verdict(code) == verdict);
    if (code == 0x95) continue;  // none of a PUBACK's
    auto made = ready();
    REQUIRE_FALSE(made->publish(1, message()));
    made->receive(puback(1, static_cast<char>(code)));
    const auto answers = made->take_answers();
    REQUIRE(answers.size() == 1);
    CHECK(answers.front().verdict == verdict);
    CHECK(answers.front().text.empty() == (verdict == Verdict::kStored));
  }
}

TEST_CASE("mqtt: the reason is told in words, with what the broker says itself") {
  auto made = ready();
  REQUIRE_FALSE(made->publish(1, message()));
  made->receive("\x40\x0b\0\1\x97\7\x1f\0\4full"s);
  CHECK(made->take_answers().front().text == "Quota exceeded (0x97): full");
}

TEST_CASE("mqtt: no more messages are unanswered than the broker can take") {
  auto made = ready("\x21\0\2"s);  // receive maximum
  for (uint64_t id = 1; id <= 4; ++id) REQUIRE_FALSE(made->publish(id, message("[\"x\"]")));
  CHECK(count(made->take_output(), "[\"x\"]") == 2);
  made->receive(puback(1));
  CHECK(count(made->take_output(), "[\"x\"]") == 1);
  made->receive(puback(2) + puback(3));
  CHECK(count(made->take_output(), "[\"x\"]") == 1);
  made->receive(puback(4));
  CHECK(made->take_answers().size() == 4);
}

TEST_CASE("mqtt: a message larger than the broker takes is refused here") {
  auto made = ready("\x27\0\0\0\x80"s);
  REQUIRE_FALSE(made->publish(1, message("{}")));
  const auto refused = made->publish(2, message(std::string(128, 'x')));
  REQUIRE(refused);
  CHECK(refused->id == 2);
  CHECK(refused->verdict == Verdict::kRefused);
  CHECK(refused->text == "a message of 128 bytes is larger than the broker takes");
  made->receive(puback(1));
  CHECK(made->take_answers().size() == 1);
}

TEST_CASE("mqtt: a broker that confirms nothing gets nothing") {
  auto made = ready("\x24\0"s);  // maximum QoS 0
  const auto refused = made->publish(1, message());
  REQUIRE(refused);
  CHECK(refused->verdict == Verdict::kBusy);
}

TEST_CASE("mqtt: large messages come out in pieces, whole") {
  auto made = ready();
  const std::string payload(1'000'000, 'p');
  REQUIRE_FALSE(made->publish(1, message(payload)));
  std::string all;
  for (std::string piece = made->take_output(); !piece.empty(); piece = made->take_output()) {
    CHECK(piece.size() <= 2 * kBrokerOutputMax);
    all += piece;
  }
  CHECK(all.ends_with(payload));
}

TEST_CASE("mqtt: a refused connection says why") {
  auto made = session();
  made->receive("\x20\3\0\x87\0"s);
  REQUIRE(made->state() == BrokerSession::State::kFailed);
  CHECK(made->failure() == "refuses the connection: Not authorized (0x87)");
}

TEST_CASE("mqtt: a broker that goes says why") {
  auto made = ready();
  made->receive("\xe0\1\x8b"s);
  REQUIRE(made->state() == BrokerSession::State::kFailed);
  CHECK(made->failure() == "ended the connection: Server shutting down (0x8b)");
}

TEST_CASE("mqtt: bytes may come one at a time") {
  auto made = session();
  for (const char byte : connack()) made->receive({&byte, 1});
  REQUIRE(made->state() == BrokerSession::State::kReady);
  REQUIRE_FALSE(made->publish(1, message()));
  for (const char byte : puback(1)) made->receive({&byte, 1});
  CHECK(made->take_answers().size() == 1);
}

TEST_CASE("mqtt: what is no MQTT ends the connection") {
  for (const std::string& bytes : {"HTTP/1.1 400 Bad Request\r\n\r\n"s + std::string(100, 'x'), "\x20\xff\xff\xff\x7f"s, "\x20\xff\xff\xff\xff\x7f"s, "\x40\2\0\1"s,
                                   "\x20\x03\0\0\x05"s, "\xf0\0"s, "\0\0"s}) {
    CAPTURE(bytes);
    auto made = session();
    made->receive(bytes);
    CHECK(made->state() == BrokerSession::State::kFailed);
    CHECK_FALSE(made->failure().empty());
  }
}

TEST_CASE("mqtt: a packet beyond 64 KiB is not read") {
  auto made = ready();
  made->receive("\x30\x80\x80\x04"s + std::string(1000, 'x'));  // 65,536: to come
  CHECK(made->state() == BrokerSession::State::kReady);
  made = ready();
  made->receive("\x30\x81\x80\x04"s);
  CHECK(made->state() == BrokerSession::State::kFailed);
}

TEST_CASE("mqtt: messages that nobody asked for are passed over") {
  auto made = ready();
  made->receive("\x30\7\0\1t\0abc"s);
  CHECK(made->state() == BrokerSession::State::kReady);
}

TEST_CASE("mqtt: the broker's keep alive counts, not ours") {
  CHECK(ready()->silence_max_ms() == 120'000);
  CHECK(ready("\x13\0\x0a"s)->silence_max_ms() == 10'000);
}

TEST_CASE("mqtt: goodbye is DISCONNECT, without a reason") {
  auto made = ready();
  made->goodbye();
  CHECK(made->take_output() == "\xe0\0"s);
}
