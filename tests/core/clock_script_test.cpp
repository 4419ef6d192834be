// All that a clock does to a gateway in one life: it starts in 1970, is set by a time server, set back, set forward, shows
// 2036 for two hours, is set right, sleeps, and loses its time at thirty reboots. With every kind of work on it.
#include <algorithm>
#include <map>
#include <set>

#include "core/units.h"
#include "engine_fixture.h"

using namespace hf;
using hf::test::EngineFixture;

namespace {

constexpr int64_t kMinute = 60000, kHour = 60 * kMinute;
const int64_t k2026 = *parse_time("2026-11-27T10:30:00Z"), k2036 = *parse_time("2036-05-05T05:30:00Z");

class Gateway : public EngineFixture {
 public:
  Gateway() {
    engine.reset();
    now = {5000, 20000, false};  // 1970
    path = dir + "/gateway.db";
    clock_rule = {.plausible = true, .floor_ms = k2026 - 30 * 24 * kHour, .ceiling_ms = 0, .holdover_ms = 24 * 30 * kHour};
    boot();
    for (const char* name : {"once", "skip", "all"}) {
      ScheduleSpec s;
      s.name = name;
      s.cron = "0 * * * *";
      s.overlap = Overlap::queue;
      s.catch_up = name == std::string("once") ? CatchUp::once : name == std::string("skip") ? CatchUp::skip : CatchUp::all;
      s.catch_up_max = 5;
      s.job = spec(name);
      ask<Done>(SchedulePut{s});
    }
    ScheduleSpec every;
    every.name = "every";
    every.cron = "@every 10m";
    every.job = spec("every");
    ask<Done>(SchedulePut{every});
  }

  void boot() {
    open();
    for (const char* type : {"once", "skip", "all", "every", "delayed", "at", "held"}) handler(type);
    RunnerSpec flaky;
    flaky.policy.backoff.kind = BackoffKind::fixed;
    flaky.policy.backoff.base_ms = flaky.policy.backoff.max_ms = kHour;
    flaky.policy.backoff.jitter = Jitter::none;
    flaky.policy.max_attempts = 100;
    handler("flaky", flaky);
  }
  // In order, with `off_ms` without power; the clock begins in 1970 again.
  void reboot_without_clock(int64_t off_ms) {
    true_off += off_ms;
    close_cleanly();
    started.clear();
    now = {5000, 20000, false};
    boot_id += "+";
    boot();
  }
  void set_clock(int64_t wall_ms, bool synced) {
    now.wall_ms = wall_ms;
    now.synced = synced;
    tick();
    end_runs();
  }
  void suspend(int64_t ms) {  // suspended: nobody looks
    now.boot_ms += ms;
    now.wall_ms += ms;
    up += ms;
    tick();
    end_runs();
  }
  void go(int64_t ms) {
    const int64_t end = now.boot_ms + ms;
    for (int guard = 0; wake() <= end; ++guard) {
      REQUIRE(guard < 100000);
      step(std::max<int64_t>(wake() - now.boot_ms, 0));
    }
    step(end - now.boot_ms);
  }
  JobId put_job(JobSpec s) {
    const JobId id = add(std::move(s));
    CHECK_MESSAGE(ids.insert(id).second, "an id came twice: " << id);
    end_runs();
    return id;
  }
  // Since the last call.
  int fired(const std::string& name) { return std::exchange(runs[name], 0); }
  std::vector<int> fired_all() { return {fired("once"), fired("skip"), fired("all")}; }

  int64_t up = 0, true_off = 0;  // elapsed time as the device can know it
  std::map<std::string, int> runs;
  std::map<JobId, std::vector<int64_t>> began;  // at these elapsed times
  std::set<JobId> ids;

 private:
  void step(int64_t ms) {
    now.boot_ms += ms;
    now.wall_ms += ms;
    up += ms;
    tick();
    end_runs();
  }
  void end_runs() {
    while (!started.empty()) {
      std::vector<StartRun> some = std::exchange(started, {});
      for (const StartRun& start : some) {
        for (const RunJob& job : start.jobs) {
          ++runs[job.type];
          began[job.id].push_back(up);
          if (!job.schedule.empty() && job.attempt == 1) CHECK_MESSAGE(ids.insert(job.id).second, "an id came twice: " << job.id);
          const bool fails = job.type == "flaky" && job.attempt < 12;
          ask<Done>(ended(job, fails ? Outcome::retry : Outcome::done));
        }
      }
    }
  }
};

}  // namespace

TEST_CASE_FIXTURE(Gateway, "clocks: a life with every kind of step, sleep and loss of time") {
  std::map<JobId, int64_t> due;
  for (int n = 1; n <= 1000; ++n) {
    JobSpec s = spec("delayed");
    s.delay_ms = n * 13 * kMinute;
    due[put_job(s)] = up + s.delay_ms;
  }
  const JobId flaky = put_job(spec("flaky"));
  JobSpec at = spec("at");
  at.at_wall_ms = k2026 - 24 * kHour;
  const JobId waits = put_job(at);
  ask<Done>(QueuePause{"held", true});
  JobSpec held = spec("held");
  held.queue = "held";
  held.ttl_ms = 300 * kHour;
  const JobId kept = put_job(held);

  go(3 * kHour);  // 1970: cron and `at` wait, the rest goes on
  CHECK(fired_all() == std::vector<int>{0, 0, 0});
  CHECK(fired("every") == 18);
  CHECK(began[waits].empty());
  CHECK(gates(waits).find("clock") != std::string::npos);

  set_clock(k2026, true);  // a time server: 10:30
  CHECK(began[waits].size() == 1);
  go(2 * kHour + 30 * kMinute);  // 11, 12, 13
  CHECK(fired_all() == std::vector<int>{3, 3, 3});

  set_clock(k2026 + 90 * kMinute, false);  // back by an hour, to 12:00: below what was confirmed
  CHECK_FALSE(stats().clock.trusted);
  go(30 * kMinute);
  CHECK(fired_all() == std::vector<int>{0, 0, 0});

  set_clock(now.wall_ms + 3 * kHour, false);  // 15:30: plausible. Missed: 14 and 15
  CHECK(stats().clock.trusted);
  CHECK(fired_all() == std::vector<int>{1, 0, 2});
  go(2 * kHour);
  CHECK(fired_all() == std::vector<int>{2, 2, 2});

  set_clock(k2036, false);  // plausible, and wrong
  CHECK(fired_all() == std::vector<int>{1, 0, 5});
  go(2 * kHour);
  CHECK(fired_all() == std::vector<int>{2, 2, 2});

  set_clock(k2026 + 13 * kHour, true);  // 23:30: right again
  CHECK(fired_all() == std::vector<int>{0, 0, 0});
  go(2 * kHour + 15 * kMinute);
  CHECK(fired_all() == std::vector<int>{2, 2, 2});

  const int64_t asleep = up;
  suspend(8 * kHour);
  const int64_t awake = up;
  CHECK(fired_all() == std::vector<int>{1, 0, 5});
  go(kHour);
  CHECK(fired_all() == std::vector<int>{1, 1, 1});
  const int64_t slept = now.wall_ms;

  (void)fired("every");
  for (int n = 0; n < 30; ++n) {
    reboot_without_clock(kHour);
    go(20 * kMinute);
    CHECK(fired_all() == std::vector<int>{0, 0, 0});
    CHECK(fired("every") == 2);
  }
  set_clock(slept + 30 * (kHour + 20 * kMinute), true);
  CHECK(fired_all() == std::vector<int>{1, 0, 5});

  // To the end of all delays: by elapsed time, to the second, each once.
  go(220 * kHour);
  for (const auto& [id, when] : due) {
    const int64_t expected = when > asleep && when < awake ? awake : when;  // right after the sleep
    REQUIRE(began[id].size() == 1);
    REQUIRE(began[id][0] >= expected);
    REQUIRE(began[id][0] - expected < 1000);
  }
  REQUIRE(began[flaky].size() == 12);
  for (size_t i = 1; i < 12; ++i) {
    const int64_t late = began[flaky][i] - began[flaky][i - 1] - kHour;
    CHECK(late >= 0);
    CHECK((late < 1000 || began[flaky][i] == awake));
  }
  CHECK(stats().expired == 0);
  CHECK(state(kept) == State::pending);
  ask<Done>(QueuePause{"held", false});
  go(0);
  CHECK(began[kept].size() == 1);
  CHECK(stats().by_state[static_cast<int>(State::pending)] + stats().by_state[static_cast<int>(State::running)] == 0);
  CHECK(stats().clock.steps == 6);
}
