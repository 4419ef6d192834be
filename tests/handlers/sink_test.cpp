#include "handlers/sink.h"

#include <algorithm>
#include <set>

#include "platform/net/proxy_tunnel.h"
#include "tests/handlers/http_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

struct Fixture : HttpFixture {
  SinkRunner runner{loop.uv(), client, {target("/v1/results")}, end_run()};
  ~Fixture() { shut_down(runner); }

  static bool has(const SeenRequest& request, JobId id) {
    return request.body.find("\"key\":\"gw-" + std::to_string(id) + "\"") != std::string::npos;
  }
  static int64_t lines(const SeenRequest& request) {
    return std::count(request.body.begin(), request.body.end(), '\n');
  }
  // Refuses what has a job of `poison` in it.
  void refuse(std::set<JobId> poison, int status) {
    answer = [poison, status](const SeenRequest& request) {
      for (const JobId id : poison)
        if (has(request, id)) return reply(status, "bad line");
      return reply(200);
    };
  }
  void wait_all(JobId first, JobId last) {
    for (JobId id = first; id <= last; ++id) wait(id);
    CHECK(reports == last - first + 1);
  }
};

}  // namespace

TEST_SUITE("sink") {
  TEST_CASE_FIXTURE(Fixture, "a batch is one request, a line a job") {
    runner.start(jobs(1, 3));
    CHECK(reports == 0);
    wait_all(1, 3);
    for (JobId id = 1; id <= 3; ++id) {
      CHECK(ended[id].outcome == Outcome::done);
      CHECK(ended[id].result == "");
    }
    REQUIRE(seen.size() == 1);
    CHECK(seen[0].head.starts_with("POST /v1/results HTTP/1.1\r\n"));
    CHECK(seen[0].header("Content-Type") == "application/x-ndjson");
    CHECK(seen[0].header("Holdfast-Batch") == "3");
    CHECK(lines(seen[0]) == 3);
    CHECK(seen[0].body.starts_with("{\"key\":\"gw-1\",\"id\":1,"));
  }

  TEST_CASE_FIXTURE(Fixture, "the key of one job is its own, of a batch that of its jobs") {
    runner.start(jobs(1, 1));
    runner.start(jobs(2, 4));
    StartRun again = jobs(2, 4);
    for (RunJob& job : again.jobs) job.id += 10, job.attempt = 3;  // other runs, the same keys
    runner.start(again);
    runner.start(jobs(5, 6));
    REQUIRE(loop.run_until([&] { return reports == 9; }));
    std::multiset<std::string> keys;
    for (const SeenRequest& request : seen) keys.insert(request.header("Idempotency-Key"));
    CHECK(keys.count("gw-1") == 1);
    keys.erase("gw-1");
    CHECK(keys.size() == 3);
    CHECK(std::set<std::string>(keys.begin(), keys.end()).size() == 2);
    for (const std::string& key : keys) CHECK(key.starts_with("batch-"));
  }

  TEST_CASE_FIXTURE(Fixture, "a poisonous job dies alone") {
    int status = 400;
    SUBCASE("bad request") {}
    SUBCASE("too large") {
      status = 413;
    }
    SUBCASE("a firewall on the way") {
      status = 403;
    }
    refuse({3, 6}, status);
    runner.start(jobs(1, 8));
    wait_all(1, 8);
    for (JobId id = 1; id <= 8; ++id) {
      CAPTURE(id);
      CHECK(ended[id].outcome == (id == 3 || id == 6 ? Outcome::dead : Outcome::done));
    }
    CHECK(ended[3].error.find("bad line") != std::string::npos);
    CHECK(seen.size() == 11);
    // All that was sent for the batch is told once: by the jobs that came first, the others have 0.
    int64_t wire = 0, bodies = 0;
    for (JobId id = 1; id <= 8; ++id) {
      REQUIRE(ended[id].wire_bytes >= 0);
      wire += ended[id].wire_bytes;
    }
    for (const SeenRequest& request : seen) bodies += static_cast<int64_t>(request.head.size() + request.body.size());
    CHECK(wire > bodies);
    CHECK(wire < bodies + 11 * 200);
  }

  TEST_CASE_FIXTURE(Fixture, "all poisonous: at most 2n - 1 requests, one at a time") {
    answer = [](const SeenRequest&) { return reply(422); };
    runner.start(jobs(1, 7));
    wait_all(1, 7);
    CHECK(seen.size() == 13);
    CHECK(peer.connections() == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a refusal that is not about the content is for all of them at once") {
    answer = [](const SeenRequest&) { return reply(404); };
    runner.start(jobs(1, 8));
    wait_all(1, 8);
    CHECK(seen.size() == 1);
    CHECK(ended[8].outcome == Outcome::dead);
  }

  TEST_CASE_FIXTURE(Fixture, "a server that takes some of the lines says so of each") {
    std::string body = R"({"results":[{"key":"gw-3","status":"refused","error":"no such sensor"},{"key":"gw-1","status":"stored"},
      {"key":"gw-2","status":"retry"},{"key":"gw-5","status":"lost"},{"key":"other","status":"refused"},7]})";
    answer = [&](const SeenRequest&) { return reply(207, body, "Content-Type: application/json; charset=utf-8\r\n"); };
    runner.start(jobs(1, 5));
    wait_all(1, 5);
    CHECK(ended[1].outcome == Outcome::done);
    CHECK(ended[2].outcome == Outcome::retry);
    CHECK(ended[2].error.ends_with(" wants it again"));
    CHECK(ended[3].outcome == Outcome::dead);
    CHECK(ended[3].error.ends_with(" refuses it: no such sensor"));
    CHECK(ended[4].outcome == Outcome::retry);
    CHECK(ended[4].error.ends_with(" does not name it"));
    CHECK(ended[5].outcome == Outcome::retry);
    CHECK(ended[5].error.find("says \"lost\" of it") != std::string::npos);
    CHECK(seen.size() == 1);
    for (JobId id = 1; id <= 5; ++id) CHECK_FALSE(ended[id].park_runner);
  }

  TEST_CASE_FIXTURE(Fixture, "a server acknowledges by sequence, and says what it is missing") {
    std::string body;
    answer = [&](const SeenRequest&) { return reply(200, body, "Content-Type: application/json\r\n"); };
    const auto send = [&](const std::string& text, int64_t first_sequence = 101) {
      body = text;
      reports = 0;
      ended.clear();
      StartRun run = jobs(1, 9);
      for (RunJob& job : run.jobs) job.sequence = first_sequence == 0 ? 0 : first_sequence + job.id - 1;
      runner.start(std::move(run));
      wait_all(1, 9);
      std::string done;
      for (JobId id = 1; id <= 9; ++id) {
        CHECK(ended[id].outcome == (ended[id].error.empty() ? Outcome::done : Outcome::retry));
        done += ended[id].outcome == Outcome::done ? std::to_string(id) : "-";
      }
      return done;
    };
    CHECK(send(R"({"stored_through":109})") == "123456789");
    CHECK(seen.back().body.find("\"sequence\":109") != std::string::npos);
    CHECK(send(R"({"stored_through":200,"missing":[]})") == "123456789");
    CHECK(send(R"({"stored_through":107})") == "1234567--");
    CHECK(ended[8].error.find("has stored what comes through 107, and this is 108") != std::string::npos);
    CHECK(send(R"({"stored_through":109,"missing":[101,[103,104],108]})") == "-2--567-9");
    CHECK(ended[3].error.ends_with(" is missing it: 103"));
    CHECK(send(R"({"stored_through":109,"missing":[[104,106],[1,108],105]})") == "--------9");
    CHECK(send(R"({"stored_through":109,"missing":[[9223372036854775807,9223372036854775807]]})") == "123456789");
    CHECK(send(R"({"stored_through":0})") == "---------");
    for (const char* unclear : {R"({"stored_through":109,"missing":[[109,108]]})", R"({"stored_through":"109"})", R"({"stored_through":-1})", R"({"stored_through":109,"missing":7})",
                                R"({"stored_through":109,"missing":["x"]})", R"({"stored_through":109,"missing":[[1,2,3]]})", R"({"stored_through":109,"missing":[[1]]})"}) {
      CAPTURE(unclear);
      CHECK(send(unclear) == "---------");
    }
    CHECK(send(R"({"stored_through":109})", 0) == "---------");
    CHECK(ended[1].error.ends_with("is by sequence, and it has none"));
    CHECK(seen.back().body.find("sequence") == std::string::npos);
    CHECK(send(R"({"results":[{"key":"gw-2","status":"stored"}],"stored_through":109})") == "-2-------");  // line by line is clearer
  }

  TEST_CASE_FIXTURE(Fixture, "any other answer is for all of them, but one that is too long to be read") {
    std::string body, type = "Content-Type: application/json\r\n";
    answer = [&](const SeenRequest&) { return reply(200, body, type); };
    for (const char* text : {"", "stored", "[]", "{}", R"({"results":3})", R"({"results":[)", R"({"stored":3})", R"({"results":[{"key":"gw-1","id":7},3]})"}) {
      CAPTURE(text);
      body = text;
      reports = 0;
      ended.clear();
      runner.start(jobs(1, 3));
      wait_all(1, 3);
      for (JobId id = 1; id <= 3; ++id) CHECK(ended[id].outcome == Outcome::done);
    }
    body = R"({"results":[]})";
    type = "Content-Type: text/plain\r\n";
    reports = 0;
    ended.clear();
    runner.start(jobs(1, 3));
    wait_all(1, 3);
    CHECK(ended[1].outcome == Outcome::done);
    type = "Content-Type: application/json\r\n";
    for (const bool fits : {true, false}) {
      CAPTURE(fits);
      body = R"({"results":[{"key":"gw-1","status":"stored"}]})";
      body.resize(4096 + 256 + (fits ? 0 : 1), ' ');
      reports = 0;
      ended.clear();
      runner.start(jobs(1, 1));
      wait_all(1, 1);
      CHECK(ended[1].outcome == (fits ? Outcome::done : Outcome::retry));
    }
    const std::string told = ended[1].error;
    body = "{\"rows\":[" + std::string(10000, '1') + "]}";
    reports = 0;
    ended.clear();
    runner.start(jobs(1, 1));
    wait_all(1, 1);
    CHECK(ended[1].outcome == Outcome::done);
    CHECK(told.find("is longer than the 4352 bytes that are read of it") != std::string::npos);
  }

  TEST_CASE_FIXTURE(Fixture, "an answer that may name lines and cannot be read stores none of them") {
    int status = 200;
    std::string body, type = "Content-Type: application/json\r\n";
    answer = [&](const SeenRequest&) { return reply(status, body, type); };
    const auto outcome = [&](int with, const std::string& text) {
      status = with;
      body = text;
      reports = 0;
      ended.clear();
      runner.start(jobs(1, 2));
      wait_all(1, 2);
      CHECK(ended[1].outcome == ended[2].outcome);
      return ended[2].outcome;
    };
    CHECK(outcome(207, R"({"results":[)") == Outcome::retry);
    CHECK(ended[1].error.find("is no JSON that can be read") != std::string::npos);
    CHECK(outcome(200, R"({"results":[{"key":"gw-1","status":"refused","error":"x})") == Outcome::retry);
    CHECK(outcome(200, R"({"stored_through":1,})") == Outcome::retry);
    CHECK(outcome(200, R"({"results":[)") == Outcome::done);
    type += "Content-Encoding: gzip\r\n";
    CHECK(outcome(207, "\x1f\x8b") == Outcome::retry);
    CHECK(ended[1].error.find("has a Content-Encoding, \"gzip\"") != std::string::npos);
    CHECK(outcome(200, "\x1f\x8b") == Outcome::done);
  }

  TEST_CASE_FIXTURE(Fixture, "a busy server is left alone, also amid the halving") {
    answer = [this](const SeenRequest&) {
      if (seen.size() == 1) return reply(400);
      if (seen.size() == 2) return reply(200);
      return reply(503, "", "Retry-After: 9\r\n");
    };
    runner.start(jobs(1, 8));
    wait_all(1, 8);
    CHECK(seen.size() == 3);
    CHECK(ended[4].outcome == Outcome::done);
    for (JobId id = 5; id <= 8; ++id) {
      CHECK(ended[id].outcome == Outcome::defer);
      CHECK(ended[id].park_runner);
      CHECK(ended[id].retry_after_ms == 9'001);
    }
  }

  TEST_CASE_FIXTURE(Fixture, "a server that asks for time gets nothing more that is not on its way") {
    answer = [](const SeenRequest&) { return reply(429, "slow down", "Retry-After: 9\r\n"); };
    for (JobId id = 1; id <= 12; ++id) runner.start(jobs(id, id));
    wait_all(1, 12);
    CHECK(seen.size() <= 4);  // connections to one server
    for (JobId id = 1; id <= 12; ++id) {
      CHECK(ended[id].outcome == Outcome::defer);
      CHECK(ended[id].park_runner);
      CHECK(ended[id].retry_after_ms > 0);
      CHECK(ended[id].retry_after_ms <= 9'001);
      CHECK(ended[id].error.ends_with("slow down"));
    }
    // What the engine had started before it heard of it.
    const size_t sent = seen.size();
    runner.start(jobs(20, 22));
    CHECK(reports == 12);
    wait(22);
    CHECK(reports == 15);
    CHECK(ended[22].park_runner);
    CHECK(ended[22].retry_after_ms <= 9'001);
    CHECK(seen.size() == sent);
    CHECK(client.stats().waiting == 0);
  }

  TEST_CASE_FIXTURE(Fixture, "a server that asks for no time is asked again") {
    answer = [this](const SeenRequest&) { return reply(seen.size() == 1 ? 503 : 200, "", seen.size() == 1 ? "Retry-After: 0\r\n" : ""); };
    runner.start(jobs(1, 1));
    CHECK(wait(1).park_runner);
    runner.start(jobs(2, 2));
    CHECK(wait(2).outcome == Outcome::done);
  }

  TEST_CASE_FIXTURE(Fixture, "a sign-in page stores nothing: all deferred, the runner parked") {
    answer = [](const SeenRequest&) { return reply(200, "<!DOCTYPE html><title>Welcome aboard</title>", "Content-Type: text/html\r\n"); };
    runner.start(jobs(1, 3));
    wait_all(1, 3);
    CHECK(seen.size() == 1);
    for (JobId id = 1; id <= 3; ++id) {
      CHECK(ended[id].outcome == Outcome::defer);
      CHECK(ended[id].park_runner);
      CHECK(ended[id].error.starts_with("captive portal? "));
    }
  }

  TEST_CASE_FIXTURE(Fixture, "nobody listens: all deferred, the runner parked") {
    peer.stop_listening();
    runner.start(jobs(1, 2));
    wait_all(1, 2);
    CHECK(ended[2].outcome == Outcome::defer);
    CHECK(ended[2].park_runner);
  }

  TEST_CASE_FIXTURE(Fixture, "a timeout ends the batch") {
    answer = [](const SeenRequest&) { return ""; };
    runner.start(jobs(1, 3));
    wait_seen(1);
    for (JobId id = 1; id <= 3; ++id) runner.stop(id, 3, StopReason::timeout);
    wait_all(1, 3);
    CHECK(ended[3].outcome == Outcome::retry);
    CHECK(ended[3].error == "timed out after 5m");
  }

  TEST_CASE_FIXTURE(Fixture, "a refusal that comes with the stop condemns nobody") {
    // Between the arrival of the answer, which leaves the connection idle, and its callback.
    uv_check_t check;
    uv_check_init(loop.uv(), &check);
    check.data = static_cast<Fixture*>(this);
    uv_check_start(&check, [](uv_check_t* handle) {
      auto& test = *static_cast<Fixture*>(handle->data);
      if (!test.seen.empty() && test.client.stats().idle == 1 && test.reports == 0) test.runner.stop(1, 3, StopReason::timeout);
    });
    answer = [](const SeenRequest&) { return reply(400); };
    runner.start(jobs(1, 3));
    wait_all(1, 3);
    for (JobId id = 1; id <= 3; ++id) CHECK(ended[id].outcome == Outcome::retry);
    CHECK(seen.size() == 1);
    seen.clear();
    reports = 0;
    ended.clear();
    answer = [](const SeenRequest&) { return reply(200); };
    runner.start(jobs(1, 3));
    wait_all(1, 3);
    CHECK(ended[3].outcome == Outcome::done);  // what is clear counts
    bool closed = false;
    check.data = &closed;
    uv_close(reinterpret_cast<uv_handle_t*>(&check), [](uv_handle_t* handle) { *static_cast<bool*>(handle->data) = true; });
    REQUIRE(loop.run_until([&] { return closed; }));
  }

  TEST_CASE_FIXTURE(Fixture, "a timeout before anything was sent spends no attempt") {
    SUBCASE("it waited for a connection: handed back") {
      answer = [](const SeenRequest&) { return ""; };
      for (JobId id = 1; id <= 5; ++id) runner.start(jobs(id, id));  // 4 connections to one server
      wait_seen(4);
      runner.stop(5, 3, StopReason::timeout);
      CHECK(wait(5).outcome == Outcome::handed_back);
      CHECK_FALSE(ended[5].park_runner);
      runner.stop(1, 3, StopReason::timeout);
      CHECK(wait(1).outcome == Outcome::retry);
    }
    SUBCASE("there was no connection yet: deferred, the runner parked") {
      HttpTarget to = target("/v1/results");
      to.proxy = std::make_shared<const HttpProxy>(HttpProxy{peer.url().host, peer.port(), {}});
      SinkRunner through(loop.uv(), client, {to}, end_run());
      answer = [](const SeenRequest&) { return ""; };
      through.start(jobs(1, 2));
      wait_seen(1);
      CHECK(seen[0].head.starts_with("CONNECT "));
      through.stop(1, 3, StopReason::timeout);
      wait_all(1, 2);
      shut_down(through);
      for (JobId id = 1; id <= 2; ++id) {
        CHECK(ended[id].outcome == Outcome::defer);
        CHECK(ended[id].park_runner);
        CHECK(ended[id].error.find("nothing was sent to ") != std::string::npos);
      }
    }
    SUBCASE("the half that waited for the other is handed back") {
      answer = [this](const SeenRequest&) { return seen.size() == 1 ? reply(400) : ""; };
      runner.start(jobs(1, 2));
      wait_seen(2);
      runner.stop(1, 3, StopReason::timeout);
      wait_all(1, 2);
      CHECK(ended[1].outcome == Outcome::retry);
      CHECK(ended[2].outcome == Outcome::handed_back);
    }
  }

  TEST_CASE_FIXTURE(Fixture, "a job that is cancelled in a batch stays with it") {
    std::string later;
    answer = [](const SeenRequest&) { return ""; };
    SUBCASE("delivered: done") {
      later = reply(200);
    }
    SUBCASE("not delivered: cancelled, the others as they are") {
      later = reply(503);
    }
    const bool delivered = later == reply(200);
    runner.start(jobs(1, 3));
    wait_seen(1);
    runner.stop(2, 3, StopReason::cancel);
    CHECK(reports == 0);
    peer.client(0).say(later);
    wait_all(1, 3);
    CHECK(ended[1].outcome == (delivered ? Outcome::done : Outcome::retry));
    CHECK(ended[2].outcome == (delivered ? Outcome::done : Outcome::cancelled));
    CHECK(seen.size() == 1);
  }

  TEST_CASE_FIXTURE(Fixture, "a cancelled job is not sent again when the batch is halved") {
    answer = [this](const SeenRequest&) { return seen.size() == 1 ? "" : reply(200); };
    runner.start(jobs(1, 2));
    wait_seen(1);
    runner.stop(1, 3, StopReason::cancel);
    peer.client(0).say(reply(400));
    wait_all(1, 2);
    CHECK(ended[1].outcome == Outcome::cancelled);
    CHECK(ended[2].outcome == Outcome::done);
    REQUIRE(seen.size() == 2);
    CHECK_FALSE(has(seen[1], 1));
  }

  TEST_CASE_FIXTURE(Fixture,
                    "a job that waits for its half is cancelled at once, one alone is broken off") {
    answer = [this](const SeenRequest&) {
      if (seen.size() == 1) return reply(400);
      return seen.size() == 2 ? std::string() : reply(200);
    };
    runner.start(jobs(1, 3));  // then 1 2 | 3
    wait_seen(2);
    runner.stop(3, 3, StopReason::cancel);
    CHECK(ended[3].outcome == Outcome::cancelled);
    peer.client(0).say(reply(400));  // then 1 | 2
    wait_all(1, 3);
    CHECK(ended[1].outcome == Outcome::done);
    CHECK(ended[2].outcome == Outcome::done);
    CHECK(seen.size() == 4);

    seen.resize(1);  // the next request is held
    runner.start(jobs(9, 9));
    wait_seen(2);
    runner.stop(9, 3, StopReason::cancel);
    CHECK(wait(9).outcome == Outcome::cancelled);
  }

  TEST_CASE_FIXTURE(Fixture, "shutdown hands all batches back, then says that it is closed") {
    answer = [](const SeenRequest&) { return ""; };
    runner.start(jobs(1, 2));
    runner.start(jobs(3, 4));
    wait_seen(2);
    shut_down(runner);
    CHECK(reports == 4);
    for (JobId id = 1; id <= 4; ++id) CHECK(ended[id].outcome == Outcome::handed_back);
  }
}
