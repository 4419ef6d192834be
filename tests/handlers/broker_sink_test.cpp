#include "handlers/broker_sink.h"

#include <doctest/doctest.h>

#include "tests/platform/net_fixture.h"

using namespace hf;

namespace {

const Url kBroker = parse_broker_url("mqtts://broker")->url;

RunEnded ended(Verdict verdict) {
  PublishResult result;
  result.answer = BrokerAnswer{1, verdict, "Quota exceeded (0x97)"};
  return broker_outcome(result, kBroker);
}
RunEnded ended(NetErrorKind kind, bool sent) {
  PublishResult result;
  result.error = {kind, sent ? NetPhase::kFirstByte : NetPhase::kConnect, "what happened"};
  result.sent = sent;
  return broker_outcome(result, kBroker);
}

}  // namespace

TEST_CASE("broker sink: what became of a message, for the job") {
  CHECK(ended(Verdict::kStored).outcome == Outcome::done);
  CHECK(ended(Verdict::kRefused).outcome == Outcome::dead);
  CHECK(ended(Verdict::kRefused).error == "broker:8883: Quota exceeded (0x97)");
  CHECK(ended(Verdict::kTryAgain).outcome == Outcome::retry);
  CHECK_FALSE(ended(Verdict::kTryAgain).park_runner);
  CHECK(ended(Verdict::kBusy).outcome == Outcome::defer);
  CHECK(ended(Verdict::kBusy).park_runner);
}

TEST_CASE("broker sink: without an answer it is an outage if nothing was sent, else an attempt") {
  for (const auto kind : {NetErrorKind::kDns, NetErrorKind::kConnect, NetErrorKind::kClosed, NetErrorKind::kBadResponse,
                          NetErrorKind::kTimeout, NetErrorKind::kTlsVerify, NetErrorKind::kLocal}) {
    CAPTURE(static_cast<int>(kind));
    CHECK(ended(kind, false).outcome == Outcome::defer);
    CHECK(ended(kind, false).park_runner);
    CHECK(ended(kind, false).error.find("what happened") != std::string::npos);
  }
  for (const auto kind : {NetErrorKind::kClosed, NetErrorKind::kBadResponse, NetErrorKind::kTimeout}) {
    CAPTURE(static_cast<int>(kind));
    CHECK(ended(kind, true).outcome == Outcome::retry);
    CHECK(ended(kind, true).error == "what happened");
  }
}

TEST_CASE("broker sink: a timeout before there is a connection spends no attempt") {
  test::TestLoop loop;
  std::vector<RunEnded> told;
  BrokerSinkOptions options;
  options.broker.url = parse_broker_url("nats://127.0.0.1:1")->url;
  options.topic = "results";
  BrokerSinkRunner runner(loop.uv(), options, [&](RunEnded end) { told.push_back(std::move(end)); });
  StartRun run;
  RunJob& job = run.jobs.emplace_back();
  job.id = 7;
  job.attempt = 3;
  runner.start(run);
  runner.stop(7, 3, StopReason::timeout);
  REQUIRE(loop.run_until([&] { return !told.empty(); }));
  CHECK(told[0].outcome == Outcome::defer);
  CHECK(told[0].park_runner);
  CHECK(told[0].wire_bytes == 0);
  bool closed = false;
  runner.shutdown([&] { closed = true; });
  REQUIRE(loop.run_until([&] { return closed; }));
}
