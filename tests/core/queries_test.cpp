// What get, list, why, stats and the queues answer.
#include "engine_fixture.h"
#include "raw_db.h"

using namespace hf;
using hf::test::EngineFixture;
using hf::test::RawDb;

namespace {

class QueriesFixture : public EngineFixture {
 public:
  static ListQuery of(State s, int limit = 100) {
    ListQuery q;
    q.state = s;
    q.limit = limit;
    return q;
  }
  // All pages, with `between` in between.
  template <class F>
  std::vector<JobId> pages(ListQuery q, F between) {
    std::vector<JobId> ids;
    for (int guard = 0; guard < 1000; ++guard) {
      JobPage page = ask<JobPage>(List{q});
      for (const JobInfo& j : page.jobs) ids.push_back(j.id);
      if (page.next == 0) return ids;
      q.before = page.next;
      between(page);
    }
    FAIL("the list has no end");
    return ids;
  }
  std::vector<JobId> pages(ListQuery q) {
    return pages(q, [](const JobPage&) {});
  }
  std::vector<JobId> make_dead(int n) {
    handler("x");
    std::vector<JobId> ids;
    for (int i = 0; i < n; ++i) {
      ids.insert(ids.begin(), add(spec("x")));
      end(take_started(), Outcome::dead);
      if (i % 3 == 0) pass(1);
    }
    return ids;
  }
};

}  // namespace

TEST_CASE_FIXTURE(QueriesFixture, "list: newest first, page by page, without payloads") {
  std::vector<JobId> ids;
  for (int i = 0; i < 25; ++i) ids.insert(ids.begin(), add(spec("x", "payload")));
  ListQuery q;
  q.limit = 7;
  CHECK(pages(q) == ids);
  JobInfo first = ask<JobPage>(List{q}).jobs.front();
  CHECK(first.payload.empty());
  CHECK(first.payload_size == 7);
}

TEST_CASE_FIXTURE(QueriesFixture, "list: the limit is 1 to 1000") {
  for (int limit : {0, -1, 1001}) CHECK(refused(List{of(State::dead, limit)}).code == HF_E_INVALID);
  for (int limit : {1, 1000}) CHECK(ask<JobPage>(List{of(State::dead, limit)}).jobs.empty());
}

TEST_CASE_FIXTURE(QueriesFixture, "list: by state, queue, type and due") {
  JobSpec s = spec("x");
  s.queue = "q";
  JobId a = add(s);
  s.delay_ms = 1000;
  JobId b = add(s);
  JobId c = add(spec("y"));
  ListQuery q;
  q.queue = "q";
  CHECK(pages(q) == std::vector<JobId>{b, a});
  q.scheduled = true;
  CHECK(pages(q) == std::vector<JobId>{b});
  q.scheduled = false;
  CHECK(pages(q) == std::vector<JobId>{a});
  ListQuery y;
  y.type = "y";
  CHECK(pages(y) == std::vector<JobId>{c});
  handler("y");
  CHECK(pages(of(State::running)) == std::vector<JobId>{c});
  CHECK(pages(of(State::pending)) == std::vector<JobId>{b, a});
}

TEST_CASE_FIXTURE(QueriesFixture, "list: final jobs page by page, many with the same end") {
  std::vector<JobId> ids = make_dead(25);
  CHECK(pages(of(State::dead, 4)) == ids);
}

TEST_CASE_FIXTURE(QueriesFixture, "list: goes on when the last job of a page was removed or retried in between") {
  std::vector<JobId> ids = make_dead(25);
  ask<Done>(QueuePause{"default"});
  CHECK(pages(of(State::dead, 4), [&](const JobPage& p) { ask<Done>(Retry{p.jobs.back().id}); }) == ids);
  ids.clear();
  for (const JobInfo& j : ask<JobPage>(List{of(State::dead, 1000)}).jobs) ids.push_back(j.id);
  CHECK(ids.size() == 19);
  CHECK(pages(of(State::dead, 4), [&](const JobPage& p) { ask<Done>(Remove{p.jobs.back().id}); }) == ids);
}

TEST_CASE_FIXTURE(QueriesFixture, "list: says so when it cannot know where it was") {
  make_dead(3);
  ListQuery q = of(State::dead);
  q.before = 999;
  CHECK(refused(List{q}).code == HF_E_NOT_FOUND);
}

TEST_CASE_FIXTURE(QueriesFixture, "list: a delivery is found by its home queue and by its sink's") {
  RunnerSpec r;
  r.sink = "cloud";
  handler("x", r);
  JobId a = add(spec("x"));
  end(take_started(), Outcome::done, "r");
  for (const char* queue : {"default", "sink:cloud"}) {
    ListQuery q;
    q.queue = queue;
    CHECK(pages(q) == std::vector<JobId>{a});
  }
}

TEST_CASE_FIXTURE(QueriesFixture, "get: what is not there is not found") {
  Error e = refused(Get{42});
  CHECK(e.code == HF_E_NOT_FOUND);
  CHECK(e.message.find("42") != std::string::npos);
}

TEST_CASE_FIXTURE(QueriesFixture, "why: an open job, and every closed gate at once") {
  ask<Done>(QueueSet{"default", {.concurrency = 1}});
  handler("x");
  add(spec("x"));
  JobId second = add(spec("x"));
  CHECK(gates(second) == "queue_slots");
  JobSpec s = spec("z");
  s.delay_ms = 1000;
  JobId third = add(s);
  ask<Done>(QueuePause{"default"});
  CHECK(gates(third) == "due queue queue_slots handler");
  WhyInfo why = ask<WhyInfo>(Why{third});
  CHECK(why.gates[0].opens_wall_ms == now.wall_ms + 1000);
  CHECK(refused(Why{999}).code == HF_E_NOT_FOUND);
}

TEST_CASE_FIXTURE(QueriesFixture, "why: the engine's slots") {
  limits.concurrency = 1;
  ask<Done>(SetLimits{limits});
  handler("x");
  add(spec("x"));
  CHECK(gates(add(spec("x"))) == "engine_slots");
}

TEST_CASE_FIXTURE(QueriesFixture, "stats count what is there and what has happened") {
  handler("x");
  RunnerSpec flaky;
  flaky.policy.backoff.kind = BackoffKind::fixed;
  handler("x", flaky);
  add(spec("x"));
  end(take_started(), Outcome::retry);
  run_for(1000);
  end(take_started(), Outcome::done);
  add(spec("x"));
  end(take_started(), Outcome::defer);
  JobId c = add(spec("y"));
  ask<Done>(Cancel{c});
  add(spec("x"));
  end(take_started(), Outcome::dead);
  add(spec("x"));
  Stats s = stats();
  CHECK(s.by_state[0] == 1);
  CHECK(s.by_state[1] == 1);
  CHECK(s.by_state[2] == 1);
  CHECK(s.by_state[3] == 1);
  CHECK(s.by_state[4] == 1);
  CHECK(s.enqueued == 5);
  CHECK(s.started == 5);
  CHECK(s.completed == 1);
  CHECK(s.retried == 1);
  CHECK(s.failed == 2);
  CHECK(s.dead == 1);
  CHECK(s.deferred == 1);
  CHECK(s.cancelled == 1);
  CHECK(s.clock.trusted);
  CHECK(s.file_bytes > 0);
}

TEST_CASE_FIXTURE(QueriesFixture, "queues: their figures; an unknown one is named with the nearest") {
  JobSpec s = spec("x");
  s.queue = "reports";
  add(s);
  ask<Done>(QueueSet{"reports", {.concurrency = 3}});
  handler("x");
  add(s);
  ask<Done>(QueuePause{"reports"});
  add(s);
  QueueInfo q = ask<std::vector<QueueInfo>>(QueueList{"reports"}).at(0);
  CHECK(q.paused);
  CHECK(q.settings.concurrency == 3);
  CHECK(q.pending == 1);
  CHECK(q.running == 2);
  Error e = refused(QueueList{"report"});
  CHECK(e.code == HF_E_NOT_FOUND);
  CHECK(e.message.find("reports") != std::string::npos);
  CHECK(refused(QueuePause{"a b"}).code == HF_E_INVALID);
}

TEST_CASE_FIXTURE(QueriesFixture, "backup: a copy that opens; check: a sound file says nothing") {
  JobId a = add(spec("x", "p"));
  CHECK(ask<std::string>(Check{}).empty());
  ask<Done>(Backup{dir + "/copy.db"});
  Error e = refused(Backup{dir + "/no/such/folder/copy.db"});
  CHECK(e.code != HF_OK);
  add(spec("x"));
  engine.reset();
  path = dir + "/copy.db";
  open();
  CHECK(get(a).payload == "p");
  CHECK(stats().by_state[0] == 1);
}

TEST_CASE_FIXTURE(QueriesFixture, "an index that names a job which is in another state is damage, not a job more") {
  const std::vector<JobId> dead = make_dead(3);
  close_cleanly();
  // The index is away while a job changes.
  for (const char* step : {"CREATE TABLE away AS SELECT * FROM sqlite_schema WHERE name='job_final'; DELETE FROM sqlite_schema WHERE name='job_final'",
                           "UPDATE job SET state=4 WHERE id=(SELECT min(id) FROM job)",
                           "INSERT INTO sqlite_schema SELECT * FROM away; DROP TABLE away"}) {
    RawDb raw(path);
    raw.run("PRAGMA writable_schema=ON");
    raw.run(step);
  }
  open();
  const auto ticked = try_tick({List{of(State::dead)}});
  REQUIRE_FALSE(ticked.ok());
  CHECK(ticked.error().code == HF_E_CORRUPT);
  CHECK(ticked.error().message.find("a list of jobs has job " + std::to_string(dead.back())) != std::string::npos);
}
