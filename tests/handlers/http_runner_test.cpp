#include "handlers/http.h"

#include <cstring>

#include "platform/net/proxy_tunnel.h"
#include "tests/handlers/http_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

struct Fixture : HttpFixture {
  std::unique_ptr<HttpRunner> runner;
  HttpRunner& make(HttpOptions options) {
    runner = std::make_unique<HttpRunner>(loop.uv(), client, std::move(options), end_run());
    return *runner;
  }
  HttpRunner& make() {
    HttpOptions options;
    options.target = target("/notify?a=b");
    return make(std::move(options));
  }
  ~Fixture() { shut_down(*runner); }
};

}  // namespace

TEST_SUITE("http handler") {
  TEST_CASE_FIXTURE(Fixture,
                    "one request a job, which says whose it is; the answer is the result") {
    answer = [](const SeenRequest&) { return reply(201, "made"); };
    make().start(jobs(7, 7));
    CHECK(reports == 0);
    const RunEnded& end = wait(7);
    CHECK(end.outcome == Outcome::done);
    CHECK(end.result == "made");
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].head.starts_with("POST /notify?a=b HTTP/1.1\r\n"));
    CHECK(seen[0].body == "{\"n\":7}");
    CHECK(seen[0].header("Idempotency-Key") == "gw-7");
    CHECK(seen[0].header("Holdfast-Job-Id") == "7");
    CHECK(seen[0].header("Holdfast-Attempt") == "3");
    CHECK(seen[0].header("Content-Type") == "application/json");
    CHECK(seen[0].header("User-Agent") == "holdfast/" HF_VERSION);
  }

  TEST_CASE_FIXTURE(Fixture, "a request is signed, whatever the headers say, once the clock is trusted") {
    auto keys = std::make_shared<SigningKeys>();
    auto text = Secret::of(32);
    REQUIRE(text);
    std::memcpy(text->data(), "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 32);
    keys->push_back(std::move(*signing_key(*text)));
    HttpOptions options;
    options.target = target();
    options.target.sign = keys;
    options.target.headers.add("Webhook-Signature", "forged");
    make(std::move(options));
    clock.trusted = false;
    runner->start(jobs(7, 7));
    CHECK(wait(7).outcome == Outcome::defer);
    CHECK(ended[7].park_runner);
    CHECK(ended[7].error.find("is to be signed, and the clock is not trusted yet") != std::string::npos);
    CHECK(seen.empty());
    clock.trusted = true;
    ended.clear();
    runner->start(jobs(7, 7));
    CHECK(wait(7).outcome == Outcome::done);
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].header("webhook-id") == "gw-7");
    CHECK(seen[0].header("webhook-timestamp") == "1614265330");
    CHECK(seen[0].head.find("forged") == std::string::npos);
    HttpHeaders expected;
    REQUIRE(add_signature(&expected, *keys, "gw-7", 1614265330, seen[0].body));
    CHECK(seen[0].header("webhook-signature") == expected.get("webhook-signature"));
  }

  TEST_CASE_FIXTURE(Fixture, "configured headers are added, but do not stand for the job's own") {
    HttpOptions options;
    options.target = target();
    options.target.method = "PUT";
    options.target.headers.add("content-type", "text/plain");
    options.target.headers.add("Authorization", "Bearer x");
    options.target.headers.add("idempotency-key", "forged");
    make(std::move(options)).start(jobs(7, 7));
    CHECK(wait(7).outcome == Outcome::done);
    CHECK(seen[0].head.starts_with("PUT / HTTP/1.1\r\n"));
    CHECK(seen[0].header("content-type") == "text/plain");
    CHECK(seen[0].header("Content-Type") == "(none)");
    CHECK(seen[0].header("Authorization") == "Bearer x");
    CHECK(seen[0].header("Idempotency-Key") == "gw-7");
    CHECK(seen[0].head.find("forged") == std::string::npos);
  }

  TEST_CASE_FIXTURE(Fixture, "a refusal tells why") {
    answer = [](const SeenRequest&) { return reply(422, "no such user"); };
    make().start(jobs(7, 7));
    const RunEnded& end = wait(7);
    CHECK(end.outcome == Outcome::dead);
    CHECK(end.result == "");
    CHECK(end.error == "HTTP 422 from " + peer.url().host_port() + ": no such user");
  }

  TEST_CASE_FIXTURE(Fixture, "a busy server says when to come back") {
    answer = [](const SeenRequest&) { return reply(503, "", "Retry-After: 30\r\n"); };
    make().start(jobs(7, 7));
    CHECK(wait(7).outcome == Outcome::retry);
    CHECK(ended[7].retry_after_ms == 30'001);
  }

  TEST_CASE_FIXTURE(Fixture, "an answer that is too long for a result is no success") {
    HttpOptions options;
    options.target = target();
    options.max_result = 1024;
    answer = [](const SeenRequest&) { return reply(200, std::string(2000, 'x')); };
    make(std::move(options)).start(jobs(7, 7));
    CHECK(wait(7).outcome == Outcome::dead);
    CHECK(ended[7].error.find("is longer than 1KiB, the largest result") != std::string::npos);
  }

  TEST_CASE_FIXTURE(Fixture, "nobody listens: deferred, the runner parked") {
    peer.stop_listening();
    make().start(jobs(7, 7));
    CHECK(wait(7).outcome == Outcome::defer);
    CHECK(ended[7].park_runner);
  }

  TEST_CASE_FIXTURE(Fixture, "a private address wants a word in the configuration") {
    HttpOptions options;
    options.target = target();
    options.target.allow_private = false;
    make(std::move(options)).start(jobs(7, 7));
    CHECK(wait(7).outcome == Outcome::defer);
    CHECK(ended[7].error.find("allow_private") != std::string::npos);
    CHECK(seen.empty());
  }

  TEST_CASE_FIXTURE(Fixture,
                    "a certificate file that cannot be read: deferred, the runner parked") {
    HttpOptions options;
    options.target = target();
    options.target.url = *parse_url("https://127.0.0.1:" + std::to_string(peer.port()) + "/");
    options.target.tls.emplace().ca_file = "/nowhere/ca.pem";
    make(std::move(options)).start(jobs(7, 7));
    CHECK(wait(7).outcome == Outcome::defer);
    CHECK(ended[7].park_runner);
    CHECK(ended[7].error.find("/nowhere/ca.pem") != std::string::npos);
  }

  TEST_CASE_FIXTURE(Fixture, "a request may take a little longer than its run, its first byte as long unless it is said") {
    make();
    HttpTarget to = target();
    const HttpPeer by_default(loop.uv(), client, to);
    CHECK(by_default.deadlines(5000).whole_ms == 6000);
    constexpr int64_t kYearMs = int64_t{365} * 86'400'000;
    CHECK(by_default.deadlines(0).whole_ms == kYearMs);
    CHECK(by_default.deadlines(-1).whole_ms == kYearMs);  // "none"
    CHECK(by_default.deadlines(-1).first_byte_ms == HttpDeadlines().first_byte_ms);
    CHECK(by_default.deadlines(5000).first_byte_ms == HttpDeadlines().first_byte_ms);
    to.deadlines = {.dns_ms = 1, .connect_ms = 2, .tls_ms = 3, .first_byte_ms = 0, .progress_ms = 4};
    const HttpPeer as_long(loop.uv(), client, to);
    const HttpDeadlines deadlines = as_long.deadlines(5000);
    CHECK(deadlines.first_byte_ms == 6000);
    CHECK(as_long.deadlines(-1).first_byte_ms == kYearMs);
    CHECK(deadlines.dns_ms == 1);
    CHECK(deadlines.connect_ms == 2);
    CHECK(deadlines.tls_ms == 3);
    CHECK(deadlines.progress_ms == 4);
  }

  TEST_CASE_FIXTURE(Fixture, "a server that says nothing is left at its deadline") {
    answer = [](const SeenRequest&) { return ""; };
    HttpOptions options;
    options.target = target();
    options.target.deadlines.first_byte_ms = 20;
    make(std::move(options)).start(jobs(7, 7));
    CHECK(wait(7).outcome == Outcome::retry);
    CHECK(ended[7].error == "no response from " + target().url.host_port() + " within 20 ms");
    CHECK(client.stats().connections == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "a stop breaks the request off, for its reason") {
    answer = [](const SeenRequest&) { return ""; };
    make().start(jobs(7, 7));
    wait_seen(1);
    runner->stop(7, 2, StopReason::cancel);  // another attempt
    SUBCASE("timeout") {
      runner->stop(7, 3, StopReason::timeout);
      runner->stop(7, 3, StopReason::cancel);
      CHECK(wait(7).outcome == Outcome::retry);
      CHECK(ended[7].error == "timed out after 5m");
    }
    SUBCASE("cancel") {
      runner->stop(7, 3, StopReason::cancel);
      CHECK(wait(7).outcome == Outcome::cancelled);
    }
    SUBCASE("shutdown of the runner") {
      shut_down(*runner);
      CHECK(wait(7).outcome == Outcome::handed_back);
    }
    CHECK(reports == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a timeout before anything was sent spends no attempt") {
    HttpOptions options;
    options.target = target();
    options.target.proxy = std::make_shared<const HttpProxy>(HttpProxy{peer.url().host, peer.port(), {}});
    answer = [](const SeenRequest&) { return ""; };
    make(std::move(options)).start(jobs(1, 5));
    wait_seen(4);  // so many connections to one server
    for (JobId id = 1; id <= 5; ++id) runner->stop(id, 3, StopReason::timeout);
    CHECK(wait(1).outcome == Outcome::defer);
    CHECK(ended[1].park_runner);
    CHECK(ended[1].error == "timed out after 5m: nothing was sent to " + peer.url().host_port() + " (wait for the proxy)");
    CHECK(wait(5).outcome == Outcome::handed_back);
    CHECK_FALSE(ended[5].park_runner);
  }

  TEST_CASE_FIXTURE(Fixture, "a client that is gone hands the job back, and not within start()") {
    make();
    shut(loop, client);
    runner->start(jobs(7, 7));
    CHECK(reports == 0);
    CHECK(wait(7).outcome == Outcome::handed_back);
  }
}
