// The client against a peer on the same loop that misbehaves by script.
#include "platform/net/http_client.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "net_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

struct Setup {
  TestLoop loop;
  HttpClient client;
  explicit Setup(HttpClientOptions options = {}) : client(loop.uv(), std::move(options)) {}
  ~Setup() { shut(loop, client); }
  HttpResult fetch(HttpRequest request) { return test::fetch(loop, client, std::move(request)); }
};

// What comes of one GET to a peer with this script.
HttpResult outcome(Peer::Script script, const std::function<void(HttpRequest&)>& change = {}) {
  Setup setup;
  Peer peer(setup.loop, std::move(script));
  HttpRequest request = request_to(peer.url());
  if (change) change(request);
  return setup.fetch(std::move(request));
}

Peer::Script once(std::string response, bool finish = false) {
  return [response, finish](Peer::Client& client) {
    if (client.got.find("\r\n\r\n") == std::string::npos) return;
    client.take();
    client.say(response);
    if (finish) client.finish();
  };
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("http: a request and its response") {
  Setup setup;
  std::string seen;
  Peer peer(setup.loop, [&](Peer::Client& client) {
    seen += client.take();
    if (has(seen, "hello body")) client.say("HTTP/1.1 201 Created\r\nX-One: 1\r\nRetry-After:  7 \r\nContent-Length: 4\r\n\r\nmade");
  });
  HttpRequest request = request_to(peer.url("/v1?x=y"));
  request.method = "POST";
  request.headers.add("Idempotency-Key", "dev-1");
  request.body = std::make_shared<const std::string>("hello body");
  const HttpResult result = setup.fetch(request);
  REQUIRE_MESSAGE(result.ok(), result.error.message);
  CHECK(result.response.status == 201);
  CHECK(result.response.body == "made");
  CHECK(result.response.headers.get("x-one") == "1");
  CHECK(result.response.headers.get("RETRY-AFTER") == "7");
  CHECK(result.response.headers.find("absent") == nullptr);
  CHECK(result.sent);
  CHECK(seen.rfind("POST /v1?x=y HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(peer.port()) + "\r\n", 0) == 0);
  CHECK(has(seen, "Idempotency-Key: dev-1\r\n"));
  CHECK(has(seen, "Content-Length: 10\r\n"));
  CHECK(has(seen, "User-Agent: holdfast/"));
}

TEST_CASE("http: what went over the wire is counted, to each request its own") {
  Setup setup;
  size_t got = 0;
  Peer peer(setup.loop, [&](Peer::Client& client) {
    if (!has(client.got, "\r\n\r\nbody")) return;
    got = client.take().size();
    client.say(kOk);
  });
  for (int i = 0; i < 3; ++i) {
    HttpRequest request = request_to(peer.url());
    request.method = "POST";
    request.headers.add("Padding", std::string(static_cast<size_t>(i) * 1000, 'p'));
    request.body = std::make_shared<const std::string>("body");
    const HttpResult result = setup.fetch(request);
    REQUIRE(result.ok());
    CHECK(result.wire_bytes == static_cast<int64_t>(got + kOk.size()));
  }
}

TEST_CASE("http: bodies with and without a length") {
  HttpResult r = outcome(once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nTrail: er\r\n\r\n"));
  CHECK(r.response.body == "abcde");
  CHECK(r.response.headers.find("Trail") == nullptr);
  r = outcome(once("HTTP/1.1 200 OK\r\n\r\nuntil the end", true));
  CHECK(r.response.body == "until the end");
  r = outcome(once("HTTP/1.1 204 No Content\r\n\r\n"));
  CHECK(r.ok());
  CHECK(r.response.status == 204);
  r = outcome(once("HTTP/1.1 304 Not Modified\r\nContent-Length: 999999\r\n\r\n"));
  CHECK(r.ok());
  r = outcome(once("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"), [](HttpRequest& q) { q.method = "HEAD"; });
  CHECK(r.ok());
  CHECK(r.response.body.empty());
  r = outcome(once("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + kOk));
  CHECK(r.response.status == 200);
  CHECK(r.response.body == "ok");
  CHECK(r.response.headers.find("Link") == nullptr);
}

TEST_CASE("http: connections are kept and counted") {
  Setup setup;
  Peer peer(setup.loop, answer(kOk));
  for (int i = 0; i < 5; ++i) CHECK(setup.fetch(request_to(peer.url())).reused == (i > 0));
  CHECK(peer.connections() == 1);
  CHECK(peer.client(0).requests == 5);
  CHECK(setup.client.stats().reused == 4);
  CHECK(setup.client.stats().idle == 1);
  // Another permission is another connection, even to the same place.
  HttpRequest strict = request_to(peer.url());
  strict.allow_private = false;
  const HttpResult refused = setup.fetch(strict);
  CHECK(refused.error.kind == NetErrorKind::kRefused);
  CHECK(refused.error.message == "127.0.0.1 is a loopback address, and \"allow_private\" is not set");
}

TEST_CASE("http: Connection: close and HTTP/1.0 are honoured") {
  for (const std::string head : {"HTTP/1.1 200 OK\r\nConnection: close\r\n", "HTTP/1.0 200 OK\r\n"}) {
    Setup setup;
    Peer peer(setup.loop, answer(head + "Content-Length: 2\r\n\r\nok"));
    CHECK(setup.fetch(request_to(peer.url())).ok());
    CHECK(setup.fetch(request_to(peer.url())).ok());
    CHECK(peer.connections() == 2);
  }
}

TEST_CASE("http: more bytes than the response end the connection, not the request") {
  Setup setup;
  Peer peer(setup.loop, answer(kOk + "HTTP/1.1 200 OK\r\n"));
  CHECK(setup.fetch(request_to(peer.url())).ok());
  CHECK(setup.client.stats().idle == 0);
  CHECK(setup.fetch(request_to(peer.url())).ok());
  CHECK(peer.connections() == 2);
}

TEST_CASE("http: an idle connection that the peer closes is dropped") {
  Setup setup;
  Peer peer(setup.loop, answer(kOk));
  CHECK(setup.fetch(request_to(peer.url())).ok());
  peer.client(0).finish();
  REQUIRE(setup.loop.run_until([&] { return setup.client.stats().connections == 0; }));
  const HttpResult result = setup.fetch(request_to(peer.url()));
  CHECK(result.ok());
  CHECK(!result.retried);
  CHECK(peer.connections() == 2);
}

TEST_CASE("http: idle connections are closed in time, and then nothing is armed") {
  HttpClientOptions options;
  options.idle_ms = 20;
  Setup setup(options);
  Peer peer(setup.loop, answer(kOk));
  CHECK(setup.fetch(request_to(peer.url())).ok());
  REQUIRE(setup.loop.run_until([&] { return setup.client.stats().connections == 0; }));
  REQUIRE(setup.loop.run_until([&] { return peer.open() == 0; }));
  CHECK(!setup.loop.timer_armed());
}

TEST_CASE("http: a kept connection that breaks under a request is tried once more") {
  Setup setup;
  for (const bool reset : {false, true}) {
    int seen = 0;
    Peer peer(setup.loop, [&](Peer::Client& client) {
      if (client.got.find("\r\n\r\n") == std::string::npos) return;
      client.take();
      ++seen;
      if (++client.requests == 2) return reset ? client.reset() : client.finish();
      client.say(kOk);
    });
    CHECK(!setup.fetch(request_to(peer.url())).retried);
    const HttpResult result = setup.fetch(request_to(peer.url()));
    REQUIRE_MESSAGE(result.ok(), result.error.message);
    CHECK(result.retried);
    CHECK(!result.reused);
    CHECK(seen == 3);
  }
}

TEST_CASE("http: a lost response is not tried again on a fresh connection, nor once a byte came") {
  int seen = 0;
  HttpResult r = outcome([&](Peer::Client& client) {
    if (client.got.find("\r\n\r\n") == std::string::npos) return;
    ++seen;
    client.take();
    client.finish();
  });
  CHECK(r.error.kind == NetErrorKind::kClosed);
  CHECK(r.sent);
  CHECK(has(r.error.message, "before the response"));
  CHECK(seen == 1);
  CHECK(!world_not_ready(r.error));

  Setup setup;
  Peer peer(setup.loop, [&](Peer::Client& client) {
    if (client.got.find("\r\n\r\n") == std::string::npos) return;
    client.take();
    if (++client.requests == 1) return client.say(kOk);
    client.say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    client.finish();
  });
  CHECK(setup.fetch(request_to(peer.url())).ok());
  r = setup.fetch(request_to(peer.url()));
  CHECK(r.error.kind == NetErrorKind::kClosed);
  CHECK(r.error.phase == NetPhase::kReceive);
  CHECK(!r.retried);
  CHECK(peer.connections() == 1);
}

TEST_CASE("http: bad responses") {
  const auto bad = [](const std::string& response, const std::string& text) {
    const HttpResult r = outcome(once(response));
    CHECK_MESSAGE(r.error.kind == NetErrorKind::kBadResponse, response.substr(0, 40));
    CHECK_MESSAGE(has(r.error.message, text), r.error.message);
  };
  bad("SSH-2.0-OpenSSH_9.2\r\n", "not HTTP");
  bad("HTTP/1.1 abc\r\n\r\n", "not HTTP");
  bad("HTTP/1.1 999 Odd\r\n\r\n", "999");
  bad("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "101");
  bad("HTTP/1.1 200 OK\r\nBad Header\r\n\r\n", "not HTTP");
  bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk");
  bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "malformed");
  bad("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "not HTTP");
  bad("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "not HTTP");
  bad("HTTP/1.1 200 OK\r\nX: " + std::string(20000, 'a') + "\r\n\r\n", "longer than 16384");
  bad("HTTP/1.1 200 " + std::string(20000, 'a'), "longer than 16384");
  std::string trailers = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
  for (int i = 0; i < 3000; ++i) trailers += "A: bcdefgh\r\n";
  bad(trailers, "longer than 16384");
  std::string hints;
  for (int i = 0; i < 2000; ++i) hints += "HTTP/1.1 103 E\r\nLink: x\r\n\r\n";
  bad(hints, "longer than 16384");
}

TEST_CASE("http: a long body is cut or an error, as asked") {
  const std::string response = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + std::string(100000, 'x');
  HttpResult r = outcome(once(response), [](HttpRequest& q) { q.limits.max_body_bytes = 1000; });
  REQUIRE(r.ok());
  CHECK(r.response.body.size() == 1000);
  CHECK(r.response.body_cut);
  r = outcome(once(response), [](HttpRequest& q) {
    q.limits.max_body_bytes = 1000;
    q.limits.long_body_is_error = true;
  });
  CHECK(r.error.kind == NetErrorKind::kBadResponse);
  r = outcome(once("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nexact"), [](HttpRequest& q) { q.limits.max_body_bytes = 5; });
  CHECK(r.ok());
  CHECK(!r.response.body_cut);
}

TEST_CASE("http: resets and half responses") {
  HttpResult r = outcome([](Peer::Client& client) { client.reset(); });
  CHECK(r.error.kind == NetErrorKind::kClosed);
  for (const char* half : {"H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
                           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"}) {
    r = outcome(once(half, true));
    CHECK_MESSAGE(r.error.kind == NetErrorKind::kClosed, half);
    CHECK(has(r.error.message, "in the middle of the response"));
  }
}

TEST_CASE("http: deadlines") {
  const auto nothing = [](Peer::Client&) {};
  HttpResult r = outcome(nothing, [](HttpRequest& q) { q.deadlines.first_byte_ms = 30; });
  CHECK(r.error.kind == NetErrorKind::kTimeout);
  CHECK(r.error.phase == NetPhase::kFirstByte);
  CHECK(has(r.error.message, "within 30 ms"));
  CHECK(r.sent);

  r = outcome(once("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), [](HttpRequest& q) { q.deadlines.progress_ms = 30; });
  CHECK(r.error.phase == NetPhase::kReceive);

  r = outcome(nothing, [](HttpRequest& q) { q.deadlines.whole_ms = 30; });
  CHECK(r.error.kind == NetErrorKind::kTimeout);
  CHECK(has(r.error.message, "not done within 30 ms"));

  // The peer does not read: the request does not go away.
  r = outcome(nothing, [](HttpRequest& q) {
    q.method = "POST";
    q.body = std::make_shared<const std::string>(1000, 'x');
    q.deadlines.first_byte_ms = 20;
  });
  CHECK(r.error.phase == NetPhase::kFirstByte);
}

TEST_CASE("http: one byte at a time makes progress, and the whole deadline ends it") {
  Setup setup;
  Peer* running = nullptr;
  Peer peer(setup.loop, [](Peer::Client& client) { client.say("HTTP/1.1 200 OK\r\n\r\n"); });
  running = &peer;
  LoopTimer* again = nullptr;
  auto handles = std::make_shared<HandleCount>();
  LoopTimer drip(setup.loop.uv(), handles, [&] {
    if (running->connections() > 0) running->client(0).say("x");
    again->start(5);
  });
  again = &drip;
  drip.start(5);
  HttpRequest request = request_to(peer.url());
  request.deadlines.progress_ms = 2000;
  request.deadlines.whole_ms = 150;
  const HttpResult r = setup.fetch(request);
  drip.stop();
  CHECK(r.error.kind == NetErrorKind::kTimeout);
  CHECK(r.error.phase == NetPhase::kReceive);
  CHECK(has(r.error.message, "150 ms"));
}

TEST_CASE("http: no listener") {
  Setup setup;
  Url url;
  {
    Peer peer(setup.loop, [](Peer::Client&) {});
    url = peer.url();
  }
  const HttpResult r = setup.fetch(request_to(url));
  CHECK(r.error.kind == NetErrorKind::kConnect);
  CHECK(has(r.error.message, "127.0.0.1"));
  CHECK(!r.sent);
  CHECK(world_not_ready(r.error));
}

TEST_CASE("http: names that resolve to several addresses, to private ones, or not in time") {
  HttpClientOptions options;
  struct Gate {  // shared with the thread that hangs
    uv_sem_t entered, leave;
    Gate() { uv_sem_init(&entered, 0), uv_sem_init(&leave, 0); }
    ~Gate() { uv_sem_destroy(&entered), uv_sem_destroy(&leave); }
  };
  const auto gate = std::make_shared<Gate>();
  options.resolver.lookup = [gate](const std::string& host, std::vector<Address>* out) {
    if (host == "hang.example") {
      uv_sem_post(&gate->entered);
      uv_sem_wait(&gate->leave);
    }
    // Nobody listens on the first.
    for (const char* ip : {"127.0.0.2", "127.0.0.1"}) out->push_back(*parse_ip(ip, 0));
    return 0;
  };
  Setup setup(options);
  Peer peer(setup.loop, answer(kOk));
  const std::string port = std::to_string(peer.port());
  HttpRequest request = request_to(*parse_url("http://two.example:" + port + "/"));
  const HttpResult found = setup.fetch(request);
  CHECK_MESSAGE(found.ok(), found.error.message);
  request.allow_private = false;
  const HttpResult refused = setup.fetch(request);
  CHECK(refused.error.kind == NetErrorKind::kRefused);
  CHECK(refused.error.phase == NetPhase::kDns);
  CHECK(has(refused.error.message, "two.example resolves to 127.0.0.2, a loopback address"));
  peer.stop_listening();
  CHECK(setup.client.stats().idle == 1);
  request.url = *parse_url("http://other.example:" + port + "/");
  request.allow_private = true;
  const HttpResult none = setup.fetch(request);
  CHECK(none.error.kind == NetErrorKind::kConnect);
  CHECK(has(none.error.message, "127.0.0.2: connection refused; 127.0.0.1: connection refused"));

  request.url = *parse_url("http://hang.example:" + port + "/");
  request.deadlines.dns_ms = 20;
  const HttpResult late = setup.fetch(request);
  CHECK(late.error.kind == NetErrorKind::kTimeout);
  CHECK(late.error.phase == NetPhase::kDns);
  CHECK(world_not_ready(late.error));
  uv_sem_wait(&gate->entered);
  request.url = *parse_url("http://two.example:" + port + "/");
  CHECK(setup.fetch(request).ok());  // on the kept connection; the other thread is free for names
  uv_sem_post(&gate->leave);
}

TEST_CASE("http: a large body, and an answer before its end") {
  Setup setup;
  size_t seen = 0;
  Peer peer(setup.loop, [&](Peer::Client& client) {
    seen += client.take().size();
    if (seen >= 4000000) client.say(kOk);
  });
  HttpRequest request = request_to(peer.url());
  request.method = "PUT";
  request.body = std::make_shared<const std::string>(4000000, 'b');
  CHECK(setup.fetch(request).ok());

  Peer early(setup.loop, [&](Peer::Client& client) {
    if (client.requests++ == 0) client.say("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    client.take();
  });
  request.url = early.url();
  const HttpResult r = setup.fetch(request);
  REQUIRE_MESSAGE(r.ok(), r.error.message);
  CHECK(r.response.status == 413);
}

TEST_CASE("http: requests that are refused before anything is sent") {
  Setup setup;
  Peer peer(setup.loop, answer(kOk));
  const auto refused = [&](const std::string& name, const std::string& value) {
    HttpRequest request = request_to(peer.url());
    request.headers.add(name, value);
    return setup.fetch(std::move(request)).error.kind == NetErrorKind::kRefused;
  };
  CHECK(refused("X", "a\r\nInjected: b"));
  CHECK(refused("X", "a\nb"));
  CHECK(refused("X", std::string("a\0b", 3)));
  CHECK(refused("X\r\nY", "a"));
  CHECK(refused("X Y", "a"));
  CHECK(refused("", "a"));
  CHECK(refused("content-length", "5"));
  CHECK(refused("Transfer-Encoding", "chunked"));
  CHECK(refused("HOST", "other"));
  CHECK(refused("Expect", "100-continue"));
  CHECK(refused("X", std::string(40000, 'a')));
  HttpRequest request = request_to(peer.url());
  request.method = "GET / HTTP/1.1\r\nX: y\r\n";
  CHECK(setup.fetch(request).error.kind == NetErrorKind::kRefused);
  CHECK(setup.fetch(HttpRequest()).error.kind == NetErrorKind::kRefused);
  CHECK(peer.connections() == 0);
}

TEST_CASE("http: the pool is bounded and serves those that wait") {
  HttpClientOptions options;
  options.max_connections_per_origin = 2;
  options.max_connections = 3;
  options.max_waiting = 10;
  Setup setup(options);
  Peer one(setup.loop, [](Peer::Client&) {}), two(setup.loop, answer(kOk));
  std::vector<HttpResult> results;
  const auto keep = [&](HttpResult r) { results.push_back(std::move(r)); };
  std::vector<RequestId> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(setup.client.send(request_to(one.url()), keep));
  for (int i = 0; i < 5; ++i) setup.client.send(request_to(two.url()), keep);
  // Two of `one` hang, two wait; those of `two` pass them by.
  REQUIRE(setup.loop.run_until([&] { return results.size() == 5; }));
  for (const auto& r : results) CHECK(r.ok());
  CHECK(one.connections() == 2);
  CHECK(two.connections() == 1);
  CHECK(setup.client.stats().waiting == 2);
  CHECK(setup.client.stats().connections == 3);

  // An idle connection makes room for another origin.
  Peer three(setup.loop, answer(kOk));
  setup.client.send(request_to(three.url()), keep);
  REQUIRE(setup.loop.run_until([&] { return results.size() == 6; }));
  CHECK(results.back().ok());
  REQUIRE(setup.loop.run_until([&] { return two.open() == 0; }));

  // The queue is bounded.
  for (int i = 0; i < 9; ++i) ids.push_back(setup.client.send(request_to(one.url()), keep));
  REQUIRE(setup.loop.run_until([&] { return results.size() == 7; }));
  CHECK(results.back().error.kind == NetErrorKind::kLocal);
  ids.pop_back();

  for (const RequestId id : ids) CHECK(setup.client.cancel(id));
  CHECK(!setup.client.cancel(ids[0]));
  REQUIRE(setup.loop.run_until([&] { return results.size() == 7 + ids.size(); }));
  CHECK(results.back().error.kind == NetErrorKind::kCanceled);
}

TEST_CASE("http: what is withdrawn was not sent, and what was sent is not withdrawn") {
  HttpClientOptions options;
  options.max_connections_per_origin = 1;
  Setup setup(options);
  Peer peer(setup.loop, [](Peer::Client&) {});
  std::vector<HttpResult> results;
  const auto keep = [&](HttpResult r) { results.push_back(std::move(r)); };
  const RequestId sent = setup.client.send(request_to(peer.url()), keep);
  const RequestId waiting = setup.client.send(request_to(peer.url()), keep);
  REQUIRE(setup.loop.run_until([&] { return peer.connections() == 1 && !peer.client(0).got.empty(); }));
  CHECK_FALSE(setup.client.withdraw(sent));
  CHECK(setup.client.withdraw(waiting));
  CHECK_FALSE(setup.client.withdraw(waiting));
  CHECK_FALSE(setup.client.withdraw(0));
  REQUIRE(setup.loop.run_until([&] { return results.size() == 1; }));
  CHECK(results[0].error.kind == NetErrorKind::kCanceled);
  CHECK_FALSE(results[0].sent);
  CHECK(setup.client.cancel(sent));
  REQUIRE(setup.loop.run_until([&] { return results.size() == 2; }));
  CHECK(results[1].sent);
  // One whose connection is being made has sent nothing, either.
  const RequestId connecting = setup.client.send(request_to(peer.url()), keep);
  CHECK(setup.client.withdraw(connecting));
  REQUIRE(setup.loop.run_until([&] { return results.size() == 3; }));
  CHECK_FALSE(results[2].sent);
}

TEST_CASE("http: a waiting request has its deadline") {
  HttpClientOptions options;
  options.max_connections_per_origin = 1;
  Setup setup(options);
  Peer peer(setup.loop, [](Peer::Client&) {});
  const RequestId hanging = setup.client.send(request_to(peer.url()), [](HttpResult) {});
  HttpRequest request = request_to(peer.url());
  request.deadlines.whole_ms = 30;
  const HttpResult r = setup.fetch(request);
  CHECK(r.error.kind == NetErrorKind::kTimeout);
  CHECK(r.error.phase == NetPhase::kQueue);
  CHECK(!r.sent);
  setup.client.cancel(hanging);
}

TEST_CASE("http: shutdown cancels everything once and leaves nothing") {
  TestLoop loop;
  Peer peer(loop, [](Peer::Client&) {});
  Peer quick(loop, answer(kOk));
  int canceled = 0;
  bool closed = false;
  {
    HttpClient client(loop.uv());
    fetch(loop, client, request_to(quick.url()));  // leaves an idle connection
    for (int i = 0; i < 10; ++i)
      client.send(request_to(peer.url()), [&](HttpResult r) { canceled += r.error.kind == NetErrorKind::kCanceled; });
    REQUIRE(loop.run_until([&] { return peer.connections() == 4; }));
    HttpRequest named = request_to(*parse_url("http://name.invalid/"));
    client.send(named, [&](HttpResult r) { canceled += r.error.kind == NetErrorKind::kCanceled; });
    SUBCASE("by shutdown") {
      client.shutdown([&] { closed = true; });
      CHECK(canceled == 11);
      client.send(request_to(peer.url()), [&](HttpResult r) { canceled += r.error.kind == NetErrorKind::kCanceled; });
      CHECK(canceled == 12);
      REQUIRE(loop.run_until([&] { return closed; }));
    }
    SUBCASE("by the destructor") {}
  }
  CHECK(canceled >= 11);
  REQUIRE(loop.run_until([&] { return peer.open() == 0; }));
}

TEST_CASE("http: on_done may send, cancel, and destroy the client") {
  TestLoop loop;
  Peer peer(loop, answer(kOk));
  auto client = std::make_unique<HttpClient>(loop.uv());
  int done = 0, canceled = 0;
  client->send(request_to(peer.url()), [&](HttpResult) {
    ++done;
    const RequestId other = client->send(request_to(peer.url()), [&](HttpResult r) { canceled += !r.ok(); });
    CHECK(client->cancel(other));
    client->send(request_to(peer.url()), [&](HttpResult r) {
      done += r.ok();
      client->send(request_to(peer.url()), [&](HttpResult s) { canceled += !s.ok(); });
      client.reset();
    });
  });
  REQUIRE(loop.run_until([&] { return client == nullptr; }));
  CHECK(done == 2);
  CHECK(canceled == 2);
}
