// Unique keys: at most one unfinished job with a key, and for a while after.
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {
JobSpec keyed(const std::string& payload, OnConflict on_conflict = OnConflict::keep, const std::string& key = "k") {
  JobSpec s = EngineFixture::spec("x", payload);
  s.unique_key = key;
  s.on_conflict = on_conflict;
  return s;
}
}  // namespace

TEST_CASE_FIXTURE(EngineFixture, "keep: the job that is there stays, its id is returned") {
  JobId a = add(keyed("1"));
  CHECK(add(keyed("2")) == a);
  CHECK(get(a).payload == "1");
  CHECK(stats().by_state[0] == 1);
}

TEST_CASE_FIXTURE(EngineFixture, "replace: a pending job takes payload, priority and due time") {
  JobId a = add(keyed(std::string(1000, '1')));
  JobSpec s = keyed("2", OnConflict::replace);
  s.priority = 7;
  s.delay_ms = 5000;
  CHECK(add(s) == a);
  JobInfo info = get(a);
  CHECK(info.payload == "2");
  CHECK(info.priority == 7);
  CHECK(info.due_wall_ms == now.wall_ms + 5000);
  handler("x");
  CHECK(started.empty());
  pass(5000);
  CHECK(take_started().bytes == "2");
}

TEST_CASE_FIXTURE(EngineFixture, "replace: a job that runs stays what it is") {
  handler("x");
  JobId a = add(keyed("1"));
  take_started();
  CHECK(add(keyed("2", OnConflict::replace)) == a);
  CHECK(get(a).payload == "1");
}

TEST_CASE_FIXTURE(EngineFixture, "replace: a job whose result is on its way to the sink stays what it is") {
  RunnerSpec r;
  r.sink = "cloud";
  handler("x", r);
  JobId a = add(keyed("1"));
  end(take_started(), Outcome::done, "r");
  JobSpec s = keyed("2", OnConflict::replace);
  s.delay_ms = 5000;
  CHECK(add(s) == a);
  CHECK(get(a).payload == "1");
  handler("sink:cloud");
  CHECK(take_started().bytes == "r");
}

TEST_CASE_FIXTURE(EngineFixture, "reject: HF_E_CONFLICT names the holder") {
  JobId a = add(keyed("1"));
  Error e = refused(Enqueue{{keyed("2", OnConflict::reject)}});
  CHECK(e.code == HF_E_CONFLICT);
  CHECK(e.message.find("job " + std::to_string(a)) != std::string::npos);
}

TEST_CASE_FIXTURE(EngineFixture, "debounce: each call starts the delay anew, the last payload runs once") {
  handler("x");
  JobSpec s = keyed("1", OnConflict::debounce);
  s.delay_ms = 1000;
  JobId a = add(s);
  for (int i = 2; i < 6; ++i) {
    pass(900);
    s.payload = std::to_string(i);
    CHECK(add(s) == a);
    CHECK(started.empty());
  }
  pass(1000);
  CHECK(take_started().bytes == "5");
}

TEST_CASE_FIXTURE(EngineFixture, "debounce: debounce_max after the first one it is due, however many come") {
  handler("x");
  JobSpec s = keyed("1", OnConflict::debounce);
  s.delay_ms = 1000;
  s.debounce_max_ms = 2500;
  const JobId a = add(s);
  for (int i = 2; i < 5; ++i) {
    pass(800);
    s.payload = std::to_string(i);
    CHECK(add(s) == a);
  }
  CHECK(started.empty());
  run_for(99);
  CHECK(started.empty());
  run_for(1);
  const RunJob run = take_started();
  CHECK(run.bytes == "4");
  // Late ones find it due, or running, and it is one job all the same.
  end(run, Outcome::done);
  ask<Done>(QueuePause{"default"});
  const JobId b = add(s);
  CHECK(b != a);
  pass(5000);
  CHECK(add(s) == b);
  ask<Done>(QueuePause{"default", false});
  CHECK(take_started().id == b);
}

TEST_CASE_FIXTURE(EngineFixture, "debounce: what contradicts itself is refused, with both fields") {
  const auto error = [&](const JobSpec& s) { return refused(Enqueue{{s}}).message; };
  JobSpec s = keyed("1", OnConflict::debounce);
  CHECK(error(s) == "on_conflict debounce without delay: that is what starts anew");
  s.delay_ms = 1000;
  s.unique_key = "";
  CHECK(error(s) == "on_conflict debounce without unique_key");
  s = keyed("1", OnConflict::replace);
  s.debounce_max_ms = 1000;
  CHECK(error(s) == "debounce_max without on_conflict debounce");
  s.on_conflict = OnConflict::debounce;
  s.delay_ms = 1001;
  CHECK(error(s) == "debounce_max is shorter than delay");
  s.delay_ms = 1000;
  (void)add(s);
  s.delay_ms = 0;
  s.at_wall_ms = now.wall_ms + 1000;
  CHECK(error(s) == "debounce_max and at exclude each other: it is the longest delay");
  s.debounce_max_ms = -1;
  CHECK(error(s).find("debounce_max_ms") != std::string::npos);
}

TEST_CASE_FIXTURE(EngineFixture, "debounce: the ttl starts anew with the delay") {
  handler("x");
  JobSpec s = keyed("1", OnConflict::debounce);
  s.delay_ms = 1000;
  s.ttl_ms = 1500;
  JobId a = add(s);
  pass(900);
  add(s);
  pass(1000);
  CHECK(take_started().id == a);
}

TEST_CASE_FIXTURE(EngineFixture, "a key is free when its job has finished") {
  handler("x");
  JobId a = add(keyed("1"));
  end(take_started(), Outcome::done);
  JobId b = add(keyed("2"));
  CHECK(b != a);
  end(take_started(), Outcome::dead);
  JobId c = add(keyed("3"));
  CHECK(c != b);
  ask<Done>(Cancel{c});
  end(take_started(), Outcome::retry);
  CHECK(add(keyed("4")) != c);
}

TEST_CASE_FIXTURE(EngineFixture, "a retried job that waits still holds its key") {
  handler("x");
  JobId a = add(keyed("1"));
  end(take_started(), Outcome::retry);
  CHECK(add(keyed("2")) == a);
}

TEST_CASE_FIXTURE(EngineFixture, "unique_for holds the key from the enqueue on, over the job's end, a kill and a clean end") {
  JobSpec s = keyed("1");
  s.unique_for_ms = 10000;
  handler("x");
  JobId a = add(s);
  end(take_started(), Outcome::done);
  pass(5000);
  CHECK(add(s) == a);
  CHECK(refused(Enqueue{{keyed("2", OnConflict::reject)}}).code == HF_E_CONFLICT);
  crash();
  pass(4999);
  CHECK(add(s) == a);
  close_cleanly();
  now.boot_ms += 1;
  open();
  CHECK(add(s) != a);
}

TEST_CASE_FIXTURE(EngineFixture, "keys are held over a kill") {
  JobId a = add(keyed("1"));
  crash();
  CHECK(add(keyed("2")) == a);
}

TEST_CASE_FIXTURE(EngineFixture, "the same key twice in one call: the second one keeps the first") {
  auto ids = ask<std::vector<JobId>>(Enqueue{{keyed("1"), keyed("2")}});
  CHECK(ids[0] == ids[1]);
  CHECK(get(ids[0]).payload == "1");
}

TEST_CASE_FIXTURE(EngineFixture, "the same key twice in one call: the second one replaces the first") {
  auto ids = ask<std::vector<JobId>>(Enqueue{{keyed("1"), keyed("2", OnConflict::replace)}});
  CHECK(ids[0] == ids[1]);
  CHECK(get(ids[0]).payload == "2");
}

TEST_CASE_FIXTURE(EngineFixture, "the same key twice in one call: reject refuses the call, whatever the first one said") {
  for (OnConflict first : {OnConflict::keep, OnConflict::reject}) {
    Error e = refused(Enqueue{{keyed("1", first), keyed("2", OnConflict::reject)}});
    CHECK(e.code == HF_E_CONFLICT);
    CHECK(e.message.find("job 1: job 0 of the same call") != std::string::npos);
    CHECK(stats().by_state[0] == 0);
  }
}

TEST_CASE_FIXTURE(EngineFixture, "a dead job that is retried takes its key again, or conflicts with who has it") {
  handler("x");
  JobId a = add(keyed("1"));
  end(take_started(), Outcome::dead);
  JobId b = add(keyed("2"));
  RunJob run = take_started();
  Error e = refused(Retry{a});
  CHECK(e.code == HF_E_CONFLICT);
  CHECK(e.message.find("job " + std::to_string(b)) != std::string::npos);
  CHECK(ask<int64_t>(RetryAllDead{}) == 0);
  end(run, Outcome::done);
  ask<Done>(Retry{a});
  CHECK(add(keyed("3")) == a);
}

TEST_CASE_FIXTURE(EngineFixture, "unique by payload: one unfinished job of a type with these bytes, in every way in") {
  const auto by_payload = [](const std::string& payload, const std::string& type = "x", OnConflict on_conflict = OnConflict::keep) {
    JobSpec s = spec(type, payload);
    s.unique_by = UniqueBy::payload;
    s.on_conflict = on_conflict;
    return s;
  };
  handler("x");
  const JobId a = add(by_payload("1"));
  CHECK(get(a).unique_key.starts_with("sha256:"));
  CHECK(add(by_payload("1")) == a);
  const JobId b = add(by_payload("2"));
  CHECK(b != a);
  CHECK(add(by_payload("1", "y")) != a);
  CHECK(add(spec("x", "1")) != a);
  CHECK(refused(Enqueue{{by_payload("1", "x", OnConflict::reject)}}).code == HF_E_CONFLICT);
  const auto both = ask<std::vector<JobId>>(Enqueue{{by_payload("3"), by_payload("3")}});
  CHECK(both[0] == both[1]);
  end(take_started(), Outcome::done);
  CHECK(add(by_payload("1")) != a);

  SUBCASE("an event's, with the event's payload") {
    SubscriptionSpec s;
    s.name = "s";
    s.event = "door";
    s.job = by_payload("");
    ask<Done>(SetSubscription{s});
    CHECK(ask<std::vector<JobId>>(Emit{"door", "2"}) == std::vector<JobId>{b});
    CHECK(ask<std::vector<JobId>>(Emit{"door", "4"}) != std::vector<JobId>{b});
  }
  SUBCASE("a run's child") {
    const RunJob run = take_started();
    REQUIRE(run.id == b);
    RunEnded done = ended(run, Outcome::done);
    done.children = {{ask<std::vector<JobId>>(ReserveIds{1}).front(), by_payload("3")}};
    const int64_t before = stats().by_state[0];
    ask<Done>(std::move(done));
    CHECK(stats().by_state[0] == before);
  }
  SUBCASE("debounce") {
    JobSpec later = by_payload("9", "nobody", OnConflict::debounce);
    later.delay_ms = 1000;
    const JobId id = add(later);
    pass(900);
    CHECK(add(later) == id);
    CHECK(get(id).due_wall_ms == now.wall_ms + 1000);
  }
}

TEST_CASE_FIXTURE(EngineFixture, "unique by payload: what contradicts itself, and an engine that has no hash") {
  JobSpec s = spec("x", "1");
  s.unique_by = UniqueBy::payload;
  s.unique_key = "k";
  CHECK(refused(Enqueue{{s}}).message == "unique_key and unique_by payload exclude each other");
  s.unique_key = "";
  ScheduleSpec schedule;
  schedule.name = "s";
  schedule.cron = "@hourly";
  schedule.job = s;
  CHECK(refused(SchedulePut{schedule}).message == "a schedule's job has no delay, at, after, unique_key or unique_by of its own");
  close_cleanly();
  EngineOptions without = options();
  without.digest = no_digest;
  open_with(without);
  CHECK(refused(Enqueue{{s}}).code == HF_E_UNSUPPORTED);
}

TEST_CASE_FIXTURE(EngineFixture, "unique by payload: another payload is another key, also where a person edits it") {
  JobSpec a = spec("x", "A"), b = spec("x", "B");
  a.unique_by = b.unique_by = UniqueBy::payload;
  const JobId id = add(a);
  const auto to = [](JobId which, const std::string& payload) {
    Edit edit;
    edit.id = which;
    edit.payload = payload;
    return edit;
  };
  ask<Done>(to(id, "B"));
  CHECK(add(b) == id);
  const JobId other = add(a);
  CHECK(other != id);
  CHECK(refused(to(other, "B")).code == HF_E_CONFLICT);
  CHECK(get(other).payload == "A");
  Edit urgent;
  urgent.id = other;
  urgent.priority = 5;
  ask<Done>(urgent);
  CHECK(add(a) == other);
}

TEST_CASE_FIXTURE(EngineFixture, "what replaces a payload begins anew: with all its attempts, and without what the one before left") {
  handler("x");
  JobSpec s = keyed("1");
  s.policy.max_attempts = 2;
  const JobId id = add(s);
  const RunJob run = take_started();
  ask<Done>(Remember{id, run.attempt, run.run, "half of it"});
  end(run, Outcome::retry);
  s.on_conflict = OnConflict::replace;
  s.payload = "2";
  CHECK(add(s) == id);
  const RunJob anew = take_started();
  CHECK(anew.bytes == "2");
  CHECK(anew.memo.empty());
  CHECK(anew.attempt == 1);
  end(anew, Outcome::retry);
  CHECK(state(id) == State::pending);
}

TEST_CASE_FIXTURE(EngineFixture, "a job makes its own successor, with its own key") {
  handler("x");
  const JobId id = add(keyed("1"));
  RunEnded done = ended(take_started(), Outcome::done);
  JobSpec next = keyed("2");
  next.delay_ms = 60'000;
  const JobId child = ask<std::vector<JobId>>(ReserveIds{1}).front();
  done.children = {{child, next}};
  ask<Done>(std::move(done));
  CHECK(state(id) == State::completed);
  CHECK(get(child).payload == "2");
  CHECK(add(keyed("3")) == child);
  run_for(60'000);
  CHECK(take_started().id == child);
}
