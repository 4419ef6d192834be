// What the next start finds: after a kill, a power cut, and a turn that failed.
#include <limits>

#include "engine_fixture.h"
#include "raw_db.h"

using namespace hf;
using hf::test::EngineFixture;
using hf::test::RawDb;

namespace {

class ReopenFixture : public EngineFixture {
 public:
  // The turn fails as on a full disk; the engine is dropped, and opened again once the disk is well.
  void fail_turn(std::vector<Op> ops) {
    disk.fail_writes = true;
    CHECK_FALSE(try_tick(std::move(ops)).ok());
    disk.fail_writes = false;
    reopen();
  }
  void reopen() {
    handover = engine->handover();
    engine.reset();
    open();
    handover = {};
  }
  // As if a turn had failed that started all that runs, and its commit were in the file all the same.
  void reopen_without_its_runs() {
    handover.reopened = handover.recorded = true;
    engine.reset();
    open();
    handover = {};
  }
};

RunnerSpec one_second_retries() {
  RunnerSpec r;
  r.policy.backoff.kind = BackoffKind::fixed;
  r.policy.backoff.jitter = Jitter::none;
  return r;
}

}  // namespace

TEST_CASE_FIXTURE(EngineFixture, "what was acknowledged is there after a kill") {
  std::vector<JobId> ids;
  for (int i = 0; i < 20; ++i) ids.push_back(add(spec("x", std::string(static_cast<size_t>(i) * 100, 'p'))));
  crash();
  for (int i = 0; i < 20; ++i) CHECK(get(ids[static_cast<size_t>(i)]).payload.size() == static_cast<size_t>(i) * 100);
  CHECK(stats().by_state[0] == 20);
}

TEST_CASE_FIXTURE(EngineFixture, "the last attempt that the process did not survive makes a dead letter once a handler is there") {
  JobSpec s = spec("x");
  s.policy.max_attempts = 1;
  JobId id = add(s);
  handler("x");
  take_started();
  crash();
  CHECK(state(id) == State::pending);
  handler("x");
  CHECK(started.empty());
  CHECK(state(id) == State::dead);
  CHECK(get(id).error.find("1 of 1") != std::string::npos);
}

TEST_CASE_FIXTURE(EngineFixture, "more jobs than one sweep were running when the process died") {
  limits.concurrency = 1000;
  crash();
  handler("x");
  ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(450, spec("x"))});
  CHECK(started_ids().size() == 450);
  crash();
  CHECK(stats().by_state[0] == 450);
  CHECK(stats().by_state[1] == 0);
  CHECK(stats().recovered == 450);
  handler("x");
  CHECK(started_ids().size() == 450);
}

TEST_CASE_FIXTURE(EngineFixture, "a run that was asked to cancel is cancelled when the process dies first") {
  handler("x");
  JobId id = add(spec("x"));
  take_started();
  ask<Done>(Cancel{id});
  crash();
  handler("x");
  CHECK(state(id) == State::cancelled);
  CHECK(started.empty());
  CHECK(get(id).finished_wall_ms != 0);
  ask<Done>(Retry{id});
  take_started();
  crash();
  CHECK(state(id) == State::pending);
}

TEST_CASE_FIXTURE(ReopenFixture, "a turn that fails answers every event with the error") {
  handler("x");
  disk.fail_writes = true;
  auto failed = try_tick({Enqueue{{spec("x")}}, GetStats{}});
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code == HF_E_FULL);
}

TEST_CASE_FIXTURE(ReopenFixture, "a turn that fails has taken nothing from its events, also of jobs that it claimed") {
  handler("x");
  disk.fail_writes = true;
  REQUIRE_FALSE(try_tick({Enqueue{{spec("x", "short"), spec("x", std::string(300, 'p')), spec("nobody", "stays")}}}).ok());  // try_tick() looks
  disk.fail_writes = false;
}

TEST_CASE_FIXTURE(ReopenFixture, "a payload goes with its run, however the job came in and however long it is") {
  RunnerSpec three;
  three.batch.max_jobs = 3;
  handler("x", three);
  const std::vector<std::string> payloads = {"", "short", std::string(300, 'p'), std::string(2000, 'q'), "last"};
  std::vector<JobSpec> specs;
  for (const std::string& payload : payloads) specs.push_back(spec("x", payload));
  const auto ids = ask<std::vector<JobId>>(Enqueue{specs});
  for (size_t i = 0; i < ids.size(); ++i) CHECK(get(ids[i]).payload == payloads[i]);
  std::vector<RunJob> runs;
  for (const StartRun& start : started) runs.insert(runs.end(), start.jobs.begin(), start.jobs.end());
  REQUIRE(runs.size() == ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    CHECK(runs[i].id == ids[i]);
    CHECK(runs[i].bytes == payloads[i]);
    CHECK(runs[i].lent == nullptr);
    end(runs[i], Outcome::retry);
    CHECK(get(ids[i]).payload == payloads[i]);
  }
}

TEST_CASE_FIXTURE(ReopenFixture, "a sync that fails is an error, not an acknowledgement") {
  disk.fail_syncs = true;
  auto failed = try_tick({Enqueue{{spec("x")}}});
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code == HF_E_IO);
}

TEST_CASE_FIXTURE(ReopenFixture, "after a failed turn what was acknowledged before is there, and no more") {
  JobId a = add(spec("x"));
  fail_turn({Enqueue{{spec("x")}}});
  CHECK(stats().by_state[0] == 1);
  CHECK(state(a) == State::pending);
  CHECK(add(spec("x")) > a);
}

TEST_CASE_FIXTURE(ReopenFixture, "a claim of which nobody was told spends no attempt, however often it happens") {
  handler("x");
  JobSpec s = spec("x");
  s.policy.max_attempts = 2;
  JobId id = add(s);
  CHECK(take_started().attempt == 1);
  for (int i = 0; i < 5; ++i) {
    // As if that turn had failed, and its commit were in the file all the same.
    reopen_without_its_runs();
    CHECK(state(id) == State::pending);
    CHECK(get(id).attempts == 0);
    CHECK(get(id).history.empty());
    handler("x");
    CHECK(take_started().attempt == 1);
  }
  ask<Done>(Cancel{id});
  reopen_without_its_runs();
  CHECK(state(id) == State::cancelled);
}

TEST_CASE_FIXTURE(ReopenFixture, "the end of a run, told again, is not that of its delivery, though both are attempt 1") {
  RunnerSpec r;
  r.sink = "cloud";
  handler("x", r);
  handler("sink:cloud");
  const JobId id = add(spec("x"));
  const RunJob run = take_started();
  handover = engine->handover();
  end(run, Outcome::done, "result");
  CHECK(take_started().attempt == 1);  // of the delivery
  // As if that turn had failed, and its commit were in the file all the same.
  engine.reset();
  open();
  handler("x", r);
  CHECK(refused(ended(run, Outcome::done, "result")).code == HF_E_STALE);
  CHECK(state(id) == State::pending);
  handler("sink:cloud");
  const RunJob delivery = take_started();
  CHECK(delivery.attempt == 1);
  CHECK(delivery.bytes == "result");
  end(delivery, Outcome::done);
  CHECK(state(id) == State::completed);
}

TEST_CASE_FIXTURE(ReopenFixture, "a run goes on while the engine is reopened, and completes") {
  handler("x");
  JobId id = add(spec("x"));
  RunJob job = take_started();
  fail_turn({Enqueue{{spec("x")}}});
  handler("x");
  CHECK(started.empty());
  CHECK(state(id) == State::running);
  end(job, Outcome::done, "r");
  CHECK(get(id).result == "r");
  CHECK(get(id).attempts == 1);
}

TEST_CASE_FIXTURE(ReopenFixture, "the end of a run that a failed turn did not keep is told again and counts") {
  handler("x", one_second_retries());
  JobId id = add(spec("x"));
  RunJob job = take_started();
  RunEnded e = ended(job, Outcome::retry, "no");
  e.retry_after_ms = 0;  // claimed again in the same turn
  fail_turn({e});
  CHECK(state(id) == State::running);
  CHECK(started.empty());
  end(job, Outcome::done, "r");
  CHECK(get(id).result == "r");
  CHECK(get(id).history.empty());
}

TEST_CASE_FIXTURE(ReopenFixture, "a claim that a failed turn did not keep spends no attempt") {
  JobId id = add(spec("x"));
  RunnerSpec r;
  r.name = "x";
  fail_turn({SetRunner{r}});
  CHECK(get(id).attempts == 0);
  handler("x");
  CHECK(take_started().attempt == 1);
}

TEST_CASE_FIXTURE(ReopenFixture, "a run that goes on over a reopening keeps its timeout") {
  RunnerSpec r = one_second_retries();
  r.policy.timeout_ms = 10000;
  handler("x", r);
  add(spec("x"));
  RunJob job = take_started();
  pass(4000);
  fail_turn({Enqueue{{spec("y")}}});
  CHECK(last.next_wake_boot_ms == now.boot_ms + 6000);
  pass(6000);
  CHECK(take_stopped().reason == StopReason::timeout);
  handler("x", r);
  end(job, Outcome::retry);
  CHECK(get(job.id).history.at(0).outcome == "timeout");
  CHECK(get(job.id).history.at(0).took_ms == 10000);
  CHECK(get(job.id).error.find("timed out after 10s") != std::string::npos);
}

TEST_CASE_FIXTURE(ReopenFixture, "a timeout that a failed turn did not tell is told after the reopening") {
  RunnerSpec r;
  r.policy.timeout_ms = 10000;
  handler("x", r);
  add(spec("x"));
  take_started();
  now.boot_ms += 10000;
  fail_turn({Enqueue{{spec("y")}}});
  tick();
  CHECK(take_stopped().reason == StopReason::timeout);
}

TEST_CASE_FIXTURE(ReopenFixture, "a run that was asked to cancel is asked again after a reopening") {
  handler("x");
  JobId id = add(spec("x"));
  RunJob job = take_started();
  ask<Done>(Cancel{id});
  take_stopped();
  reopen();
  CHECK(take_stopped().reason == StopReason::cancel);
  end(job, Outcome::retry);
  CHECK(state(id) == State::cancelled);
}

TEST_CASE_FIXTURE(ReopenFixture, "a batch that goes on over a reopening holds one slot of its runner") {
  RunnerSpec r;
  r.concurrency = 1;
  r.batch.max_jobs = 10;
  std::vector<JobSpec> three(3, spec("x"));
  ask<std::vector<JobId>>(Enqueue{three});
  handler("x", r);
  REQUIRE(started.size() == 1);
  std::vector<RunJob> jobs = started.front().jobs;
  started.clear();
  reopen();
  handler("x", r);
  JobId next = add(spec("x"));
  for (const RunJob& j : jobs) {
    CHECK(started.empty());
    end(j, Outcome::done);
  }
  CHECK(take_started().id == next);
}

TEST_CASE_FIXTURE(ReopenFixture, "a number of a run is not used again after a reopening") {
  handler("x");
  add(spec("x"));
  RunJob old = take_started();
  tick({SetDispatch{false}, StopAll{true}});
  reopen();
  handler("x");
  RunJob again = take_started();
  CHECK(again.attempt == old.attempt);
  CHECK(again.run != old.run);
  CHECK(refused(ended(old, Outcome::done)).code == HF_E_STALE);
  end(again, Outcome::done);
}

// What the fuzzer of the file found (tests/fuzz/database_fuzz.cpp), by hand.
TEST_CASE_FIXTURE(EngineFixture, "numbers that no engine wrote do no harm: it opens, shows and runs what there is") {
  JobSpec delayed = spec("x");
  delayed.delay_ms = 60000;
  const JobId sound = add(spec("x")), other = add(delayed);
  const std::string lowest = std::to_string(std::numeric_limits<int64_t>::min() + 1);
  const std::string highest = std::to_string(std::numeric_limits<int64_t>::max());
  const std::string damages[] = {
      "UPDATE meta SET value=" + highest + " WHERE key!='file_id'",
      "UPDATE meta SET value=" + lowest + " WHERE key!='file_id'",
      "UPDATE job SET created=" + lowest + ", due=" + highest + ", nprio=" + lowest + ", attempts=" + highest + " WHERE id=" + std::to_string(other),
      "UPDATE job SET lane=0 WHERE id=" + std::to_string(other),
      "UPDATE job SET lane=1, nprio='x' WHERE id=" + std::to_string(other),  // behind every number, and read as 0
      "INSERT INTO lane VALUES(0,'q','x','',0),(-5,'q','x','',0),(4294967297,'q','x','',0),(9,'q','x','',1)",
      "INSERT INTO queue VALUES('q',0," + lowest + ")",
      "INSERT OR REPLACE INTO meta VALUES('lane_counts','1:" + highest + " 1:" + highest + " -1:" + lowest + " x')"};
  for (const std::string& damage : damages) {
    CAPTURE(damage);
    close_cleanly();
    RawDb(path).query(damage);
    open();
    CHECK(get(sound).type == "x");
    CHECK(ask<JobPage>(List{}).jobs.size() == 2);
    CHECK_FALSE(ask<WhyInfo>(Why{other}).summary.empty());
    CHECK(ask<std::string>(Check{}) == "");
    pass(1000);
  }
  handler("x");
  REQUIRE_FALSE(started.empty());
  end(take_started(), Outcome::done);
  CHECK(state(sound) == State::completed);
}
