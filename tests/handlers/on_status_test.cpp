// What a handler and a sink make of statuses that their configuration lists, with a server that answers so.
#include <algorithm>

#include "handlers/http.h"
#include "handlers/sink.h"
#include "tests/handlers/http_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

OutcomeRules rules(std::initializer_list<std::pair<int, Outcome>> listed) {
  OutcomeRules all;
  for (const auto& [status, outcome] : listed) REQUIRE_FALSE(all.add(status, status, outcome));
  return all;
}

struct Handler : HttpFixture {
  std::unique_ptr<HttpRunner> runner;
  void make(OutcomeRules on_status, int redirects = 0) {
    HttpOptions options{target("/notify"), 1024, std::move(on_status)};
    options.target.redirects = redirects;
    runner = std::make_unique<HttpRunner>(loop.uv(), client, std::move(options), end_run());
  }
  const RunEnded& run(JobId id) {
    runner->start(jobs(id, id));
    return wait(id);
  }
  ~Handler() { shut_down(*runner); }
};

struct Sink : HttpFixture {
  std::unique_ptr<SinkRunner> runner;
  void make(OutcomeRules on_status, Encoding compress = Encoding::none) {
    SinkOptions options{target("/v1/results"), BatchFormat::ndjson, compress, "cloud", {}, std::move(on_status)};
    runner = std::make_unique<SinkRunner>(loop.uv(), client, std::move(options), end_run());
  }
  void deliver(JobId first, JobId last) {
    runner->start(jobs(first, last));
    for (JobId id = first; id <= last; ++id) wait(id);
  }
  std::string outcomes(JobId first, JobId last) {  // d done, r retry, x dead, w deferred
    std::string out;
    for (JobId id = first; id <= last; ++id) {
      const Outcome outcome = ended[id].outcome;
      out += outcome == Outcome::done ? 'd' : outcome == Outcome::retry ? 'r' : outcome == Outcome::dead ? 'x' : outcome == Outcome::defer ? 'w' : '?';
    }
    return out;
  }
  ~Sink() { shut_down(*runner); }
};

bool has(const SeenRequest& request, JobId id) { return request.body.find("\"key\":\"gw-" + std::to_string(id) + "\"") != std::string::npos; }

}  // namespace

TEST_SUITE("on_status") {
  TEST_CASE_FIXTURE(Handler, "each class of an http handler; what is not listed is as ever") {
    make(rules({{404, Outcome::done}, {409, Outcome::retry}, {500, Outcome::dead}, {423, Outcome::defer}}));
    const std::pair<int, Outcome> table[] = {{404, Outcome::done}, {409, Outcome::retry}, {500, Outcome::dead}, {423, Outcome::defer},
                                             {201, Outcome::done}, {410, Outcome::dead},  {502, Outcome::retry}};
    for (const auto& [status, meant] : table) {
      CAPTURE(status);
      answer = [status = status](const SeenRequest&) { return reply(status, "its body"); };
      const RunEnded& end = run(status);
      CHECK(end.outcome == meant);
      CHECK(end.result == (meant == Outcome::done ? "its body" : ""));
      CHECK(end.error.empty() == (meant == Outcome::done));
      CHECK_FALSE(end.park_runner);
    }
    CHECK(seen.size() == std::size(table));
  }

  TEST_CASE_FIXTURE(Handler, "a status that is ok has a result of the same limit, or none") {
    make(rules({{304, Outcome::done}, {404, Outcome::done}}));
    answer = [](const SeenRequest&) { return reply(404, std::string(1024, 'x')); };
    CHECK(run(1).result.size() == 1024);
    answer = [](const SeenRequest&) { return reply(404, std::string(1025, 'x')); };
    CHECK(run(2).outcome == Outcome::dead);
    CHECK(ended[2].error.find("is longer than 1KiB, the largest result") != std::string::npos);
    answer = [](const SeenRequest&) { return std::string("HTTP/1.1 304 Not Modified\r\nETag: \"7\"\r\n\r\n"); };
    CHECK(run(3).outcome == Outcome::done);
    CHECK(ended[3].result == "");
  }

  TEST_CASE_FIXTURE(Handler, "a redirect that is followed is no answer; one that is not is") {
    const auto listed = rules({{307, Outcome::defer}, {404, Outcome::done}});
    answer = [this](const SeenRequest&) { return seen.size() == 1 ? reply(307, "", "Location: /new\r\n") : reply(404, "gone"); };
    SUBCASE("followed") {
      make(listed, 1);
      CHECK(run(1).outcome == Outcome::done);
      CHECK(ended[1].result == "gone");
      CHECK(seen.size() == 2);
    }
    SUBCASE("not followed") {
      make(listed);
      CHECK(run(1).outcome == Outcome::defer);
      CHECK(seen.size() == 1);
    }
  }

  TEST_CASE_FIXTURE(Handler, "Retry-After of what is listed; no answer is no status") {
    make(rules({{409, Outcome::retry}, {423, Outcome::defer}, {503, Outcome::dead}}));
    for (const int status : {409, 423, 503}) {
      CAPTURE(status);
      answer = [status](const SeenRequest&) { return reply(status, "", "Retry-After: 30\r\n"); };
      CHECK(run(status).retry_after_ms == (status == 503 ? -1 : 30'001));
    }
    answer = [](const SeenRequest&) { return ""; };
    runner->start(jobs(1, 1));
    wait_seen(4);
    runner->stop(1, 3, StopReason::timeout);
    CHECK(wait(1).outcome == Outcome::retry);
  }

  TEST_CASE_FIXTURE(Sink, "each class is for all lines of a batch") {
    make(rules({{409, Outcome::done}, {400, Outcome::retry}, {404, Outcome::defer}, {202, Outcome::retry}, {503, Outcome::defer}}));
    int status = 0;
    answer = [&](const SeenRequest&) { return reply(status); };
    const auto deliver_to = [&](int next) {
      status = next;
      seen.clear();
      ended.clear();
      deliver(1, 4);
      CHECK(seen.size() == 1);
      CHECK(ended[1].park_runner == (status == 503));
      return outcomes(1, 4);
    };
    CHECK(deliver_to(409) == "dddd");
    CHECK(deliver_to(400) == "rrrr");  // not halved: nothing is refused
    CHECK(deliver_to(404) == "wwww");
    CHECK(deliver_to(202) == "rrrr");
    CHECK(deliver_to(201) == "dddd");
    CHECK(deliver_to(502) == "rrrr");
    CHECK(deliver_to(503) == "wwww");
  }

  TEST_CASE_FIXTURE(Sink, "an answer to single lines counts with each status that is ok, and with no other") {
    make(rules({{422, Outcome::done}, {207, Outcome::retry}}));
    int status = 422;
    answer = [&](const SeenRequest&) {
      return reply(status, R"({"results":[{"key":"gw-1","status":"stored"},{"key":"gw-2","status":"refused"},{"key":"gw-3","status":"retry"}]})",
                   "Content-Type: application/json\r\n");
    };
    deliver(1, 3);
    CHECK(outcomes(1, 3) == "dxr");
    status = 207;
    ended.clear();
    deliver(1, 3);
    CHECK(outcomes(1, 3) == "rrr");
    CHECK(seen.size() == 2);
  }

  TEST_CASE_FIXTURE(Sink, "what is permanent is looked for in halves, unless it is about who or where") {
    int status = 500;
    make(rules({{500, Outcome::dead}, {401, Outcome::dead}, {302, Outcome::dead}}));
    answer = [&](const SeenRequest& request) { return has(request, 3) ? reply(status, "bad line") : reply(200); };
    deliver(1, 4);
    CHECK(outcomes(1, 4) == "ddxd");
    CHECK(seen.size() == 5);
    for (const int next : {401, 302}) {
      CAPTURE(next);
      status = next;
      seen.clear();
      ended.clear();
      deliver(1, 4);
      CHECK(outcomes(1, 4) == "xxxx");
      CHECK(seen.size() == 1);
    }
  }

  TEST_CASE_FIXTURE(Sink, "whether the server takes what is compressed is found out first, whatever the status is listed as") {
    const auto compressed = [](const SeenRequest& request) { return request.header("Content-Encoding") != "(none)"; };
    for (const Outcome outcome : {Outcome::retry, Outcome::defer}) {
      seen.clear();
      ended.clear();
      if (runner) shut_down(*runner);
      make(rules({{415, outcome}, {422, outcome}}), Encoding::gzip);
      answer = [&](const SeenRequest& request) { return reply(compressed(request) ? 415 : 200); };
      deliver(1, 30);
      CHECK(std::count_if(ended.begin(), ended.end(), [](const auto& end) { return end.second.outcome == Outcome::done; }) == 30);
      REQUIRE(seen.size() == 2);
      CHECK(compressed(seen[0]));
      CHECK_FALSE(compressed(seen[1]));
    }
  }

  TEST_CASE_FIXTURE(Sink, "a status that is ok does not say that the server can read what is compressed") {
    make(rules({{409, Outcome::done}}), Encoding::gzip);
    std::string pattern;
    answer = [&](const SeenRequest& request) {
      const bool compressed = request.header("Content-Encoding") != "(none)";
      pattern += compressed ? 'c' : 'p';
      if (seen.size() == 1) return reply(409);
      return reply(compressed ? 400 : 200);
    };
    deliver(1, 30);
    deliver(31, 60);
    CHECK(outcomes(31, 33) == "ddd");
    CHECK(pattern == "ccp");
  }
}
