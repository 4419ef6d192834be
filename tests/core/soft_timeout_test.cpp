// Soft timeouts: a run is asked to end some time before its timeout, once; however it ends counts.
#include "engine_fixture.h"
#include "fixed_policy.h"

using namespace hf;
using hf::test::EngineFixture;
using hf::test::fixed_policy;

namespace {

class SoftFixture : public EngineFixture {
 public:
  SoftFixture() { handler("x", soft()); }
  static RunnerSpec soft(int64_t soft_ms = 1000, int64_t timeout_ms = 60000) {
    RunnerSpec spec;
    spec.soft_timeout_ms = soft_ms;
    spec.policy = fixed_policy(100, timeout_ms);
    return spec;
  }
  void reopen() {
    handover = engine->handover();
    engine.reset();
    open();
  }
  // A turn at this time whose commit fails, and the engine opened again, without a turn of its own.
  void fail_turn() {
    disk.fail_writes = true;
    CHECK_FALSE(try_tick({Enqueue{{spec("y")}}}));
    disk.fail_writes = false;
    handover = engine->handover();
    engine.reset();
    open_with(options());
  }
};

}  // namespace

TEST_CASE_FIXTURE(SoftFixture, "a run is asked once, on the very millisecond, and what it then does counts") {
  const JobId a = add(spec("x"));
  const RunJob run = take_started();
  CHECK(wake() == now.boot_ms + 1000);
  pass(999);
  CHECK(stopped.empty());
  pass(1);
  const StopRun stop = take_stopped();
  CHECK(stop.id == a);
  CHECK(stop.attempt == run.attempt);
  CHECK(stop.run == run.run);
  CHECK(stop.reason == StopReason::soft_timeout);
  CHECK(wake() == now.boot_ms + 59000);
  pass(30000);
  CHECK(stopped.empty());
  CHECK(state(a) == State::running);
  end(run, Outcome::done, "what it had");
  CHECK(state(a) == State::completed);
  CHECK(get(a).result == "what it had");
}

TEST_CASE_FIXTURE(SoftFixture, "who fails, or is deferred, after it was asked does so as ever") {
  const JobId a = add(spec("x"));
  RunJob run = take_started();
  pass(1000);
  take_stopped();
  end(run, Outcome::retry, "timed out softly after 1s");
  CHECK(get(a).history.back().outcome == "retry");
  CHECK(get(a).history.back().error == "timed out softly after 1s");
  pass(100);
  run = take_started();
  CHECK(run.attempt == 2);
  pass(1000);
  CHECK(take_stopped().reason == StopReason::soft_timeout);  // each run is
  end(run, Outcome::defer, "later");
  CHECK(get(a).attempts == 1);
  CHECK(stats().deferred == 1);
}

TEST_CASE_FIXTURE(SoftFixture, "the timeout comes all the same") {
  const JobId a = add(spec("x"));
  const RunJob run = take_started();
  pass(1000);
  take_stopped();
  pass(58999);
  CHECK(stopped.empty());
  pass(1);
  CHECK(take_stopped().reason == StopReason::timeout);
  end(run, Outcome::retry);
  CHECK(get(a).history.back().outcome == "timeout");
  CHECK(get(a).history.back().error == "timed out after 1m");
}

TEST_CASE_FIXTURE(SoftFixture, "a device that slept over both tells of the timeout alone") {
  add(spec("x"));
  take_started();
  pass(60000);
  CHECK(take_stopped().reason == StopReason::timeout);
  CHECK(stopped.empty());
  run_for(10000);
  CHECK(stopped.empty());
}

TEST_CASE_FIXTURE(SoftFixture, "a run that was asked to end is not asked softly; one that was asked softly is asked to end") {
  const JobId a = add(spec("x"));
  take_started();
  ask<Done>(Cancel{a});
  CHECK(take_stopped().reason == StopReason::cancel);
  pass(1000);
  CHECK(stopped.empty());
  const JobId b = add(spec("x"));
  const RunJob run = take_started();
  pass(1000);
  CHECK(take_stopped().reason == StopReason::soft_timeout);
  ask<Done>(Cancel{b});
  CHECK(take_stopped().reason == StopReason::cancel);
  end(run, Outcome::retry);
  CHECK(state(b) == State::cancelled);
}

TEST_CASE_FIXTURE(SoftFixture, "signs of life do not move it, nor does it count as one") {
  RunnerSpec both = soft(2500);
  both.heartbeat_ms = 1000;
  handler("x", both);
  const JobId a = add(spec("x"));
  const RunJob run = take_started();
  for (int i = 0; i < 2; ++i) {
    pass(900);
    ask<Done>(Progress{a, run.attempt, -1, {}});
  }
  CHECK(wake() == now.boot_ms + 700);
  pass(700);
  CHECK(take_stopped().reason == StopReason::soft_timeout);
  CHECK(wake() == now.boot_ms + 300);
  ask<Done>(Progress{a, run.attempt, -1, {}});
  pass(999);
  CHECK(stopped.empty());
  pass(1);
  CHECK(take_stopped().reason == StopReason::timeout);
  end(run, Outcome::retry);
  CHECK(get(a).history.back().error == "no sign of life for 1s (heartbeat)");
}

TEST_CASE_FIXTURE(SoftFixture, "a job whose own timeout is as short has none; one without a timeout has it") {
  JobSpec s = spec("x");
  s.policy.timeout_ms = 1000;
  add(s);
  take_started();
  pass(1000);
  CHECK(take_stopped().reason == StopReason::timeout);
  s.policy.timeout_ms = 1001;
  add(s);
  take_started();
  pass(1000);
  CHECK(take_stopped().reason == StopReason::soft_timeout);
  pass(1);
  CHECK(take_stopped().reason == StopReason::timeout);
  s.policy.timeout_ms = -1;
  add(s);
  take_started();
  pass(1000);
  CHECK(take_stopped().reason == StopReason::soft_timeout);
  run_for(3600000);
  CHECK(stopped.empty());
}

TEST_CASE_FIXTURE(SoftFixture, "a stop of the engine hands back a run that was asked softly, with no attempt spent") {
  const JobId a = add(spec("x"));
  take_started();
  pass(1000);
  take_stopped();
  tick({SetDispatch{false}, StopAll{true}});
  CHECK(take_stopped().reason == StopReason::shutdown);
  CHECK(state(a) == State::pending);
  CHECK(get(a).attempts == 0);
}

TEST_CASE_FIXTURE(SoftFixture, "over a reopening it is neither forgotten nor told twice") {
  const JobId a = add(spec("x"));
  take_started();
  pass(400);
  reopen();
  CHECK(wake() == now.boot_ms + 600);
  pass(600);
  CHECK(take_stopped().id == a);
  reopen();
  CHECK(stopped.empty());
  CHECK(wake() == now.boot_ms + 59000);
  run_for(58999);
  CHECK(stopped.empty());
  pass(1);
  CHECK(take_stopped().reason == StopReason::timeout);
}

TEST_CASE_FIXTURE(SoftFixture, "what a failed turn did not tell is told after the reopening") {
  const JobId a = add(spec("x"));
  take_started();
  now.boot_ms += 1000;
  now.wall_ms += 1000;
  fail_turn();
  CHECK(stopped.empty());
  tick();
  CHECK(take_stopped().id == a);
  tick();
  CHECK(stopped.empty());
}

TEST_CASE_FIXTURE(SoftFixture, "the end of a run that waits for room is asked nothing") {
  add(spec("x"));
  const RunEnded large = ended(take_started(), Outcome::done, std::string(20000, 'r'));
  ask<Done>(SetRoom{Room::little});
  CHECK(refused(large).code == HF_E_FULL);
  pass(5000);
  CHECK(stopped.empty());
}

TEST_CASE_FIXTURE(SoftFixture, "what is not allowed is said") {
  auto refusal = [&](RunnerSpec bad, const std::string& name = "x") {
    bad.name = name;
    return refused(SetRunner{bad}).message;
  };
  CHECK(refusal(soft(99)) == "soft_timeout is 99ms; allowed is 100ms to 30d");
  CHECK(refusal(soft(-1)).find("allowed is 100ms to 30d") != std::string::npos);
  CHECK(refusal(soft(30LL * 86400000 + 1, -1)).find("allowed is 100ms to 30d") != std::string::npos);
  CHECK(refusal(soft(60000)) == "soft_timeout is 1m and timeout 1m; soft_timeout has to be shorter");
  CHECK(refusal(soft(300000, 0)) == "soft_timeout is 5m and timeout 5m; soft_timeout has to be shorter");  // the default
  CHECK(refusal(soft(), "sink:s") == "soft_timeout is for functions and programs: nobody can ask a request to end");
  RunnerSpec request = soft();
  request.network = true;
  CHECK(refusal(request) == "soft_timeout is for functions and programs: nobody can ask a request to end");
  handler("x", soft(100));
  handler("x", soft(59999));
  handler("x", soft(30LL * 86400000, -1));
}
