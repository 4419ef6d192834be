#include "platform/request_parser.h"

#include <doctest/doctest.h>

using namespace hf;
using State = RequestParser::State;

namespace {

constexpr RequestLimits kSmall{.url_bytes = 20, .head_bytes = 80, .body_bytes = 10};

// Feeds all of it, byte by byte or at once; the parser must take it all or come to an end.
void feed(RequestParser& parser, std::string_view data, bool dribble = false) {
  while (!data.empty() && parser.state() != State::kComplete && parser.state() != State::kFailed) {
    const std::size_t used = parser.feed(dribble ? data.substr(0, 1) : data);
    if (used == 0) break;
    data.remove_prefix(used);
  }
}

int failure_status(std::string_view data, const RequestLimits& limits = {}) {
  int status = 0;
  for (const bool dribble : {false, true}) {
    RequestParser parser(limits);
    feed(parser, data, dribble);
    const int now = parser.state() == State::kFailed ? parser.failure().status : 0;
    if (dribble) CHECK_MESSAGE(now == status, data);  // the cuts between reads make no difference
    status = now;
  }
  return status;
}

// A head of exactly `bytes` bytes.
std::string head_of(std::size_t bytes) {
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX: ", end = "\r\n\r\n";
  REQUIRE(bytes >= start.size() + end.size());
  return start + std::string(bytes - start.size() - end.size(), 'x') + end;
}

}  // namespace

TEST_CASE("request: all its parts, however it is cut") {
  for (const bool dribble : {false, true}) {
    RequestParser parser{RequestLimits{}};
    CHECK(parser.state() == State::kIdle);
    feed(parser, "POST /v1/jobs?a=1 HTTP/1.1\r\nHost: holdfast\r\nX-Name:  two words \r\nContent-Length: 5\r\n\r\nhello",
         dribble);
    REQUIRE(parser.state() == State::kComplete);
    CHECK(parser.keep_alive());
    const ServerRequest request = parser.take();
    CHECK(request.method == "POST");
    CHECK(request.path == std::vector<std::string>{"v1", "jobs"});
    CHECK(request.query.at("a") == "1");
    REQUIRE(request.header("x-name") != nullptr);
    CHECK(*request.header("x-name") == "two words");
    CHECK(request.header("absent") == nullptr);
    CHECK(request.body == "hello");
    CHECK(parser.state() == State::kIdle);
  }
}

TEST_CASE("request: chunks are put together, trailers read past") {
  for (const bool dribble : {false, true}) {
    RequestParser parser{RequestLimits{}};
    feed(parser,
         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n",
         dribble);
    REQUIRE(parser.state() == State::kComplete);
    const ServerRequest request = parser.take();
    CHECK(request.body == "hello!");
    CHECK(request.header("trailer") == nullptr);
  }
}

TEST_CASE("request: the next one's bytes are left") {
  RequestParser parser{RequestLimits{}};
  const std::string first = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string second = "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
  const std::string both = first + second + first;
  REQUIRE(parser.feed(both) == first.size());
  CHECK(parser.take().path[0] == "1");
  REQUIRE(parser.feed(std::string_view(both).substr(first.size())) == second.size());
  const ServerRequest request = parser.take();
  CHECK(request.path[0] == "2");
  CHECK(request.body == "hi");
}

TEST_CASE("request: HEAD arrives as GET") {
  RequestParser parser{RequestLimits{}};
  feed(parser, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  REQUIRE(parser.state() == State::kComplete);
  CHECK(parser.is_head());
  CHECK(parser.take().method == "GET");
}

TEST_CASE("request: keep-alive by version and field") {
  const auto keeps = [](std::string_view data) {
    RequestParser parser{RequestLimits{}};
    feed(parser, data);
    REQUIRE(parser.state() == State::kComplete);
    return parser.keep_alive();
  };
  CHECK(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  CHECK_FALSE(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
  CHECK_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  CHECK(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST_CASE("request: an upgrade is an offer that is not taken") {
  RequestParser parser{RequestLimits{}};
  feed(parser, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n");
  CHECK(parser.state() == State::kComplete);
}

TEST_CASE("request: 100-continue is told once, and only before a body") {
  RequestParser parser{RequestLimits{}};
  feed(parser, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n");
  CHECK(parser.state() == State::kBody);
  CHECK(parser.take_expects_continue());
  CHECK_FALSE(parser.take_expects_continue());
  feed(parser, "hello");
  CHECK(parser.state() == State::kComplete);
  CHECK(failure_status("POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 5\r\n\r\n") == 417);
}

TEST_CASE("request: what is not HTTP is 400") {
  for (const char* bad : {
           "hello\r\n\r\n", "\x16\x03\x01\x02", "GET\r\n\r\n", "GET / HTTP/x\r\n\r\n",
           "GET / HTTP/1.1\r\n\r\n",                                     // no Host
           "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
           "GET / HTTP/1.1\r\nHost a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
           "GET / HTTP/1.1\nHost: a\n\n",                                // bare line feeds
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",  // smuggling
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
           "GET * HTTP/1.1\r\nHost: a\r\n\r\n", "GET /% HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"}) {
    CHECK_MESSAGE(failure_status(bad) == 400, bad);
  }
}

TEST_CASE("request: the smuggling input of CVE-2023-30589 is refused") {
  CHECK(failure_status("GET / HTTP/1.1\r\nHost: a\r\nX-Abc:\rxTransfer-Encoding: chunked\r\n\r\n1\r\nA\r\n0\r\n\r\n") == 400);
}

TEST_CASE("request: other versions") {
  CHECK(failure_status("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") >= 400);
  CHECK(failure_status("GET / HTTP/2.0\r\nHost: a\r\n\r\n") == 505);
  CHECK(failure_status("GET / HTTP/0.9\r\n\r\n") == 505);
}

TEST_CASE("request: the URL's limit, to the byte") {
  const auto url = [](std::size_t bytes) {
    return "GET /" + std::string(bytes - 1, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n";
  };
  CHECK(failure_status(url(20), kSmall) == 0);
  CHECK(failure_status(url(21), kSmall) == 414);
  CHECK(failure_status(url(2048)) == 0);
  CHECK(failure_status(url(2049)) == 414);
}

TEST_CASE("request: the head's limit, to the byte") {
  CHECK(failure_status(head_of(80), kSmall) == 0);
  CHECK(failure_status(head_of(81), kSmall) == 431);
  CHECK(failure_status(head_of(16 * 1024)) == 0);
  CHECK(failure_status(head_of(16 * 1024 + 1)) == 431);
  // What llhttp skips counts too.
  CHECK(failure_status(std::string(200, '\n'), kSmall) == 431);
  CHECK(failure_status("GET / HTTP/1.1\r\nX:" + std::string(200, ' '), kSmall) == 431);
}

TEST_CASE("request: the body's limit, to the byte") {
  const auto body = [](std::size_t bytes) {
    return "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n" + std::string(bytes, 'x');
  };
  CHECK(failure_status(body(10), kSmall) == 0);
  CHECK(failure_status(body(11), kSmall) == 413);
  CHECK(failure_status("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n") == 400);
  const std::string chunked = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  CHECK(failure_status(chunked + "5\r\n12345\r\n5\r\n12345\r\n0\r\n\r\n", kSmall) == 0);
  CHECK(failure_status(chunked + "5\r\n12345\r\n6\r\n123456\r\n0\r\n\r\n", kSmall) == 413);
}

TEST_CASE("request: a body that is all framing is refused") {
  const std::string chunked = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  CHECK(failure_status(chunked + "1;" + std::string(500, 'e') + "\r\nx\r\n", kSmall) == 400);
  CHECK(failure_status(chunked + "0\r\nT: " + std::string(500, 't') + "\r\n\r\n", kSmall) == 400);
  std::string ones = chunked;
  for (int i = 0; i < 10; ++i) ones += "1\r\nx\r\n";
  CHECK(failure_status(ones + "0\r\n\r\n", kSmall) == 0);
}
