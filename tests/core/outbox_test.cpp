// Deliveries: the second leg of the same row, in the sink's queue.
#include <set>

#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

class OutboxFixture : public EngineFixture {
 public:
  OutboxFixture() { setup(); }
  void setup() {
    RunnerSpec r;
    r.sink = "cloud";
    handler("x", r);
  }
  void sink(Batch batch = {}, int max_attempts = 0) {
    RunnerSpec r;
    r.batch = batch;
    r.concurrency = 1;
    r.policy.max_attempts = max_attempts;
    r.policy.backoff.kind = BackoffKind::fixed;
    r.policy.backoff.jitter = Jitter::none;
    handler("sink:cloud", r);
  }
  JobId produce(const std::string& result, JobSpec s = spec("x")) {
    JobId id = add(std::move(s));
    end(take_started(), Outcome::done, result);
    return id;
  }
  // The deliveries of the first batch that was started.
  std::vector<RunJob> take_batch() {
    REQUIRE_FALSE(started.empty());
    CHECK(started.front().runner == "sink:cloud");
    std::vector<RunJob> jobs = started.front().jobs;
    started.erase(started.begin());
    return jobs;
  }
};

}  // namespace

TEST_CASE_FIXTURE(OutboxFixture, "the result is in the sink's queue in the transaction that ended the run") {
  JobId id = produce("value");
  crash();
  JobInfo info = get(id);
  CHECK(info.state == State::pending);
  CHECK(info.delivering);
  CHECK(info.sink == "cloud");
  CHECK(info.attempts == 0);
  CHECK(info.queue == "default");
  sink();
  CHECK(take_started().bytes == "value");
}

TEST_CASE_FIXTURE(OutboxFixture, "a sink that is not configured waits, and why says so") {
  JobId id = produce("value");
  WhyInfo why = ask<WhyInfo>(Why{id});
  REQUIRE(why.gates.size() == 1);
  CHECK(why.gates[0].gate == "handler");
  CHECK(why.summary.find("sink cloud is not configured") != std::string::npos);
}

TEST_CASE_FIXTURE(OutboxFixture, "the job's sink counts before its handler's") {
  JobSpec s = spec("x");
  s.sink = "archive";
  JobId id = add(s);
  CHECK(started.front().jobs.front().sink == "archive");
  end(take_started(), Outcome::done, "value");
  CHECK(get(id).sink == "archive");
  handler("sink:archive");
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(OutboxFixture, "a run that fails delivers nothing") {
  sink();
  JobId id = add(spec("x"));
  end(take_started(), Outcome::dead, "no");
  CHECK(started.empty());
  CHECK(state(id) == State::dead);
}

TEST_CASE_FIXTURE(OutboxFixture, "the idempotency key is the same in both legs and after a retry") {
  sink();
  JobId id = add(spec("x"));
  const JobKey key = started.front().jobs.front().key;
  end(take_started(), Outcome::done, "v");
  CHECK(started.front().jobs.front().key == key);
  end(take_started(), Outcome::retry);
  pass(1000);
  CHECK(take_started().key == key);
  CHECK(get(id).key == key);
}

TEST_CASE_FIXTURE(OutboxFixture, "attempts of the delivery are counted anew, by the sink's policy; then dead, and retried to the sink") {
  JobSpec s = spec("x");
  s.policy.max_attempts = 1;
  sink({}, 2);
  JobId id = produce("value", s);
  RunJob d = take_started();
  CHECK(d.attempt == 1);
  end(d, Outcome::retry, "503");
  CHECK(state(id) == State::pending);
  CHECK(get(id).max_attempts == 2);
  pass(1000);
  d = take_started();
  CHECK(d.attempt == 2);
  end(d, Outcome::retry, "503");
  CHECK(state(id) == State::dead);
  CHECK(get(id).result == "value");
  CHECK(get(id).history.back().delivery);
  ask<Done>(Retry{id});
  d = take_batch().front();
  CHECK(d.attempt == 1);
  CHECK(d.bytes == "value");
  end(d, Outcome::done);
  CHECK(state(id) == State::completed);
  CHECK(get(id).result == "value");
  CHECK_FALSE(get(id).delivering);
}

TEST_CASE_FIXTURE(OutboxFixture, "a pending delivery can be cancelled; a running one is asked to stop") {
  JobId a = produce("a");
  ask<Done>(Cancel{a});
  CHECK(state(a) == State::cancelled);
  sink();
  JobId b = produce("b");
  RunJob d = take_started();
  ask<Done>(Cancel{b});
  CHECK(take_stopped().id == b);
  end(d, Outcome::retry, "aborted");
  CHECK(state(b) == State::cancelled);
}

TEST_CASE_FIXTURE(OutboxFixture, "a result that waits for its delivery does not expire") {
  JobSpec s = spec("x");
  s.ttl_ms = 1000;
  JobId id = produce("value", s);
  pass(5000);
  CHECK(state(id) == State::pending);
  sink();
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(OutboxFixture, "a result that was produced with a concurrency key does not hold it while it is delivered") {
  JobSpec s = spec("x");
  s.concurrency_key = "k";
  sink();
  produce("a", s);
  JobId b = add(s);
  CHECK(state(b) == State::running);
}

TEST_CASE_FIXTURE(OutboxFixture, "the sink's queue is a queue: paused and resumed") {
  ask<Done>(QueuePause{"sink:cloud"});
  sink();
  JobId id = produce("a");
  CHECK(started.empty());
  CHECK(gates(id) == "queue");
  ask<Done>(QueuePause{"sink:cloud", false});
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(OutboxFixture, "a batch goes when max_jobs are there") {
  sink({3, 0, 5000});
  JobId a = produce("a");
  produce("b");
  CHECK(started.empty());
  CHECK(gates(a) == "batch");
  produce("c");
  CHECK(take_batch().size() == 3);
}

TEST_CASE_FIXTURE(OutboxFixture, "a batch goes when the oldest has waited for max_wait") {
  sink({100, 0, 5000});
  produce("a");
  pass(3000);
  produce("b");
  CHECK(wake() == now.boot_ms + 2000);
  pass(1999);
  CHECK(started.empty());
  pass(1);
  CHECK(take_batch().size() == 2);
}

TEST_CASE_FIXTURE(OutboxFixture, "a batch goes when max_bytes are there, and holds no more unless one alone is larger") {
  sink({100, 1000, 5000});
  produce(std::string(400, 'a'));
  produce(std::string(400, 'b'));
  CHECK(started.empty());
  produce(std::string(400, 'c'));
  std::vector<RunJob> batch = take_batch();
  CHECK(batch.size() == 2);
  for (const RunJob& j : batch) end(j, Outcome::done);
  CHECK(started.empty());
  produce(std::string(2000, 'd'));
  batch = take_batch();
  CHECK(batch.size() == 1);
  for (const RunJob& j : batch) end(j, Outcome::done);
  CHECK(take_batch().front().bytes.size() == 2000);
}

TEST_CASE_FIXTURE(OutboxFixture, "a batch mixes types and holds one slot; each job in it has its own end") {
  RunnerSpec r;
  r.sink = "cloud";
  handler("y", r);
  sink({10, 0, 1000});
  JobId a = produce("a"), b = produce("b", spec("y")), c = produce("c");
  pass(1000);
  std::vector<RunJob> batch = take_batch();
  REQUIRE(batch.size() == 3);
  CHECK(batch[1].type == "y");
  JobId d = produce("d");
  pass(1000);
  end(batch[0], Outcome::done);
  end(batch[1], Outcome::dead, "400");
  CHECK(started.empty());
  end(batch[2], Outcome::retry, "503");
  CHECK(take_batch().front().id == d);
  CHECK(state(a) == State::completed);
  CHECK(state(b) == State::dead);
  CHECK(state(c) == State::pending);
}

TEST_CASE_FIXTURE(OutboxFixture, "a large batch in flight takes one slot of the engine") {
  limits.concurrency = 2;
  ask<Done>(SetLimits{limits});
  sink({10, 0, 1000});
  for (int i = 0; i < 5; ++i) produce("a");
  pass(1000);
  CHECK(take_batch().size() == 5);
  add(spec("x"));
  add(spec("x"));
  CHECK(started_ids().size() == 1);
}

TEST_CASE_FIXTURE(OutboxFixture, "a sink whose world is not ready is parked: 1 s doubling to 60 s, probed with one job, no attempt spent") {
  sink({100, 0, 0});
  std::vector<JobId> ids;
  ask<Done>(QueuePause{"sink:cloud"});
  for (int i = 0; i < 10; ++i) ids.push_back(produce("v"));
  ask<Done>(QueuePause{"sink:cloud", false});
  std::vector<RunJob> batch = take_batch();
  CHECK(batch.size() == 10);
  int64_t longest = 1000;
  for (int probe = 0; probe < 12; ++probe) {
    std::vector<Op> ends;
    for (const RunJob& j : batch) {
      RunEnded e = ended(j, Outcome::defer, "no link");
      e.park_runner = true;
      ends.push_back(e);
    }
    tick(std::move(ends));
    CHECK(started.empty());
    CHECK(gates(ids[3]) == "handler_parked");
    int64_t wait = wake() - now.boot_ms;
    CHECK(wait >= longest / 2);
    CHECK(wait <= longest);
    longest = std::min<int64_t>(longest * 2, 60000);
    pass(wait);
    batch = take_batch();
    CHECK(batch.size() == 1);
    CHECK(batch[0].attempt == 1);
    CHECK(gates(ids[9]) == "handler_slots handler_parked");
  }
  end(batch[0], Outcome::done);
  batch = take_batch();
  CHECK(batch.size() == 9);
  for (const RunJob& j : batch) end(j, Outcome::done);
  for (JobId id : ids) CHECK(get(id).attempts == 1);
}

TEST_CASE_FIXTURE(OutboxFixture, "a sink that its server asks to wait waits exactly so long, whatever was under way") {
  for (int i = 0; i < 6; ++i) produce("v");
  RunnerSpec r;
  r.concurrency = 3;
  handler("sink:cloud", r);
  const std::vector<StartRun> three = std::exchange(started, {});
  REQUIRE(three.size() == 3);
  RunEnded busy = ended(three[0].jobs[0], Outcome::defer, "HTTP 429");
  busy.park_runner = true;
  busy.retry_after_ms = 7000;
  const int64_t asked_at = now.boot_ms;
  ask<Done>(busy);
  pass(1000);
  end(three[1].jobs[0], Outcome::done);  // it had begun before
  CHECK(started.empty());
  CHECK(gates(three[0].jobs[0].id) == "handler_parked");
  busy = ended(three[2].jobs[0], Outcome::defer, "HTTP 429");
  busy.park_runner = true;
  busy.retry_after_ms = 5000;  // earlier than what was said first
  ask<Done>(busy);
  ask<Done>(LinkUp{});  // the server has said when
  CHECK(wake() == asked_at + 7000);
  pass(5999);
  CHECK(started.empty());
  pass(1);
  CHECK(take_batch().size() == 1);
  CHECK(get(three[0].jobs[0].id).attempts == 1);  // the one that is under way
  CHECK(get(three[2].jobs[0].id).attempts == 0);
}

TEST_CASE_FIXTURE(OutboxFixture, "a link comes up: the wait is cut short, once, and runs follow the first one gradually") {
  for (int i = 0; i < 300; ++i) produce("v");
  handler("sink:cloud");
  std::vector<StartRun> batch = std::exchange(started, {});
  int64_t longest = 0;
  for (int i = 0; i < 8; ++i) {
    std::vector<Op> ends;
    for (const StartRun& run : batch) {
      ends.push_back(ended(run.jobs[0], Outcome::defer, "no link"));
      std::get<RunEnded>(ends.back()).park_runner = true;
    }
    tick(std::move(ends));
    CHECK(last.waits_for_link);
    longest = wake() - now.boot_ms;
    if (i < 7) pass(longest);
    batch = std::exchange(started, {});
  }
  REQUIRE(longest >= 30000);
  ask<Done>(LinkUp{});
  const int64_t soon = wake() - now.boot_ms;
  CHECK(soon <= 5000);
  CHECK_FALSE(last.waits_for_link);
  ask<Done>(LinkUp{});
  CHECK(wake() - now.boot_ms == soon);
  pass(soon);
  std::vector<size_t> at_once;
  while (true) {
    batch = std::exchange(started, {});
    if (batch.empty()) break;
    at_once.push_back(batch.size());
    std::vector<Op> ends;
    for (const StartRun& run : batch) ends.push_back(ended(run.jobs[0], Outcome::done));
    tick(std::move(ends));
  }
  const std::vector<size_t> first(at_once.begin(), at_once.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(at_once.size(), 7)));
  CHECK(first == std::vector<size_t>{1, 2, 4, 8, 16, 32, 64});
}

TEST_CASE_FIXTURE(OutboxFixture, "the server is away for ten minutes: no attempt is spent, everything is delivered after") {
  sink({100, 0, 1000});
  constexpr int kJobs = 500;
  ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(kJobs, spec("x"))});
  int delivered = 0;
  int probes = 0;
  const int64_t back = now.boot_ms + 600000;
  for (int guard = 0; delivered < kJobs && guard < 5000; ++guard) {
    std::vector<Op> ends;
    for (const StartRun& s : started) {
      probes += s.runner == "sink:cloud" ? 1 : 0;
      for (const RunJob& j : s.jobs) {
        bool sent = s.runner == "sink:cloud";
        bool away = sent && now.boot_ms < back;
        RunEnded e = ended(j, away ? Outcome::defer : Outcome::done, sent ? "" : "r");
        e.park_runner = away;
        if (sent && !away) {
          ++delivered;
          CHECK(j.attempt == 1);
        }
        ends.push_back(e);
      }
    }
    started.clear();
    if (ends.empty()) {
      REQUIRE(wake() != kNever);
      pass(std::max<int64_t>(wake() - now.boot_ms, 0));
    } else {
      tick(std::move(ends));
    }
  }
  CHECK(stats().by_state[2] == kJobs);
  CHECK(stats().retried == 0);
  CHECK(stats().failed == 0);
  CHECK(now.boot_ms < back + 62000);
  CHECK(probes < 50);
}

namespace {

class OrderFixture : public OutboxFixture {
 public:
  // `n` results while the sink waits, and then which of them each batch takes.
  std::vector<std::vector<JobId>> batches(int newest_percent, int n, int batch) {
    RunnerSpec r;
    r.concurrency = 1;
    r.batch.max_jobs = batch;
    r.newest_percent = newest_percent;
    handler("sink:cloud", r);
    ask<Done>(QueuePause{"sink:cloud", true});
    for (int i = 0; i < n; ++i) {
      now.boot_ms += 1;
      produce("r");
    }
    ask<Done>(QueuePause{"sink:cloud", false});
    std::vector<std::vector<JobId>> batches;
    while (!started.empty()) {
      const std::vector<RunJob> jobs = take_batch();
      std::vector<JobId>& ids = batches.emplace_back();
      for (const RunJob& job : jobs) ids.push_back(job.id);
      for (const RunJob& job : jobs) end(job, Outcome::done);
    }
    return batches;
  }
};

}  // namespace

TEST_CASE_FIXTURE(OrderFixture, "the oldest results first, or the newest") {
  CHECK(batches(0, 6, 2) == std::vector<std::vector<JobId>>{{1, 2}, {3, 4}, {5, 6}});
  CHECK(batches(100, 6, 2) == std::vector<std::vector<JobId>>{{12, 11}, {10, 9}, {8, 7}});
}

TEST_CASE_FIXTURE(OrderFixture, "a share of the batches takes the newest, the others the oldest: what is live goes on while the backlog shrinks") {
  const auto all = batches(75, 400, 10);
  REQUIRE(all.size() == 40);
  size_t newest = 0;
  std::set<JobId> seen;
  for (const std::vector<JobId>& batch : all) {
    if (batch.front() > batch.back()) ++newest;
    seen.insert(batch.begin(), batch.end());
  }
  CHECK(newest == 30);
  CHECK(seen.size() == 400);  // each once
  CHECK(all[0].front() + all[1].front() > 400);  // both ends from the start
}

TEST_CASE_FIXTURE(OutboxFixture, "a sink that wants it numbers its deliveries, without a gap and never twice, also over a crash") {
  const auto numbered = [&] {
    RunnerSpec r;
    r.sequence = true;
    r.policy.max_attempts = 1;
    handler("sink:cloud", r);
    handler("sink:archive", r);
  };
  const auto next = [&](const std::string& to) {
    JobSpec s = spec("x");
    s.sink = to;
    add(std::move(s));
    end(take_started(), Outcome::done, "r");
    return take_started();
  };
  numbered();
  CHECK(next("cloud").sequence == 1);
  CHECK(last.must_sync);
  CHECK(next("cloud").sequence == 2);
  CHECK(next("archive").sequence == 1);
  RunJob third = next("cloud");
  CHECK(third.sequence == 3);
  end(third, Outcome::dead, "no");
  ask<Done>(Retry{third.id});
  third = take_started();
  CHECK(third.sequence == 3);  // it stays the job's own
  crash();
  setup();
  numbered();
  started.clear();
  CHECK(next("cloud").sequence == 4);
  handler("sink:cloud");  // it wants it no longer
  CHECK(next("cloud").sequence == 0);
  numbered();
  CHECK(next("cloud").sequence == 5);
}

TEST_CASE_FIXTURE(OrderFixture, "newest first holds for what comes in while others wait, beyond the window, and within a priority") {
  sink({}, 0);
  RunnerSpec r;
  r.concurrency = 1;
  r.newest_percent = 100;
  handler("sink:cloud", r);
  ask<Done>(QueuePause{"sink:cloud", true});
  JobId last_id = 0;
  for (size_t i = 0; i < 5 * kWindow; ++i) {
    now.boot_ms += 1;
    last_id = produce("r");
  }
  JobSpec s = spec("x");
  s.priority = 1;
  const JobId urgent = produce("r", s);
  ask<Done>(QueuePause{"sink:cloud", false});
  RunJob job = take_started();
  CHECK(job.id == urgent);
  end(job, Outcome::done);
  job = take_started();
  CHECK(job.id == last_id);
  now.boot_ms += 1;
  const JobId add_id = add(spec("x"));
  end(take_started(), Outcome::done, "newer still");
  end(job, Outcome::done);
  job = take_started();
  CHECK(job.id == add_id);
  JobId before_id = last_id;
  for (size_t left = 5 * kWindow - 1; left > 0; --left) {
    end(job, Outcome::done);
    job = take_started();
    REQUIRE(job.id < before_id);
    before_id = job.id;
  }
}
