#include "handlers/redirect.h"

#include "handlers/http.h"
#include "tests/handlers/http_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

std::string leads(const char* from, const char* location, int status = 307) {
  HttpResponse response;
  response.status = status;
  response.headers.add("Location", location);
  const auto to = redirect_of(response, *parse_url(from));
  return to ? (to->https ? "https://" : "http://") + to->host_port() + to->target : "";
}

// Two servers; what comes to either is in `seen`.
struct TwoServers : HttpFixture {
  Peer elsewhere{loop, [this](Peer::Client& connection) { arrived(connection); }};
  std::unique_ptr<HttpRunner> runner;
  void make(int redirects, std::shared_ptr<const std::vector<HostRule>> allow_hosts = {}) {
    HttpOptions options;
    options.target = target("/v1?x=1");
    options.target.redirects = redirects;
    options.target.allow_hosts = std::move(allow_hosts);
    options.target.deadlines.first_byte_ms = 5000;
    options.target.headers.add("Authorization", "Bearer secret");
    options.target.headers.add("X-Key", "secret");
    options.target.headers.add("Content-Type", "text/plain");
    runner = std::make_unique<HttpRunner>(loop.uv(), client, std::move(options), end_run());
  }
  ~TwoServers() { shut_down(*runner); }
  // The first request is sent on to there, what follows is answered so.
  void send_on(const std::string& location, const std::string& then) {
    answer = [this, location, then](const SeenRequest&) { return seen.size() == 1 ? reply(307, "", "Location: " + location + "\r\n") : then; };
  }
};

}  // namespace

TEST_SUITE("redirect") {
  TEST_CASE("a location is resolved") {
    const char* from = "https://a.example:8443/v1/results?x=1";
    CHECK(leads(from, "https://b.example/in") == "https://b.example:443/in");
    CHECK(leads(from, "//b.example") == "https://b.example:443/");
    CHECK(leads(from, "/v2") == "https://a.example:8443/v2");
    CHECK(leads(from, "next?y=2#part") == "https://a.example:8443/v1/next?y=2");
    CHECK(leads(from, "a:b") == "");
    CHECK(leads(from, "./a:b") == "https://a.example:8443/v1/./a:b");
    CHECK(leads(from, "?y=2") == "https://a.example:8443/v1/results?y=2");
    CHECK(leads("http://a.example", "v2") == "http://a.example:80/v2");
    CHECK(leads("http://[::1]:81/", "v2") == "http://[::1]:81/v2");
  }

  TEST_CASE("what is followed, and what is not") {
    for (const int status : {307, 308}) CHECK(leads("http://a.example/", "/b", status) != "");
    for (const int status : {200, 300, 301, 302, 303, 304, 305, 306, 400, 503}) CHECK(leads("http://a.example/", "/b", status) == "");
    CHECK(leads("http://a.example/", "https://a.example/") == "https://a.example:443/");
    CHECK(leads("https://a.example/", "http://a.example/") == "");
    for (const char* none : {"", "#x", "ftp://a.example/", "https://", "https://u:p@a.example/", "https://a b/", "https://a.example/\\x", "mailto:a@b"}) CHECK(leads("https://a.example/", none) == "");
    CHECK(leads("https://a.example/", ("/" + std::string(kUrlMax, 'x')).c_str()) == "");
    HttpResponse nowhere;
    nowhere.status = 307;
    CHECK_FALSE(redirect_of(nowhere, *parse_url("http://a.example/")));
  }

  TEST_CASE("which server is the same one") {
    const auto same = [](const char* a, const char* b) { return same_server(*parse_url(a), *parse_url(b)); };
    CHECK(same("https://a.example/x", "https://A.example:443/y"));
    CHECK(same("http://a.example/", "https://a.example/"));
    CHECK_FALSE(same("https://a.example/", "http://a.example/"));
    CHECK_FALSE(same("https://a.example/", "https://a.example:8443/"));
    CHECK_FALSE(same("https://a.example/", "https://b.example/"));
    CHECK_FALSE(same("https://a.example/", "https://sub.a.example/"));
  }

  TEST_CASE_FIXTURE(TwoServers, "none is followed unless it is said") {
    make(0);
    send_on("/v2", reply(200));
    runner->start(jobs(7, 7));
    CHECK(wait(7).outcome == Outcome::dead);
    CHECK(ended[7].error.ends_with("(a redirect that is not followed)"));
    CHECK(seen.size() == 1);
  }

  TEST_CASE_FIXTURE(TwoServers, "to the same server goes the same request") {
    make(1);
    send_on("v2?y=2", reply(200, "made"));
    runner->start(jobs(7, 7));
    CHECK(wait(7).outcome == Outcome::done);
    CHECK(ended[7].result == "made");
    REQUIRE(seen.size() == 2);
    CHECK(seen[1].head.starts_with("POST /v2?y=2 HTTP/1.1\r\n"));
    CHECK(seen[1].head.substr(seen[1].head.find("\r\n")) == seen[0].head.substr(seen[0].head.find("\r\n")));
    CHECK(seen[1].body == seen[0].body);
  }

  TEST_CASE_FIXTURE(TwoServers, "another server does not see what is for the eyes of the first alone") {
    make(1);
    send_on("http://" + elsewhere.url().host_port() + "/in", reply(200));
    runner->start(jobs(7, 7));
    CHECK(wait(7).outcome == Outcome::done);
    REQUIRE(seen.size() == 2);
    CHECK(elsewhere.connections() == 1);
    CHECK(seen[0].header("Authorization") == "Bearer secret");
    CHECK(seen[1].header("Authorization") == "(none)");
    CHECK(seen[1].head.find("secret") == std::string::npos);
    CHECK(seen[1].header("Host") == elsewhere.url().host_port());
    for (const char* kept : {"Idempotency-Key", "Holdfast-Job-Id", "Holdfast-Attempt", "Content-Type"}) CHECK(seen[1].header(kept) == seen[0].header(kept));
    CHECK(seen[1].body == seen[0].body);
  }

  TEST_CASE_FIXTURE(TwoServers, "no redirect leads to a host that is not allowed") {
    uint16_t allowed = peer.port();
    SUBCASE("the first server alone") {}
    SUBCASE("the other one") {
      allowed = elsewhere.port();
    }
    make(1, std::make_shared<const std::vector<HostRule>>(std::vector<HostRule>{{.host = "127.0.0.1", .port = allowed}}));
    send_on("http://" + elsewhere.url().host_port() + "/in", reply(200));
    runner->start(jobs(7, 7));
    CHECK(wait(7).outcome == (allowed == elsewhere.port() ? Outcome::done : Outcome::dead));
    CHECK(elsewhere.connections() == (allowed == elsewhere.port() ? 1 : 0));
  }

  TEST_CASE_FIXTURE(TwoServers, "back at the first it is whole again, and the hops are counted") {
    make(kRedirectsMax);
    const std::string here = "http://" + peer.url().host_port() + "/", there = "http://" + elsewhere.url().host_port() + "/";
    answer = [&](const SeenRequest&) { return reply(308, "", "Location: " + (seen.size() % 2 == 1 ? there : here) + "\r\n"); };
    runner->start(jobs(7, 7));
    CHECK(wait(7).outcome != Outcome::done);
    REQUIRE(seen.size() == 1 + kRedirectsMax);
    for (size_t i = 0; i < seen.size(); ++i) CHECK(seen[i].header("Authorization") == (i % 2 == 0 ? "Bearer secret" : "(none)"));
  }

  TEST_CASE_FIXTURE(TwoServers, "nobody there: nobody has taken it, and it waits") {
    make(1);
    elsewhere.stop_listening();
    send_on("http://" + elsewhere.url().host_port() + "/in", "");
    runner->start(jobs(7, 7));
    CHECK(wait(7).outcome == Outcome::defer);
    CHECK(ended[7].park_runner);
  }

  TEST_CASE_FIXTURE(TwoServers, "on its way to the next one it can be stopped") {
    make(1);
    send_on("http://" + elsewhere.url().host_port() + "/in", "");
    runner->start(jobs(7, 7));
    wait_seen(2);
    SUBCASE("timeout") {
      runner->stop(7, 3, StopReason::timeout);
      CHECK(wait(7).outcome == Outcome::retry);
    }
    SUBCASE("cancel") {
      runner->stop(7, 3, StopReason::cancel);
      CHECK(wait(7).outcome == Outcome::cancelled);
    }
    SUBCASE("shutdown") {
      shut_down(*runner);
      CHECK(ended[7].outcome == Outcome::handed_back);
    }
    SUBCASE("the client goes") {
      shut(loop, client);
      CHECK(wait(7).outcome == Outcome::handed_back);
    }
    CHECK(reports == 1);
  }
}
