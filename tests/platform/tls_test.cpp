// TLS against openssl's server and against a peer on the same loop; certificates by the openssl command.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "platform/clock.h"
#include "platform/net/tls_context.h"
#include "tls_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

constexpr int64_t kYearMs = int64_t{365} * 24 * 3600 * 1000;
const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
using Setup = TlsSetup;
TlsWorld& world() { return tls_world(); }

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TlsPeer::Script answer_tls(const std::string& response) {
  return [response](TlsPeer::Client& client) {
    if (client.got.find("\r\n\r\n") == std::string::npos) return;
    client.got.clear();
    ++client.requests;
    client.say(response);
  };
}

}  // namespace

TEST_CASE("tls: good servers, 1.3 and 1.2") {
  for (const char* version : {"-tls1_3", "-tls1_2"}) {
    OpensslServer server(world().good, {version});
    Setup s;
    const HttpResult r = s.get(server.port());
    REQUIRE_MESSAGE(r.ok(), r.error.message);
    CHECK(r.response.status == 200);
    CHECK(has(r.response.body, version == std::string("-tls1_3") ? "TLSv1.3" : "TLSv1.2"));
    CHECK(s.get(server.port(), "127.0.0.1").ok());  // by the address in the certificate
    CHECK(s.client.stats().tls_full == 2);
  }
}

TEST_CASE("tls: a server with RSA") {
  const TempFolder folder;
  TestCa::Pair rsa{folder / "c.pem", folder / "k.pem"};
  REQUIRE(run({"openssl", "req", "-x509", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=ingest.example", "-addext",
               "subjectAltName=DNS:ingest.example", "-days", "3650", "-keyout", rsa.key, "-out", rsa.cert},
              folder / "log"));
  for (const char* version : {"-tls1_3", "-tls1_2"}) {
    OpensslServer server(rsa, {version});
    Setup s;
    s.config.ca_file = rsa.cert;
    s.clock.wall_ms = wall_ms();  // openssl dates it from now
    const HttpResult r = s.get(server.port());
    CHECK_MESSAGE(r.ok(), r.error.message);
  }
}

TEST_CASE("tls: wrong host") {
  OpensslServer server(world().good);
  Setup s;
  const std::string peer = "other.example:" + std::to_string(server.port());
  const HttpResult r = s.get(server.port(), "other.example");
  check_error(r, NetErrorKind::kTlsVerify,
              "the certificate of " + peer + " is for ingest.example, 127.0.0.1");
  CHECK(!r.sent);
  // A date on top of it does not make it deferrable.
  s.clock = {false, 0};
  check_error(s.get(server.port(), "other.example"), NetErrorKind::kTlsVerify, "is for ingest.example");
}

TEST_CASE("tls: an address must be among the addresses of the certificate") {
  Setup s;
  OpensslServer name_only(world().ca.issue("ingest.example", "DNS:ingest.example"));
  check_error(s.get(name_only.port(), "127.0.0.1"), NetErrorKind::kTlsVerify, "is for ingest.example");
  OpensslServer as_name(world().ca.issue("127.0.0.1", "DNS:127.0.0.1"));
  check_error(s.get(as_name.port(), "127.0.0.1"), NetErrorKind::kTlsVerify, "is for 127.0.0.1");
  OpensslServer common_name(world().ca.issue("127.0.0.1", ""));
  check_error(s.get(common_name.port(), "127.0.0.1"), NetErrorKind::kTlsVerify, "is for 127.0.0.1");
}

TEST_CASE("tls: unknown authority") {
  OpensslServer server(world().stranger.issue("ingest.example", "DNS:ingest.example"));
  OpensslServer alone(world().ca.self_signed("ingest.example"));
  Setup s;
  check_error(s.get(server.port()), NetErrorKind::kTlsVerify, "is signed by an unknown authority (Stranger)");
  s.clock = {false, 0};
  check_error(s.get(server.port()), NetErrorKind::kTlsVerify, "unknown authority");
  s.clock = {true, wall_ms()};  // openssl dates it from now
  check_error(s.get(alone.port()), NetErrorKind::kTlsVerify, "is signed by itself alone");
}

TEST_CASE("tls: dates go by the clock that is given, not the system's") {
  OpensslServer server(world().good);
  Setup s;
  s.clock = {true, kWithinMs + 80 * kYearMs};
  HttpResult r = s.get(server.port());
  check_error(r, NetErrorKind::kTlsVerify, "expired on 2099-01-01");
  CHECK(!world_not_ready(r.error));
  s.clock.trusted = false;
  r = s.get(server.port());
  check_error(r, NetErrorKind::kTlsDate, "by a clock that is not trusted yet");
  CHECK(world_not_ready(r.error));

  s.clock = {true, 0};
  check_error(s.get(server.port()), NetErrorKind::kTlsVerify, "is not valid before 2026-01-01");
  s.clock.trusted = false;
  check_error(s.get(server.port()), NetErrorKind::kTlsDate, "is not valid before 2026-01-01");
  s.clock.wall_ms = kWithinMs;  // not trusted, but nothing to complain of
  CHECK(s.get(server.port()).ok());
  // The session that is kept now does not outlive the certificate.
  s.clock = {true, kWithinMs + 80 * kYearMs};
  check_error(s.get(server.port()), NetErrorKind::kTlsVerify, "expired on 2099-01-01");

  // Long expired by any system's clock, and good by ours.
  TestCa old("Old Root", "20100101000000Z", "20120101000000Z");
  OpensslServer old_server(old.issue("ingest.example", "DNS:ingest.example", "20110101000000Z", "20110201000000Z"));
  s.config.ca_file = old.file();
  s.clock = {true, 1295000000000};  // 2011-01-14
  CHECK(s.get(old_server.port()).ok());
  s.clock = {true, 1300000000000};  // 2011-03-13
  check_error(s.get(old_server.port()), NetErrorKind::kTlsVerify, "expired on 2011-02-01");
}

TEST_CASE("tls: an expired authority") {
  TestCa short_lived("Short", "20260101000000Z", "20260201000000Z");
  OpensslServer server(short_lived.issue("ingest.example", "DNS:ingest.example"));
  Setup s;
  s.config.ca_file = short_lived.file();
  check_error(s.get(server.port()), NetErrorKind::kTlsVerify,
              "has an issuer (Short) whose certificate expired on 2026-02-01");
  s.clock.trusted = false;
  check_error(s.get(server.port()), NetErrorKind::kTlsDate, "Short");
}

TEST_CASE("tls: client certificates") {
  for (const char* version : {"-tls1_3", "-tls1_2"}) {
    OpensslServer server(world().good, {version, "-Verify", "1", "-verify_return_error", "-CAfile", world().ca.file()});
    Setup s;
    const HttpResult none = s.get(server.port());
    CHECK_MESSAGE(none.error.kind == NetErrorKind::kTlsProtocol, none.error.message);
    s.config.cert_file = world().client.cert;
    s.config.key_file = world().client.key;
    const HttpResult given = s.get(server.port());
    CHECK_MESSAGE(given.ok(), given.error.message);
  }
}

TEST_CASE("tls: versions that do not meet") {
  OpensslServer old_only(world().good, {"-tls1_2"});
  Setup s;
  s.config.min_version = TlsVersion::v1_3;
  CHECK(s.get(old_only.port()).error.kind == NetErrorKind::kTlsProtocol);
  OpensslServer older(world().good, {"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"});
  s.config.min_version = TlsVersion::v1_2;
  check_error(s.get(older.port()), NetErrorKind::kTlsProtocol, "version");
}

TEST_CASE("tls: what is no TLS, is cut, or is silent") {
  Setup s;
  Peer http(s.loop, [](Peer::Client& c) { c.say("HTTP/1.1 400 Bad Request\r\n\r\n"); });
  check_error(s.get(http.port()), NetErrorKind::kTlsProtocol, "is not TLS");
  Peer cut(s.loop, [](Peer::Client& c) {
    c.say(std::string("\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03", 11));
    c.finish();
  });
  check_error(s.get(cut.port()), NetErrorKind::kClosed, "closed the connection during the TLS handshake");
  Peer reset(s.loop, [](Peer::Client& c) { c.reset(); });
  check_error(s.get(reset.port()), NetErrorKind::kClosed, "broke during the TLS handshake: connection reset");
  Peer silent(s.loop, [](Peer::Client&) {});
  HttpRequest request = s.request(silent.port());
  request.deadlines.tls_ms = 30;
  const HttpResult r = fetch(s.loop, s.client, request);
  check_error(r, NetErrorKind::kTimeout, "no TLS handshake");
  CHECK(r.error.phase == NetPhase::kTls);
  CHECK(!r.sent);
  REQUIRE(s.loop.run_until([&] { return silent.open() == 0; }));
}

TEST_CASE("tls: connections are kept, and resumed when they are not") {
  Setup s;
  TlsPeer peer(s.loop, world().good, answer_tls(kOk));
  for (int i = 0; i < 3; ++i) {
    const HttpResult r = s.get(peer.port());
    REQUIRE_MESSAGE(r.ok(), r.error.message);
    CHECK(r.reused == (i > 0));
  }
  CHECK(peer.connections() == 1);
  for (const char* version : {"-tls1_3", "-tls1_2"}) {  // its answers end the connection
    Setup t;
    OpensslServer server(world().good, {version});
    for (int i = 0; i < 3; ++i) {
      const HttpResult r = t.get(server.port());
      CHECK_MESSAGE(has(r.response.body, i == 0 ? "\nNew, TLSv1." : "\nReused, TLSv1."), r.response.body);  // by the server's word
    }
    CHECK(t.client.stats().connections_opened == 3);
    CHECK(t.client.stats().tls_full == 1);
    CHECK(t.client.stats().tls_resumed == 2);
  }
}

TEST_CASE("tls: a body without a length needs a proper end") {
  Setup s;
  TlsPeer proper(s.loop, world().good, [](TlsPeer::Client& c) {
    c.say("HTTP/1.1 200 OK\r\n\r\nwhole");
    c.finish();
  });
  CHECK(s.get(proper.port()).response.body == "whole");
  TlsPeer cut(s.loop, world().good, [](TlsPeer::Client& c) {
    c.say("HTTP/1.1 200 OK\r\n\r\nwho");
    c.cut();
  });
  check_error(s.get(cut.port()), NetErrorKind::kClosed, "in the middle of the response");
}

TEST_CASE("tls: a kept connection that the server ended is tried once more") {
  Setup s;
  TlsPeer peer(s.loop, world().good, [](TlsPeer::Client& c) {
    if (++c.requests == 2) return c.finish();
    c.got.clear();
    c.say(kOk);
  });
  CHECK(s.get(peer.port()).ok());
  const HttpResult r = s.get(peer.port());
  REQUIRE_MESSAGE(r.ok(), r.error.message);
  CHECK(r.retried);
}

TEST_CASE("tls: large bodies both ways") {
  Setup s;
  size_t seen = 0;
  TlsPeer peer(s.loop, world().good, [&](TlsPeer::Client& c) {
    seen += c.got.size();
    c.got.clear();
    if (seen >= 1000000) c.say("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + std::string(200000, 'r'));
  });
  HttpRequest request = s.request(peer.port());
  request.method = "POST";
  request.body = std::make_shared<const std::string>(1000000, 'q');
  request.limits.max_body_bytes = 300000;
  const HttpResult r = fetch(s.loop, s.client, request);
  REQUIRE_MESSAGE(r.ok(), r.error.message);
  CHECK(r.response.body == std::string(200000, 'r'));
}

TEST_CASE("tls: files that cannot be used say so") {
  const TempFolder folder;
  const auto failure = [](const TlsConfig& config) {
    const auto context = TlsContext::load(config);
    return context ? std::string("loaded") : context.error().message;
  };
  TlsConfig config;
  config.ca_file = folder / "absent.pem";
  CHECK(has(failure(config), "cannot read " + (folder / "absent.pem") + ": No such file"));
  std::ofstream(folder / "odd.pem") << "no certificate";
  config.ca_file = folder / "odd.pem";
  CHECK(has(failure(config), "holds no certificate"));
  config.ca_file = folder.path();
  CHECK(has(failure(config), "is not a file"));

  config.ca_file = world().ca.file();
  config.cert_file = world().client.cert;
  CHECK(has(failure(config), "both a certificate and a key"));
  config.key_file = world().good.key;
  CHECK(has(failure(config), "is not the key of"));
  config.key_file = folder / "open.key";
  std::filesystem::copy_file(world().client.key, config.key_file);
  chmod(config.key_file.c_str(), 0640);
  CHECK(has(failure(config), "has mode 0640"));
  chmod(config.key_file.c_str(), 0400);
  CHECK(failure(config) == "loaded");

  Setup s;
  s.config.ca_file = folder / "absent.pem";
  OpensslServer server(world().good);
  check_error(s.get(server.port()), NetErrorKind::kLocal, "No such file");
}

TEST_CASE("tls: folders of authorities") {
  const TempFolder folder;
  TlsConfig config;
  config.ca_dir = folder.path();
  CHECK(!TlsContext::load(config).ok());
  std::filesystem::copy_file(world().stranger.file(), folder / "a.crt");
  std::filesystem::copy_file(world().ca.file(), folder / "b.pem");
  std::ofstream(folder / "README") << "not a certificate";
  OpensslServer server(world().good);
  Setup s;
  s.config = config;
  CHECK(s.get(server.port()).ok());
}

TEST_CASE("tls: renewed files are used without a restart") {
  const TempFolder folder;
  const std::string file = folder / "ca.pem";
  std::filesystem::copy_file(world().stranger.file(), file);
  OpensslServer server(world().good);
  Setup s;
  s.config.ca_file = file;
  check_error(s.get(server.port()), NetErrorKind::kTlsVerify, "unknown authority");
  std::filesystem::copy_file(world().ca.file(), folder / "new.pem");
  std::filesystem::rename(folder / "new.pem", file);
  CHECK(s.get(server.port()).ok());
  // Half a renewal: the old certificates are used on, and the reason is told.
  std::ofstream(file) << "broken";
  CHECK(s.get(server.port()).ok());
  CHECK(has(s.client.tls_error(*s.client.add_tls(s.config)), "holds no certificate"));
}

TEST_CASE("tls: it is known when certificates end") {
  const TempFolder folder;
  constexpr int64_t k2050Ms = 2524608000000;
  const auto second = [](int64_t ms) { return ms / 1000 * 1000; };
  const TestCa::Pair shorter = world().ca.issue("device-7", "", kFrom, "20500101000000Z");
  OpensslServer server(world().ca.issue("ingest.example", "DNS:ingest.example", kFrom, "20600101000000Z"));
  const std::string peer = "ingest.example:" + std::to_string(server.port());
  Setup s;
  s.config.cert_file = folder / "cert";
  s.config.key_file = folder / "key";
  const auto put = [&](const TestCa::Pair& pair) {
    std::filesystem::remove(s.config.key_file);
    std::filesystem::copy_file(pair.cert, s.config.cert_file, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::copy_file(pair.key, s.config.key_file);
    chmod(s.config.key_file.c_str(), 0600);
  };
  put(shorter);
  const auto ends = [&] { return s.client.cert_ends(*s.client.add_tls(s.config), peer); };
  CHECK(ends() == CertEnds{});  // not read yet
  REQUIRE(s.get(server.port()).ok());
  CHECK(second(ends()[kClientCert]) == k2050Ms);
  CHECK(second(ends()[kCaCert]) == 4070908800000);      // 2099
  CHECK(second(ends()[kServerCert]) == 2840140800000);  // 2060: the server's own, not the authority's
  // Renewed, and seen with the next connection.
  put(world().ca.issue("device-7", "", kFrom, "20700101000000Z"));
  REQUIRE(s.get(server.port()).ok());
  CHECK(second(ends()[kClientCert]) == 3155760000000);
  // A handshake that fails tells it, too.
  s.clock.wall_ms = 2840140800000 + kYearMs;
  check_error(s.get(server.port()), NetErrorKind::kTlsVerify, "expired on 2060-01-01");
  CHECK(second(ends()[kServerCert]) == 2840140800000);
}

TEST_CASE("tls: the system's authorities do not know the test's") {
  OpensslServer server(world().good);
  Setup s;
  HttpRequest request = s.request(server.port());
  request.tls = kTlsSystem;
  const HttpResult r = fetch(s.loop, s.client, request);
  // Without a bundle on this machine the message says so.
  CHECK((r.error.kind == NetErrorKind::kTlsVerify || has(r.error.message, "no bundle of CA certificates")));
}

TEST_CASE("tls: verification can be turned off by the name it deserves") {
  OpensslServer server(world().ca.self_signed("whatever"));
  Setup s;
  s.config = {};
  s.config.dangerously_skip_verification = true;
  s.clock = {false, 0};
  const HttpResult r = s.get(server.port());
  CHECK_MESSAGE(r.ok(), r.error.message);
}

TEST_CASE("tls: configurations are shared, counted and bounded") {
  Setup s;
  const auto a = s.client.add_tls(s.config), b = s.client.add_tls(s.config);
  CHECK(*a == *b);
  CHECK(*a != kTlsSystem);
  CHECK(*s.client.add_tls({}) == kTlsSystem);
  s.client.remove_tls(*a);
  OpensslServer server(world().good);
  HttpRequest request = s.request(server.port());
  CHECK(fetch(s.loop, s.client, request).ok());
  for (int i = 0; i < 3; ++i) s.client.remove_tls(*a);
  check_error(fetch(s.loop, s.client, request), NetErrorKind::kLocal, "no TLS configuration");
  for (size_t i = 0; i < 100; ++i) {
    TlsConfig config;
    config.ca_file = std::to_string(i);
    const auto added = s.client.add_tls(config);
    if (!added) CHECK(added.error().code == HF_E_FULL);
    if (i == 99) CHECK(!added.ok());
  }
}

TEST_CASE("tls: shutdown amid handshakes") {
  Setup s;
  Peer silent(s.loop, [](Peer::Client&) {});
  int canceled = 0;
  for (int i = 0; i < 3; ++i)
    s.client.send(s.request(silent.port()), [&](HttpResult r) { canceled += r.error.kind == NetErrorKind::kCanceled; });
  REQUIRE(s.loop.run_until([&] { return silent.connections() == 3 && !silent.client(2).got.empty(); }));
  s.client.shutdown({});
  CHECK(canceled == 3);
}
