// Signs of life: a handler with `heartbeat` ends a run from which nothing is heard, long before its timeout.
#include "engine_fixture.h"
#include "fixed_policy.h"

using namespace hf;
using hf::test::EngineFixture;
using hf::test::fixed_policy;

namespace {

class HeartbeatFixture : public EngineFixture {
 public:
  HeartbeatFixture() { handler("x", beating()); }
  static RunnerSpec beating(int64_t ms = 1000) {
    RunnerSpec spec;
    spec.heartbeat_ms = ms;
    spec.policy = fixed_policy(100, 60000);
    return spec;
  }
};

}  // namespace

TEST_CASE_FIXTURE(HeartbeatFixture, "a silent run is ended on the very millisecond, and counts as a failed attempt") {
  const JobId a = add(spec("x"));
  const RunJob run = take_started();
  CHECK(wake() == now.boot_ms + 1000);
  pass(999);
  CHECK(stopped.empty());
  pass(1);
  const StopRun stop = take_stopped();
  CHECK(stop.id == a);
  CHECK(stop.reason == StopReason::timeout);
  end(run, Outcome::done, "late");
  CHECK(state(a) == State::completed);  // it had ended before it was told, as with a timeout

  const JobId b = add(spec("x"));
  const RunJob silent = take_started();
  pass(1000);
  take_stopped();
  end(silent, Outcome::retry, "SIGTERM");
  const JobInfo info = get(b);
  CHECK(info.history.back().error == "no sign of life for 1s (heartbeat): SIGTERM");
  CHECK(info.history.back().outcome == "timeout");
  CHECK(info.attempts == 1);
}

TEST_CASE_FIXTURE(HeartbeatFixture, "each of progress, a checkpoint and an empty sign counts; the timeout does not move") {
  const JobId a = add(spec("x"));
  const RunJob run = take_started();
  for (int n = 0; n < 59; ++n) {
    pass(999);
    if (n % 3 == 0) ask<Done>(Progress{a, run.attempt, n, "note"});
    if (n % 3 == 1) ask<Done>(Progress{a, run.attempt, -1, {}});
    if (n % 3 == 2) ask<Done>(Remember{a, run.attempt, run.run, std::to_string(n)});
    CHECK(wake() == std::min(now.boot_ms + 1000, now.boot_ms + 60000 - (n + 1) * 999));
  }
  CHECK(stopped.empty());
  CHECK(get(a).progress == 57);        // an empty sign changes neither
  CHECK(get(a).progress_note == "note");
  pass(500);
  ask<Done>(Progress{a, run.attempt, -1, {}});
  CHECK(wake() == now.boot_ms + 60000 - 59 * 999 - 500);
  pass(60000 - 59 * 999 - 500);
  CHECK(take_stopped().reason == StopReason::timeout);
  end(run, Outcome::retry);
  CHECK(get(a).history.back().error == "timed out after 1m");
}

TEST_CASE_FIXTURE(HeartbeatFixture, "signs of another run, and of one that is to end, count for nothing") {
  const JobId a = add(spec("x"));
  const RunJob run = take_started();
  pass(500);
  CHECK(refused(Progress{a, run.attempt + 1, -1, {}}).code == HF_E_STALE);
  CHECK(refused(Remember{a, run.attempt, run.run + 1, "no"}).code == HF_E_STALE);
  CHECK(wake() == now.boot_ms + 500);
  ask<Done>(Remember{a, run.attempt, 0, "who does not know its number"});
  CHECK(wake() == now.boot_ms + 1000);
  pass(1000);
  take_stopped();
  ask<Done>(Progress{a, run.attempt, -1, {}});
  run_for(5000);
  CHECK(stopped.empty());
}

TEST_CASE_FIXTURE(HeartbeatFixture, "without room a checkpoint is refused, and is a sign of life all the same") {
  const JobId a = add(spec("x"));
  const RunJob run = take_started();
  ask<Done>(SetRoom{Room::little});
  pass(900);
  CHECK(refused(Remember{a, run.attempt, run.run, "no room"}).code == HF_E_FULL);
  pass(900);
  CHECK(stopped.empty());
  pass(100);
  CHECK(take_stopped().id == a);
}

TEST_CASE_FIXTURE(HeartbeatFixture, "while the engine was away nobody could be heard") {
  const JobId a = add(spec("x"));
  const RunJob run = take_started();
  pass(900);
  handover = engine->handover();
  engine.reset();
  now.boot_ms += 50000;
  now.wall_ms += 50000;
  open();
  handler("x", beating());
  CHECK(stopped.empty());
  pass(999);
  CHECK(stopped.empty());
  ask<Done>(Progress{a, run.attempt, -1, {}});
  pass(999);
  CHECK(stopped.empty());
  pass(1);
  CHECK(take_stopped().id == a);
}

TEST_CASE_FIXTURE(HeartbeatFixture, "what is not allowed is said") {
  auto refusal = [&](int64_t ms, int64_t timeout_ms) {
    RunnerSpec bad = beating(ms);
    bad.name = "x";
    bad.policy.timeout_ms = timeout_ms;
    return refused(SetRunner{bad}).message;
  };
  CHECK(refusal(99, 60000) == "heartbeat is 99ms; allowed is 100ms to 1d");
  CHECK(refusal(86400001, -1).find("allowed is 100ms to 1d") != std::string::npos);
  CHECK(refusal(60000, 60000) == "heartbeat is 1m and timeout 1m; heartbeat has to be shorter");
  CHECK(refusal(300000, 0) == "heartbeat is 5m and timeout 5m; heartbeat has to be shorter");  // the default
  for (const auto& [ms, timeout_ms] : {std::pair<int64_t, int64_t>{100, 60000}, {59999, 60000}, {86400000, -1}}) {
    RunnerSpec good = beating(ms);
    good.policy.timeout_ms = timeout_ms;
    handler("x", good);
  }
}
