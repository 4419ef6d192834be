// Time makes jobs: firings, what is missed, what overlaps, and clocks that are wrong.
#include "scheduler_fixture.h"

using namespace hf;
using namespace hf::test;

TEST_CASE_FIXTURE(SchedulerFixture, "a firing makes a job that carries the schedule's name and the occurrence") {
  ScheduleSpec s = hourly();
  s.job.payload = "p";
  s.job.queue = "q";
  put(s);
  CHECK(info().next_wall_ms == today(11));
  CHECK(last.next_wake_wall_ms == today(11));
  handler("x");
  go_to(today(11));
  RunJob run = take_started();
  CHECK(run.bytes == "p");
  CHECK(run.queue == "q");
  CHECK(run.schedule == "s");
  CHECK(run.occurrence_wall_ms == today(11));
  CHECK(get(run.id).schedule == "s");
  CHECK(info().last_wall_ms == today(11));
  CHECK(info().last_job == run.id);
  CHECK(info().next_wall_ms == today(12));
  CHECK(info().fired == 1);
}

TEST_CASE_FIXTURE(SchedulerFixture, "each occurrence becomes one job, however often the process dies") {
  put(hourly());
  int64_t start = now.wall_ms;
  for (int i = 0; i < 20; ++i) {
    crash();
    pass(7 * kMinute);
    crash();
    pass(5 * kMinute);
  }
  std::vector<int64_t> want;
  for (int64_t t = start - start % kHour + kHour; t <= now.wall_ms; t += kHour) want.push_back(t);
  CHECK(made() == want);
}

TEST_CASE_FIXTURE(SchedulerFixture, "catch_up once: the latest of those missed stands for all") {
  put(hourly());
  crash();
  pass(5 * kHour);
  CHECK(made() == std::vector<int64_t>{today(15)});
  CHECK(info().next_wall_ms == today(16));
}

TEST_CASE_FIXTURE(SchedulerFixture, "catch_up skip: those missed are left out, and counted") {
  ScheduleSpec s = hourly();
  s.catch_up = CatchUp::skip;
  put(s);
  pass(5 * kHour);
  CHECK(made().empty());
  CHECK(info().skipped >= 1);
  go_to(today(16));
  CHECK(made() == std::vector<int64_t>{today(16)});
}

TEST_CASE_FIXTURE(SchedulerFixture, "catch_up all: each of those missed, at most a hundred") {
  ScheduleSpec s = hourly();
  s.catch_up = CatchUp::all;
  put(s);
  int64_t first = today(11);
  pass(5 * kHour);
  CHECK(made().size() == 5);
  CHECK(made().front() == first);
  CHECK(made().back() == first + 4 * kHour);
  pass(400 * kHour);
  CHECK(made().size() == 105);
  CHECK(made()[5] == now.wall_ms - now.wall_ms % kHour - 99 * kHour);  // the latest hundred
  CHECK(info().next_wall_ms > now.wall_ms);
}

TEST_CASE_FIXTURE(SchedulerFixture, "overlap skip: not while the last job is unfinished") {
  ScheduleSpec s = hourly();
  s.overlap = Overlap::skip;
  put(s);
  handler("x");
  go_to(today(11));
  RunJob run = take_started();
  go_to(today(12));
  CHECK(started.empty());
  CHECK(info().skipped == 1);
  end(run, Outcome::done);
  go_to(today(13));
  CHECK(take_started().occurrence_wall_ms == today(13));
}

TEST_CASE_FIXTURE(SchedulerFixture, "a result that waits for its sink overlaps nothing") {
  for (Overlap overlap : {Overlap::skip, Overlap::cancel}) {
    ScheduleSpec s = hourly();
    s.overlap = overlap;
    s.job.sink = "away";
    put(s);
    handler("x");
    const int64_t before = info().fired;
    for (int n = 1; n <= 3; ++n) {
      go_to(info().next_wall_ms);
      end(take_started(), Outcome::done, "a reading");
      CHECK(get(info().last_job).delivering);
      CHECK(info().fired == before + n);
    }
    CHECK(info().skipped == 0);
  }
  for (const JobInfo& j : ask<JobPage>(List{}).jobs) CHECK(j.delivering);
}

TEST_CASE_FIXTURE(SchedulerFixture, "overlap queue: one more") {
  put(hourly());
  go_to(today(13));
  CHECK(made().size() == 3);
}

TEST_CASE_FIXTURE(SchedulerFixture, "overlap cancel: the last one is cancelled, the new one takes its place") {
  ScheduleSpec s = hourly();
  s.overlap = Overlap::cancel;
  put(s);
  go_to(today(11));
  JobId waiting = info().last_job;
  go_to(today(12));
  CHECK(state(waiting) == State::cancelled);
  handler("x");
  RunJob run = take_started();
  go_to(today(13));
  CHECK(take_stopped().id == run.id);
  CHECK(take_started().occurrence_wall_ms == today(13));
}

TEST_CASE_FIXTURE(SchedulerFixture, "jitter moves each firing by a part of it, not the occurrence") {
  ScheduleSpec s = hourly();
  s.jitter_ms = 10 * kMinute;
  put(s);
  bool moved = false;
  for (int i = 0; i < 10; ++i) {
    int64_t next = info().next_wall_ms;
    int64_t hour = next - next % kHour;
    CHECK(next - hour <= s.jitter_ms);
    moved |= next != hour;
    go_to(next);
    CHECK(made().back() == hour);
  }
  CHECK(made().size() == 10);
  CHECK(moved);
}

TEST_CASE_FIXTURE(SchedulerFixture, "@every goes by elapsed time, whatever the wall clock does, trusted or not") {
  put(every("90s"));
  now.wall_ms += 1000 * kHour;
  now.synced = false;
  pass(89999);
  CHECK(made().empty());
  pass(1);
  CHECK(made().size() == 1);
  now.wall_ms -= 2000 * kHour;
  pass(90000);
  CHECK(made().size() == 2);
  CHECK(last.next_wake_boot_ms == now.boot_ms + 90000);
}

TEST_CASE_FIXTURE(SchedulerFixture, "@every keeps its beat over a late tick and a kill") {
  put(every("90s"));
  pass(100000);
  CHECK(made().size() == 1);
  crash();
  pass(79999);
  CHECK(made().size() == 1);
  pass(1);
  CHECK(made().size() == 2);
}

TEST_CASE_FIXTURE(SchedulerFixture, "@every catches up by its policy") {
  put(every("90s"));
  pass(900000 + 10);
  CHECK(made().size() == 1);
  CHECK(made().back() == now.wall_ms - 10);
  CHECK(last.next_wake_boot_ms == now.boot_ms + 90000 - 10);
}

TEST_CASE_FIXTURE(SchedulerFixture, "a calendar line waits for a trusted clock and says so") {
  now.synced = false;
  put(hourly());
  CHECK(info().waiting.find("clock") != std::string::npos);
  CHECK(info().next_wall_ms == 0);
  pass(3 * kHour);
  CHECK(made().empty());
  now.synced = true;
  tick({ClockStepped{}});
  CHECK(made().empty());
  CHECK(info().waiting.empty());
  CHECK(info().next_wall_ms == today(14));
}

TEST_CASE_FIXTURE(SchedulerFixture, "what was missed while the clock was not trusted is caught up with") {
  put(hourly());
  now.synced = false;
  pass(3 * kHour);
  CHECK(made().empty());
  now.synced = true;
  tick({ClockStepped{}});
  CHECK(made() == std::vector<int64_t>{today(13)});
}

TEST_CASE_FIXTURE(SchedulerFixture, "a clock that is set back an hour does not fire the same occurrence again") {
  put(hourly());
  go_to(today(11, 30));
  now.wall_ms -= kHour;
  tick({ClockStepped{}});
  go_to(today(11, 59));
  CHECK(made() == std::vector<int64_t>{today(11)});
  go_to(today(12));
  CHECK(made() == std::vector<int64_t>{today(11), today(12)});
}

TEST_CASE_FIXTURE(SchedulerFixture, "a clock that was far ahead and is set right does not silence the schedule") {
  put(hourly());
  int64_t true_wall = now.wall_ms;
  now.wall_ms += 20000 * kHour;
  tick({ClockStepped{}});
  CHECK(made().size() == 1);
  now.wall_ms = true_wall;
  tick({ClockStepped{}});
  CHECK(info().next_wall_ms == today(11));
}

TEST_CASE_FIXTURE(SchedulerFixture, "... also when it was set right while the engine was off, or before it was trusted") {
  put(hourly());
  int64_t true_wall = now.wall_ms;
  now.wall_ms += 20000 * kHour;
  tick({ClockStepped{}});
  SUBCASE("off") {
    now.wall_ms = true_wall;
    crash();
  }
  SUBCASE("untrusted") {
    now.wall_ms = true_wall;
    now.synced = false;
    tick();
    now.synced = true;
    tick();
  }
  CHECK(info().next_wall_ms == today(11));
}

TEST_CASE_FIXTURE(SchedulerFixture, "an unchanged put keeps the next firing, also after a kill; a change of the job alone too") {
  ScheduleSpec s = every("1h");
  s.job.policy.backoff.factor = 1.7;
  s.job.tags = "t";
  put(s);
  pass(kHour / 2);
  int64_t next = info().next_wall_ms;
  put(s);
  CHECK(info().next_wall_ms == next);
  crash();
  put(s);
  CHECK(info().next_wall_ms == next);
  s.job.payload = "new";
  put(s);
  CHECK(info().next_wall_ms == next);
  s.cron = "@every 2h";
  put(s);
  CHECK(info().next_wall_ms == now.wall_ms + 2 * kHour);
}

TEST_CASE_FIXTURE(SchedulerFixture, "pause and resume: nothing fires, nothing is made up for; kept over a kill") {
  put(hourly());
  ask<Done>(SchedulePause{"s", true});
  crash();
  CHECK(info().paused);
  pass(3 * kHour);
  CHECK(made().empty());
  CHECK(wake() == kNever);
  ask<Done>(SchedulePause{"s", false});
  CHECK(info().next_wall_ms == today(14));
  CHECK(made().empty());
}

TEST_CASE_FIXTURE(SchedulerFixture, "a schedule that is resumed before the clock is trusted makes up for nothing") {
  put(hourly());
  ask<Done>(SchedulePause{"s", true});
  now.synced = false;
  pass(3 * kHour);
  ask<Done>(SchedulePause{"s", false});
  now.synced = true;
  tick();
  CHECK(made().empty());
  CHECK(info().next_wall_ms == today(14));
}

TEST_CASE_FIXTURE(SchedulerFixture, "run now: a job beside its times") {
  put(hourly());
  JobId id = ask<std::vector<JobId>>(ScheduleRun{"s"}).front();
  CHECK(get(id).schedule == "s");
  CHECK(info().next_wall_ms == today(11));
  CHECK(refused(ScheduleRun{"t"}).code == HF_E_NOT_FOUND);
}

TEST_CASE_FIXTURE(SchedulerFixture, "a schedule does not fire into a queue that is draining or full") {
  put(hourly());
  ask<Done>(QueueDrain{"default"});
  CHECK(refused(ScheduleRun{"s"}).code == HF_E_CONFLICT);
  go_to(today(11));
  CHECK(made().empty());
  CHECK(info().skipped == 1);
  ask<Done>(QueuePause{"default", false});
  limits.max_jobs = 1;
  ask<Done>(SetLimits{limits});
  go_to(today(12));
  go_to(today(13));
  CHECK(made().size() == 1);
  CHECK(info().skipped == 2);
}

TEST_CASE_FIXTURE(SchedulerFixture, "a bad schedule is refused, and says where") {
  auto bad = [&](auto change) {
    ScheduleSpec s = hourly();
    change(s);
    Error e = refused(SchedulePut{s});
    CHECK(e.code == HF_E_INVALID);
    return e.message;
  };
  CHECK(bad([](ScheduleSpec& s) { s.name = "a b"; }).find("schedule") != std::string::npos);
  CHECK(bad([](ScheduleSpec& s) { s.cron = "61 * * * *"; }).find("61") != std::string::npos);
  CHECK(bad([](ScheduleSpec& s) { s.cron = "0 0 30 2 *"; }).find("cron") != std::string::npos);
  CHECK(bad([](ScheduleSpec& s) { s.zone = "Mars/Base"; }).find("Mars/Base") != std::string::npos);
  CHECK(bad([](ScheduleSpec& s) { s.jitter_ms = 86400001; }).find("jitter") != std::string::npos);
  bad([](ScheduleSpec& s) { s.job.delay_ms = 1; });
  bad([](ScheduleSpec& s) { s.job.at_wall_ms = 1; });
  bad([](ScheduleSpec& s) { s.job.unique_key = "k"; });
  bad([](ScheduleSpec& s) { s.job.type = ""; });
  CHECK(ask<std::vector<ScheduleInfo>>(ScheduleList{}).empty());
}

TEST_CASE_FIXTURE(SchedulerFixture, "a schedule that is removed fires no more; an unknown one is named with the nearest") {
  put(hourly());
  ScheduleSpec n = hourly();
  n.name = "nightly";
  put(n);
  ask<Done>(ScheduleRemove{"s"});
  crash();
  CHECK(ask<std::vector<ScheduleInfo>>(ScheduleList{}).size() == 1);
  Error e = refused(ScheduleRemove{"nigthly"});
  CHECK(e.code == HF_E_NOT_FOUND);
  CHECK(e.message.find("nightly") != std::string::npos);
}

namespace {
class TwoZones final : public ZoneSource {
 public:
  Result<std::shared_ptr<const Zone>> find(std::string_view name) const override {
    return utc_only().find(name == "Test/Zone" ? "UTC" : name);
  }
};
}  // namespace

TEST_CASE_FIXTURE(SchedulerFixture, "a zone that is gone: the schedule is kept, waits and says so, and goes on when it is back") {
  TwoZones all;
  zones = &all;
  crash();
  ScheduleSpec s = hourly();
  s.zone = "Test/Zone";
  put(s);
  zones = nullptr;
  crash();
  pass(2 * kHour);
  CHECK(made().empty());
  CHECK(info().waiting.find("Test/Zone") != std::string::npos);
  zones = &all;
  crash();
  CHECK(info().waiting.empty());
  CHECK(made().size() == 1);
}
