// Each gate that `why` can name: it is closed for the reason given, it says when it opens if time alone opens it, and then the
// job runs: not a millisecond before, and not a wake-up later. What something else opens says no time.
#include <algorithm>

#include "core/safe_mode.h"
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

class WhyFixture : public EngineFixture {
 public:
  ClosedGate gate(JobId id, const std::string& name) {
    const WhyInfo why = ask<WhyInfo>(Why{id});
    const auto found = std::find_if(why.gates.begin(), why.gates.end(), [&](const ClosedGate& g) { return g.gate == name; });
    if (found == why.gates.end()) FAIL("no gate ", name, ", but: ", gates(id));
    CHECK_FALSE(found->why.empty());
    return *found;
  }
  bool runs(JobId id) {
    const std::vector<JobId> ids = started_ids();
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  }
  // The gate alone is closed, and opens by itself.
  void opens_in_time(JobId id, const std::string& name) {
    CAPTURE(name);
    CHECK(gates(id) == name);
    const int64_t ms = gate(id, name).opens_wall_ms - now.wall_ms;
    REQUIRE(ms > 0);
    run_for(ms - 1);
    CHECK_FALSE(runs(id));
    CHECK(gates(id) == name);
    run_for(1);
    CHECK(runs(id));
  }
  // ... and something else has to happen.
  void opens_with(JobId id, const std::string& name, Op op) {
    CAPTURE(name);
    CHECK(gate(id, name).opens_wall_ms == 0);
    run_for(1000);
    CHECK_FALSE(runs(id));
    tick({std::move(op)});
    CHECK(runs(id));
  }
  // Two jobs, of which the second has to wait for the first; that one.
  JobId second(JobSpec s = spec("x")) {
    add(s);
    first = take_started();
    return add(s);
  }
  void keeps_to(const std::string& name, const std::string& whose) {
    const Rate rate{2, 10000, 1};
    const bool spread = name == "throttle";
    JobSpec s = spec("x");
    QueueSettings set;
    RunnerSpec r;
    if (whose == "x") {
      (spread ? r.rates.throttle : r.rates.rate_limit) = rate;
    } else if (whose == "queue default") {
      (spread ? set.throttle : set.rate_limit) = rate;
    } else {
      s.concurrency_key = "k";
      set.key_concurrency = 2;
      (spread ? set.key_throttle : set.key_rate_limit) = rate;
    }
    ask<Done>(QueueSet{"default", set});
    handler("x", r);
    const JobId id = second(s);
    CHECK(gate(id, name).why.find(whose + " begins at most 2/10s") == 0);
    opens_in_time(id, name);
  }
  Op first_ends() { return ended(first, Outcome::done); }
  void open_in(Room room) {
    engine.reset();
    EngineOptions o = options();
    o.room = room;
    open_with(std::move(o));
    tick({SetDispatch{true}});
    handler("x");
  }

  RunJob first;
};

}  // namespace

TEST_SUITE("why") {
  TEST_CASE_FIXTURE(WhyFixture, "due") {
    RunnerSpec r;
    r.policy.backoff.kind = BackoffKind::fixed;
    r.policy.backoff.base_ms = 7000;
    r.policy.backoff.jitter = Jitter::none;
    handler("x", r);
    JobSpec s = spec("x");
    SUBCASE("a delay") {
      s.delay_ms = 5000;
      opens_in_time(add(s), "due");
    }
    SUBCASE("a time") {
      s.at_wall_ms = now.wall_ms + 5000;
      opens_in_time(add(s), "due");
    }
    SUBCASE("a retry") {
      const JobId id = add(s);
      end(take_started(), Outcome::retry, "no");
      CHECK(gate(id, "due").why.find("waits before its next attempt") == 0);
      opens_in_time(id, "due");
    }
  }

  TEST_CASE_FIXTURE(WhyFixture, "clock") {
    handler("x");
    now.synced = false;
    JobSpec s = spec("x");
    s.at_wall_ms = now.wall_ms - 1000;
    const JobId id = add(s);
    CHECK(gate(id, "clock").opens_wall_ms == 0);
    run_for(1000);
    CHECK_FALSE(runs(id));
    now.synced = true;
    tick({ClockStepped{}});
    CHECK(runs(id));
  }

  TEST_CASE_FIXTURE(WhyFixture, "engine, queue, handler") {
    SUBCASE("engine") {
      handler("x");
      ask<Done>(SetDispatch{false});
      opens_with(add(spec("x")), "engine", SetDispatch{true});
    }
    SUBCASE("queue") {
      handler("x");
      ask<Done>(QueuePause{"default"});
      opens_with(add(spec("x")), "queue", QueuePause{"default", false});
    }
    SUBCASE("handler") {
      RunnerSpec r;
      r.name = "x";
      opens_with(add(spec("x")), "handler", SetRunner{r});
    }
  }

  TEST_CASE_FIXTURE(WhyFixture, "safe_mode") {
    for (int i = 0; i < 5; ++i) {
      handler("x");
      add(spec("x"));
      crash();
    }
    handler("x");
    const JobId id = add(spec("x"));
    CHECK(gates(id) == "safe_mode");
    const int64_t ms = gate(id, "safe_mode").opens_wall_ms - now.wall_ms;
    CHECK(ms == kSafeFirstMs);
    run_for(ms - 1);
    CHECK(started.empty());
    run_for(1);
    CHECK_FALSE(started.empty());
  }

  TEST_CASE_FIXTURE(WhyFixture, "read_only, disk_full") {
    handler("y");
    const JobId id = add(spec("x"));
    SUBCASE("read_only") {
      engine.reset();
      EngineOptions o = options();
      o.room = Room::read_only;
      open_with(std::move(o));
      CHECK(gate(id, "read_only").opens_wall_ms == 0);
    }
    SUBCASE("disk_full") {
      open_in(Room::little);
      CHECK(gates(id) == "disk_full");
      run_for(1000);
      CHECK_FALSE(runs(id));
    }
    open_in(Room::enough);
    CHECK(runs(id));
  }

  TEST_CASE_FIXTURE(WhyFixture, "window") {
    handler("x");
    QueueSettings set;
    set.windows = "* * * * * for 20s";
    ask<Done>(QueueSet{"default", set});
    while (now.wall_ms % 60000 < 20000) pass(1000);
    opens_in_time(add(spec("x")), "window");
  }

  TEST_CASE("rate_limit, throttle: of the queue, of the handler, of the key") {
    for (const char* name : {"rate_limit", "throttle"}) {
      for (const char* whose : {"queue default", "x", "concurrency_key k"}) {
        CAPTURE(name);
        CAPTURE(whose);
        WhyFixture f;
        f.keeps_to(name, whose);
      }
    }
  }

  TEST_CASE_FIXTURE(WhyFixture, "queue_slots, engine_slots, handler_slots, key") {
    JobSpec s = spec("x");
    SUBCASE("queue_slots") {
      handler("x");
      QueueSettings set;
      set.concurrency = 1;
      ask<Done>(QueueSet{"default", set});
      const JobId id = second();
      opens_with(id, "queue_slots", first_ends());
    }
    SUBCASE("engine_slots") {
      handler("x");
      limits.concurrency = 1;
      ask<Done>(SetLimits{limits});
      const JobId id = second();
      opens_with(id, "engine_slots", first_ends());
    }
    SUBCASE("handler_slots") {
      RunnerSpec r;
      r.concurrency = 1;
      handler("x", r);
      const JobId id = second();
      opens_with(id, "handler_slots", first_ends());
    }
    SUBCASE("key") {
      handler("x");
      s.concurrency_key = "k";
      const JobId id = second(s);
      opens_with(id, "key", first_ends());
    }
  }

  TEST_CASE_FIXTURE(WhyFixture, "handler_parked") {
    RunnerSpec r;
    r.concurrency = 1;
    handler("x", r);
    add(spec("x"));
    first = take_started();
    JobSpec s = spec("x");
    s.priority = 10;
    const JobId id = add(s);
    RunEnded parks = ended(first, Outcome::defer, "no link");
    parks.park_runner = true;
    parks.retry_after_ms = 7000;
    ask<Done>(parks);
    SUBCASE("handler_parked") { opens_in_time(id, "handler_parked"); }
    SUBCASE("probed: it depends on what the probe finds") {
      run_for(7000);
      const RunJob probe = take_started();
      CHECK(probe.id == id);
      opens_with(first.id, "handler_parked", ended(probe, Outcome::done));
    }
  }

  TEST_CASE_FIXTURE(WhyFixture, "handler_ramp") {
    handler("x");
    add(spec("x"));
    RunEnded parks = ended(take_started(), Outcome::defer, "no link");
    parks.park_runner = true;
    ask<Done>(parks);
    std::vector<JobId> ids;
    for (int i = 0; i < 8; ++i) ids.push_back(add(spec("x")));
    run_for(kBreakerFirstMs);
    end(take_started(), Outcome::done);
    REQUIRE(started.size() == kRampFirst);
    first = take_started();
    opens_with(ids[2], "handler_ramp", first_ends());
  }

  TEST_CASE_FIXTURE(WhyFixture, "budget") {
    RunnerSpec r;
    r.network = true;
    handler("x", r);
    BudgetSpec budget;
    budget.link = kLinkMetered;
    budget.rate = 100;
    ask<Done>(SetBudgets{{budget}, kLinkMetered});
    opens_in_time(second(), "budget");
  }

  TEST_CASE_FIXTURE(WhyFixture, "batch") {
    RunnerSpec r;
    r.batch = {3, 0, 5000};
    handler("x", r);
    opens_in_time(add(spec("x")), "batch");
  }

  TEST_CASE_FIXTURE(WhyFixture, "after") {
    handler("x");
    add(spec("x"));
    const RunJob first_run = take_started();
    JobSpec s = spec("x");
    s.after = {first_run.id};
    const JobId id = add(s);
    CHECK(gates(id) == "after");
    opens_with(id, "after", ended(first_run, Outcome::done));
  }

  TEST_CASE_FIXTURE(WhyFixture, "condition") {
    handler("x");
    ask<Done>(SetCondition{{.name = "door", .told = true, .initially = true}});
    ask<Done>(QueueSet{"default", {.when = std::vector<std::string>{"door"}}});
    ask<Done>(TellCondition{.name = "door", .for_ms = 5000});
    opens_in_time(add(spec("x")), "condition");
    ask<Done>(TellCondition{.name = "door"});
    opens_with(add(spec("x")), "condition", TellCondition{.name = "door", .open = true});
  }

  TEST_CASE_FIXTURE(WhyFixture, "alone: a suspect waits for the others, and they for it") {
    handler("x");
    const JobId suspect = add(spec("x"));
    for (int i = 0; i < 2; ++i) {
      crash();
      handler("x");
    }
    SUBCASE("they for it") {
      REQUIRE(take_started().id == suspect);
      const JobId other = add(spec("x"));
      CHECK(gates(other) == "alone");
      CHECK(gate(other, "alone").opens_wall_ms == 0);
      run_for(1000);
      CHECK(started.empty());
      RunEnded e;
      e.id = suspect;
      e.attempt = get(suspect).attempts;
      e.outcome = Outcome::done;
      ask<Done>(e);
      CHECK(runs(other));
    }
  }
}
