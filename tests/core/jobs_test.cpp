// How runs end: outcomes, backoff, timeouts, cancel, hand-back, children.
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

class JobsFixture : public EngineFixture {
 public:
  void handler_with(BackoffKind kind, Jitter jitter = Jitter::none, int max_attempts = 10) {
    RunnerSpec r;
    r.policy.max_attempts = max_attempts;
    r.policy.backoff.kind = kind;
    r.policy.backoff.base_ms = 100;
    r.policy.backoff.factor = 3;
    r.policy.backoff.max_ms = 2000;
    r.policy.backoff.jitter = jitter;
    r.policy.backoff.list_ms = {50, 700, 60};
    handler("x", r);
  }
  // Fails the job `n` times; the waits in between, as the engine asked for them.
  std::vector<int64_t> fail_times(int n) {
    std::vector<int64_t> waits;
    add(spec("x"));
    for (int i = 0; i < n; ++i) {
      end(take_started(), Outcome::retry);
      waits.push_back(wake() - now.boot_ms);
      run_for(waits.back());
    }
    return waits;
  }
  RunnerSpec timeout(int64_t ms) {
    RunnerSpec r;
    r.policy.timeout_ms = ms;
    r.policy.max_attempts = 2;
    return r;
  }
};

}  // namespace

TEST_CASE_FIXTURE(JobsFixture, "backoff fixed: the base, each time") {
  handler_with(BackoffKind::fixed);
  CHECK(fail_times(3) == std::vector<int64_t>{100, 100, 100});
}
TEST_CASE_FIXTURE(JobsFixture, "backoff linear: base times attempt") {
  handler_with(BackoffKind::linear);
  CHECK(fail_times(3) == std::vector<int64_t>{100, 200, 300});
}
TEST_CASE_FIXTURE(JobsFixture, "backoff exponential: base times factor, up to the cap") {
  handler_with(BackoffKind::exponential);
  CHECK(fail_times(5) == std::vector<int64_t>{100, 300, 900, 2000, 2000});
}
TEST_CASE_FIXTURE(JobsFixture, "backoff list: its entries, the last one repeats") {
  handler_with(BackoffKind::list);
  CHECK(fail_times(4) == std::vector<int64_t>{50, 700, 60, 60});
}
TEST_CASE_FIXTURE(JobsFixture, "the job's backoff counts before its handler's, field by field") {
  handler_with(BackoffKind::fixed);
  JobSpec s = spec("x");
  s.policy.backoff.base_ms = 123;
  add(s);
  end(take_started(), Outcome::retry);
  CHECK(wake() == now.boot_ms + 123);
}
TEST_CASE_FIXTURE(JobsFixture, "full jitter lies between nothing and the capped delay") {
  handler_with(BackoffKind::fixed, Jitter::full, 100);
  bool low = false, high = false;
  for (int64_t wait : fail_times(60)) {
    CHECK(wait >= 0);
    CHECK(wait <= 100);
    low |= wait < 50;
    high |= wait > 50;
  }
  CHECK((low && high));
}
TEST_CASE_FIXTURE(JobsFixture, "equal jitter lies between half and the whole") {
  handler_with(BackoffKind::fixed, Jitter::equal, 100);
  for (int64_t wait : fail_times(40)) CHECK((wait >= 50 && wait <= 100));
}

TEST_CASE_FIXTURE(JobsFixture, "retry_after stands in for the backoff, up to 30 days") {
  handler_with(BackoffKind::fixed);
  JobId id = add(spec("x"));
  RunEnded e = ended(take_started(), Outcome::retry);
  e.retry_after_ms = 77000;
  ask<Done>(e);
  CHECK(wake() == now.boot_ms + 77000);
  pass(77000);
  e = ended(take_started(), Outcome::retry);
  e.retry_after_ms = 1000LL * 86400 * 1000;
  ask<Done>(e);
  CHECK(get(id).due_wall_ms == now.wall_ms + 30LL * 86400 * 1000);
  CHECK(get(id).attempts == 2);
}

TEST_CASE_FIXTURE(JobsFixture, "a permanent failure is dead at once, with its reason") {
  handler("x");
  JobId id = add(spec("x"));
  end(take_started(), Outcome::dead, "bad input");
  JobInfo info = get(id);
  CHECK(info.state == State::dead);
  CHECK(info.error == "bad input");
  CHECK(info.history.at(0).outcome == "dead");
  CHECK(ask<WhyInfo>(Why{id}).summary.find("bad input") != std::string::npos);
}

TEST_CASE_FIXTURE(JobsFixture, "defer spends no attempt and waits for defer_ms, or as long as the run says") {
  RunnerSpec r;
  r.defer_ms = 3000;
  r.policy.max_attempts = 1;
  handler("x", r);
  JobId id = add(spec("x"));
  for (int i = 0; i < 5; ++i) {
    end(take_started(), Outcome::defer, "no link");
    CHECK(state(id) == State::pending);
    CHECK(get(id).attempts == 0);
    CHECK(wake() == now.boot_ms + 3000);
    pass(3000);
  }
  RunEnded e = ended(take_started(), Outcome::defer);
  e.retry_after_ms = 10;
  ask<Done>(e);
  CHECK(wake() == now.boot_ms + 10);
  pass(10);
  CHECK(take_started().attempt == 1);
}

TEST_CASE_FIXTURE(JobsFixture, "the history keeps the last ten attempts, and errors are cut at a character") {
  handler_with(BackoffKind::fixed, Jitter::none, 100);
  std::string error(HF_ERROR_TEXT_MAX - 1, 'e');
  error += "\xc3\xa4 and more";
  JobId id = add(spec("x"));
  for (int i = 0; i < 15; ++i) {
    end(take_started(), Outcome::retry, error);
    pass(100);
  }
  JobInfo info = get(id);
  REQUIRE(info.history.size() == HF_HISTORY_MAX);
  CHECK(info.history.front().number == 6);
  CHECK(info.history.back().number == 15);
  CHECK(info.history.back().started_ms == now.wall_ms - 100);
  CHECK(info.error == std::string(HF_ERROR_TEXT_MAX - 1, 'e'));
}

TEST_CASE_FIXTURE(JobsFixture, "a result over max_payload is a permanent failure that says so") {
  limits.max_payload = 100;
  crash();
  handler("x");
  JobId id = add(spec("x"));
  end(take_started(), Outcome::done, std::string(101, 'r'));
  CHECK(state(id) == State::dead);
  CHECK(get(id).error.find("101") != std::string::npos);
}

TEST_CASE_FIXTURE(JobsFixture, "a run that is over its time is asked to stop once, then counts as failed") {
  handler("x", timeout(5000));
  JobId id = add(spec("x"));
  RunJob run = take_started();
  CHECK(wake() == now.boot_ms + 5000);
  pass(5000);
  StopRun stop = take_stopped();
  CHECK(stop.id == id);
  CHECK(stop.attempt == 1);
  CHECK(stop.run == run.run);
  CHECK(stop.reason == StopReason::timeout);
  pass(60000);
  CHECK(stopped.empty());
  CHECK(state(id) == State::running);
  end(run, Outcome::retry, "killed");
  JobInfo info = get(id);
  CHECK(info.state == State::pending);
  CHECK(info.attempts == 1);
  CHECK(info.error == "timed out after 5s: killed");
  CHECK(info.history.back().outcome == "timeout");
}

TEST_CASE_FIXTURE(JobsFixture, "a run that is over its time and had not got to send anything spends no attempt") {
  handler("x", timeout(5000));
  JobId id = add(spec("x"));
  RunJob run = take_started();
  pass(5000);
  take_stopped();
  RunEnded e = ended(run, Outcome::defer, "no handshake");
  e.park_runner = true;
  tick({e});
  CHECK(state(id) == State::pending);
  CHECK(get(id).attempts == 0);
  CHECK(started.empty());  // the runner is parked
  pass(60000);
  run = take_started();
  CHECK(run.attempt == 1);
  pass(5000);
  take_stopped();
  end(run, Outcome::handed_back);  // it had waited for its turn
  run = take_started();
  CHECK(run.attempt == 1);
  pass(5000);
  take_stopped();
  end(run, Outcome::defer, "not now");  // what it says itself, too late
  CHECK(get(id).attempts == 1);
  CHECK(get(id).history.back().outcome == "timeout");
}

TEST_CASE_FIXTURE(JobsFixture, "a run whose result comes in spite of the timeout is done") {
  handler("x", timeout(5000));
  JobId id = add(spec("x"));
  RunJob run = take_started();
  pass(5000);
  end(run, Outcome::done, "r");
  CHECK(state(id) == State::completed);
}

TEST_CASE_FIXTURE(JobsFixture, "the job's timeout counts before its handler's, -1 is none") {
  handler("x", timeout(5000));
  JobSpec s = spec("x");
  s.policy.timeout_ms = -1;
  add(s);
  CHECK(started.front().timeout_ms == -1);
  CHECK(wake() == kNever);
}

TEST_CASE_FIXTURE(JobsFixture, "cancel: a pending job is cancelled at once, a final one refused") {
  JobId id = add(spec("x"));
  ask<Done>(Cancel{id});
  CHECK(state(id) == State::cancelled);
  CHECK(get(id).finished_wall_ms == now.wall_ms);
  Error e = refused(Cancel{id});
  CHECK(e.code == HF_E_STATE);
  CHECK(e.message.find("cancelled") != std::string::npos);
  CHECK(refused(Cancel{999}).code == HF_E_NOT_FOUND);
  handler("x");
  CHECK(started.empty());
}

TEST_CASE_FIXTURE(JobsFixture, "cancel: a running job is asked once, and cancelled when it ends, however it fails") {
  handler("x");
  for (Outcome o : {Outcome::retry, Outcome::dead, Outcome::defer, Outcome::cancelled, Outcome::handed_back}) {
    JobId id = add(spec("x"));
    RunJob run = take_started();
    ask<Done>(Cancel{id});
    ask<Done>(Cancel{id});
    CHECK(take_stopped().reason == StopReason::cancel);
    CHECK(stopped.empty());
    CHECK(state(id) == State::running);
    end(run, o);
    CHECK(state(id) == State::cancelled);
  }
}

TEST_CASE_FIXTURE(JobsFixture, "cancel: a run that is done all the same is completed") {
  handler("x");
  JobId id = add(spec("x"));
  RunJob run = take_started();
  ask<Done>(Cancel{id});
  end(run, Outcome::done, "r");
  CHECK(state(id) == State::completed);
  CHECK(get(id).result == "r");
}

TEST_CASE_FIXTURE(JobsFixture, "cancel: a run that was asked to stop for its time or the end is cancelled, not tried again") {
  handler("x", timeout(1000));
  JobId a = add(spec("x"));
  RunJob run = take_started();
  pass(1000);
  ask<Done>(Cancel{a});
  end(run, Outcome::retry);
  CHECK(state(a) == State::cancelled);
  JobId b = add(spec("x"));
  run = take_started();
  tick({SetDispatch{false}, StopAll{false}});
  ask<Done>(Cancel{b});
  end(run, Outcome::retry);
  CHECK(state(b) == State::cancelled);
}

TEST_CASE_FIXTURE(JobsFixture, "stopping: runs are asked to end, and go back with no attempt spent, in their old place") {
  handler("x");
  JobId a = add(spec("x"));
  RunJob run = take_started();
  tick({SetDispatch{false}, StopAll{false}});
  CHECK(take_stopped().reason == StopReason::shutdown);
  end(run, Outcome::retry, "terminated");
  CHECK(state(a) == State::pending);
  CHECK(get(a).attempts == 0);
  CHECK(get(a).history.empty());
  tick({SetDispatch{true}});
  CHECK(take_started().attempt == 1);
}

TEST_CASE_FIXTURE(JobsFixture, "stopping with hand-back: at once, and a late result is refused, also when the job runs again") {
  handler("x");
  JobId a = add(spec("x"));
  RunJob old = take_started();
  tick({SetDispatch{false}, StopAll{true}});
  CHECK(state(a) == State::pending);
  CHECK(refused(ended(old, Outcome::done)).code == HF_E_STALE);
  tick({SetDispatch{true}});
  RunJob again = take_started();
  CHECK(refused(ended(old, Outcome::done, "old")).code == HF_E_STALE);
  end(again, Outcome::done, "new");
  CHECK(get(a).result == "new");
}

TEST_CASE_FIXTURE(JobsFixture, "stopping with hand-back: what was cancelled is cancelled, what timed out has failed") {
  handler("x", timeout(1000));
  JobId a = add(spec("x"));
  pass(1000);
  JobId b = add(spec("x"));
  tick({Cancel{b}, SetDispatch{false}, StopAll{true}});
  CHECK(state(b) == State::cancelled);
  CHECK(get(a).attempts == 1);
  CHECK(get(a).history.back().outcome == "timeout");
}

TEST_CASE_FIXTURE(JobsFixture, "progress is kept while the run lives") {
  handler("x");
  JobId a = add(spec("x"));
  RunJob run = take_started();
  CHECK(get(a).progress == -1);
  ask<Done>(Progress{a, run.attempt, 40, "half"});
  CHECK(get(a).progress == 40);
  CHECK(get(a).progress_note == "half");
  CHECK(refused(Progress{a, run.attempt + 1, 50, ""}).code == HF_E_STALE);
}

TEST_CASE_FIXTURE(JobsFixture, "what an attempt remembers is told to the next one, also after a crash, and ends with the leg") {
  RunnerSpec to_sink;
  to_sink.sink = "cloud";
  handler("x", to_sink);
  handler("sink:cloud");
  const auto remember = [&](const RunJob& run, const std::string& memo) { ask<Done>(Remember{run.id, run.attempt, run.run, memo}); };
  const JobId a = add(spec("x"));
  RunJob run = take_started();
  CHECK(run.memo.empty());
  remember(run, "first");
  remember(run, std::string("second\0", 7));
  CHECK(refused(Remember{a, run.attempt + 1, run.run, ""}).code == HF_E_STALE);
  CHECK(refused(Remember{a, run.attempt, run.run + 1, ""}).code == HF_E_STALE);
  CHECK(refused(Remember{a, run.attempt, run.run, std::string(kMemoMax + 1, 'm')}).code == HF_E_TOO_LARGE);
  crash();
  handler("x", to_sink);
  handler("sink:cloud");
  run = take_started();
  CHECK(run.attempt == 2);
  CHECK(run.memo == std::string("second\0", 7));
  CHECK(get(a).key == run.key);

  end(run, Outcome::dead, "no");
  ask<Done>(Retry{a});
  run = take_started();
  CHECK(run.memo == std::string("second\0", 7));
  end(run, Outcome::dead, "no");
  Edit edit;
  edit.id = a;
  edit.payload = "other";
  ask<Done>(edit);
  ask<Done>(Retry{a});
  run = take_started();
  CHECK(run.memo.empty());

  remember(run, std::string(kMemoMax, 'm'));
  end(run, Outcome::done, "result");
  run = take_started();
  CHECK(run.bytes == "result");
  CHECK(run.memo.empty());
  remember(run, "of the delivery");
  end(run, Outcome::defer, "not now");
  run_for(5000);
  run = take_started();
  CHECK(run.memo == "of the delivery");
  end(run, Outcome::done);
  CHECK(refused(Remember{a, run.attempt, run.run, "late"}).code == HF_E_STALE);
}

TEST_CASE_FIXTURE(JobsFixture, "children are enqueued in the transaction of their parent's success, with the ids that were told") {
  handler("x");
  add(spec("x"));
  RunEnded e = ended(take_started(), Outcome::done);
  JobId child = ask<std::vector<JobId>>(ReserveIds{1}).front();
  e.children.push_back({child, spec("y", "c")});
  ask<Done>(e);
  crash();
  CHECK(get(child).payload == "c");
}

TEST_CASE_FIXTURE(JobsFixture, "children of a run that fails are not enqueued") {
  handler("x");
  add(spec("x"));
  RunEnded e = ended(take_started(), Outcome::retry);
  e.children.push_back({ask<std::vector<JobId>>(ReserveIds{1}).front(), spec("y")});
  ask<Done>(e);
  CHECK(stats().by_state[0] == 1);
}

TEST_CASE_FIXTURE(JobsFixture, "children are all or none: a bad one is a permanent failure, no room a retry") {
  limits.max_jobs = 3;
  crash();
  handler("x");
  JobId a = add(spec("x"));
  RunEnded e = ended(take_started(), Outcome::done);
  auto ids = ask<std::vector<JobId>>(ReserveIds{3});
  for (JobId id : ids) e.children.push_back({id, spec("y")});
  RunEnded bad = e;
  ask<Done>(e);
  CHECK(state(a) == State::pending);
  CHECK(get(a).error.find("max_jobs") != std::string::npos);
  CHECK(stats().by_state[0] == 1);
  run_for(1000);
  bad.attempt = take_started().attempt;
  bad.run = 0;
  bad.children.pop_back();
  bad.children.back().second.type = "";
  ask<Done>(bad);
  CHECK(state(a) == State::dead);
  CHECK(stats().by_state[0] == 0);
}
