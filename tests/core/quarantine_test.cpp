// A job in whose runs the process, or the device, ends again and again: it must not take the queue with it.
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

class Quarantine : public EngineFixture {
 public:
  Quarantine() { limits.crash_loop = -1; }  // else nothing runs after so many crashes (safe_mode_test.cpp)
  // The process dies while these run; a new one with the same handler follows.
  void crash_and_go_on() {
    crash();
    handler("x");
  }
  JobSpec many(const std::string& type = "x") {
    JobSpec s = spec(type);
    s.policy.max_attempts = 100;
    return s;
  }
  // A job that the process has not outlived twice.
  JobId make_suspect() {
    JobId id = add(many());
    for (int i = 0; i < kCrashLimit - 1; ++i) crash_and_go_on();
    return id;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Quarantine, "the third process that dies in a job's run makes it a dead letter with a reason") {
  handler("x");
  JobId id = add(many());
  for (int i = 1; i < kCrashLimit; ++i) {
    REQUIRE(take_started().id == id);
    crash_and_go_on();
    CHECK(get(id).history.back().outcome == "lost");
    CHECK(stats().quarantined == 0);
  }
  REQUIRE(take_started().id == id);
  crash();
  REQUIRE(last.feed.size() == 1);
  CHECK(last.feed[0].change == Change::died);
  CHECK(last.feed[0].detail.find("quarantined") == 0);
  handler("x");
  CHECK(started.empty());
  JobInfo job = get(id);
  CHECK(job.state == State::dead);
  CHECK(job.attempts == kCrashLimit);
  CHECK(job.finished_wall_ms != 0);
  CHECK(job.error == "quarantined: the process ended 3 times in a row while it ran; see `holdfast show " + std::to_string(id) + "`");
  CHECK(job.history.back().outcome == "quarantined");
  CHECK(stats().quarantined == 1);
  CHECK(stats().dead == 1);
  CHECK(stats().by_state[static_cast<int>(State::dead)] == 1);
  CHECK(engine->opening_note().find("1 were quarantined") != std::string::npos);
}

TEST_CASE_FIXTURE(Quarantine, "those that ran beside it finish") {
  limits.concurrency = 100;
  crash_and_go_on();
  const JobId culprit = add(many());
  std::vector<JobId> innocent;
  for (int i = 0; i < 20; ++i) innocent.push_back(add(many()));
  int crashes_seen = 0;
  for (int guard = 0; state(culprit) != State::dead; ++guard) {
    REQUIRE(guard < 200);
    REQUIRE_FALSE(started.empty());
    std::vector<StartRun> now_running = std::exchange(started, {});
    bool dies = false;
    for (const StartRun& s : now_running) dies |= s.jobs[0].id == culprit;
    if (dies) {
      ++crashes_seen;
      crash_and_go_on();
    } else {
      for (const StartRun& s : now_running) end(s.jobs[0], Outcome::done);
    }
  }
  CHECK(crashes_seen == kCrashLimit);
  while (!started.empty()) end(take_started(), Outcome::done);
  for (JobId id : innocent) CHECK(state(id) == State::completed);
  CHECK(stats().quarantined == 1);
}

TEST_CASE_FIXTURE(Quarantine, "a suspect runs alone: it waits for the others, and they wait for it") {
  handler("x");
  handler("y");
  JobId suspect = add(many());
  crash();
  handler("x");
  crash();
  handler("y");
  JobId other = add(many("y"));
  RunJob y = take_started();
  CHECK(y.id == other);
  handler("x");
  CHECK(started.empty());
  CHECK(gates(suspect) == "alone");
  JobId later = add(many("y"));
  CHECK(started.empty());
  CHECK(gates(later) == "alone");
  end(y, Outcome::done);
  RunJob x = take_started();
  CHECK(x.id == suspect);
  CHECK(started.empty());
  CHECK(gates(later) == "alone");
  end(x, Outcome::done);
  CHECK(take_started().id == later);
}

TEST_CASE_FIXTURE(Quarantine, "two suspects run one after the other") {
  limits.concurrency = 10;
  crash_and_go_on();
  JobId a = add(many()), b = add(many());
  crash_and_go_on();
  CHECK(started_ids().size() == 2);
  crash_and_go_on();
  RunJob first = take_started();
  CHECK(first.id == a);
  CHECK(started.empty());
  end(first, Outcome::done);
  CHECK(take_started().id == b);
}

TEST_CASE_FIXTURE(Quarantine, "deliveries go on beside a suspect, and are not blamed") {
  handler("x");
  RunnerSpec sink;
  sink.policy.max_attempts = 100;
  handler("sink:cloud", sink);
  JobSpec s = many();
  s.sink = "cloud";
  JobId delivered = add(s);
  end(take_started(), Outcome::done, "r");
  for (int i = 0; i < kRebootLimit + 1; ++i) {
    REQUIRE(take_started().id == delivered);
    crash();
    handler("x");
    handler("sink:cloud", sink);
  }
  CHECK(stats().quarantined == 0);
  RunJob delivery = take_started();
  JobId suspect = add(many());
  for (int i = 0; i < kCrashLimit - 1; ++i) {
    crash();
    handler("sink:cloud", sink);
    handler("x");
  }
  CHECK(started_ids() == std::vector<JobId>{delivered, suspect});
}

TEST_CASE_FIXTURE(Quarantine, "no run holds the others for ever, neither the suspect nor one that it waits for") {
  RunnerSpec endless;
  endless.policy.timeout_ms = -1;
  JobId suspect = add(many());
  for (int i = 0; i < kCrashLimit - 1; ++i) {
    handler("x", endless);
    crash();
  }
  handler("y", endless);
  add(many("y"));
  take_started();
  handler("x", endless);
  JobId later = add(many("y"));
  run_for(kAloneMs - 1);
  CHECK(started.empty());
  run_for(1);
  CHECK(take_started().id == suspect);
  run_for(kAloneMs - 1);
  CHECK(started.empty());
  run_for(1);
  CHECK(take_started().id == later);
  CHECK(last.next_wake_boot_ms > now.boot_ms);
}

TEST_CASE_FIXTURE(Quarantine, "nor does one whose key a run has that goes on for ever") {
  RunnerSpec endless;
  endless.policy.timeout_ms = -1;
  const auto keyed = [this](const std::string& type) {
    JobSpec s = many(type);
    s.concurrency_key = "k";
    return s;
  };
  const JobId suspect = add(keyed("x"));
  for (int i = 0; i < kCrashLimit - 1; ++i) {
    handler("x", endless);
    crash();
  }
  handler("y", endless);
  add(keyed("y"));
  const RunJob for_ever = take_started();
  handler("x", endless);
  const JobId later = add(many("y"));
  run_for(kAloneMs - 1);
  CHECK(started.empty());
  run_for(1);
  CHECK(take_started().id == later);
  CHECK(gates(suspect) == "key alone");
  end(for_ever, Outcome::done);
  CHECK(take_started().id == suspect);
}

TEST_CASE_FIXTURE(Quarantine, "a suspect whose own gates are closed holds nobody") {
  handler("x");
  JobId suspect = make_suspect();
  crash();  // no handler now
  CHECK(state(suspect) == State::dead);
  ask<Done>(Retry{suspect});
  handler("x");
  for (int i = 0; i < kCrashLimit - 1; ++i) {
    crash();
    if (i == 0) handler("x");
  }
  handler("y");
  JobId other = add(many("y"));
  CHECK(take_started().id == other);
  CHECK(gates(suspect) == "handler alone");
  ask<Done>(QueuePause{"default", true});
  handler("x");
  CHECK(started.empty());
  ask<Done>(Edit{suspect, {}, {}, 60000, {}, {}, {}});
  ask<Done>(QueuePause{"default", false});
  JobId next = add(many("y"));
  CHECK(take_started().id == next);
}

TEST_CASE_FIXTURE(Quarantine, "a run that ends in order clears the count, whatever it says") {
  for (Outcome how : {Outcome::retry, Outcome::defer, Outcome::handed_back}) {
    handler("x");
    JobId id = make_suspect();
    RunJob job = take_started();
    REQUIRE(job.id == id);
    RunEnded e = ended(job, how);
    e.retry_after_ms = 0;
    ask<Done>(e);
    for (int i = 0; i < kCrashLimit - 1; ++i) crash_and_go_on();
    CHECK(state(id) == State::running);
    crash_and_go_on();
    CHECK(state(id) == State::dead);
  }
}

TEST_CASE_FIXTURE(Quarantine, "a retry of a quarantined job begins to count anew") {
  handler("x");
  JobId id = make_suspect();
  crash_and_go_on();
  REQUIRE(state(id) == State::dead);
  ask<Done>(Retry{id});
  for (int i = 0; i < kCrashLimit - 1; ++i) crash_and_go_on();
  CHECK(state(id) == State::running);
  crash_and_go_on();
  CHECK(state(id) == State::dead);
}

TEST_CASE_FIXTURE(Quarantine, "restarts of the device count apart, and five of them quarantine") {
  handler("x");
  JobId id = add(many());
  for (int i = 0; i < kRebootLimit - 1; ++i) {
    reboot(1000, true);
    handler("x");
  }
  crash_and_go_on();
  CHECK(state(id) == State::running);
  reboot(1000, true);
  CHECK(state(id) == State::dead);
  CHECK(get(id).error.find("quarantined: the device restarted 5 times in a row") == 0);
}

TEST_CASE_FIXTURE(Quarantine, "where the boot is not known, an end of the process counts as a restart") {
  boot_id = "";
  crash_and_go_on();
  JobId id = add(many());
  for (int i = 0; i < kRebootLimit - 1; ++i) crash_and_go_on();
  CHECK(state(id) == State::running);
  crash_and_go_on();
  CHECK(state(id) == State::dead);
}

TEST_CASE_FIXTURE(Quarantine, "neither an orderly end nor a reopening after an error counts") {
  handler("x");
  JobId id = add(many());
  for (int i = 0; i < kRebootLimit; ++i) {
    tick({SetDispatch{false}, StopAll{true}});
    close_cleanly();
    open();
    handler("x");
    CHECK(state(id) == State::running);
    handover = engine->handover();
    engine.reset();
    open();
    handler("x");
    handover.live.clear();
    engine.reset();
    open();  // a run that a failed commit claimed, and nobody began
    handler("x");
    handover = {};
    CHECK(state(id) == State::running);
  }
  CHECK(stats().quarantined == 0);
}

TEST_CASE_FIXTURE(Quarantine, "a suspect is one still after an orderly end, and no more once it is cancelled or deleted") {
  handler("x");
  JobId suspect = make_suspect();
  crash();
  ask<Done>(Retry{suspect});
  handler("x");
  crash_and_go_on();
  crash();
  close_cleanly();
  open();
  handler("y");
  JobId other = add(many("y"));
  RunJob y = take_started();
  CHECK(y.id == other);
  handler("x");
  CHECK(gates(suspect) == "alone");
  ask<Done>(Cancel{suspect});
  JobId next = add(many("y"));
  CHECK(take_started().id == next);
}

TEST_CASE_FIXTURE(Quarantine, "a job that was asked to cancel is cancelled, not quarantined") {
  handler("x");
  JobId id = make_suspect();
  ask<Done>(Cancel{id});
  crash();
  CHECK(state(id) == State::cancelled);
  CHECK(stats().quarantined == 0);
}
