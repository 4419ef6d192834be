// on_conflict keep_last: beside a run with the key one job waits, the latest.
#include "core/jobs.h"
#include "follow_fixture.h"

using namespace hf;
using hf::test::FollowFixture;

TEST_CASE_FIXTURE(FollowFixture, "keep_last: beside a run one job waits, with the latest payload") {
  const JobId a = add(last("1"));
  const RunJob run = take_started();
  const JobId b = add(last("2"));
  CHECK(b != a);
  CHECK(add(last("3")) == b);
  CHECK(add(last("4")) == b);
  CHECK(get(b).payload == "4");
  CHECK(gates(b) == "after");
  CHECK(started.empty());
  end(run, Outcome::done);
  const RunJob second = take_started();
  CHECK(second.id == b);
  CHECK(second.bytes == "4");
  // It holds the key now.
  JobSpec keep = last("5");
  keep.on_conflict = OnConflict::keep;
  CHECK(add(keep) == b);
  const JobId c = add(last("6"));
  CHECK(c != b);
  end(second, Outcome::dead, "no");  // however that ended
  CHECK(take_started().id == c);
}

TEST_CASE_FIXTURE(FollowFixture, "keep_last: of one that waits it is a replace") {
  JobSpec s = last("1");
  s.delay_ms = 1000;
  const JobId a = add(s);
  s.payload = "2";
  CHECK(add(s) == a);
  CHECK(get(a).payload == "2");
  pass(1000);
  CHECK(take_started().bytes == "2");
}

TEST_CASE_FIXTURE(FollowFixture, "keep_last: while a result is on its way, and over a kill") {
  RunnerSpec r;
  r.sink = "cloud";
  r.policy.max_attempts = 3;
  handler("x", r);
  const JobId a = add(last("1"));
  end(take_started(), Outcome::done, "result 1");
  const JobId b = add(last("2"));
  CHECK(b != a);
  crash();
  handler("x", r);
  CHECK(add(last("3")) == b);
  CHECK(started.empty());
  handler("sink:cloud");
  end(take_started(), Outcome::done);
  const RunJob run = take_started();
  CHECK(run.id == b);
  CHECK(run.bytes == "3");
}

TEST_CASE_FIXTURE(FollowFixture, "keep_last: a run that is put back keeps its payload, and so does the one behind it") {
  RunnerSpec r;
  r.policy = hf::test::fixed_policy(1000);
  handler("x", r);
  const JobId a = add(last("1"));
  const RunJob run = take_started();
  const JobId b = add(last("2"));
  end(run, Outcome::retry, "again");
  pass(1000);
  const RunJob again = take_started();
  CHECK(again.id == a);
  CHECK(again.bytes == "1");
  end(again, Outcome::done);
  CHECK(take_started().id == b);
}

TEST_CASE_FIXTURE(FollowFixture, "keep_last: between two attempts, too, the latest runs last") {
  RunnerSpec r;
  r.policy = hf::test::fixed_policy(1000);
  handler("x", r);
  add(last("1"));
  const RunJob run = take_started();
  const JobId b = add(last("2"));
  end(run, Outcome::retry, "again");
  CHECK(add(last("3")) == b);
  pass(1000);
  const RunJob again = take_started();
  CHECK(again.bytes == "1");
  end(again, Outcome::done);
  CHECK(take_started().bytes == "3");
}

TEST_CASE_FIXTURE(FollowFixture, "keep_last: however many came and went, one runs at a time") {
  add(last("1"));
  const RunJob run = take_started();
  for (int i = 0; i < HF_AFTER_MAX + 5; ++i) {
    JobSpec s = last("short");
    s.ttl_ms = 1000;
    add(s);
    pass(1000);
  }
  const JobId b = add(last("2"));
  CHECK(started.empty());
  CHECK(gates(b) == "after");
  end(run, Outcome::done);
  CHECK(take_started().id == b);
}

TEST_CASE_FIXTURE(FollowFixture, "keep_last: the one that waits goes before a child with its key") {
  add(last("1"));
  const RunJob run = take_started();
  const JobId b = add(last("2"));
  JobSpec child = last("child");
  child.on_conflict = OnConflict::keep;
  RunEnded e = ended(run, Outcome::done);
  e.children = {{ask<std::vector<JobId>>(ReserveIds{1}).front(), child}};
  ask<Done>(e);
  CHECK(started_ids() == std::vector<JobId>{b});
  CHECK(stats().by_state[static_cast<int>(State::pending)] == 0);
}

TEST_CASE_FIXTURE(FollowFixture, "keep_last: where another one has the key it goes on waiting") {
  RunnerSpec r;
  r.policy = hf::test::fixed_policy(100'000);
  handler("x", r);
  const JobId a = add(last("1"));
  const RunJob run = take_started();
  const JobId b = add(last("2"));
  end(run, Outcome::retry, "later");
  JobSpec keep = last("3");
  keep.on_conflict = OnConflict::keep;
  ask<Done>(Retry{b});  // it waits no longer, and runs beside
  const RunJob beside = take_started();
  ask<Done>(Cancel{a});
  CHECK(add(keep) == b);  // who was to have the key has it
  end(beside, Outcome::done);
  CHECK(started.empty());
}

TEST_CASE_FIXTURE(FollowFixture, "keep_last: it waits for another one that has the key by then") {
  RunnerSpec r;
  r.policy = hf::test::fixed_policy(100'000);
  handler("x", r);
  JobSpec by_payload = spec("x", "p");
  by_payload.unique_by = UniqueBy::payload;
  const JobId a = add(by_payload);
  const RunJob run = take_started();
  by_payload.on_conflict = OnConflict::keep_last;
  const JobId b = add(by_payload);
  CHECK(b != a);
  end(run, Outcome::retry, "later");
  Edit edit;
  edit.id = a;
  edit.payload = "q";  // another key
  ask<Done>(edit);
  by_payload.on_conflict = OnConflict::keep;
  const JobId c = add(by_payload);
  CHECK(take_started().id == c);
  ask<Done>(Cancel{a});
  CHECK(started.empty());
  CHECK(get(b).after == std::vector<JobId>{c});
  RunEnded e;
  e.id = c;
  e.attempt = 1;
  ask<Done>(e);
  CHECK(take_started().id == b);
}

TEST_CASE_FIXTURE(FollowFixture, "keep_last: a run without the key takes nothing from the one that has it") {
  add(last("1"));
  const RunJob run = take_started();
  const JobId b = add(last("2"));
  ask<Done>(Retry{b});
  RunEnded e = ended(take_started(), Outcome::done);
  e.children = {{ask<std::vector<JobId>>(ReserveIds{1}).front(), spec("x")}};
  ask<Done>(QueueSet{"default", {.max_pending = 1}});
  add(spec("nobody"));
  ask<Done>(e);
  CHECK(state(b) == State::dead);  // no room for its child, and one attempt
  ask<Done>(QueueSet{"default", {}});
  const JobId c = add(last("3"));
  CHECK(gates(c) == "after");
  CHECK(state(run.id) == State::running);
}

TEST_CASE_FIXTURE(FollowFixture, "keep_last: one more than may wait, over a kill") {
  RunnerSpec r;
  r.policy.max_attempts = 3;
  handler("x", r);
  const JobId a = add(last("1"));
  take_started();
  for (int i = 0; i < HF_AFTER_MAX; ++i) add(after({a}));
  const JobId b = add(last("2"));
  crash();
  CHECK(add(last("3")) == b);
  handler("x", r);
  run_for(60'000);
  end(take_started(), Outcome::done);
  CHECK(get(b).after.empty());
}

TEST_CASE_FIXTURE(FollowFixture, "keep_last: in one call and one transaction with a keep") {
  ask<Done>(QueueSet{"default", {.max_pending = 1}});
  const JobId a = add(last("1"));
  take_started();
  JobSpec keep = last("k");
  keep.on_conflict = OnConflict::keep;
  const std::vector<JobId> ids = ask<std::vector<JobId>>(Enqueue{{keep, last("2")}});
  CHECK(ids[0] == a);
  CHECK(ids[1] != a);
  CHECK(refused(Enqueue{{keep, spec("x")}}).code == HF_E_FULL);
  ask<Done>(Cancel{ids[1]});
  JobId b = 0;
  ask<std::vector<JobId>>(transaction([&](Transaction& inside) -> Status {
    CHECK(*inside.enqueue(keep) == a);
    b = *inside.enqueue(last("3"));
    return ok_status();
  }));
  CHECK(b != a);
  CHECK(get(b).payload == "3");
}

TEST_CASE_FIXTURE(FollowFixture, "keep_last: what excludes what") {
  JobSpec s = last("1");
  s.unique_key.clear();
  CHECK(refused(Enqueue{{s}}).message == "on_conflict keep_last without unique_key");
  s = last("1");
  s.unique_for_ms = 1000;
  CHECK(refused(Enqueue{{s}}).message == "on_conflict keep_last and unique_for exclude each other: it runs when the one before has ended");
  s = last("1");
  s.at_wall_ms = 1790000100000;
  CHECK(refused(Enqueue{{s}}).message == "on_conflict keep_last and at exclude each other: it runs when the one before has ended");
}

TEST_CASE_FIXTURE(FollowFixture, "keep_last: the job that waits takes a place, and stands for those of its call and its transaction") {
  ask<Done>(QueueSet{"default", {.max_pending = 1}});
  const JobId a = add(last("1"));
  take_started();
  const std::vector<JobId> ids = ask<std::vector<JobId>>(Enqueue{{last("2"), last("3")}});
  CHECK(ids[0] == ids[1]);
  CHECK(ids[0] != a);
  CHECK(refused(Enqueue{{spec("x")}}).code == HF_E_FULL);
  JobId b = 0;
  ask<std::vector<JobId>>(transaction([&](Transaction& inside) -> Status {
    const Result<JobId> one = inside.enqueue(last("4"));
    if (!one) return one.error();
    b = *one;
    return ok_status();
  }));
  CHECK(b == ids[0]);
  CHECK(get(b).payload == "4");
}

TEST_CASE_FIXTURE(FollowFixture, "keep_last: a transaction makes the one that waits") {
  const JobId a = add(last("1"));
  const RunJob run = take_started();
  JobId b = 0, c = 0;
  ask<std::vector<JobId>>(transaction([&](Transaction& inside) -> Status {
    b = *inside.enqueue(last("2"));
    c = *inside.enqueue(last("3"));
    return ok_status();
  }));
  CHECK(b != a);
  CHECK(c == b);
  end(run, Outcome::done);
  CHECK(take_started().bytes == "3");
}
