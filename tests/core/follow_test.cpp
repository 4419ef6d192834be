// Jobs that wait for others (after).
#include <algorithm>
#include <map>
#include <set>

#include "core/jobs.h"
#include "core/random.h"
#include "follow_fixture.h"

using namespace hf;
using hf::test::FollowFixture;

TEST_CASE_FIXTURE(FollowFixture, "after: it runs when all of them have completed, and not before") {
  const JobId a = add(spec("x")), b = add(spec("x"));
  const RunJob run_a = take_started(), run_b = take_started();
  const JobId c = add(after({b, a, a}));
  CHECK(started.empty());
  CHECK(gates(c) == "after");
  CHECK(why(c) == "waits for the end of job " + std::to_string(a) + " (running), job " + std::to_string(b) + " (running)");
  CHECK(get(c).after == std::vector<JobId>{a, b});
  CHECK(get(c).scheduled);
  CHECK(get(c).due_wall_ms == 0);
  end(run_a, Outcome::done);
  CHECK(started.empty());
  CHECK(get(c).after == std::vector<JobId>{b});
  end(run_b, Outcome::done);
  CHECK(take_started().id == c);
  CHECK(get(c).after.empty());
}

TEST_CASE_FIXTURE(FollowFixture, "after: its delay begins when the last of them has ended") {
  const JobId a = add(spec("x"));
  JobSpec s = after({a});
  s.delay_ms = 5000;
  const JobId c = add(s);
  pass(100'000);
  end(take_started(), Outcome::done);
  CHECK(started.empty());
  CHECK(gates(c) == "due");
  CHECK(wake() == now.boot_ms + 5000);
  pass(5000);
  CHECK(take_started().id == c);
}

TEST_CASE_FIXTURE(FollowFixture, "after: of one that ended already") {
  const JobId done = add(spec("x")), dead = add(spec("x")), cancelled = add(spec("unknown"));
  end(take_started(), Outcome::done);
  end(take_started(), Outcome::dead, "no");
  ask<Done>(Cancel{cancelled});
  CHECK(state(add(after({done}))) == State::running);
  for (const auto& [id, how] : {std::pair(dead, "dead"), std::pair(cancelled, "cancelled")}) {
    const Error e = refused(Enqueue{{after({id})}});
    CHECK(e.code == HF_E_CONFLICT);
    CHECK(e.message == "after: job " + std::to_string(id) + " is " + how + ": it will not complete (after_failure)");
    CHECK(state(add(after({id, done}, AfterFailure::run))) == State::running);
  }
  const Error e = refused(Enqueue{{after({999})}});
  CHECK(e.code == HF_E_NOT_FOUND);
  CHECK(e.message == "after: there is no job 999; one that ended may have been deleted since");
}

TEST_CASE_FIXTURE(FollowFixture, "after: one that does not complete takes those behind it along, however long the line") {
  const JobId a = add(spec("x"));
  const RunJob run = take_started();
  std::vector<JobId> line{a};
  for (int i = 0; i < 20; ++i) line.push_back(add(after({line.back()})));
  const JobId all_the_same = add(after({line[1]}, AfterFailure::run));
  end(run, Outcome::dead, "no");
  CHECK(dead_for(line[1], a, "is dead"));
  CHECK(dead_for(line[20], line[19], "is dead"));
  CHECK(take_started().id == all_the_same);
  CHECK(stats().by_state[static_cast<int>(State::pending)] == 0);
}

TEST_CASE_FIXTURE(FollowFixture, "after: cancelled, deleted, expired, displaced: none of them completes") {
  JobSpec soon = spec("nobody");
  soon.ttl_ms = 1000;
  const JobId cancelled = add(spec("nobody")), deleted = add(spec("nobody")), expires = add(soon);
  const JobId c = add(after({cancelled})), d = add(after({deleted})), e = add(after({expires}));
  const JobId runs = add(after({cancelled, deleted, expires}, AfterFailure::run));
  ask<Done>(Cancel{cancelled});
  CHECK(dead_for(c, cancelled, "is cancelled"));
  ask<Done>(Remove{deleted});
  CHECK(dead_for(d, deleted, "is gone"));
  CHECK(started.empty());
  pass(1000);
  CHECK(dead_for(e, expires, "is dead"));
  CHECK(take_started().id == runs);

  ask<Done>(QueueSet{"small", {.max_pending = 1, .when_full = WhenFull::drop_oldest}});
  JobSpec in = spec("nobody");
  in.queue = "small";
  const JobId displaced = add(in);
  const JobId f = add(after({displaced}));
  add(in);
  CHECK(dead_for(f, displaced, "is gone"));
}

TEST_CASE_FIXTURE(FollowFixture, "after: in a full queue another one gives way, and never the one it waits for") {
  ask<Done>(QueueSet{"small", {.max_pending = 2, .when_full = WhenFull::drop_oldest}});
  JobSpec in = spec("nobody");
  in.queue = "small";
  const JobId a = add(in), other = add(in);
  JobSpec s = after({a});
  s.queue = "small";
  const JobId b = add(s);
  CHECK(state(a) == State::pending);
  CHECK(refused(Get{other}).code == HF_E_NOT_FOUND);
  CHECK(gates(b) == "after");
  ask<Done>(QueueSet{"small", {.max_pending = 1, .when_full = WhenFull::drop_oldest}});
  s.after = {a, b};
  CHECK(refused(Enqueue{{s}}).code == HF_E_FULL);
  CHECK(state(a) == State::pending);
  CHECK(state(b) == State::pending);
}

TEST_CASE_FIXTURE(FollowFixture, "after: a run that fails and is tried again has not ended") {
  RunnerSpec r;
  r.policy.max_attempts = 2;
  handler("x", r);
  add(spec("x"));
  const RunJob first = take_started();
  const JobId c = add(after({first.id}));
  end(first, Outcome::retry, "again");
  CHECK(gates(c) == "after");
  run_for(60'000);
  end(take_started(), Outcome::done);
  CHECK(take_started().id == c);
}

TEST_CASE_FIXTURE(FollowFixture, "after: with a sink, it has ended when its result is delivered") {
  RunnerSpec r;
  r.sink = "cloud";
  handler("x", r);
  add(spec("x"));
  const RunJob run = take_started();
  JobSpec s = after({run.id});
  s.type = "y";
  handler("y");
  const JobId c = add(s);
  end(run, Outcome::done, "result");
  CHECK(started.empty());
  handler("sink:cloud");
  end(take_started(), Outcome::done);
  CHECK(take_started().id == c);
}

TEST_CASE_FIXTURE(FollowFixture, "after: both sides survive a kill, and the one that ran is waited for again") {
  const JobId a = add(spec("x"));
  take_started();
  const JobId c = add(after({a}));
  crash();
  RunnerSpec r;
  r.policy.max_attempts = 5;
  handler("x", r);
  CHECK(gates(c) == "after");
  run_for(60'000);
  const RunJob again = take_started();
  CHECK(again.id == a);
  // The followers of one that runs are in its row, too, whatever else is written of it.
  ask<Done>(Remember{again.id, again.attempt, again.run, "checkpoint"});
  const JobId d = add(after({a}));
  ask<Done>(Remember{again.id, again.attempt, again.run, "checkpoint 2"});
  end(again, Outcome::done);
  CHECK(started_ids() == std::vector<JobId>{c, d});
}

TEST_CASE_FIXTURE(FollowFixture, "after: a job whose run ended the process three times takes those behind it along") {
  RunnerSpec r;
  r.policy.max_attempts = 9;
  handler("x", r);
  const JobId a = add(spec("x"));
  const JobId c = add(after({a}));
  for (int i = 0; i < 3; ++i) {
    CHECK(take_started().id == a);
    crash();
    handler("x", r);
    run_for(60'000);
  }
  CHECK(state(a) == State::dead);
  CHECK(dead_for(c, a, "is dead"));
}

TEST_CASE_FIXTURE(FollowFixture, "after: retry and a new due time let it run without waiting") {
  const JobId a = add(spec("nobody"));
  const JobId b = add(after({a})), c = add(after({a}));
  ask<Done>(Retry{b});
  CHECK(take_started().id == b);
  Edit edit;
  edit.id = c;
  edit.delay_ms = 1000;
  ask<Done>(edit);
  CHECK(gates(c) == "due");
  pass(1000);
  CHECK(take_started().id == c);
  ask<Done>(Cancel{a});
  CHECK(state(b) == State::running);

  const JobId d = add(spec("nobody"));
  const JobId e = add(after({d}));
  ask<Done>(Cancel{d});
  CHECK(dead_for(e, d, "is cancelled"));
  ask<Done>(Retry{e});
  CHECK(take_started().id == e);
}

TEST_CASE_FIXTURE(FollowFixture, "after: other edits do not make it due, nor does a newer payload") {
  const JobId a = add(spec("nobody"));
  JobSpec s = after({a});
  s.unique_key = "k";
  const JobId b = add(s);
  Edit edit;
  edit.id = b;
  edit.payload = "edited";
  edit.priority = 3;
  ask<Done>(edit);
  CHECK(gates(b) == "after");
  JobSpec newer = spec("x", "newer");
  newer.unique_key = "k";
  newer.on_conflict = OnConflict::replace;
  newer.delay_ms = 2000;
  CHECK(add(newer) == b);
  CHECK(gates(b) == "after");
  CHECK(get(b).payload == "newer");
  handler("nobody");
  end(take_started(), Outcome::done);
  CHECK(gates(b) == "due");
  pass(2000);
  CHECK(take_started().bytes == "newer");
}

TEST_CASE_FIXTURE(FollowFixture, "after: at most HF_AFTER_MAX on either side") {
  const JobId a = add(spec("nobody"));
  std::vector<JobId> many;
  for (int i = 0; i < HF_AFTER_MAX; ++i) many.push_back(add(after({a})));
  const Error full = refused(Enqueue{{after({a})}});
  CHECK(full.code == HF_E_FULL);
  CHECK(full.message == "after: job " + std::to_string(a) + " has 100 jobs that wait for it; at most 100");
  // Of one call, too: all or none.
  const JobId b = add(spec("nobody"));
  const int64_t before = stats().by_state[0];
  CHECK(refused(Enqueue{std::vector<JobSpec>(HF_AFTER_MAX + 1, after({b}))}).code == HF_E_FULL);
  CHECK(stats().by_state[0] == before);
  CHECK(ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(HF_AFTER_MAX, after({b}))}).size() == HF_AFTER_MAX);

  const JobId c = add(after(many));
  many.push_back(b);
  const Error e = refused(Enqueue{{after(many)}});
  CHECK(e.code == HF_E_INVALID);
  CHECK(e.message == "after has 101 jobs; at most 100");
  handler("nobody");
  CHECK(gates(c) == "after");
  for (int guard = 0; !started.empty() && guard < 1000; ++guard) end(take_started(), Outcome::done);
  CHECK(state(c) == State::completed);
}

TEST_CASE_FIXTURE(FollowFixture, "after: what excludes what") {
  const JobId a = add(spec("nobody"));
  const auto error_of = [&](const std::function<void(JobSpec&)>& change) {
    JobSpec s = after({a});
    change(s);
    const Error e = refused(Enqueue{{s}});
    CHECK(e.code == HF_E_INVALID);
    return e.message;
  };
  CHECK(error_of([](JobSpec& s) { s.at_wall_ms = 1790000100000; }) == "after and at exclude each other");
  CHECK(error_of([](JobSpec& s) { s.after = {0}; }).starts_with("after is 0"));
  CHECK(error_of([](JobSpec& s) { s.after.clear(), s.after_failure = AfterFailure::run; }) == "after_failure without after");
  const std::string both = "after, and on_conflict replace, debounce or keep_last exclude each other: both say when it is due";
  CHECK(error_of([](JobSpec& s) { s.unique_key = "k", s.on_conflict = OnConflict::keep_last; }) == both);
  CHECK(error_of([](JobSpec& s) { s.unique_key = "k", s.on_conflict = OnConflict::replace; }) == both);
  ScheduleSpec schedule;
  schedule.name = "s";
  schedule.cron = "* * * * *";
  schedule.job = after({a});
  CHECK(refused(SchedulePut{schedule}).message.starts_with("a schedule's job has no delay, at, after"));
  SubscriptionSpec subscription;
  subscription.name = "s";
  subscription.event = "e";
  subscription.job = after({a});
  CHECK(refused(SetSubscription{subscription}).message == "after is of one job, and events come again and again");
}

TEST_CASE_FIXTURE(FollowFixture, "after: a run's children may wait for each other, and for the run itself") {
  add(spec("x"));
  const RunJob run = take_started();
  const std::vector<JobId> ids = ask<std::vector<JobId>>(ReserveIds{4});
  RunEnded e = ended(run, Outcome::done);
  e.children = {{ids[0], spec("x", "part 1")}, {ids[1], spec("x", "part 2")}, {ids[2], after({ids[0], ids[1]})}, {ids[3], after({run.id})}};
  ask<Done>(e);
  const std::vector<JobId> first = started_ids();
  CHECK(first == std::vector<JobId>{ids[0], ids[1], ids[3]});
  CHECK(gates(ids[2]) == "after");
  for (const JobId id : {ids[0], ids[1]}) {
    RunEnded part;
    part.id = id;
    part.attempt = 1;
    ask<Done>(part);
  }
  CHECK(take_started().id == ids[2]);
}

TEST_CASE_FIXTURE(FollowFixture, "after: a child that waits for nobody there is the error of the run") {
  add(spec("x"));
  const RunJob run = take_started();
  RunEnded e = ended(run, Outcome::done);
  e.children = {{ask<std::vector<JobId>>(ReserveIds{1}).front(), after({4711})}};
  ask<Done>(e);
  CHECK(state(run.id) == State::dead);
  CHECK(get(run.id).error == "hf_job_enqueue: after: there is no job 4711; one that ended may have been deleted since");
}

TEST_CASE_FIXTURE(FollowFixture, "after: what a transaction enqueues may wait for what it enqueued before") {
  JobId a = 0, b = 0;
  ask<std::vector<JobId>>(transaction([&](Transaction& inside) -> Status {
    const Result<JobId> first = inside.enqueue(spec("x"));
    if (!first) return first.error();
    const Result<JobId> second = inside.enqueue(after({a = *first}));
    if (!second) return second.error();
    b = *second;
    CHECK(inside.enqueue(after({b + 100})).error().code == HF_E_NOT_FOUND);
    return ok_status();
  }));
  CHECK(gates(b) == "after");
  const RunJob run = take_started();
  CHECK(run.id == a);
  end(run, Outcome::done);
  CHECK(take_started().id == b);
}

TEST_CASE_FIXTURE(FollowFixture, "after: its ttl goes on while it waits") {
  const JobId a = add(spec("nobody"));
  JobSpec s = after({a});
  s.ttl_ms = 1000;
  const JobId b = add(s);
  pass(1000);
  CHECK(state(b) == State::dead);
  CHECK(get(b).error.starts_with("expired"));
  handler("nobody");
  end(take_started(), Outcome::done);
  CHECK(started.empty());
}

TEST_CASE_FIXTURE(FollowFixture, "after: random graphs: nobody runs before those it waits for have ended") {
  Random random(71);
  RunnerSpec r;
  r.concurrency = 3;
  r.policy.max_attempts = 2;
  r.policy.backoff = hf::test::fixed_policy(1000).backoff;
  handler("x", r);
  std::map<JobId, std::vector<JobId>> waits;
  std::map<JobId, AfterFailure> rule;
  std::vector<JobId> all;
  std::set<JobId> completed;
  for (int step = 0; step < 1500; ++step) {
    if (all.size() < 300 && random.below(2) == 0) {
      JobSpec s = after({}, AfterFailure::dead);
      for (uint64_t n = random.below(4); n > 0 && !all.empty(); --n) {
        const JobId other = all[all.size() - 1 - random.below(std::min<size_t>(all.size(), 10))];
        if (!is_final(state(other))) s.after.push_back(other);
      }
      if (!s.after.empty() && random.below(3) == 0) s.after_failure = AfterFailure::run;
      const JobId id = add(s);
      waits[id] = s.after;
      rule[id] = s.after_failure;
      all.push_back(id);
    } else if (!started.empty()) {
      const RunJob run = take_started();
      for (const JobId other : waits[run.id]) {
        CAPTURE(run.id);
        CHECK(is_final(state(other)));
        if (rule[run.id] == AfterFailure::dead) CHECK(completed.contains(other));
      }
      const auto outcome = random.below(8);
      end(run, outcome == 0 ? Outcome::dead : outcome == 1 ? Outcome::retry : Outcome::done);
      if (outcome > 1) completed.insert(run.id);
    } else if (random.below(20) == 0 && !all.empty()) {
      const JobId id = all[random.below(all.size())];
      if (state(id) == State::pending) ask<Done>(Cancel{id});
    } else if (random.below(40) == 0) {
      crash();
      handler("x", r);
    } else {
      run_for(1000);
    }
  }
  for (int guard = 0; guard < 10000 && stats().by_state[0] + stats().by_state[1] > 0; ++guard) {
    if (started.empty()) {
      run_for(1000);
    } else {
      end(take_started(), Outcome::done);
    }
  }
  CHECK(stats().by_state[0] == 0);  // nobody was forgotten
  CHECK(stats().by_state[1] == 0);
}

TEST_CASE_FIXTURE(FollowFixture, "after: one that does not complete takes along those in a paused queue, and of a type that nobody runs") {
  const JobId a = add(spec("nobody"));
  JobSpec held = after({a});
  held.queue = "held";
  ask<Done>(QueuePause{"held"});
  const JobId b = add(held);
  held.type = "nobody";
  const JobId c = add(held);
  const JobId d = add(after({b, c}, AfterFailure::run));
  ask<Done>(Cancel{a});
  CHECK(dead_for(b, a, "is cancelled"));
  CHECK(dead_for(c, a, "is cancelled"));
  CHECK(take_started().id == d);
}

TEST_CASE_FIXTURE(FollowFixture, "after: a long line ends some a turn, and after a kill, too") {
  ask<Done>(QueuePause{"default"});
  std::vector<JobId> line{add(spec("x"))};
  for (int i = 0; i < 700; ++i) line.push_back(add(after({line.back()})));
  ask<Done>(Cancel{line[0]});
  const int64_t at_once = stats().by_state[static_cast<int>(State::dead)];
  CHECK(at_once >= 50);
  CHECK(at_once < 700);
  CHECK(wake() == now.boot_ms);
  crash();  // and nobody runs them now
  run_for(1000);
  CHECK(stats().by_state[static_cast<int>(State::dead)] == 700);
  CHECK(stats().by_state[static_cast<int>(State::pending)] == 0);
}

TEST_CASE_FIXTURE(FollowFixture, "after: those that wait no longer are not counted") {
  const JobId a = add(spec("nobody"));
  for (int i = 0; i < 2 * HF_AFTER_MAX; ++i) ask<Done>(Cancel{add(after({a}))});
  const JobId b = add(after({a}));
  handler("nobody");
  end(take_started(), Outcome::done);
  CHECK(take_started().id == b);
}

TEST_CASE_FIXTURE(FollowFixture, "after: asked for once more when those it waits for are gone, it is the same job") {
  const JobId a = add(spec("x"));
  JobSpec s = after({a});
  s.unique_key = "k";
  const JobId b = add(s);
  end(take_started(), Outcome::done);
  take_started();
  ask<Done>(Remove{a});
  CHECK(add(s) == b);
}

TEST_CASE_FIXTURE(FollowFixture, "after: of a child for which another job stands it waits for that") {
  JobSpec keyed = spec("nobody");
  keyed.unique_key = "k";
  const JobId holder = add(keyed);
  add(spec("x"));
  const RunJob run = take_started();
  const std::vector<JobId> ids = ask<std::vector<JobId>>(ReserveIds{2});
  RunEnded e = ended(run, Outcome::done);
  e.children = {{ids[0], keyed}, {ids[1], after({ids[0]})}};
  ask<Done>(e);
  CHECK(started.empty());
  CHECK(get(ids[1]).after == std::vector<JobId>{holder});
}

TEST_CASE_FIXTURE(FollowFixture, "after: in a transaction, for a dead job that another one is taken for") {
  JobSpec keyed = spec("x");
  keyed.unique_key = "k";
  keyed.unique_for_ms = 100'000;
  const JobId dead = add(keyed);
  end(take_started(), Outcome::dead, "no");
  ask<std::vector<JobId>>(transaction([&](Transaction& inside) -> Status {
    CHECK(*inside.enqueue(keyed) == dead);
    CHECK(inside.enqueue(after({dead})).error().code == HF_E_CONFLICT);
    return ok_status();
  }));
}

TEST_CASE_FIXTURE(FollowFixture, "after: the jobs of one call wait for at most 10,000 in all") {
  std::vector<JobId> many;
  for (int i = 0; i < HF_AFTER_MAX; ++i) many.push_back(add(spec("nobody")));
  const Error e = refused(Enqueue{std::vector<JobSpec>(101, after(many))});
  CHECK(e.code == HF_E_TOO_LARGE);
  CHECK(e.message == "job 100: after: the jobs of one call wait for more than 10000 in all");
  CHECK(ask<std::vector<JobId>>(Enqueue{std::vector<JobSpec>(100, after(many))}).size() == 100);
}
