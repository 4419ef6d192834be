#include "platform/net/url.h"

#include <doctest/doctest.h>

#include <string>

using hf::parse_url;

namespace {

std::string refusal(std::string_view text) {
  const auto url = parse_url(text);
  return url ? "accepted" : url.error().message;
}

}  // namespace

TEST_CASE("url: the parts") {
  auto url = parse_url("https://Ingest.Example/v1/results?x=1&y=%20@:");
  REQUIRE(url.ok());
  CHECK(url->https);
  CHECK(url->host == "ingest.example");
  CHECK(!url->host_is_ip);
  CHECK(url->port == 443);
  CHECK(url->target == "/v1/results?x=1&y=%20@:");
  CHECK(url->authority() == "ingest.example");
  CHECK(url->host_port() == "ingest.example:443");

  url = parse_url("HTTP://a-b.c_d.example:8080");
  REQUIRE(url.ok());
  CHECK(!url->https);
  CHECK(url->port == 8080);
  CHECK(url->target == "/");
  CHECK(url->authority() == "a-b.c_d.example:8080");

  url = parse_url("http://h?q");
  REQUIRE(url.ok());
  CHECK(url->target == "/?q");
  CHECK(url->port == 80);
}

TEST_CASE("url: IP literals") {
  auto url = parse_url("https://[2001:DB8:0::1]:8443/x");
  REQUIRE(url.ok());
  CHECK(url->host == "2001:db8::1");
  CHECK(url->host_is_ip);
  CHECK(url->authority() == "[2001:db8::1]:8443");
  CHECK(parse_url("https://[::1]/")->authority() == "[::1]");
  CHECK(parse_url("http://192.0.2.7/")->host_is_ip);
  CHECK(refusal("http://[fe80::1%25eth0]/").find("zone") != std::string::npos);
  CHECK(refusal("http://[1.2.3.4]/").find("no IPv6") != std::string::npos);
  CHECK(refusal("http://[::1/").find("']'") != std::string::npos);
  CHECK(refusal("http://[::1]x/").find("port") != std::string::npos);
  CHECK(refusal("http://2001:db8::1/").find("brackets") != std::string::npos);
  for (const char* odd : {"http://127.1/", "http://0x7f.1/", "http://2130706433/", "http://1.2.3.4.5/",
                          "http://256.1.1.1/", "http://0177.0.0.1/"})
    CHECK_MESSAGE(!parse_url(odd).ok(), odd);
}

TEST_CASE("url: what is refused says why") {
  CHECK(refusal("").find("empty") != std::string::npos);
  CHECK(refusal("ftp://h/").find("ftp") != std::string::npos);
  CHECK(refusal("//h/").find("http://") != std::string::npos);
  CHECK(refusal("http://").find("no host") != std::string::npos);
  CHECK(refusal("http:///x").find("no host") != std::string::npos);
  CHECK(refusal("http://u:p@h/").find("user name") != std::string::npos);
  CHECK(refusal("http://h/#f").find("fragment") != std::string::npos);
  CHECK(refusal("http://h/a b").find("blank at byte 11") != std::string::npos);
  CHECK(refusal(std::string("http://h/a\0b", 12)).find("control") != std::string::npos);
  CHECK(refusal("http://h/a\r\nX: y").find("control") != std::string::npos);
  CHECK(refusal("http://h\\@x/").find("backslash") != std::string::npos);
  CHECK(refusal("http://h\xc3\xa4/").find("ASCII") != std::string::npos);
  CHECK(refusal("http://a..b/").find("empty label") != std::string::npos);
  CHECK(refusal("http://a./").find("empty label") != std::string::npos);
  CHECK(refusal("http://-a/").find("'-'") != std::string::npos);
  CHECK(refusal("http://a%41/").find("'%'") != std::string::npos);
  CHECK(refusal("http://h:/").find("port") != std::string::npos);
  CHECK(refusal("http://h:0/").find("port") != std::string::npos);
  CHECK(refusal("http://h:65536/").find("port") != std::string::npos);
  CHECK(refusal("http://h:99999999999999999999/").find("port") != std::string::npos);
  CHECK(refusal("http://h:8x/").find("no number") != std::string::npos);
  CHECK(refusal("http://" + std::string(64, 'a') + "/").find("63") != std::string::npos);
}

TEST_CASE("url: the length is bounded") {
  const std::string longest = "http://h/" + std::string(hf::kUrlMax - 9, 'a');
  CHECK(parse_url(longest).ok());
  const auto longer = parse_url(longest + "a");
  REQUIRE(!longer.ok());
  CHECK(longer.error().code == HF_E_TOO_LARGE);
}

TEST_CASE("url: a reference in an answer is resolved as RFC 3986 says") {
  const hf::Url base = *parse_url("https://h.example:8443/a/b/c?q");
  const auto resolved = [&](const std::string& reference) {
    const auto url = hf::resolve_reference(base, reference);
    return url ? url->text() : url.error().message;
  };
  CHECK(resolved("https://h.example:8443/x") == "https://h.example:8443/x");
  CHECK(resolved("http://other/x#part") == "http://other/x");
  CHECK(resolved("//other/x") == "https://other/x");
  CHECK(resolved("/files/7") == "https://h.example:8443/files/7");
  CHECK(resolved("7?x=:/") == "https://h.example:8443/a/b/7?x=:/");
  CHECK(resolved("./7") == "https://h.example:8443/a/b/7");
  CHECK(resolved("../7/.") == "https://h.example:8443/a/7/");
  CHECK(resolved("../../../../7") == "https://h.example:8443/7");
  CHECK(resolved("..") == "https://h.example:8443/a/");
  CHECK(resolved("?z") == "https://h.example:8443/a/b/c?z");
  CHECK(resolved("") == "https://h.example:8443/a/b/c?q");
  CHECK(resolved("ftp://h/x").find("ftp") != std::string::npos);
  CHECK(resolved("/a b").find("blank") != std::string::npos);
  CHECK(base.same_origin(*hf::resolve_reference(base, "/x")));
  for (const char* other : {"http://h.example:8443/", "https://h.example/", "https://i.example:8443/"}) CHECK_FALSE(base.same_origin(*parse_url(other)));
}

TEST_CASE("url: of brokers") {
  const auto mqtts = hf::parse_broker_url("mqtts://Broker.example");
  REQUIRE(mqtts.ok());
  CHECK(mqtts->kind == hf::BrokerKind::kMqtt);
  CHECK(mqtts->url.https);
  CHECK(mqtts->url.host_port() == "broker.example:8883");
  CHECK(hf::parse_broker_url("mqtt://[::1]/")->url.host_port() == "[::1]:1883");
  CHECK_FALSE(hf::parse_broker_url("mqtt://h")->url.https);
  const auto nats = hf::parse_broker_url("tls://192.0.2.1:443");
  REQUIRE(nats.ok());
  CHECK(nats->kind == hf::BrokerKind::kNats);
  CHECK(nats->url.https);
  CHECK(nats->url.host_is_ip);
  CHECK(nats->url.port == 443);
  CHECK(hf::parse_broker_url("nats://h")->url.port == 4222);
  CHECK_FALSE(hf::parse_broker_url("nats://h")->url.https);

  for (const char* text : {"mqtt://h", "MQTTS://h", "nats://", "tls://u@h"}) CHECK(hf::is_broker_url(text));
  for (const char* text : {"http://h", "mqtt", "mqtt:/h", "wss://h", ""}) CHECK_FALSE(hf::is_broker_url(text));
  for (const char* text : {"mqtts://u:p@h", "mqtts://h/topic", "mqtts://h?x", "mqtts://", "mqtts://h:0", "http://h", "h", "", "nats://a,nats://b"})
    CHECK_FALSE(hf::parse_broker_url(text).ok());
  CHECK_FALSE(parse_url("mqtts://h").ok());
}
