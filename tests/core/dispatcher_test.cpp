// Jobs make runs: in which order, and through which gates.
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

class DispatcherFixture : public EngineFixture {
 public:
  // Adds jobs while nothing is claimed.
  DispatcherFixture() { ask<Done>(SetDispatch{false}); }
  JobId put(const std::string& type, int priority = 0, int64_t delay_ms = 0, const std::string& queue = "default",
            const std::string& key = "") {
    JobSpec s = spec(type);
    s.priority = priority;
    s.delay_ms = delay_ms;
    s.queue = queue;
    s.concurrency_key = key;
    return add(s);
  }
  void go() { ask<Done>(SetDispatch{true}); }
  // One run at once: the order in which the jobs run, each for no time.
  std::vector<JobId> run_all() {
    std::vector<JobId> order;
    go();
    while (!started.empty()) {
      RunJob job = take_started();
      order.push_back(job.id);
      end(job, Outcome::done);
    }
    return order;
  }
  void one_at_once() { ask<Done>(QueueSet{"default", {.concurrency = 1}}); }
};

}  // namespace

TEST_CASE_FIXTURE(DispatcherFixture, "higher priority first, then the one that was due first, then by id") {
  handler("x");
  one_at_once();
  JobId late = put("x", 0, 50);
  JobId low = put("x", -5);
  JobId a = put("x");
  JobId b = put("x");
  JobId high = put("x", 5, 100);
  pass(100);
  CHECK(run_all() == std::vector<JobId>{high, a, b, late, low});
}

TEST_CASE_FIXTURE(DispatcherFixture, "the order goes across the types of a queue") {
  handler("x");
  handler("y");
  one_at_once();
  JobId a = put("x"), b = put("y"), c = put("x"), d = put("y", 1), e = put("x", 0, 1), f = put("y", 0, 1);
  pass(1);
  CHECK(run_all() == std::vector<JobId>{d, a, b, c, e, f});
}

TEST_CASE_FIXTURE(DispatcherFixture, "the order goes across concurrency keys") {
  handler("x");
  one_at_once();
  std::vector<JobId> ids;
  for (int i = 0; i < 12; ++i) ids.push_back(put("x", 0, 0, "default", "k" + std::to_string(i % 3)));
  CHECK(run_all() == ids);
}

TEST_CASE_FIXTURE(DispatcherFixture, "many more jobs than a window come in order") {
  handler("x");
  one_at_once();
  auto ids = ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(kWindow * 5 + 3, spec("x"))});
  CHECK(run_all() == ids);
}

TEST_CASE_FIXTURE(DispatcherFixture, "an urgent job overtakes a long row, also one that the window knows in part") {
  handler("x");
  one_at_once();
  auto ids = ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(kWindow * 3, spec("x"))});
  go();
  for (int i = 0; i < 10; ++i) end(take_started(), Outcome::done);
  JobId urgent = put("x", 1);
  JobId normal = put("x");
  JobId lazy = put("x", -1);
  std::vector<JobId> rest = run_all();
  REQUIRE(rest.size() == ids.size() - 10 + 3);
  CHECK(rest[0] == ids[10]);  // it ran already
  CHECK(rest[1] == urgent);
  CHECK(rest[2] == ids[11]);
  CHECK(rest[rest.size() - 2] == normal);
  CHECK(rest.back() == lazy);
}

TEST_CASE_FIXTURE(DispatcherFixture, "jobs that become due while others wait take their place by priority and due time") {
  handler("x");
  one_at_once();
  std::vector<JobId> waiting;
  for (int i = 0; i < 200; ++i) waiting.push_back(put("x"));
  JobId urgent = put("x", 10, 1000);
  JobId behind = put("x", 0, 1000);
  go();
  RunJob first = take_started();
  pass(1000);
  end(first, Outcome::done);
  std::vector<JobId> order = run_all();
  CHECK(order.front() == urgent);
  CHECK(order.back() == behind);
  CHECK(order.size() == 201);
}

TEST_CASE_FIXTURE(DispatcherFixture, "a job that is retried takes its place by its new due time") {
  RunnerSpec r;
  r.policy.backoff.kind = BackoffKind::fixed;
  r.policy.backoff.jitter = Jitter::none;
  handler("x", r);
  one_at_once();
  JobId a = put("x"), b = put("x"), c = put("x");
  go();
  end(take_started(), Outcome::retry);
  RunJob second = take_started();
  CHECK(second.id == b);
  JobId d = put("x");
  pass(1000);
  JobId e = put("x");
  end(second, Outcome::done);
  CHECK(run_all() == std::vector<JobId>{c, d, a, e});
}

TEST_CASE_FIXTURE(DispatcherFixture, "windows follow edits, cancels and removals") {
  handler("x");
  one_at_once();
  auto ids = ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(kWindow * 2, spec("x"))});
  go();
  end(take_started(), Outcome::done);
  Edit up;
  up.id = ids.back();
  up.priority = 3;
  Edit down;
  down.id = ids[2];
  down.priority = -3;
  Edit later;
  later.id = ids[3];
  later.delay_ms = 1000;
  tick({up, down, later, Cancel{ids[4]}, Cancel{ids[5]}, Remove{ids[5]}});
  std::vector<JobId> order = run_all();
  REQUIRE(order.size() == ids.size() - 4);
  CHECK(order[0] == ids[1]);
  CHECK(order[1] == ids.back());
  CHECK(order[2] == ids[6]);
  CHECK(order.back() == ids[2]);
  pass(1000);
  CHECK(take_started().id == ids[3]);
}

TEST_CASE_FIXTURE(DispatcherFixture, "a queue's concurrency holds over its types, and may change at any time") {
  handler("x");
  handler("y");
  ask<Done>(QueueSet{"default", {.concurrency = 2}});
  for (int i = 0; i < 6; ++i) put(i % 2 ? "x" : "y");
  put("x", 0, 0, "other");
  go();
  CHECK(started_ids().size() == 3);
  ask<Done>(QueueSet{"default", {.concurrency = 4}});
  CHECK(started_ids().size() == 2);
  ask<Done>(QueueSet{"default", {}});
  CHECK(started_ids().size() == 2);
}

TEST_CASE_FIXTURE(DispatcherFixture, "a queue's concurrency is kept in the file, over that of the configuration") {
  handler("x");
  one_at_once();
  for (int i = 0; i < 9; ++i) put("x");
  crash();
  ask<Done>(SetQueueDefaults{"default", {.concurrency = 5}});
  handler("x");
  CHECK(started_ids().size() == 1);
  ask<Done>(QueueSet{"default", {}});
  CHECK(started_ids().size() == 4);
  CHECK(refused(QueueSet{"default", {.concurrency = 0}}).code == HF_E_INVALID);
  CHECK(refused(QueueSet{"default", {.concurrency = 10001}}).code == HF_E_INVALID);
}

TEST_CASE_FIXTURE(DispatcherFixture, "a handler's concurrency holds over its queues") {
  RunnerSpec r;
  r.concurrency = 2;
  handler("x", r);
  handler("y");
  for (const char* q : {"a", "b", "c"}) put("x", 0, 0, q), put("y", 0, 0, q);
  go();
  CHECK(started_ids().size() == 5);
  JobId waiting = 0;
  for (const JobInfo& j : ask<JobPage>(List{}).jobs) {
    if (j.state == State::pending) waiting = j.id;
  }
  CHECK(gates(waiting) == "handler_slots");
}

TEST_CASE_FIXTURE(DispatcherFixture, "the engine's concurrency holds over all, and a full queue does not starve a quiet one") {
  limits.concurrency = 4;
  ask<Done>(SetLimits{limits});
  handler("x");
  for (int i = 0; i < 20; ++i) put("x", 0, 0, "busy");
  JobId quiet = put("x", 0, 0, "quiet");
  go();
  std::vector<RunJob> runs;
  while (!started.empty()) runs.push_back(take_started());
  CHECK(runs.size() == 4);
  CHECK(std::any_of(runs.begin(), runs.end(), [&](const RunJob& j) { return j.id == quiet; }));
  end(runs[0], Outcome::done);
  CHECK(started_ids().size() == 1);
}

TEST_CASE_FIXTURE(DispatcherFixture, "jobs with one concurrency key run one at a time, over the types of a queue") {
  handler("x");
  handler("y");
  JobId a = put("x", 0, 0, "default", "k"), b = put("y", 0, 0, "default", "k"), c = put("x", 0, 0, "default", "k");
  JobId other_key = put("x", 0, 0, "default", "l"), other_queue = put("x", 0, 0, "q", "k");
  go();
  std::vector<RunJob> runs;
  while (!started.empty()) runs.push_back(take_started());
  REQUIRE(runs.size() == 3);
  auto is = [&](JobId id) { return std::any_of(runs.begin(), runs.end(), [&](const RunJob& j) { return j.id == id; }); };
  CHECK((is(a) && is(other_key) && is(other_queue)));
  CHECK(gates(b) == "key");
  for (const RunJob& j : runs) end(j, j.id == a ? Outcome::retry : Outcome::done);
  CHECK(started_ids() == std::vector<JobId>{b});
  CHECK(gates(c) == "key");
}

TEST_CASE_FIXTURE(DispatcherFixture, "a paused queue claims nothing, its runs go on; resume goes on at once; kept over a kill") {
  handler("x");
  JobId a = put("x");
  go();
  RunJob run = take_started();
  ask<Done>(QueuePause{"default"});
  JobId b = put("x");
  end(run, Outcome::done);
  CHECK(state(a) == State::completed);
  CHECK(started.empty());
  CHECK(gates(b) == "queue");
  crash();
  handler("x");
  CHECK(started.empty());
  ask<Done>(QueuePause{"default", false});
  CHECK(take_started().id == b);
}

TEST_CASE_FIXTURE(DispatcherFixture, "a group with a queue of its own has limits of its own, and is paused by itself") {
  handler("x");
  ask<Done>(QueueSet{"acme", {.concurrency = 2, .rate_limit = Rate{3, 60000, 3}}});
  for (int i = 0; i < 5; ++i) put("x", 0, 0, "acme"), put("x");
  go();
  CHECK(started.size() == 2 + 5);
  ask<Done>(QueuePause{"acme"});
  while (!started.empty()) end(take_started(), Outcome::done);
  const JobId other = put("x");
  CHECK(started_ids() == std::vector<JobId>{other});
  ask<Done>(QueuePause{"acme", false});
  CHECK(started_ids().size() == 1);  // the third one of this minute
}

TEST_CASE_FIXTURE(DispatcherFixture, "a queue may be paused before its first job") {
  ask<Done>(QueuePause{"new"});
  handler("x");
  go();
  JobId a = put("x", 0, 0, "new");
  CHECK(started.empty());
  CHECK(gates(a) == "queue");
}

TEST_CASE_FIXTURE(DispatcherFixture, "nothing is claimed while dispatch is off, and then no wake-up is asked for") {
  handler("x");
  JobId a = put("x");
  CHECK(started.empty());
  CHECK(gates(a) == "engine");
  CHECK(wake() == kNever);
  go();
  CHECK(take_started().id == a);
}

TEST_CASE_FIXTURE(DispatcherFixture, "a handler that is removed lets its runs end and claims no more") {
  handler("x");
  put("x");
  go();
  RunJob run = take_started();
  ask<Done>(RemoveRunner{"x"});
  JobId b = put("x");
  CHECK(started.empty());
  CHECK(gates(b) == "handler");
  end(run, Outcome::done);
  handler("x");
  CHECK(take_started().id == b);
}

TEST_CASE_FIXTURE(DispatcherFixture, "the next wake-up is the time of the first job that becomes due") {
  handler("x");
  go();
  CHECK(wake() == kNever);
  put("x", 0, 5000);
  put("x", 9, 7000);
  put("x", 0, 3000);
  CHECK(wake() == now.boot_ms + 3000);
  pass(3000);
  CHECK(started_ids().size() == 1);
  CHECK(wake() < now.boot_ms + 300001);
  crash();
  handler("x");
  CHECK(wake() == now.boot_ms + 2000);
}

TEST_CASE_FIXTURE(DispatcherFixture, "a handler's settings have their bounds") {
  auto bad = [&](auto change) {
    RunnerSpec r;
    r.name = "x";
    change(r);
    return refused(SetRunner{r}).code == HF_E_INVALID;
  };
  CHECK(bad([](RunnerSpec& r) { r.name = "a b"; }));
  CHECK(bad([](RunnerSpec& r) { r.concurrency = -1; }));
  CHECK(bad([](RunnerSpec& r) { r.concurrency = 10001; }));
  CHECK(bad([](RunnerSpec& r) { r.defer_ms = 0; }));
  CHECK(bad([](RunnerSpec& r) { r.defer_ms = 86400001; }));
  CHECK(bad([](RunnerSpec& r) { r.sink = "a b"; }));
  CHECK(bad([](RunnerSpec& r) { r.policy.max_attempts = 1001; }));
  CHECK(bad([](RunnerSpec& r) { r.batch.max_jobs = 0; }));
}
