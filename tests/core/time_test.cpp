// The two clocks: elapsed time, which nothing moves but time, and the wall clock, which people set.
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {
constexpr int64_t kHour = 3600000;
JobSpec delayed(int64_t ms) {
  JobSpec s = EngineFixture::spec("x");
  s.delay_ms = ms;
  return s;
}
JobSpec at(int64_t wall_ms) {
  JobSpec s = EngineFixture::spec("x");
  s.at_wall_ms = wall_ms;
  return s;
}
}  // namespace

TEST_CASE_FIXTURE(EngineFixture, "a delay is not moved by steps of the wall clock") {
  handler("x");
  JobId id = add(delayed(10000));
  for (int64_t step : {kHour, -48 * kHour, 24 * 365 * kHour}) {
    now.wall_ms += step;
    tick();
    CHECK(started.empty());
    CHECK(last.next_wake_boot_ms == now.boot_ms + 10000);
  }
  pass(9999);
  CHECK(started.empty());
  pass(1);
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(EngineFixture, "an `at` job goes by the wall clock, and follows its steps") {
  handler("x");
  JobId a = add(at(now.wall_ms + 10000));
  CHECK(get(a).due_wall_ms == now.wall_ms + 10000);
  CHECK(get(a).scheduled);
  CHECK(gates(a) == "due");
  CHECK(last.next_wake_wall_ms == now.wall_ms + 10000);
  CHECK(last.next_wake_boot_ms == kNever);
  now.wall_ms -= kHour;
  pass(10000);
  CHECK(started.empty());
  now.wall_ms += 2 * kHour;
  tick();
  CHECK(take_started().id == a);
}

TEST_CASE_FIXTURE(EngineFixture, "an `at` job in the past is due at once") {
  handler("x");
  JobId a = add(at(now.wall_ms - kHour));
  CHECK(take_started().id == a);
}

TEST_CASE_FIXTURE(EngineFixture, "an `at` job waits for a trusted clock, and why says so; delays go on") {
  handler("x");
  now.synced = false;
  JobId a = add(at(now.wall_ms - kHour));
  JobId b = add(delayed(1000));
  CHECK(started.empty());
  CHECK(gates(a).find("clock") != std::string::npos);
  CHECK(last.next_wake_wall_ms == kNever);
  pass(1000);
  CHECK(take_started().id == b);
  now.synced = true;
  tick({ClockStepped{}});
  CHECK(take_started().id == a);
}

TEST_CASE_FIXTURE(EngineFixture, "`at` jobs are woken over a kill, oldest first, more than one turn takes") {
  std::vector<JobSpec> specs;
  for (int i = 0; i < 450; ++i) specs.push_back(at(now.wall_ms + 1000 + i));
  ask<std::vector<JobId>>(Enqueue{specs});
  crash();
  now.wall_ms += 5000;
  now.boot_ms += 5000;
  handler("x");
  limits.concurrency = 1000;
  ask<Done>(SetLimits{limits});
  run_for(10);
  CHECK(started_ids().size() == 450);
  CHECK(last.next_wake_wall_ms == kNever);
}

TEST_CASE_FIXTURE(EngineFixture, "hf_retry of an `at` job makes it due now; edit moves it between the clocks") {
  handler("x");
  JobId a = add(at(now.wall_ms + kHour));
  ask<Done>(Retry{a});
  CHECK(take_started().id == a);
  JobId b = add(at(now.wall_ms + kHour));
  Edit e;
  e.id = b;
  e.delay_ms = 500;
  ask<Done>(e);
  CHECK(last.next_wake_wall_ms == kNever);
  pass(500);
  CHECK(take_started().id == b);
  JobId c = add(delayed(500));
  Edit to_wall;
  to_wall.id = c;
  to_wall.at_wall_ms = now.wall_ms + 1000;
  ask<Done>(to_wall);
  pass(500);
  CHECK(started.empty());
  pass(500);
  CHECK(take_started().id == c);
}

TEST_CASE_FIXTURE(EngineFixture, "elapsed time goes on exactly over a new process in the same boot, also with the wall clock set") {
  add(delayed(10000));
  pass(3000);
  crash();
  now.boot_ms += 4000;
  now.wall_ms -= 24 * kHour;
  crash();
  handler("x");
  CHECK(last.next_wake_boot_ms == now.boot_ms + 3000);
}

TEST_CASE_FIXTURE(EngineFixture, "over a reboot the time without power counts when the clock is trusted on both sides") {
  JobId id = add(delayed(kHour));
  pass(1000);
  reboot(kHour / 2, true);
  CHECK(get(id).due_wall_ms == now.wall_ms + kHour / 2 - 1000);
}

TEST_CASE_FIXTURE(EngineFixture, "over a reboot without a trusted clock the delay goes on from where the file knows") {
  JobId id = add(delayed(kHour));
  pass(1000);
  close_cleanly();
  now.boot_ms = 5000;
  now.synced = false;
  boot_id = "boot-2";
  open();
  CHECK(get(id).due_wall_ms == now.wall_ms + kHour - 1000);
}

TEST_CASE_FIXTURE(EngineFixture, "a job that was due before a power cut is due after it, with an untrusted clock too") {
  pass(50000);
  JobId a = add(spec("x"));
  reboot(0, false);
  handler("x");
  CHECK(take_started().id == a);
}

TEST_CASE_FIXTURE(EngineFixture, "a wall clock that went back over a reboot takes nothing back") {
  add(delayed(10000));
  pass(5000);
  tick({Cancel{add(spec("y"))}});
  reboot(-1000 * kHour, true);
  handler("x");
  CHECK(last.next_wake_boot_ms <= now.boot_ms + 10000);
}

TEST_CASE_FIXTURE(EngineFixture, "a job that is not run within its ttl is dead and expired") {
  JobSpec s = spec("x");
  s.ttl_ms = 5000;
  JobId a = add(s);
  CHECK(get(a).expires_wall_ms == now.wall_ms + 5000);
  CHECK(wake() == now.boot_ms + 5000);
  pass(4999);
  CHECK(state(a) == State::pending);
  pass(1);
  JobInfo info = get(a);
  CHECK(info.state == State::dead);
  CHECK(info.error.find("expired") != std::string::npos);
  CHECK(stats().expired == 1);
  handler("x");
  CHECK(started.empty());
}

TEST_CASE_FIXTURE(EngineFixture, "a ttl holds over a kill; a run that began in time may end late; a retry has none") {
  JobSpec s = spec("x");
  s.ttl_ms = 5000;
  JobId a = add(s);
  crash();
  now.boot_ms += 5000;
  tick();
  CHECK(state(a) == State::dead);
  ask<Done>(Retry{a});
  handler("x");
  CHECK(take_started().id == a);
  JobId b = add(s);
  RunJob run = take_started();
  pass(60000);
  end(run, Outcome::done);
  CHECK(state(b) == State::completed);
}

TEST_CASE_FIXTURE(EngineFixture, "a failed job that waits for its next attempt expires too") {
  RunnerSpec r;
  r.policy.backoff.base_ms = 60000;
  r.policy.backoff.jitter = Jitter::none;
  handler("x", r);
  JobSpec s = spec("x");
  s.ttl_ms = 5000;
  JobId a = add(s);
  end(take_started(), Outcome::retry);
  pass(5000);
  CHECK(state(a) == State::dead);
}

TEST_CASE_FIXTURE(EngineFixture, "stats say when something is next due, on the wall clock") {
  handler("x");
  CHECK(stats().next_wake_wall_ms == 0);
  add(delayed(5000));
  CHECK(stats().next_wake_wall_ms == now.wall_ms + 5000);
  add(at(now.wall_ms + 3000));
  CHECK(stats().next_wake_wall_ms == now.wall_ms + 3000);
}
