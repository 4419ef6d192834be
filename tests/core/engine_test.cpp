// The engine's door: a job from enqueue to its end, the fence, and what a dead process leaves.
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

TEST_CASE_FIXTURE(EngineFixture, "a job is enqueued, run and completed") {
  handler("report");
  JobId id = add(spec("report", "hello"));
  RunJob job = take_started();
  CHECK(job.id == id);
  CHECK(job.attempt == 1);
  CHECK(job.bytes == "hello");
  CHECK(job.key == "gw-0000abcd-" + std::to_string(id));
  CHECK(get(id).state == State::running);
  end(job, Outcome::done, "42");
  JobInfo info = get(id);
  CHECK(info.state == State::completed);
  CHECK(info.result == "42");
  CHECK(info.payload == "hello");
  CHECK(info.attempts == 1);
}

TEST_CASE_FIXTURE(EngineFixture, "a job without a handler waits for one, and why says so") {
  JobId id = add(spec("later"));
  CHECK(started.empty());
  WhyInfo why = ask<WhyInfo>(Why{id});
  REQUIRE(why.gates.size() == 1);
  CHECK(why.gates[0].gate == "handler");
  handler("later");
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(EngineFixture, "a result that comes for an attempt that is over is refused") {
  handler("x");
  add(spec("x"));
  RunJob job = take_started();
  end(job, Outcome::retry, "no");
  RunEnded late;
  late.id = job.id;
  late.attempt = job.attempt;
  CHECK(refused(late).code == HF_E_STALE);
}

TEST_CASE_FIXTURE(EngineFixture, "jobs left running by a dead process run again, the attempt counted") {
  handler("x");
  JobId id = add(spec("x", "p"));
  take_started();
  crash();
  CHECK(get(id).state == State::pending);
  handler("x");
  RunJob again = take_started();
  CHECK(again.id == id);
  CHECK(again.attempt == 2);
  CHECK(get(id).history.at(0).outcome == "lost");
}

TEST_CASE_FIXTURE(EngineFixture, "a job that is running when every attempt is used up does not run for ever") {
  handler("x");
  JobSpec s = spec("x");
  s.policy.max_attempts = 2;
  JobId id = add(s);
  for (int i = 0; i < 2; ++i) {
    take_started();
    crash();
    handler("x");
  }
  CHECK(started.empty());
  CHECK(get(id).state == State::dead);
}

TEST_CASE_FIXTURE(EngineFixture, "a failed run waits by its backoff, then the last one is a dead letter") {
  RunnerSpec r;
  r.policy.max_attempts = 3;
  r.policy.backoff.kind = BackoffKind::exponential;
  r.policy.backoff.base_ms = 1000;
  r.policy.backoff.factor = 10;
  r.policy.backoff.jitter = Jitter::none;
  handler("x", r);
  JobId id = add(spec("x"));
  end(take_started(), Outcome::retry, "first");
  CHECK(last.next_wake_boot_ms == now.boot_ms + 1000);
  pass(999);
  CHECK(started.empty());
  pass(1);
  end(take_started(), Outcome::retry, "second");
  pass(10000);
  end(take_started(), Outcome::retry, "third");
  JobInfo info = get(id);
  CHECK(info.state == State::dead);
  CHECK(info.history.size() == 3);
  CHECK(info.error.find("third") != std::string::npos);
  ask<Done>(Retry{id});
  CHECK(take_started().attempt == 1);
}

TEST_CASE_FIXTURE(EngineFixture, "a result for a sink moves the same row to the sink's queue") {
  RunnerSpec r;
  r.sink = "cloud";
  handler("x", r);
  RunnerSpec sink;
  sink.batch = {10, 100000, 0};
  handler("sink:cloud", sink);
  JobId id = add(spec("x"));
  end(take_started(), Outcome::done, "value");
  RunJob delivery = take_started();
  CHECK(delivery.id == id);
  CHECK(delivery.bytes == "value");
  CHECK(delivery.queue == "default");
  CHECK(get(id).delivering);
  end(delivery, Outcome::done);
  CHECK(get(id).state == State::completed);
  CHECK(get(id).result == "value");
}

TEST_CASE_FIXTURE(EngineFixture, "a large payload and result come back whole") {
  handler("x");
  std::string big(200000, 'p');
  JobId id = add(spec("x", big));
  RunJob job = take_started();
  CHECK(job.bytes == big);
  end(job, Outcome::done, big + "r");
  CHECK(get(id).payload == big);
  CHECK(get(id).result == big + "r");
  CHECK(get(id).result_size == 200001);
}

TEST_CASE_FIXTURE(EngineFixture, "after a clean end nothing is counted anew and ids go on") {
  JobId a = add(spec("x"));
  close_cleanly();
  open();
  CHECK(stats().by_state[0] == 1);
  CHECK_FALSE(stats().unclean_start);
  CHECK(add(spec("x")) == a + 1);
}

TEST_CASE_FIXTURE(EngineFixture, "an id is never used twice, even when its job is gone after a crash") {
  JobId a = add(spec("x"));
  ask<Done>(Remove{a});
  crash();
  CHECK(add(spec("x")) > a);
  CHECK(stats().unclean_start);
}
