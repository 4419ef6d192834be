#include "platform/http_server.h"

#include <doctest/doctest.h>

#include <condition_variable>
#include <filesystem>
#include <future>
#include <thread>

#include "platform/clock.h"
#include "platform/listen_socket.h"
#include "temp_folder.h"
#include "unix_client.h"

using namespace hf;

namespace {

constexpr std::int64_t kSoon = 50;  // ms; a deadline that a test waits for

// A server on a loop of its own. Its handler:
//   /echo      answers at once with method, path, parameters and body
//   /later     keeps the Responder: take_later() waits for it
//   /drop      forgets it
//   /big?n=    n bytes
//   /empty     204
class Fixture {
 public:
  explicit Fixture(HttpServerOptions options = {}) {
    auto made = Loop::create();
    REQUIRE(made.ok());
    loop_ = *std::move(made);
    options.socket_path = path();
    auto server = HttpServer::create(*loop_, std::move(options), [this](ServerRequest request, Responder responder) {
      handle(std::move(request), std::move(responder));
    });
    REQUIRE(server.ok());
    server_ = *std::move(server);
    REQUIRE(loop_->start().ok());
  }
  ~Fixture() {
    on_loop([this] {
      later_.clear();
      server_.reset();
    });
    loop_->stop();
  }

  std::string path() const { return folder_ / "s"; }
  UnixClient client() const { return UnixClient(path()); }
  Loop& loop() { return *loop_; }
  HttpServer& server() { return *server_; }

  void on_loop(std::function<void()> task) {
    std::promise<void> done;
    REQUIRE(loop_->post([&] {
      task();
      done.set_value();
    }));
    done.get_future().get();
  }
  std::size_t clients() {
    std::size_t number = 0;
    on_loop([&] { number = server_->clients(); });
    return number;
  }
  // Waits until the server has noticed that clients came or went. A round trip through the loop a look,
  // no sleep.
  void wait_for_clients(std::size_t number) {
    while (clients() != number) std::this_thread::yield();
  }

  // The next request for /later, which waits for an answer.
  std::pair<ServerRequest, Responder> take_later() {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [this] { return !later_.empty(); });
    auto first = std::move(later_.front());
    later_.erase(later_.begin());
    return first;
  }
  std::size_t waiting_later() {
    const std::lock_guard lock(mutex_);
    return later_.size();
  }

 private:
  void handle(ServerRequest request, Responder responder) {
    const std::string what = request.path.empty() ? "" : request.path[0];
    ServerResponse response;
    if (what == "echo") {
      response.body = request.method;
      for (const auto& segment : request.path) response.body += "/" + segment;
      for (const auto& [name, value] : request.query) response.body += "?" + name + "=" + value;
      response.body += " " + (request.body.size() > 100 ? std::to_string(request.body.size()) : request.body);
      response.content_type = "text/plain";
    } else if (what == "later") {
      const std::lock_guard lock(mutex_);
      later_.emplace_back(std::move(request), std::move(responder));
      came_.notify_one();
      return;
    } else if (what == "drop") {
      return;
    } else if (what == "big") {
      response.body.assign(std::stoul(*request.parameter("n")), 'b');
    } else if (what == "empty") {
      response.status = 204;
    } else if (what == "peer") {
      response.body = std::to_string(request.peer.pid) + " " + std::to_string(request.peer.uid) + " " +
                      std::to_string(request.peer.gid);
    } else {
      response = ServerResponse::error(404, "not_found", "no such path");
    }
    responder.reply(std::move(response));
  }

  TempFolder folder_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<HttpServer> server_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<std::pair<ServerRequest, Responder>> later_;
};

const std::string kGet = "GET /echo HTTP/1.1\r\nHost: t\r\n\r\n";

std::string post(std::size_t length) {
  return "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
}

bool is_error(const ClientResponse& response, int status, const std::string& code) {
  return response.status == status && response.body.rfind("{\"error\":{\"code\":\"" + code + "\",\"message\":\"", 0) == 0 &&
         response.has("Content-Type: application/json\r\n");
}

}  // namespace

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

TEST_CASE("http server: one client too many gets 503") {
  Fixture fixture;
  std::vector<UnixClient> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(fixture.client());
    REQUIRE(clients.back().get("/echo").status == 200);
  }
  auto one_more = fixture.client();
  CHECK(is_error(one_more.response(), 503, "busy"));
  CHECK(one_more.ended());
  CHECK(clients[0].get("/echo").status == 200);
  clients.pop_back();
  fixture.wait_for_clients(63);
  CHECK(fixture.client().get("/echo").status == 200);
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

// ---- answers that come later ----------------------------------------------------------------------

TEST_CASE("responder: answers from any thread") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  auto [request, responder] = fixture.take_later();
  std::thread([responder = std::move(responder)] { responder.reply({.body = "{}"}); }).join();
  CHECK(client.response().body == "{}");
}

TEST_CASE("responder: only the first answer counts") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  const auto [request, responder] = fixture.take_later();
  responder.reply({.status = 201});
  responder.reply({.status = 202});
  CHECK(client.response().status == 201);
  CHECK(client.get("/echo").status == 200);
}

TEST_CASE("responder: a request that is dropped gets 500, on any thread") {
  Fixture fixture;
  auto client = fixture.client();
  CHECK(is_error(client.get("/drop"), 500, "internal"));
  client.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  { const auto dropped = fixture.take_later(); }
  CHECK(is_error(client.response(), 500, "internal"));
  CHECK(client.get("/echo").status == 200);
}

TEST_CASE("responder: tells that the client is gone, and an answer after that does nothing") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  auto later = fixture.take_later();
  const Responder responder = later.second;
  std::promise<void> gone;
  fixture.on_loop([&] {
    CHECK_FALSE(responder.gone());
    responder.on_gone([&] { gone.set_value(); });
  });
  client.close();
  gone.get_future().get();
  fixture.on_loop([&] { CHECK(responder.gone()); });
  std::promise<void> at_once;
  fixture.on_loop([&] { responder.on_gone([&] { at_once.set_value(); }); });
  at_once.get_future().get();
  responder.reply({});
  fixture.wait_for_clients(0);
}

TEST_CASE("responder: may outlive its server and its loop") {
  std::vector<Responder> kept;
  {
    Fixture fixture;
    auto client = fixture.client();
    client.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
    kept.push_back(fixture.take_later().second);
  }
  kept[0].reply({});
  kept.clear();
}

// ---- streams --------------------------------------------------------------------------------------

TEST_CASE("stream: chunks as they come, then the connection goes on") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  auto later = fixture.take_later();
  const Responder& responder = later.second;
  fixture.on_loop([&] { responder.open_stream(); });
  const std::string head = client.until("\r\n\r\n");
  CHECK(head.find("Content-Type: text/event-stream\r\n") != std::string::npos);
  CHECK(head.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
  fixture.on_loop([&] {
    CHECK(responder.send("data: 1\n\n"));
    CHECK(responder.send(""));  // nothing, not the end
  });
  CHECK(client.until("\n\n\r\n") == "9\r\ndata: 1\n\n\r\n");
  fixture.on_loop([&] {
    responder.end_stream();
    CHECK_FALSE(responder.send("late"));
  });
  CHECK(client.until("0\r\n\r\n") == "0\r\n\r\n");
  CHECK(client.get("/echo").status == 200);
}

TEST_CASE("stream: to HTTP/1.0 plain, until the end") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("GET /later HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  auto later = fixture.take_later();
  fixture.on_loop([&] {
    later.second.open_stream("text/plain");
    later.second.send("one ");
    later.second.send("two");
    later.second.end_stream();
  });
  CHECK(client.until("\r\n\r\n").find("chunked") == std::string::npos);
  CHECK(client.rest() == "one two");
}

TEST_CASE("stream: HEAD gets the head alone") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("HEAD /later HTTP/1.1\r\nHost: t\r\n\r\n");
  auto later = fixture.take_later();
  fixture.on_loop([&] {
    later.second.open_stream();
    CHECK_FALSE(later.second.send("data"));
  });
  CHECK(client.response(true).status == 200);
  CHECK(client.get("/echo").status == 200);
}

TEST_CASE("stream: a reader that is too slow is told so and closed") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  auto later = fixture.take_later();
  std::promise<void> gone;
  std::size_t sent = 0;
  const std::string event = "data: " + std::string(1000, 'x') + "\n\n";
  fixture.on_loop([&] {
    later.second.open_stream();
    later.second.on_gone([&] { gone.set_value(); });
    while (sent < 100'000 && later.second.send(event)) ++sent;
    CHECK_FALSE(later.second.send(event));
  });
  CHECK(sent < 2000);  // what the socket and the buffer hold
  gone.get_future().get();
  const std::string all = client.rest();
  const std::string end = "event: lagged\ndata: {}\n\n\r\n0\r\n\r\n";
  REQUIRE(all.size() > end.size());
  CHECK(all.substr(all.size() - end.size()) == end);
}

TEST_CASE("stream: any other kind is cut off, without its last chunk") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  auto later = fixture.take_later();
  fixture.on_loop([&] {
    later.second.open_stream("application/octet-stream");
    while (later.second.send(std::string(1000, 'x'))) {
    }
  });
  const std::string all = client.rest();
  CHECK(all.find("lagged") == std::string::npos);
  CHECK(all.find("\r\n0\r\n\r\n") == std::string::npos);
}

TEST_CASE("stream: a slow reader that never comes back is cut") {
  HttpServerOptions options;
  options.write_stall_ms = kSoon;
  Fixture fixture(options);
  auto client = fixture.client();
  client.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  auto later = fixture.take_later();
  std::promise<void> gone;
  fixture.on_loop([&] {
    later.second.open_stream();
    later.second.on_gone([&] { gone.set_value(); });
    later.second.send(std::string(1'000'000, 'x'));  // one large one, into an empty buffer, is allowed
  });
  gone.get_future().get();
  fixture.wait_for_clients(0);
}

TEST_CASE("stream: a client that hangs up is noticed without a write") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  auto later = fixture.take_later();
  std::promise<void> gone;
  fixture.on_loop([&] {
    later.second.open_stream();
    later.second.on_gone([&] { gone.set_value(); });
  });
  client.until("\r\n\r\n");
  client.close();
  gone.get_future().get();
  fixture.on_loop([&] { CHECK_FALSE(later.second.send("x")); });
}

TEST_CASE("stream: one that is forgotten is cut off") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  {
    auto later = fixture.take_later();
    fixture.on_loop([&] {
      later.second.open_stream();
      later.second.send("data: 1\n\n");
    });
  }
  CHECK(client.rest().find("\r\n0\r\n") == std::string::npos);
}

// ---- beginning and end ----------------------------------------------------------------------------

TEST_CASE("shutdown: idle clients are closed, answers under way are finished, the file is gone") {
  Fixture fixture;
  auto idle = fixture.client(), busy = fixture.client(), watcher = fixture.client();
  CHECK(idle.get("/echo").status == 200);
  busy.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  auto under_way = fixture.take_later();
  watcher.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  auto stream = fixture.take_later();
  std::promise<void> closed, told;
  fixture.on_loop([&] {
    stream.second.open_stream();
    stream.second.on_gone([&] { told.set_value(); });
    fixture.server().shutdown(60'000, [&] { closed.set_value(); });
  });
  CHECK_FALSE(std::filesystem::exists(fixture.path()));
  CHECK(idle.ended());
  told.get_future().get();
  const std::string stream_text = watcher.rest();
  CHECK(stream_text.substr(stream_text.size() - 9) == "\r\n\r\n0\r\n\r\n");  // ended as it should
  under_way.second.reply({.status = 201});
  const auto response = busy.response();
  CHECK(response.status == 201);
  CHECK(response.has("Connection: close\r\n"));
  busy.close();
  closed.get_future().get();
}

TEST_CASE("shutdown: after the grace the rest is cut") {
  Fixture fixture;
  auto client = fixture.client();
  client.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
  auto later = fixture.take_later();
  std::promise<void> closed;
  fixture.on_loop([&] { fixture.server().shutdown(kSoon, [&] { closed.set_value(); }); });
  CHECK(client.ended());
  closed.get_future().get();
  later.second.reply({});
}

TEST_CASE("shutdown: with no client it is over at once") {
  Fixture fixture;
  std::promise<void> closed;
  fixture.on_loop([&] { fixture.server().shutdown(60'000, [&] { closed.set_value(); }); });
  closed.get_future().get();
}

TEST_CASE("http server: two on one path, and one after the other") {
  Fixture fixture;
  HttpServerOptions options;
  options.socket_path = fixture.path();
  fixture.on_loop([&] {
    const auto second = HttpServer::create(fixture.loop(), options, [](ServerRequest, Responder) {});
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().code == HF_E_CONFLICT);
  });
  CHECK(fixture.client().get("/echo").status == 200);
  std::promise<void> closed;
  fixture.on_loop([&] { fixture.server().shutdown(0, [&] { closed.set_value(); }); });
  closed.get_future().get();
  fixture.on_loop([&] {
    const auto next = HttpServer::create(fixture.loop(), options, [](ServerRequest, Responder) {});
    CHECK(next.ok());
  });
}

TEST_CASE("http server: on a socket that the service manager made") {
  const TempFolder folder;
  auto socket = ListenSocket::create(folder / "s", 0600, {});
  REQUIRE(socket.ok());
  auto loop = Loop::create();
  REQUIRE(loop.ok());
  HttpServerOptions options;
  options.listen_fd = socket->release_fd();
  auto server = HttpServer::create(**loop, options, [](ServerRequest, Responder responder) { responder.reply({}); });
  REQUIRE(server.ok());
  REQUIRE((*loop)->start().ok());
  CHECK(UnixClient(folder / "s").get("/").status == 200);
  std::promise<void> gone;
  (*loop)->post([&] {
    server->reset();
    gone.set_value();
  });
  gone.get_future().get();
  (*loop)->stop();
  CHECK(std::filesystem::exists(folder / "s"));  // not ours to remove
}
