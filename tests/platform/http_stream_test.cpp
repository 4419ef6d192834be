// Answers that come later, streams, the server's beginning and end.
#include <doctest/doctest.h>

#include <filesystem>

#include "http_server_fixture.h"
#include "platform/listen_socket.h"

using namespace hf;

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

TEST_CASE("stream: a client that ends its input and goes only then is noticed, too, also before there is an answer") {
  HttpServerOptions options;
  options.hang_up_look_ms = kSoon;
  Fixture fixture(options);
  for (const bool streams : {false, true}) {
    CAPTURE(streams);
    auto client = fixture.client();
    client.send("GET /later HTTP/1.1\r\nHost: t\r\n\r\n");
    client.end_input();
    auto later = fixture.take_later();
    std::promise<void> gone;
    fixture.on_loop([&] {
      if (streams) later.second.open_stream();
      later.second.on_gone([&] { gone.set_value(); });
    });
    if (streams) client.until("\r\n\r\n");
    fixture.on_loop([] {});  // it has seen the end of the input
    client.close();
    gone.get_future().get();
    fixture.wait_for_clients(0);
  }
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
