// What a configuration asks of TLS beyond a good certificate: pins, versions, suites, the protocol.
#include <doctest/doctest.h>

#include <fstream>

#include "platform/net/tls_context.h"
#include "platform/net/tls_words.h"
#include "tls_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// By openssl, as RFC 7469, appendix A does it.
std::string pin_of(const std::string& cert) {
  const TempFolder folder;
  const std::string file = folder / "pin";
  REQUIRE(run({"sh", "-c", "openssl x509 -in " + cert + " -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64"}, file));
  std::string base64;
  std::ifstream(file) >> base64;
  return "sha256/" + base64;
}

SpkiPin pin(const std::string& text) {
  const auto parsed = parse_pin(text);
  REQUIRE_MESSAGE(parsed.ok(), text);
  return *parsed;
}

std::string failure(const TlsConfig& config) {
  const auto context = TlsContext::load(config);
  return context ? "" : context.error().message;
}

// A ServerHello of TLS 1.2 that chooses the protocol "h2".
std::string hello_with_h2() {
  const std::string extension("\x00\x10\x00\x05\x00\x03\x02h2", 9);
  std::string body = "\x03\x03" + std::string(32, 'r') + std::string("\x00\xc0\x2b\x00\x00", 5) + static_cast<char>(extension.size()) + extension;
  body = std::string("\x02\x00\x00", 3) + static_cast<char>(body.size()) + body;
  return std::string("\x16\x03\x03\x00", 4) + static_cast<char>(body.size()) + body;
}

}  // namespace

TEST_CASE("tls words: pins") {
  const std::string text = "sha256/uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=";
  CHECK(pin(text)[0] == 0xb9);
  CHECK(pin_text(pin(text)) == text);
  for (const char* bad : {"", "sha256/", "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=", "sha1/uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=",
                          "sha256/uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLv", "sha256/uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzekAAAA=",
                          "sha256/uU0nuZNNPgilLlLX2n2r-sSE7-N6U4DukIj3rOLvzek="}) {
    CHECK_MESSAGE(!parse_pin(bad).ok(), bad);
  }
}

TEST_CASE("tls words: each suite has its number, and is of one version") {
  REQUIRE(tls_suites().size() == 9);
  for (const TlsSuite& suite : tls_suites()) {
    CHECK(find_tls_suite(suite.number) == find_tls_suite(suite.name));
    CHECK((suite.version == TlsVersion::v1_2) == has(std::string(suite.name), "ECDHE"));
  }
  CHECK(find_tls_suite("TLS_AES_128_GCM_SHA256")->number == 0x1301);
  CHECK(find_tls_suite("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")->number == 0xc02f);
  CHECK(find_tls_suite("TLS_RSA_WITH_AES_128_CBC_SHA") == nullptr);
}

TEST_CASE("tls: one of the pinned keys is in the chain, or nothing is sent") {
  const std::string own = pin_of(tls_world().good.cert), root = pin_of(tls_world().ca.file());
  const std::string other = pin_of(tls_world().client.cert);
  for (const char* version : {"-tls1_3", "-tls1_2"}) {
    OpensslServer server(tls_world().good, {version});
    for (const std::string& one : {own, root}) {
      TlsSetup s;
      s.config.pins = {pin(other), pin(one)};
      const HttpResult r = s.get(server.port());
      CHECK_MESSAGE(r.ok(), r.error.message);
      CHECK(s.get(server.port()).ok());  // resumed: it was checked when the session began
      CHECK(s.client.stats().tls_resumed == 1);
    }
    TlsSetup s;
    s.config.pins = {pin(other)};
    const HttpResult r = s.get(server.port());
    check_error(r, NetErrorKind::kTlsVerify, "has none of the pinned keys: its chain has " + own + " (its own), " + root + " (Test Root)");
    CHECK(!r.sent);
    // The clock has no part in it.
    s.clock = {false, 0};
    check_error(s.get(server.port()), NetErrorKind::kTlsVerify, "has none of the pinned keys");
  }
}

TEST_CASE("tls: a pin does not take the place of an authority") {
  const TestCa::Pair alone = tls_world().ca.self_signed("ingest.example");
  OpensslServer server(alone);
  TlsSetup s;
  s.config.pins = {pin(pin_of(alone.cert))};
  check_error(s.get(server.port()), NetErrorKind::kTlsVerify, "is signed by itself alone");
  OpensslServer named(tls_world().good);
  s.config.pins = {pin(pin_of(tls_world().good.cert))};
  check_error(s.get(named.port(), "other.example"), NetErrorKind::kTlsVerify, "is for ingest.example");
}

TEST_CASE("tls: sessions that began without pins are not resumed with them") {
  OpensslServer server(tls_world().good);
  TlsSetup s;
  CHECK(s.get(server.port()).ok());
  s.config.pins = {pin(pin_of(tls_world().client.cert))};
  check_error(s.get(server.port()), NetErrorKind::kTlsVerify, "has none of the pinned keys");
}

TEST_CASE("tls: the suites that are named, and no others") {
  const auto suites = [](std::initializer_list<const char*> names) {
    std::vector<int> numbers;
    for (const char* name : names) numbers.push_back(find_tls_suite(name)->number);
    return numbers;
  };
  OpensslServer both(tls_world().good);
  OpensslServer old_only(tls_world().good, {"-tls1_2"});
  const auto body = [&](const OpensslServer& server, std::vector<int> numbers) {
    TlsSetup s;
    s.config.suites = std::move(numbers);
    const HttpResult r = s.get(server.port());
    return r.ok() ? r.response.body : r.error.message;
  };
  CHECK(has(body(both, suites({"TLS_CHACHA20_POLY1305_SHA256"})), "Cipher is TLS_CHACHA20_POLY1305_SHA256"));
  CHECK(has(body(both, suites({"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"})), "TLSv1.2, Cipher is ECDHE-ECDSA-AES256-GCM-SHA384"));
  CHECK(has(body(old_only, suites({"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"})), "Cipher is ECDHE-ECDSA-CHACHA20-POLY1305"));
  CHECK(has(body(old_only, suites({"TLS_AES_128_GCM_SHA256"})), "no common TLS version"));
  CHECK(has(body(old_only, suites({"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"})), "refused the TLS handshake"));  // its key is for ECDSA
  TlsConfig config;
  config.ca_file = tls_world().ca.file();
  config.suites = {1};
  CHECK(has(failure(config), "the cipher suite 1 is not known"));
  config.suites = suites({"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"});
  config.min_version = TlsVersion::v1_3;
  CHECK(has(failure(config), "none of the cipher suites is for TLS 1.3"));
}

TEST_CASE("tls: http/1.1 is what is spoken") {
  TlsSetup s;
  TlsPeer same(s.loop, tls_world().good, [](TlsPeer::Client& c) { c.say("HTTP/1.1 204 No Content\r\n\r\n"); }, "http/1.1");
  CHECK(s.get(same.port()).ok());  // it refuses who does not offer it
  TlsPeer other(s.loop, tls_world().good, [](TlsPeer::Client&) {}, "h2");
  check_error(s.get(other.port()), NetErrorKind::kTlsProtocol, "it does not speak HTTP/1.1");
  Peer chooses(s.loop, [](Peer::Client& c) { c.say(hello_with_h2()); });
  check_error(s.get(chooses.port()), NetErrorKind::kTlsProtocol, "TLS with");
}

TEST_CASE("tls: other protocols by ALPN take the place of http/1.1") {
  TlsSetup s;
  s.config.alpn = {"x-amzn-http-ca", "other"};
  const auto answers = [](TlsPeer::Client& c) { c.say("HTTP/1.1 204 No Content\r\n\r\n"); };
  TlsPeer same(s.loop, tls_world().good, answers, "x-amzn-http-ca");
  CHECK(s.get(same.port()).ok());
  TlsPeer http(s.loop, tls_world().good, answers, "http/1.1");
  check_error(s.get(http.port()), NetErrorKind::kTlsProtocol, "it takes no protocol that was offered (\"alpn\")");
}
