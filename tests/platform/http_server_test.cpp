// Requests, bodies, bad clients, pipelining. Answers that come later: http_stream_test.cpp.
#include <doctest/doctest.h>

#include <atomic>

#include "http_server_fixture.h"
#include "platform/clock.h"

using namespace hf;

// ---- one request after the other ------------------------------------------------------------------

TEST_CASE("http server: answers, and keeps the connection") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("POST /echo/a%20b?x=1 HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi");
  const auto response = client.response();
  CHECK(response.status == 200);
  CHECK(response.body == "POST/echo/a b?x=1 hi");
  CHECK(response.has("Content-Type: text/plain\r\n"));
  CHECK_FALSE(response.has("Connection:"));
  CHECK(client.get("/nothing").status == 404);
  CHECK(client.get("/echo").status == 200);
  CHECK(fixture.clients() == 1);
}

TEST_CASE("http server: closes when the client asks for it") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("GET /echo HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
  const auto response = client.response();
  CHECK(response.status == 200);
  CHECK(response.has("Connection: close\r\n"));
  CHECK(client.ended());
}

TEST_CASE("http server: HTTP/1.0 closes, or keeps alive if asked") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(client.response().has("Connection: keep-alive\r\n"));
  client.send("GET /echo HTTP/1.0\r\n\r\n");
  CHECK(client.response().status == 200);
  CHECK(client.ended());
}

TEST_CASE("http server: HEAD is GET without the body") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("HEAD /big?n=1000 HTTP/1.1\r\nHost: t\r\n\r\n");
  const auto response = client.response(true);
  CHECK(response.status == 200);
  CHECK(response.has("Content-Length: 1000\r\n"));
  CHECK(client.get("/echo").body == "GET/echo ");  // no byte of a body came before
}

TEST_CASE("http server: no body where there is none") {
  Fixture fixture;
  auto client = fixture.client();
  const auto response = client.get("/empty");
  CHECK(response.status == 204);
  CHECK_FALSE(response.has("Content-Length"));
  CHECK_FALSE(response.has("Content-Type"));
  CHECK(client.get("/echo").status == 200);
}

TEST_CASE("http server: the kernel says who the client is") {
  Fixture fixture;
  auto client = fixture.client();
  CHECK(client.get("/peer").body ==
        std::to_string(getpid()) + " " + std::to_string(getuid()) + " " + std::to_string(getgid()));
}

TEST_CASE("http server: a large answer to a slow reader") {
  Fixture fixture;
  auto client = fixture.client();
  constexpr std::size_t kBytes = 5'000'000;  // far more than a socket holds
  const auto response = client.get("/big?n=" + std::to_string(kBytes));
  CHECK(response.body.size() == kBytes);
  CHECK(client.get("/echo").status == 200);
}

TEST_CASE("http server: a request in single bytes") {
  Fixture fixture;
  auto client = fixture.client();
  for (const char c : post(3) + "abc") client.send({&c, 1});
  CHECK(client.response().body == "POST/echo abc");
}

TEST_CASE("http server: a client that says no more still gets its answers") {
  Fixture fixture;
  auto client = fixture.client();
  client.send(kGet + "GET /later HTTP/1.1\r\nHost: t\r\n\r\n" + kGet);
  client.end_input();
  CHECK(client.response().status == 200);
  const auto [request, responder] = fixture.take_later();
  responder.reply({.status = 201});
  CHECK(client.response().status == 201);
  CHECK(client.response().status == 200);
  CHECK(client.ended());
}

// ---- bodies ---------------------------------------------------------------------------------------

TEST_CASE("http server: 100-continue") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  CHECK(client.until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("abc");
  CHECK(client.response().body == "POST/echo abc");
  SUBCASE("not for a body that is too large") {
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 1048577\r\n\r\n");
    CHECK(is_error(client.response(), 413, "too_large"));
    CHECK(client.ended());
  }
}

TEST_CASE("http server: chunked bodies") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  CHECK(client.response().body == "POST/echo abcde");
}

TEST_CASE("http server: the body's limit, to the byte") {
  Fixture fixture;
  auto client = fixture.client();
  constexpr std::size_t kMost = 1024 * 1024;
  client.send(post(kMost) + std::string(kMost, 'x'));
  CHECK(client.response().body == "POST/echo " + std::to_string(kMost));
  client.send(post(kMost + 1));
  const auto response = client.response();
  CHECK(is_error(response, 413, "too_large"));
  CHECK(response.has("Connection: close\r\n"));
  CHECK(client.ended());
}

TEST_CASE("http server: a gigabyte is refused after a little") {
  Fixture fixture;
  const std::string block(1024 * 1024, 'x');
  for (const bool chunked : {false, true}) {
    auto client = fixture.client();
    client.send(chunked ? "POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" : post(1 << 30));
    int sent = 0;
    while (sent < 1024 && (!chunked || client.send("100000\r\n")) && client.send(block) && (!chunked || client.send("\r\n")))
      ++sent;
    CHECK(sent < 32);
    CHECK(is_error(client.response(), 413, "too_large"));
  }
}

TEST_CASE("http server: bodies of all clients together are limited") {
  HttpServerOptions options;
  options.bodies_bytes = 3000;
  Fixture fixture(options);
  auto first = fixture.client(), second = fixture.client();
  first.send("POST /later HTTP/1.1\r\nHost: t\r\nContent-Length: 2000\r\n\r\n" + std::string(2000, 'x'));
  auto [request, responder] = fixture.take_later();
  second.send(post(1000) + std::string(1000, 'y'));
  CHECK(second.response().status == 200);
  second.send(post(1001) + std::string(1001, 'y'));
  CHECK(is_error(second.response(), 503, "busy"));
  responder.reply({});
  CHECK(first.response().status == 200);
  first.send(post(3000) + std::string(3000, 'x'));
  CHECK(first.response().status == 200);
}

// ---- bad clients ----------------------------------------------------------------------------------

TEST_CASE("http server: garbage gets 400 and is closed") {
  Fixture fixture;
  for (const std::string& garbage : {std::string("\x16\x03\x01\x02\x00\x01", 6), std::string("hello there\r\n\r\n"),
                                     std::string(100'000, '\xff'), std::string("GET / HTTP/1.1\r\nHost t\r\n\r\n")}) {
    auto client = fixture.client();
    client.send(garbage);
    CHECK(is_error(client.response(), 400, "invalid"));
    CHECK(client.ended());
  }
  fixture.wait_for_clients(0);
}

TEST_CASE("http server: URL and header limits") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("GET /echo?" + std::string(2048, 'x') + " HTTP/1.1\r\nHost: t\r\n\r\n");
  CHECK(is_error(client.response(), 414, "too_large"));
  CHECK(client.ended());
  auto other = fixture.client();
  other.send("GET /echo HTTP/1.1\r\nHost: t\r\nX: " + std::string(16 * 1024, 'x') + "\r\n\r\n");
  CHECK(is_error(other.response(), 431, "too_large"));
  CHECK(other.ended());
}

TEST_CASE("http server: clients that only hold their place keep nobody out") {
  Fixture fixture;
  std::vector<UnixClient> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(fixture.client());
    if (i % 2 == 0) REQUIRE(clients.back().get("/echo").status == 200);
    fixture.wait_for_clients(std::min(i + 1, 64));
  }
  CHECK(fixture.client().get("/echo").status == 200);
  CHECK(fixture.clients() <= 64);
  CHECK(clients[0].ended());  // it made room
  CHECK(clients[198].get("/echo").status == 200);
}

TEST_CASE("http server: one client too many gets 503 when all others are at something") {
  Fixture fixture;
  std::vector<UnixClient> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(fixture.client());
    clients.back().send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  }
  while (fixture.waiting_later() != 64) std::this_thread::yield();
  auto one_more = fixture.client();
  CHECK(is_error(one_more.response(), 503, "busy"));
  CHECK(one_more.ended());
  fixture.take_later().second.reply({});
  CHECK(clients[0].response().status == 200);
  CHECK(fixture.client().get("/echo").status == 200);
}

TEST_CASE("http server: guests have half of the places and of the bodies, and a stranger is told at once") {
  std::atomic<Entry> who{Entry::stranger};
  HttpServerOptions options;
  options.max_clients = 4;
  options.bodies_bytes = 2000;
  options.entry = [&who](const Peer&) { return who.load(); };
  options.to_strangers = ServerResponse::error(403, "denied", "not you");
  Fixture fixture(options);
  {
    auto stranger = fixture.client();
    CHECK(is_error(stranger.response(), 403, "denied"));
    CHECK(stranger.ended());
  }
  fixture.wait_for_clients(0);
  const auto knock = [&fixture](std::vector<UnixClient>& clients, size_t waiting) {
    clients.push_back(fixture.client());
    clients.back().send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
    while (fixture.waiting_later() != waiting) std::this_thread::yield();
  };
  std::vector<UnixClient> guests, others;
  who = Entry::guest;
  guests.push_back(fixture.client());
  CHECK(guests[0].get("/echo").status == 200);
  knock(guests, 1);
  knock(guests, 2);  // in the place of the idle one
  CHECK(guests[0].ended());
  fixture.wait_for_clients(2);
  CHECK(is_error(fixture.client().response(), 503, "busy"));
  who = Entry::stranger;
  CHECK(is_error(fixture.client().response(), 503, "busy"));
  who = Entry::everything;
  knock(others, 3);
  knock(others, 4);
  CHECK(is_error(fixture.client().response(), 503, "busy"));
  for (int i = 0; i < 4; ++i) fixture.take_later().second.reply({});
  for (UnixClient* client : {&guests[1], &guests[2], &others[0], &others[1]}) CHECK(client->response().status == 200);
  for (const size_t length : {size_t{1000}, size_t{1001}}) {
    CAPTURE(length);
    guests[1].send(post(length) + std::string(length, 'g'));
    if (length == 1000) CHECK(guests[1].response().status == 200);
    else CHECK(is_error(guests[1].response(), 503, "busy"));
    others[0].send(post(length) + std::string(length, 'o'));
    CHECK(others[0].response().status == 200);
  }
}

TEST_CASE("http server: a client that says nothing is closed") {
  HttpServerOptions options;
  options.head_deadline_ms = kSoon;
  Fixture fixture(options);
  CHECK(fixture.client().ended());
}

TEST_CASE("http server: a header that does not end gets 408, however often a byte comes") {
  HttpServerOptions options;
  options.head_deadline_ms = options.linger_ms = kSoon;
  options.request.head_bytes = 1 << 30;  // time alone is to end it
  Fixture fixture(options);
  auto client = fixture.client();
  client.send("GET /echo HTTP/1.1\r\nX: ");
  // Bytes go on until the server has had enough: each one is no reason to wait longer.
  std::thread dribble([&] {
    while (client.send("x")) std::this_thread::yield();
  });
  dribble.join();
  CHECK(is_error(client.response(), 408, "timeout"));
}

TEST_CASE("http server: an unfinished header gets 408") {
  HttpServerOptions options;
  options.head_deadline_ms = kSoon;
  Fixture fixture(options);
  auto client = fixture.client();
  client.send("GET /echo HTTP/1.1\r\n");
  CHECK(is_error(client.response(), 408, "timeout"));
  CHECK(client.ended());
}

TEST_CASE("http server: a body must make progress") {
  HttpServerOptions options;
  options.body_deadline_ms = kSoon;
  Fixture fixture(options);
  auto client = fixture.client();
  SUBCASE("nothing comes") { client.send(post(100'000)); }
  SUBCASE("a little comes") { client.send(post(100'000) + std::string(1023, 'x')); }
  SUBCASE("enough, then no more") { client.send(post(100'000) + std::string(90'000, 'x')); }
  SUBCASE("chunk extensions are no progress") {
    client.send("POST /echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(2000, 'e'));
  }
  CHECK(is_error(client.response(), 408, "timeout"));
  CHECK(client.ended());
}

TEST_CASE("http server: an idle connection is closed") {
  HttpServerOptions options;
  options.idle_deadline_ms = kSoon;
  Fixture fixture(options);
  auto client = fixture.client();
  CHECK(client.get("/echo").status == 200);
  CHECK(client.ended());
}

TEST_CASE("http server: a client that does not read its answer is cut") {
  HttpServerOptions options;
  options.write_stall_ms = kSoon;
  Fixture fixture(options);
  auto client = fixture.client();
  client.send("GET /big?n=5000000 HTTP/1.1\r\nHost: t\r\n\r\n");
  client.until("\r\n\r\n");  // the answer has begun
  fixture.wait_for_clients(0);
  CHECK(client.rest().size() < 5'000'000);
}

TEST_CASE("http server: a client that does not take its leave is cut") {
  HttpServerOptions options;
  options.linger_ms = kSoon;
  Fixture fixture(options);
  auto client = fixture.client();
  client.send("nonsense\r\n\r\n");
  CHECK(client.response().status == 400);
  fixture.wait_for_clients(0);  // though it holds its end open
}

TEST_CASE("http server: no deadline while a handler has the request") {
  HttpServerOptions options;
  options.head_deadline_ms = options.body_deadline_ms = options.idle_deadline_ms = options.write_stall_ms = 1;
  options.head_deadline_ms = 2000;
  Fixture fixture(options);
  auto client = fixture.client();
  client.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  const auto [request, responder] = fixture.take_later();
  // A timer that is longer than all of them: they would have come before.
  std::promise<void> waited;
  std::unique_ptr<BootTimer> timer;
  fixture.on_loop([&] {
    timer = *BootTimer::create(fixture.loop().uv(), [&] { waited.set_value(); });
    timer->set(boot_ms() + 30);
  });
  waited.get_future().get();
  fixture.on_loop([&] { timer.reset(); });
  responder.reply({});
  CHECK(client.response().status == 200);
}

// ---- pipelining -----------------------------------------------------------------------------------

TEST_CASE("http server: pipelined requests are answered in order, one at a time") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("GET /later/1 HTTP/1.1\r\nHost: t\r\n\r\nGET /echo/2 HTTP/1.1\r\nHost: t\r\n\r\nGET /later/3 HTTP/1.1\r\nHost: t\r\n\r\n");
  auto [first, answer_first] = fixture.take_later();
  CHECK(first.path[1] == "1");
  CHECK(fixture.waiting_later() == 0);  // the third is not looked at
  answer_first.reply({.status = 201});
  auto [third, answer_third] = fixture.take_later();
  answer_third.reply({.status = 202});
  CHECK(client.response().status == 201);
  CHECK(client.response().body == "GET/echo/2 ");
  CHECK(client.response().status == 202);
}

TEST_CASE("http server: thousands of pipelined requests, with bounded memory and depth") {
  Fixture fixture;
  auto client = fixture.client();
  constexpr int kRequests = 5000;
  std::thread sender([&] {
    for (int i = 0; i < kRequests; ++i) client.send(kGet);
  });
  int answers = 0;
  UnixClient& reader = client;
  while (answers < kRequests && reader.response().status == 200) ++answers;
  sender.join();
  CHECK(answers == kRequests);
}

TEST_CASE("http server: a client that pipelines without end is not read without end") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  const auto [request, responder] = fixture.take_later();
  // The socket fills up: the server holds no more than its bound.
  std::string block;
  for (int i = 0; i < 1000; ++i) block += kGet;
  std::size_t taken = 0;
  pollfd room{client.fd(), POLLOUT, 0};
  while (taken < 10'000'000) {
    const ssize_t sent = ::send(client.fd(), block.data(), block.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      taken += static_cast<std::size_t>(sent);
      continue;
    }
    fixture.clients();  // the loop has gone round
    fixture.clients();
    if (poll(&room, 1, 0) == 0) break;
  }
  CHECK(taken < 2'000'000);
  responder.reply({});
  CHECK(client.response().status == 200);
}
