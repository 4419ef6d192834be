// NatsSession against lines as a server says them. The real server: e2e/nats.
#include <doctest/doctest.h>

#include "platform/broker/nats_session.h"

using namespace hf;
using State = BrokerSession::State;

namespace {

const std::string kInfo = R"(INFO {"server_id":"S","version":"2.9.10","headers":true,"max_payload":1048576,"jetstream":true})" "\r\n";

std::unique_ptr<BrokerSession> session(NatsOptions options = {.under_tls = false, .name = "holdfast-gw-cloud"}) {
  auto made = NatsSession::open(std::move(options));
  REQUIRE(made);
  return std::move(*made);
}

struct Ready {
  std::unique_ptr<BrokerSession> nats = session();
  std::string inbox;

  explicit Ready(const std::string& info = kInfo) {
    nats->receive(info);
    const std::string hello = nats->take_output();
    const size_t at = hello.find("SUB ") + 4;
    inbox = hello.substr(at, hello.find('*') - at);
    nats->receive("PONG\r\n");
    REQUIRE(nats->state() == State::kReady);
  }
  void publish(uint64_t id, const std::string& subject = "gw.results") { REQUIRE_FALSE(nats->publish(id, {subject, "gw-17", "{}"})); }
  void reply(uint64_t id, const std::string& payload) {
    nats->receive("MSG " + inbox + std::to_string(id) + " 1 " + std::to_string(payload.size()) + "\r\n" + payload + "\r\n");
  }
  BrokerAnswer answer() {
    const auto answers = nats->take_answers();
    REQUIRE(answers.size() == 1);
    return answers.front();
  }
};

std::shared_ptr<const Secret> secret(std::string_view text) {
  auto made = Secret::of(text.size());
  REQUIRE(made);
  std::copy(text.begin(), text.end(), made->data());
  return std::make_shared<const Secret>(std::move(*made));
}

}  // namespace

TEST_CASE("nats: it says who it is after INFO, and is ready after PONG") {
  auto nats = session({.under_tls = false, .name = "n", .user = "u", .password = secret("p\"w"), .token = secret("t")});
  CHECK(nats->take_output() == "");
  nats->receive(kInfo);
  CHECK(nats->state() == State::kGreeting);
  const std::string hello = nats->take_output();
  CHECK(hello.starts_with("CONNECT {"));
  for (const char* part : {R"("name":"n")", R"("user":"u")", R"("pass":"p\"w")", R"("auth_token":"t")", R"("headers":true)", R"("no_responders":true)", R"("verbose":false)"})
    CHECK(hello.find(part) != hello.npos);
  CHECK(hello.find("}\r\nSUB _INBOX.") != hello.npos);
  CHECK(hello.ends_with(".* 1\r\nPING\r\n"));
  nats->receive("PONG\r\n");
  CHECK(nats->state() == State::kReady);
}

TEST_CASE("nats: under TLS nothing is said before, and nothing is taken that came in the clear") {
  auto nats = session({.under_tls = true});
  nats->receive(kInfo);
  CHECK(nats->state() == State::kWantsTls);
  CHECK(nats->take_output() == "");
  nats->secured();
  CHECK(nats->take_output().starts_with("CONNECT "));

  nats = session({.under_tls = true});
  nats->receive(kInfo + "PONG\r\n");
  CHECK(nats->state() == State::kFailed);
}

TEST_CASE("nats: without TLS a server that demands it gets no password") {
  auto nats = session();
  nats->receive("INFO {\"headers\":true,\"tls_required\":true}\r\n");
  CHECK(nats->state() == State::kFailed);
  CHECK(nats->failure() == "demands TLS: the URL begins with tls:// then");
  CHECK(nats->take_output() == "");
}

TEST_CASE("nats: a message has its key as Nats-Msg-Id, and is stored when the stream says so") {
  Ready ready;
  ready.publish(7);
  CHECK(ready.nats->take_output() == "HPUB gw.results " + ready.inbox + "7 64 66\r\nNATS/1.0\r\nNats-Msg-Id: gw-17\r\nContent-Type: application/json\r\n\r\n{}\r\n");
  CHECK(ready.nats->take_answers().empty());
  ready.reply(8, R"({"stream":"R","seq":1})");  // of none of ours
  CHECK(ready.nats->take_answers().empty());
  ready.reply(7, R"({"stream":"R","seq":1})");
  const BrokerAnswer answer = ready.answer();
  CHECK(answer.id == 7);
  CHECK(answer.verdict == Verdict::kStored);
  ready.reply(7, R"({"stream":"R","seq":1})");
  CHECK(ready.nats->take_answers().empty());
  ready.publish(9);
  ready.reply(9, R"({"stream":"R","seq":1,"duplicate":true})");
  CHECK(ready.answer().verdict == Verdict::kStored);
}

TEST_CASE("nats: what the stream says, for the message") {
  const std::pair<std::string, Verdict> kSays[] = {
      {R"({"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}})", Verdict::kRefused},
      {R"({"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"},"stream":"R","seq":0})", Verdict::kBusy},
      {R"({"error":{"code":500,"description":"server"}})", Verdict::kBusy},
      {R"({"error":{"code":404,"description":"no such"}})", Verdict::kTryAgain},
      {R"({"error":{}})", Verdict::kTryAgain},
      {"{}", Verdict::kTryAgain},
      {R"({"stream":"R"})", Verdict::kTryAgain},
      {R"({"stream":"R","seq":-1})", Verdict::kTryAgain},
      {"", Verdict::kTryAgain},
      {"hello", Verdict::kTryAgain},
      {"[[[[", Verdict::kTryAgain}};
  for (const auto& [says, verdict] : kSays) {
    CAPTURE(says);
    Ready ready;
    ready.publish(1);
    ready.reply(1, says);
    const BrokerAnswer answer = ready.answer();
    CHECK(answer.verdict == verdict);
    CHECK_FALSE(answer.text.empty());
  }
}

TEST_CASE("nats: nobody takes messages on the subject") {
  Ready ready;
  ready.publish(1);
  ready.nats->receive("HMSG " + ready.inbox + "1 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
  const BrokerAnswer answer = ready.answer();
  CHECK(answer.verdict == Verdict::kTryAgain);
  CHECK(answer.text == "no stream takes messages on the subject gw.results");
}

TEST_CASE("nats: a subject that is not allowed is no other's fault") {
  Ready ready;
  ready.publish(1, "a");
  ready.publish(2, "b");
  ready.nats->receive("-ERR 'Permissions Violation for Publish to \"b\"'\r\n");
  const BrokerAnswer answer = ready.answer();
  CHECK(answer.id == 2);
  CHECK(answer.verdict == Verdict::kTryAgain);
  CHECK(ready.nats->state() == State::kReady);
}

TEST_CASE("nats: a subject that a job's name has broken, and a message that is too large, are refused here") {
  Ready ready("INFO {\"headers\":true,\"max_payload\":100}\r\n");
  const auto broken = ready.nats->publish(1, {"gw.a..b", "k", "{}"});
  REQUIRE(broken);
  CHECK(broken->verdict == Verdict::kRefused);
  const auto large = ready.nats->publish(2, {"gw.a", "gw-17", std::string(37, 'x')});
  REQUIRE(large);
  CHECK(large->text == "a message of 101 bytes is larger than the server takes (100)");
  CHECK_FALSE(ready.nats->publish(3, {"gw.a", "gw-17", std::string(36, 'x')}));
}

TEST_CASE("nats: what the server says in words") {
  auto nats = session();
  nats->receive(kInfo + "-ERR 'Authorization Violation'\r\n");
  CHECK(nats->failure() == "refuses the connection: Authorization Violation");
  Ready ready;
  ready.nats->receive("-ERR 'Stale Connection'\r\n");
  CHECK(ready.nats->failure() == "ended the connection: Stale Connection");
}

TEST_CASE("nats: PING is answered, and bytes may come one at a time") {
  auto nats = session();
  for (const char byte : kInfo) nats->receive({&byte, 1});
  nats->take_output();
  for (const char byte : std::string("PING\r\n+OK\r\nping \r\nPONG\r\n")) nats->receive({&byte, 1});
  CHECK(nats->take_output() == "PONG\r\nPONG\r\n");
  CHECK(nats->state() == State::kReady);
}

TEST_CASE("nats: what is no NATS ends the connection") {
  for (const std::string bytes : {"HTTP/1.1 400 Bad Request\r\n", "MSG a 1 2\r\n", "INFO\r\n", "INFO []\r\n", "INFO {\"headers\":false}\r\n"}) {
    CAPTURE(bytes);
    auto nats = session();
    nats->receive(bytes);
    CHECK(nats->state() == State::kFailed);
    CHECK_FALSE(nats->failure().empty());
  }
  for (const std::string bytes : {"WHAT\r\n", "MSG a 1\r\n", "MSG a 1 x\r\n", "MSG a 1 65537\r\n", "MSG a 1 -1\r\n", "HMSG a 1 3\r\n", "HMSG a 1 9 3\r\n",
                                  "MSG a 1 99999999999999999999999\r\n", "MSG a 1 b 2 3\r\n", "MSG a 1 2\r\nabcd\r\n"}) {
    CAPTURE(bytes);
    Ready ready;
    ready.nats->receive(bytes);
    CHECK(ready.nats->state() == State::kFailed);
  }
}

TEST_CASE("nats: a line ends within its limit") {
  Ready ready;
  ready.nats->receive(std::string(kNatsLineMax, 'x'));
  CHECK(ready.nats->state() == State::kReady);
  ready.nats->receive("xx");
  CHECK(ready.nats->state() == State::kFailed);
}
