#include "platform/server_message.h"

#include <doctest/doctest.h>

using namespace hf;

namespace {

ServerRequest parsed(std::string_view target) {
  ServerRequest request;
  const auto status = parse_target(target, request);
  REQUIRE_MESSAGE(status.ok(), target);
  return request;
}

}  // namespace

TEST_CASE("target: segments and parameters are decoded") {
  const auto request = parsed("/v1/jobs/a%2Fb%20c?state=dead&type=a+b%3D&flag&empty=");
  CHECK(request.path == std::vector<std::string>{"v1", "jobs", "a/b c"});
  CHECK(request.query == std::map<std::string, std::string>{
                             {"state", "dead"}, {"type", "a b="}, {"flag", ""}, {"empty", ""}});
  REQUIRE(request.parameter("state") != nullptr);
  CHECK(*request.parameter("state") == "dead");
  CHECK(request.parameter("none") == nullptr);
}

TEST_CASE("target: the root has no segment, an empty segment is kept") {
  CHECK(parsed("/").path.empty());
  CHECK(parsed("/?a=1").path.empty());
  CHECK(parsed("/v1//jobs/").path == std::vector<std::string>{"v1", "", "jobs", ""});
  CHECK(parsed("/a+b").path == std::vector<std::string>{"a+b"});
  CHECK(parsed("/a?&&b=1&").query.size() == 1);
}

TEST_CASE("target: scheme and authority are dropped") {
  CHECK(parsed("http://holdfast/v1/stats?x=1").path == std::vector<std::string>{"v1", "stats"});
  CHECK(parsed("http://holdfast").path.empty());
  CHECK(parsed("/redirect?to=http://x/y").path == std::vector<std::string>{"redirect"});
}

TEST_CASE("target: what is malformed is refused") {
  for (const char* bad : {"", "*", "v1/jobs", "/a%", "/a%4", "/a%zz", "/a%00", "/a?b=%", "/a#b", "/?a=1&a=2"}) {
    ServerRequest request;
    const auto status = parse_target(bad, request);
    REQUIRE_MESSAGE(!status.ok(), bad);
    CHECK(status.error().code == HF_E_INVALID);
  }
}

TEST_CASE("error body: JSON whatever the message holds") {
  const auto response = ServerResponse::error(404, "not_found", "no job \"7\"\n");
  CHECK(response.status == 404);
  CHECK(response.body == "{\"error\":{\"code\":\"not_found\",\"message\":\"no job \\\"7\\\"\\n\"}}\n");
  CHECK(ServerResponse::error(400, "invalid", "\xff").body.find("\xEF\xBF\xBD") != std::string::npos);
}

TEST_CASE("response head: fields, and none that ends its line") {
  CHECK(response_head(200, "application/json", {{"Allow", "GET"}}, 2, false, true, false) ==
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nAllow: GET\r\n\r\n");
  CHECK(response_head(204, "", {}, -1, false, false, false) == "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
  CHECK(response_head(200, "", {}, 0, false, true, true).find("Connection: keep-alive\r\n") != std::string::npos);
  CHECK(response_head(200, "", {{"X", "a\r\nSet-Cookie: b"}}, 0, false, true, false).find("X: a  Set-Cookie: b\r\n") !=
        std::string::npos);
}

TEST_CASE("chunk: size in hexadecimal") { CHECK(http_chunk("0123456789abcdef!") == "11\r\n0123456789abcdef!\r\n"); }

TEST_CASE("peer: primary and supplementary groups") {
  const Peer peer{1, 2, 3, {4, 5}};
  CHECK(peer.in_group(3));
  CHECK(peer.in_group(5));
  CHECK_FALSE(peer.in_group(2));
}
