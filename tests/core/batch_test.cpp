// Batches of handlers: jobs of one type that are handed to a function or a program together, each with an end of its own.
#include <algorithm>
#include <set>

#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

class BatchFixture : public EngineFixture {
 public:
  void batches(const std::string& type, Batch batch, int concurrency = 0) {
    RunnerSpec r;
    r.batch = batch;
    r.concurrency = concurrency;
    r.policy.backoff.kind = BackoffKind::fixed;
    r.policy.backoff.base_ms = 1000;
    r.policy.backoff.jitter = Jitter::none;
    handler(type, r);
  }
  JobSpec keyed(const std::string& key, const std::string& type = "x") {
    JobSpec s = spec(type);
    s.concurrency_key = key;
    return s;
  }
  std::vector<JobId> add_all(const std::vector<JobSpec>& specs) { return ask<std::vector<JobId>>(Enqueue{specs}); }
  std::vector<JobId> add_many(int n, const std::string& type = "x") { return add_all(std::vector<JobSpec>(static_cast<size_t>(n), spec(type))); }
  // The jobs of the first batch that was started.
  std::vector<RunJob> take_batch() {
    REQUIRE_FALSE(started.empty());
    std::vector<RunJob> jobs = started.front().jobs;
    started.erase(started.begin());
    return jobs;
  }
  static std::vector<JobId> ids_of(const std::vector<RunJob>& jobs) {
    std::vector<JobId> ids;
    for (const RunJob& job : jobs) ids.push_back(job.id);
    return ids;
  }
  void end_all(const std::vector<RunJob>& jobs, Outcome how = Outcome::done) {
    std::vector<Op> ops;
    for (const RunJob& job : jobs) ops.push_back(ended(job, how));
    tick(std::move(ops));
  }
};

}  // namespace

// ---- when a batch goes --------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(BatchFixture, "why: a batch that is awaited is a gate beside others, and the last one to open says when") {
  ask<Done>(SetCondition{{.name = "door", .told = true, .initially = true}});
  ask<Done>(TellCondition{.name = "door", .for_ms = 2000});
  ask<Done>(QueueSet{"default", {.when = std::vector<std::string>{"door"}}});
  batches("x", {3, 0, 5000});
  add_many(2);
  CHECK(gates(1) == "condition batch");
  pass(2000);
  CHECK(started.empty());
  CHECK(gates(1) == "batch");
  CHECK(wake() == now.boot_ms + 3000);
  pass(3000);
  CHECK(take_batch().size() == 2);
}

TEST_CASE_FIXTURE(BatchFixture, "a batch goes when max_jobs are there, and holds no more") {
  batches("x", {3, 0, 5000});
  add_many(2);
  CHECK(started.empty());
  add_many(3);
  CHECK(ids_of(take_batch()) == std::vector<JobId>{1, 2, 3});
  CHECK(started.empty());
  CHECK(gates(4) == "batch");
  add_many(1);
  CHECK(ids_of(take_batch()) == std::vector<JobId>{4, 5, 6});
}

TEST_CASE_FIXTURE(BatchFixture, "it goes when the oldest has waited for max_wait, to the millisecond") {
  batches("x", {100, 0, 5000});
  add_many(1);
  run_for(3000);
  add_many(1);
  CHECK(wake() == now.boot_ms + 2000);
  run_for(1999);
  CHECK(started.empty());
  run_for(1);
  CHECK(take_batch().size() == 2);
  CHECK(wake() > now.boot_ms + 5000);
}

TEST_CASE_FIXTURE(BatchFixture, "when the oldest is cancelled, the next one's wait counts, and nobody wakes up before") {
  batches("x", {100, 0, 5000});
  const JobId first = add_many(1).front();
  run_for(3000);
  add_many(1);
  ask<Done>(Cancel{first});
  CHECK(wake() == now.boot_ms + 5000);
  run_for(4999);
  CHECK(started.empty());
  run_for(1);
  CHECK(take_batch().size() == 1);
}

TEST_CASE_FIXTURE(BatchFixture, "max_bytes are counted from what comes in; a job larger than that goes alone") {
  batches("x", {100, 1000, 60000});
  add(spec("x", std::string(400, 'p')));
  add(spec("x", std::string(400, 'p')));
  CHECK(started.empty());
  add(spec("x", std::string(400, 'p')));
  CHECK(take_batch().size() == 2);
  CHECK(started.empty());
  add(spec("x", std::string(2000, 'p')));
  CHECK(take_batch().size() == 1);
  CHECK(take_batch().front().bytes.size() == 2000);
}

TEST_CASE_FIXTURE(BatchFixture, "more jobs than a window holds wait for their company as few do") {
  batches("x", {1000, 0, 60000});
  add_many(400);
  CHECK(started.empty());
  run_for(59999);
  CHECK(started.empty());
  run_for(1);
  CHECK(take_batch().size() == 400);
  add_many(999);
  CHECK(started.empty());
  add_many(1);
  CHECK(take_batch().size() == 1000);
}

TEST_CASE_FIXTURE(BatchFixture, "what becomes due later waits for company from then on") {
  batches("x", {100, 0, 2000});
  JobSpec s = spec("x");
  s.delay_ms = 10000;
  add(s);
  run_for(11999);
  CHECK(started.empty());
  run_for(1);
  CHECK(take_batch().size() == 1);
}

TEST_CASE_FIXTURE(BatchFixture, "a handler that takes others counts from what it finds") {
  batches("x", {100, 0, 60000});
  add_many(5);
  run_for(3000);
  batches("x", {100, 0, 5000});
  CHECK(started.empty());
  CHECK(wake() == now.boot_ms + 2000);
  run_for(2000);
  CHECK(take_batch().size() == 5);
}

// ---- beside others --------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(BatchFixture, "a group that waits for its batch holds back no other of its queue") {
  batches("x", {10, 0, 60000});
  batches("y", {2, 0, 60000});
  handler("z");
  add_many(1, "x");
  const JobId z = add_many(1, "z").front();
  CHECK(started_ids() == std::vector<JobId>{z});
  const std::vector<JobId> ys = add_many(2, "y");
  CHECK(started_ids() == ys);
  CHECK(gates(1) == "batch");
  run_for(60000);
  CHECK(started_ids() == std::vector<JobId>{1});
}

TEST_CASE_FIXTURE(BatchFixture, "a batch that is full while its handler has no slot goes when it has one") {
  batches("x", {2, 0, 60000}, 1);
  add_many(2);
  const auto first = take_batch();
  add_many(2);
  CHECK(started.empty());
  CHECK(gates(3) == "handler_slots");
  end(first[0], Outcome::done);
  CHECK(started.empty());
  end(first[1], Outcome::done);
  CHECK(take_batch().size() == 2);
}

TEST_CASE_FIXTURE(BatchFixture, "nobody asks the world for a batch that is not there yet") {
  ConditionSpec cool;
  cool.name = "cool";
  ask<Done>(SetCondition{cool});
  RunnerSpec r;
  r.batch = {2, 0, 60000};
  r.when = {"cool"};
  handler("x", r);
  add_many(1);
  CHECK(questions.empty());
  add_many(1);
  REQUIRE(questions.size() == 1);
  TellCondition told{"cool", true};
  told.number = questions.front().number;
  tick({told});
  CHECK(take_batch().size() == 2);
}

// ---- what counts as one ------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(BatchFixture, "a batch takes one slot of its queue, its handler and the engine, until its last job has ended") {
  limits.concurrency = 2;
  crash();
  batches("x", {3, 0, 0});
  ask<Done>(QueueSet{"default", QueueSettings{.concurrency = 1}});
  add_many(5);
  const auto first = take_batch();
  CHECK(first.size() == 3);
  CHECK(started.empty());
  CHECK(gates(4) == "queue_slots");
  const auto queue = ask<std::vector<QueueInfo>>(QueueList{"default"}).front();
  CHECK(queue.running == 3);
  end(first[1], Outcome::done);
  end(first[0], Outcome::done);
  CHECK(started.empty());
  end(first[2], Outcome::done);
  CHECK(take_batch().size() == 2);
}

TEST_CASE_FIXTURE(BatchFixture, "its slot of the queue is one over a reopening of the engine, too") {
  batches("x", {3, 0, 0});
  ask<Done>(QueueSet{"default", QueueSettings{.concurrency = 1}});
  add_many(4);
  const auto first = take_batch();
  CHECK(first.size() == 3);
  handover = engine->handover();
  engine.reset();
  open();
  batches("x", {3, 0, 0});
  CHECK(started.empty());
  end(first[0], Outcome::done);
  end(first[1], Outcome::done);
  CHECK(started.empty());
  end(first[2], Outcome::done);
  CHECK(take_batch().size() == 1);
}

TEST_CASE_FIXTURE(BatchFixture, "a batch is one run for the rates of its queue and its handler") {
  RunnerSpec r;
  r.batch = {3, 0, 0};
  r.rates.rate_limit = Rate{1, 10000, 1};
  handler("x", r);
  add_many(6);
  CHECK(take_batch().size() == 3);
  CHECK(started.empty());
  CHECK(gates(4) == "rate_limit");
  run_for(10000);
  CHECK(take_batch().size() == 3);
}

TEST_CASE_FIXTURE(BatchFixture, "the rate of a key counts each of its jobs, whichever place it has in the batch") {
  batches("x", {10, 0, 0});
  QueueSettings set;
  set.key_rate_limit = Rate{2, 10000, 2};
  set.key_concurrency = 10;
  ask<Done>(QueueSet{"default", set});
  add_all({keyed("a"), keyed("b"), keyed("b"), keyed("b"), keyed("a")});
  CHECK(ids_of(take_batch()) == std::vector<JobId>{1, 2, 3, 5});
  CHECK(started.empty());
  CHECK(gates(4) == "rate_limit");
  run_for(5000);
  CHECK(ids_of(take_batch()) == std::vector<JobId>{4});
}

TEST_CASE_FIXTURE(BatchFixture, "of one concurrency_key no more are in a batch than may run at once") {
  batches("x", {10, 0, 0});
  add_all({keyed("a"), keyed("a"), keyed("b"), spec("x"), keyed("a"), spec("x")});
  const auto first = take_batch();
  CHECK(ids_of(first) == std::vector<JobId>{1, 3, 4, 6});
  CHECK(started.empty());
  end(first[0], Outcome::done);
  CHECK(ids_of(take_batch()) == std::vector<JobId>{2});
  end_all(first);
  QueueSettings two;
  two.key_concurrency = 2;
  ask<Done>(QueueSet{"default", two});
  CHECK(ids_of(take_batch()) == std::vector<JobId>{5});
}

TEST_CASE_FIXTURE(BatchFixture, "jobs of a key that cannot go together make no full batch") {
  batches("x", {3, 0, 5000});
  add_all({keyed("a"), keyed("a"), keyed("a"), keyed("a")});
  CHECK(started.empty());
  CHECK(gates(1) == "batch");
  add_all({keyed("b"), keyed("c")});
  CHECK(ids_of(take_batch()) == std::vector<JobId>{1, 5, 6});
}

TEST_CASE_FIXTURE(BatchFixture, "thousands of keys, one job each: batches are full, in order, and hold each once") {
  batches("x", {100, 0, 60000});
  std::vector<JobSpec> specs;
  for (int i = 0; i < 2000; ++i) specs.push_back(keyed("k" + std::to_string(i % 1000)));
  add_all(specs);
  std::set<JobId> seen;
  REQUIRE(started.size() == 10);
  for (const StartRun& run : started) {
    CHECK(run.jobs.size() == 100);
    for (const RunJob& job : run.jobs) seen.insert(job.id);
  }
  CHECK(seen.size() == 1000);
  CHECK(*seen.rbegin() == 1000);
}

TEST_CASE_FIXTURE(BatchFixture, "within a batch higher priorities come first, then who is due longest") {
  batches("x", {10, 0, 1000});
  JobSpec urgent = spec("x");
  urgent.priority = 5;
  add_all({spec("x"), urgent, spec("x"), urgent});
  run_for(1000);
  CHECK(ids_of(take_batch()) == std::vector<JobId>{2, 4, 1, 3});
}

// ---- each job has its own end ---------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(BatchFixture, "only those that failed come again, in whatever batch") {
  batches("x", {3, 0, 0});
  add_many(3);
  const auto batch = take_batch();
  tick({ended(batch[0], Outcome::done, "r"), ended(batch[1], Outcome::retry, "no"), ended(batch[2], Outcome::dead, "never")});
  CHECK(state(1) == State::completed);
  CHECK(get(1).result == "r");
  CHECK(state(3) == State::dead);
  CHECK(get(3).error == "never");
  add_many(1);
  CHECK(ids_of(take_batch()) == std::vector<JobId>{4});
  run_for(1000);
  const auto again = take_batch();
  REQUIRE(again.size() == 1);
  CHECK(again[0].id == 2);
  CHECK(again[0].attempt == 2);
  CHECK(again[0].run != batch[1].run);
}

TEST_CASE_FIXTURE(BatchFixture, "each has its own timeout, and the batch is told the longest") {
  batches("x", {3, 0, 0});
  JobSpec quick = spec("x");
  quick.policy.timeout_ms = 1000;
  JobSpec slow = quick;
  slow.policy.timeout_ms = 9000;
  add_all({quick, slow, quick});
  CHECK(started.front().timeout_ms == 9000);
  const auto batch = take_batch();
  run_for(1000);
  REQUIRE(stopped.size() == 2);
  CHECK(stopped[0].id == 1);
  CHECK(stopped[1].id == 3);
  CHECK(stopped[1].reason == StopReason::timeout);
  tick({ended(batch[0], Outcome::dead), ended(batch[2], Outcome::dead)});
  CHECK(get(1).error == "timed out after 1s");
  stopped.clear();
  run_for(7999);
  CHECK(stopped.empty());
  run_for(1);
  REQUIRE(stopped.size() == 1);
  CHECK(stopped[0].id == 2);
}

TEST_CASE_FIXTURE(BatchFixture, "one without a timeout makes the batch one without") {
  batches("x", {2, 0, 0});
  JobSpec endless = spec("x");
  endless.policy.timeout_ms = -1;
  add_all({endless, spec("x")});
  CHECK(started.front().timeout_ms == -1);
  started.clear();
  add_all({spec("x"), endless});
  CHECK(started.front().timeout_ms == -1);
}

TEST_CASE_FIXTURE(BatchFixture, "a sign of life is one of that job alone") {
  RunnerSpec r;
  r.batch.max_jobs = 2;
  r.heartbeat_ms = 1000;
  handler("x", r);
  add_many(2);
  const auto batch = take_batch();
  run_for(600);
  tick({Progress{batch[0].id, batch[0].attempt, -1, {}}});
  run_for(400);
  REQUIRE(stopped.size() == 1);
  CHECK(stopped[0].id == batch[1].id);
}

TEST_CASE_FIXTURE(BatchFixture, "a cancel ends one, the others go on") {
  batches("x", {2, 0, 0});
  add_many(2);
  const auto batch = take_batch();
  ask<Done>(Cancel{batch[0].id});
  CHECK(take_stopped().id == batch[0].id);
  CHECK(stopped.empty());
  tick({ended(batch[0], Outcome::retry), ended(batch[1], Outcome::done)});
  CHECK(state(batch[0].id) == State::cancelled);
  CHECK(state(batch[1].id) == State::completed);
}

TEST_CASE_FIXTURE(BatchFixture, "at a stop all are handed back, no attempt spent, and go together again") {
  batches("x", {3, 0, 60000});
  add_many(3);
  const auto batch = take_batch();
  end(batch[0], Outcome::done);
  tick({SetDispatch{false}, StopAll{true}});
  CHECK(state(2) == State::pending);
  CHECK(get(3).attempts == 0);
  tick({SetDispatch{true}});
  CHECK(started.empty());  // two of three: they wait as they did
  run_for(60000);
  const auto again = take_batch();
  CHECK(ids_of(again) == std::vector<JobId>{2, 3});
  CHECK(again[0].attempt == 1);
}

TEST_CASE_FIXTURE(BatchFixture, "what has used its attempts up, or came too late, is left out and does not end the batch") {
  batches("x", {4, 0, 5000});
  JobSpec once = spec("x");
  once.policy.max_attempts = 1;
  JobSpec late = spec("x");
  late.ttl_ms = 3000;
  add_all({once, late, spec("x")});
  run_for(5000);
  CHECK(ids_of(take_batch()) == std::vector<JobId>{1, 3});
  crash();
  batches("x", {4, 0, 5000});
  run_for(5000);
  CHECK(ids_of(take_batch()) == std::vector<JobId>{3});
  CHECK(state(1) == State::dead);
  CHECK(state(2) == State::dead);
}

// ---- crashes --------------------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(BatchFixture, "each job of a batch in which the process ended twice runs alone, one at a time") {
  limits.crash_loop = -1;
  crash();
  batches("x", {3, 0, 60000});
  JobSpec many = spec("x");
  many.policy.max_attempts = 100;
  add_all({many, many, many});
  for (int i = 0; i < 2; ++i) {
    CHECK(take_batch().size() == 3);
    crash();
    batches("x", {3, 0, 60000});
  }
  for (JobId id = 1; id <= 3; ++id) {
    REQUIRE(started.size() == 1);
    const auto alone = take_batch();
    CHECK(ids_of(alone) == std::vector<JobId>{id});
    if (id == 2) {
      crash();
      batches("x", {3, 0, 60000});
      CHECK(state(2) == State::dead);
    } else {
      end(alone[0], Outcome::done);
    }
  }
  CHECK(state(1) == State::completed);
  CHECK(state(3) == State::completed);
}
