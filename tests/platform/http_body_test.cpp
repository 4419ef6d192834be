// Bodies that are read while they are sent.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "net_fixture.h"
#include "platform/net/http_client.h"
#include "tls_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

// Byte i is i % 251. What is asked for is given in the loop's next turn.
class TestBody : public HttpBody {
 public:
  TestBody(uv_loop_t* loop, HandleCountPtr handles, int64_t size)
      : size_(size), timer_(loop, std::move(handles), [this] { give(); }) {}

  int64_t size() const override { return size_; }
  void read(int64_t at, std::function<void(Result<Piece>)> ready) override {
    REQUIRE_FALSE(ready_);
    REQUIRE(at < size_);
    at_ = at;
    ready_ = std::move(ready);
    if (!hangs) timer_.start(0);
  }
  void stop() override {
    ++stops;
    ready_ = nullptr;
    timer_.stop();
  }

  static std::string bytes(int64_t at, int64_t size) {
    std::string text(static_cast<size_t>(size), '\0');
    for (char& c : text) c = static_cast<char>(at++ % 251);
    return text;
  }

  size_t piece = kBodyPieceMax;
  int64_t fails_at = -1;
  bool hangs = false;
  int64_t given = 0;
  int stops = 0;

 private:
  void give() {
    const auto ready = std::exchange(ready_, nullptr);
    if (at_ == fails_at) return ready(Error{HF_E_IO, "the disk is gone"});
    const int64_t size = std::min<int64_t>(size_ - at_, static_cast<int64_t>(piece));
    given = at_ + size;
    ready(std::make_shared<const std::string>(bytes(at_, size)));
  }

  const int64_t size_;
  LoopTimer timer_;
  int64_t at_ = 0;
  std::function<void(Result<Piece>)> ready_;
};

struct BodyFixture {
  TestLoop loop;
  HandleCountPtr handles = std::make_shared<HandleCount>();
  HttpClient client{loop.uv()};
  ~BodyFixture() { shut(loop, client); }

  std::shared_ptr<TestBody> body(int64_t size) { return std::make_shared<TestBody>(loop.uv(), handles, size); }
  static HttpRequest put(const Url& url, std::shared_ptr<TestBody> body) {
    HttpRequest request = request_to(url);
    request.method = "PUT";
    request.streamed = std::move(body);
    return request;
  }
  // What came behind the head; "" while that is not whole.
  static std::string body_of(const Peer::Client& client) {
    const size_t end = client.got.find("\r\n\r\n");
    return end == std::string::npos ? "" : client.got.substr(end + 4);
  }
};

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

}  // namespace

TEST_CASE_FIXTURE(BodyFixture, "streamed body: it arrives whole, whatever its size and pieces, and the connection is kept") {
  int64_t expected = 0;
  Peer peer(loop, [&](Peer::Client& server) {
    const std::string got = body_of(server);
    if (static_cast<int64_t>(got.size()) < expected) return;
    CHECK(got == TestBody::bytes(0, expected));
    CHECK(server.got.find("Content-Length: " + std::to_string(expected) + "\r\n") != std::string::npos);
    server.take();
    server.say(kOk);
  });
  for (const int64_t size : {int64_t{1}, int64_t{kBodyPieceMax}, int64_t{kBodyPieceMax} + 1, int64_t{1'000'000}}) {
    for (const size_t piece : {kBodyPieceMax, size_t{4099}}) {
      expected = size;
      const auto source = body(size);
      source->piece = piece;
      const HttpResult result = fetch(loop, client, put(peer.url(), source));
      CHECK_MESSAGE(result.ok(), result.error.message);
      CHECK(source->stops == 0);
    }
  }
  CHECK(peer.connections() == 1);
}

TEST_CASE_FIXTURE(BodyFixture, "streamed body: no more is read than the peer takes, and two pieces") {
  Peer peer(loop, [](Peer::Client&) {}, [](Peer::Client& server) { server.pause(); });
  const auto source = body(1 << 30);
  bool done = false;
  HttpRequest request = put(peer.url(), source);
  request.deadlines.progress_ms = 300;
  client.send(std::move(request), [&](HttpResult result) {
    CHECK(result.error.kind == NetErrorKind::kTimeout);
    CHECK(result.error.phase == NetPhase::kSend);
    done = true;
  });
  REQUIRE(loop.run_until([&] { return done; }));
  CHECK(source->given < 64 << 20);  // what the kernel's buffers hold
}

TEST_CASE_FIXTURE(BodyFixture, "streamed body: what cannot be read ends the request, and says why") {
  Peer peer(loop, [](Peer::Client&) {});
  const auto source = body(300'000);
  source->fails_at = 2 * static_cast<int64_t>(kBodyPieceMax);
  const HttpResult result = fetch(loop, client, put(peer.url(), source));
  CHECK(result.error.kind == NetErrorKind::kLocal);
  CHECK(result.error.phase == NetPhase::kSend);
  CHECK(result.error.message == "the body of the request to " + peer.url().host_port() + ": the disk is gone");
  CHECK(result.sent);
}

TEST_CASE_FIXTURE(BodyFixture, "streamed body: an answer amid it counts, and the rest is not read") {
  Peer peer(loop, [](Peer::Client& server) {
    if (!body_of(server).empty()) server.say("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
  });
  const auto source = body(1 << 30);
  const HttpResult result = fetch(loop, client, put(peer.url(), source));
  CHECK_MESSAGE(result.ok(), result.error.message);
  CHECK(result.response.status == 413);
  CHECK(source->given < 64 << 20);
  CHECK(client.stats().connections == 0);
}

TEST_CASE_FIXTURE(BodyFixture, "streamed body: cancelled while a piece is read, nobody is called") {
  Peer peer(loop, [](Peer::Client&) {});
  const auto source = body(10);
  source->hangs = true;
  bool done = false;
  const RequestId id = client.send(put(peer.url(), source), [&](HttpResult result) {
    CHECK(result.error.kind == NetErrorKind::kCanceled);
    done = true;
  });
  REQUIRE(loop.run_until([&] { return peer.connections() == 1 && !peer.client(0).got.empty(); }));
  CHECK(client.cancel(id));
  REQUIRE(loop.run_until([&] { return done; }));
  CHECK(source->stops == 1);
}

TEST_CASE_FIXTURE(BodyFixture, "streamed body: it is not sent again when a kept connection was closed under it") {
  Peer peer(loop, [](Peer::Client& server) {
    if (server.got.starts_with("GET")) {
      server.take();
      server.say(kOk);
    } else if (!body_of(server).empty()) {
      server.finish();
    }
  });
  CHECK(fetch(loop, client, request_to(peer.url())).ok());
  const HttpResult result = fetch(loop, client, put(peer.url(), body(10)));
  CHECK(result.error.kind == NetErrorKind::kClosed);
  CHECK(result.reused);
  CHECK_FALSE(result.retried);
  CHECK(peer.connections() == 1);
}

TEST_CASE_FIXTURE(BodyFixture, "streamed body: under TLS, too") {
  TestCa ca{"Test Root"};
  const int64_t size = 1'000'000;
  TlsPeer peer(loop, ca.issue("ingest.example", "IP:127.0.0.1"), [&](TlsPeer::Client& server) {
    const size_t end = server.got.find("\r\n\r\n");
    if (end == std::string::npos || static_cast<int64_t>(server.got.size() - end) - 4 < size) return;
    CHECK(server.got.substr(end + 4) == TestBody::bytes(0, size));
    server.got.clear();
    server.say(kOk);
  });
  HttpRequest request = put(*parse_url("https://127.0.0.1:" + std::to_string(peer.port()) + "/"), body(size));
  TlsConfig config;
  config.ca_file = ca.file();
  const auto tls = client.add_tls(config);
  REQUIRE(tls.ok());
  request.tls = *tls;
  const HttpResult result = fetch(loop, client, std::move(request));
  CHECK_MESSAGE(result.ok(), result.error.message);
}
