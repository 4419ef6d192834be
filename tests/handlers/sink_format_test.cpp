// What a sink's requests look like, and what becomes of the compression when the server does not take it.
#include <algorithm>
#include <set>

#include "handlers/sink.h"
#include "tests/handlers/http_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

struct Fixture : HttpFixture {
  std::vector<std::string> logged;
  std::unique_ptr<SinkRunner> runner;

  void make(BatchFormat format, Encoding compress) {
    SinkOptions options{target("/v1/results"), format, compress, "cloud",
                        Logger([this](LogLevel, const std::string& line) { logged.push_back(line); })};
    runner = std::make_unique<SinkRunner>(loop.uv(), client, std::move(options), end_run());
  }
  ~Fixture() {
    if (runner) shut_down(*runner);
  }
  static bool compressed(const SeenRequest& request) { return request.header("Content-Encoding") != "(none)"; }
  // Those of `poison` are refused with `status` in what can be read; what is compressed with `refusal`, if that is not 0.
  void answer_with(int refusal, std::set<JobId> poison = {}, int status = 400) {
    answer = [=](const SeenRequest& request) {
      if (compressed(request)) return reply(refusal == 0 ? 200 : refusal);
      for (const JobId id : poison)
        if (request.body.find("\"key\":\"gw-" + std::to_string(id) + "\"") != std::string::npos) return reply(status, "bad line");
      return reply(200);
    };
  }
  void deliver(JobId first, JobId last) {
    runner->start(jobs(first, last));
    for (JobId id = first; id <= last; ++id) wait(id);
  }
  std::string pattern() const {  // of the requests: c compressed, p not
    std::string out;
    for (const SeenRequest& request : seen) out += compressed(request) ? 'c' : 'p';
    return out;
  }
};

}  // namespace

TEST_SUITE("sink formats") {
  TEST_CASE_FIXTURE(Fixture, "raw: a batch that was made for another format goes out one by one") {
    make(BatchFormat::raw, Encoding::none);
    answer = [](const SeenRequest& request) { return reply(request.body == "{\"n\":2}" ? 422 : 200); };
    deliver(1, 3);
    REQUIRE(seen.size() == 3);
    for (JobId id = 1; id <= 3; ++id) {
      const SeenRequest& request = seen[static_cast<size_t>(id - 1)];
      CHECK(request.body == "{\"n\":" + std::to_string(id) + "}");
      CHECK(request.header("Idempotency-Key") == "gw-" + std::to_string(id));
      CHECK(ended[id].outcome == (id == 2 ? Outcome::dead : Outcome::done));
    }
  }

  TEST_CASE_FIXTURE(Fixture, "an array is split as lines are") {
    make(BatchFormat::json, Encoding::none);
    answer_with(0, {3});
    deliver(1, 4);
    for (JobId id = 1; id <= 4; ++id) CHECK(ended[id].outcome == (id == 3 ? Outcome::dead : Outcome::done));
    for (const SeenRequest& request : seen) {
      CHECK(request.header("Content-Type") == "application/json");
      CHECK(request.body.starts_with("[{\"key\":\"gw-"));
      CHECK(request.body.ends_with("}]"));
    }
    CHECK(seen.size() == 5);
  }

  TEST_CASE_FIXTURE(Fixture, "an array may be answered line by line") {
    make(BatchFormat::json, Encoding::none);
    answer = [](const SeenRequest&) {
      return reply(207, R"({"results":[{"key":"gw-1","status":"stored"},{"key":"gw-2","status":"refused"}]})", "Content-Type: application/json\r\n");
    };
    deliver(1, 2);
    CHECK(ended[1].outcome == Outcome::done);
    CHECK(ended[2].outcome == Outcome::dead);
  }

  TEST_CASE_FIXTURE(Fixture, "raw") {
    make(BatchFormat::raw, Encoding::none);
    deliver(1, 1);
    CHECK(seen[0].body == "{\"n\":1}");
    CHECK(seen[0].header("Content-Type") == "application/json");
    CHECK(seen[0].header("Idempotency-Key") == "gw-1");
    CHECK(seen[0].header("Holdfast-Job-Id") == "1");
    CHECK(seen[0].header("Holdfast-Attempt") == "3");
  }

  TEST_CASE_FIXTURE(Fixture, "compressed batches, small ones as they are") {
    make(BatchFormat::ndjson, Encoding::gzip);
    deliver(1, 30);
    deliver(31, 31);
    CHECK(pattern() == "cp");
    CHECK(seen[0].header("Content-Encoding") == "gzip");
    CHECK(seen[0].header("Content-Type") == "application/x-ndjson");
    CHECK(seen[0].body.starts_with("\x1f\x8b"));
    CHECK(seen[0].body.size() < 1000);
  }

  TEST_CASE_FIXTURE(Fixture, "a server that does not take it gets all without") {
    int status = 415;
    SUBCASE("and says so") {}
    SUBCASE("and cannot read it") {
      status = 400;
    }
    SUBCASE("or process it") {
      status = 422;
    }
    make(BatchFormat::ndjson, Encoding::zstd);
    answer_with(status);
    deliver(1, 30);
    deliver(31, 60);
    for (JobId id = 1; id <= 60; ++id) CHECK(ended[id].outcome == Outcome::done);
    CHECK(pattern() == "cpp");
    REQUIRE(logged.size() == 1);
    CHECK(logged[0].starts_with("sink_encoding_refused sink=cloud encoding=zstd server=127.0.0.1:"));
    CHECK(seen[0].header("Idempotency-Key") == seen[1].header("Idempotency-Key"));
  }

  TEST_CASE_FIXTURE(Fixture, "what is refused without compression too is refused for what is in it") {
    make(BatchFormat::ndjson, Encoding::gzip);
    answer = [](const SeenRequest&) { return reply(400); };
    deliver(1, 16);
    CHECK(ended[16].outcome == Outcome::dead);
    CHECK(pattern() == "c" + std::string(31, 'p'));  // 2n - 1, and the one before
    CHECK(logged.empty());
    seen.clear();
    answer = [](const SeenRequest&) { return reply(200); };
    deliver(17, 32);
    CHECK(pattern() == "c");  // nothing was learned against it
  }

  TEST_CASE_FIXTURE(Fixture, "once it has taken some, a refusal is about the content; but 415 is not") {
    make(BatchFormat::ndjson, Encoding::gzip);
    deliver(1, 16);
    seen.clear();
    answer = [this](const SeenRequest&) { return reply(seen.size() == 1 ? 400 : 200); };
    deliver(21, 36);
    CHECK(pattern() == "ccc");
    seen.clear();
    answer_with(415);
    deliver(41, 56);
    CHECK(pattern() == "cp");
    CHECK(logged.size() == 1);
    CHECK(ended[56].outcome == Outcome::done);
  }

  TEST_CASE_FIXTURE(Fixture, "413 is split, compressed") {
    make(BatchFormat::ndjson, Encoding::gzip);
    answer = [](const SeenRequest& request) { return reply(std::stoi(request.header("Holdfast-Batch")) > 16 ? 413 : 200); };
    deliver(1, 32);
    CHECK(pattern() == "ccc");
    CHECK(ended[32].outcome == Outcome::done);
  }

  TEST_CASE_FIXTURE(Fixture, "while a large body is made, it can be cancelled, stopped and shut down") {
    make(BatchFormat::raw, Encoding::gzip);
    const auto large = [this](JobId id) {
      StartRun run = jobs(id, id);
      run.jobs[0].bytes = std::string(40 * kBodyStep, 'x');
      runner->start(std::move(run));
    };
    large(1);
    large(2);
    large(3);
    runner->stop(1, 3, StopReason::cancel);
    runner->stop(2, 3, StopReason::timeout);
    CHECK(reports == 0);
    CHECK(wait(1).outcome == Outcome::cancelled);
    CHECK(wait(2).outcome == Outcome::retry);
    CHECK(ended[2].error == "timed out after 5m");
    CHECK(wait(3).outcome == Outcome::done);
    CHECK(seen.size() == 1);
    large(4);
    shut_down(*runner);
    CHECK(ended[4].outcome == Outcome::handed_back);
    CHECK(reports == 4);
    CHECK(seen.size() == 1);
    runner.reset();
  }
}
