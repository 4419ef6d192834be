// Power: the engine wants to be woken once for each instant at which something is due, and at no other.
#include <map>
#include <set>

#include "core/cron.h"
#include "scheduler_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

constexpr int64_t kDay = 24 * kHour;

class Wakeups : public SchedulerFixture {
 public:
  void schedule(const std::string& name, const std::string& cron, int64_t slack_ms = 0) {
    ScheduleSpec s;
    s.name = name;
    s.cron = cron;
    s.slack_ms = slack_ms;
    s.job = spec("x");  // nobody runs it: of each schedule there is one job, and its other firings are skipped
    put(s);
    const CronExpr line = CronExpr::parse(cron, cron_seed("gw", name)).value();
    const bool by_wall = line.kind() == CronLine::Kind::calendar;
    for (auto at = line.next(now.wall_ms, *utc); at && *at <= until; at = by_wall ? line.next(*at, *utc) : *at + line.every_ms()) {
      due.insert(*at);
      ++firings;
    }
  }
  // The instants at which the engine asked to be called until then; several turns at one of them are one.
  std::set<int64_t> wake_until_then() {
    std::set<int64_t> woken;
    while (wake() <= now.boot_ms + (until - now.wall_ms)) {
      pass(std::max<int64_t>(wake() - now.boot_ms, 0));
      woken.insert(now.wall_ms);
    }
    return woken;
  }

  // The fewest instants that are each at most the slack behind a due one, and that leave none out: the first due one is
  // waited for as long as may be, what came due by then is gathered, and so on.
  static std::set<int64_t> gathered(const std::set<int64_t>& due, int64_t slack_ms) {
    std::set<int64_t> points;
    for (auto at = due.begin(); at != due.end(); at = due.upper_bound(*points.rbegin())) points.insert(*at + slack_ms);
    return points;
  }
  // Of all schedules.
  int64_t fired_or_skipped() {
    int64_t n = 0;
    for (const ScheduleInfo& s : ask<std::vector<ScheduleInfo>>(ScheduleList{""})) n += s.fired + s.skipped;
    return n;
  }

  const int64_t until = now.wall_ms + kDay;
  const std::shared_ptr<const Zone> utc = *utc_only().find("UTC");
  std::set<int64_t> due;
  int64_t firings = 0;
};

}  // namespace

TEST_CASE_FIXTURE(Wakeups, "power: a thousand schedules, and one wake-up for each distinct instant of a day") {
  const char* const lines[] = {"H H * * *", "H 2 * * *", "0 2 * * *", "H * * * *", "15,45 * * * *", "H H(0-6) * * 1-5", "30 0 2 * * *", "*/20 * * * *", "@daily", "H */3 * * *"};
  for (int n = 0; n < 1000; ++n) schedule("s" + std::to_string(n), lines[n % 10]);
  for (int n = 0; n < 20; ++n) schedule("e" + std::to_string(n), "@every " + std::to_string(60 + n) + "m");
  run_for(20 * kMinute);  // at the start the progress of elapsed time is saved, for @every
  due.erase(due.begin(), due.upper_bound(now.wall_ms));
  const std::set<int64_t> woken = wake_until_then();
  MESSAGE(firings << " firings at " << due.size() << " instants: " << woken.size() << " wake-ups");
  CHECK(woken == due);
}

TEST_CASE_FIXTURE(Wakeups, "power: with 30 s of slack, fewer wake-ups by the factor computed, and not one firing less") {
  constexpr int64_t kSlack = 30000;
  for (int n = 0; n < 1000; ++n) schedule("s" + std::to_string(n), n % 2 == 0 ? "H H H * * *" : "H H(0-5) H * * *", kSlack);
  std::set<int64_t> expected = gathered(due, kSlack);
  expected.erase(expected.upper_bound(until), expected.end());
  const std::set<int64_t> woken = wake_until_then();
  MESSAGE(firings << " firings at " << due.size() << " instants: " << woken.size() << " wake-ups, " << static_cast<double>(due.size()) / static_cast<double>(woken.size()) << " times fewer");
  CHECK(woken == expected);
  CHECK(woken.size() * 10 < due.size() * 9);
  pass(until - now.wall_ms);
  CHECK(fired_or_skipped() == firings);
}

TEST_CASE_FIXTURE(Wakeups, "slack: a firing is gathered by what has none, keeps its time, and is not missed for it") {
  ScheduleSpec lax = hourly();  // "s"
  lax.slack_ms = 10 * kMinute;
  put(lax);
  schedule("exact", "5 * * * *");
  CHECK(last.next_wake_wall_ms == today(11, 5));
  go_to(today(11, 5));
  CHECK(made() == std::vector<int64_t>{today(11), today(11, 5)});
  ask<Done>(ScheduleRemove{"exact"});
  CHECK(last.next_wake_wall_ms == today(12, 10));
  go_to(today(12, 10));
  CHECK(made().back() == today(12));
  CHECK(info().fired == 2);
  // With more than the minute beyond its slack it was missed.
  pass(kHour + kMinute);
  CHECK(info().last_wall_ms == today(13));
  lax.catch_up = CatchUp::skip;
  put(lax);
  pass(kHour + 1);
  CHECK(info().skipped == 1);
  ScheduleSpec each = every("10m");
  each.name = "each";
  each.slack_ms = 10 * kMinute;
  CHECK(refused(SchedulePut{each}).message == "slack is 10m; of \"@every 10m\" it is less than its period");
  --each.slack_ms;
  ask<Done>(SchedulePut{each});
  ask<Done>(ScheduleRemove{"each"});
  // Its change counts at once.
  lax.slack_ms = 0;
  put(lax);
  CHECK(last.next_wake_wall_ms == today(15));
}

TEST_CASE_FIXTURE(Wakeups, "slack of a queue: delayed jobs, retries and `at` are gathered; what is due at once runs at once") {
  constexpr int64_t kSecond = 1000;
  handler("x");
  ask<Done>(QueueSet{"default", {.slack_ms = 20 * kSecond}});
  auto later = [&](const std::string& queue, int64_t delay_ms, bool at = false) {
    JobSpec s = spec("x");
    s.queue = queue;
    if (at) {
      s.at_wall_ms = now.wall_ms + delay_ms;
    } else {
      s.delay_ms = delay_ms;
    }
    return add(s);
  };
  const int64_t begin = now.boot_ms;
  auto second = [&] { return (now.boot_ms - begin) / kSecond; };
  std::vector<JobId> ids = {later("default", 10 * kSecond), later("default", 25 * kSecond), later("default", 29 * kSecond, true), later("default", 31 * kSecond, true)};
  add(spec("x"));
  CHECK(started_ids().size() == 1);
  auto wake_up = [&] {
    do pass(std::max<int64_t>(wake() - now.boot_ms, 0));
    while (started.empty() && second() < 200);
    return started_ids();
  };
  CHECK(wake_up() == std::vector<JobId>{ids[0], ids[1], ids[2]});
  CHECK(second() == 30);
  // What has no slack wakes for both.
  const JobId exact = later("exact", 15 * kSecond);
  const std::vector<JobId> both = wake_up();
  CHECK(second() == 45);
  CHECK(std::set<JobId>(both.begin(), both.end()) == std::set<JobId>{ids[3], exact});
  // A slack that is given later counts for what waits already, and so does its end.
  const JobId waits = later("default", 10 * kSecond);
  ask<Done>(QueueSet{"default", {.slack_ms = 5 * kSecond}});
  CHECK(wake() <= now.boot_ms + 15 * kSecond);
  ask<Done>(QueueSet{"default", {}});
  CHECK(wake_up() == std::vector<JobId>{waits});
  CHECK(second() == 55);
}

TEST_CASE_FIXTURE(Wakeups, "slack: of many `at` jobs with different slack none is late by more than its own") {
  handler("x");
  for (int q = 0; q < 4; ++q) ask<Done>(QueueSet{"q" + std::to_string(q), {.slack_ms = q * 7 * kMinute}});
  struct Due {
    int64_t at, slack;
  };
  std::map<JobId, Due> all;
  for (int n = 0; n < 200; ++n) {
    JobSpec s = spec("x");
    const int q = n % 7 % 4;
    s.queue = "q" + std::to_string(q);
    s.at_wall_ms = now.wall_ms + kMinute + (n * 7919 % 600) * 10000;
    all[add(s)] = {s.at_wall_ms, q * 7 * kMinute};
  }
  int wakes = 0;
  while (!all.empty() && wakes < 1000) {
    pass(std::max<int64_t>(wake() - now.boot_ms, 0));
    ++wakes;
    for (const StartRun& run : started) {
      for (const RunJob& job : run.jobs) {
        const Due d = all.at(job.id);
        CHECK(d.at <= now.wall_ms);
        CHECK(now.wall_ms <= d.at + d.slack);
        all.erase(job.id);
        ask<Done>(ended(job, Outcome::done));
      }
    }
    started.clear();
  }
  CHECK(all.empty());
  MESSAGE(wakes << " wake-ups for 200 jobs");
}

TEST_CASE_FIXTURE(Wakeups, "power: a firing next month is one wake-up, then") {
  schedule("monthly", "0 0 1 * *");
  CHECK(last.next_wake_boot_ms == kNever);
  CHECK(last.next_wake_wall_ms == *CronExpr::parse("0 0 1 * *", 0).value().next(now.wall_ms, *utc));
  CHECK(wake_until_then().empty());
}

TEST_CASE_FIXTURE(Wakeups, "power: for a delay of a day the progress is saved eight times, a hundred times without a trusted clock") {
  JobSpec s = spec("x");
  s.delay_ms = kDay;
  SUBCASE("trusted") {
    add(s);
    CHECK(wake() - now.boot_ms == 5 * kMinute);
    CHECK(wake_until_then().size() == 9);  // and once to run it
  }
  SUBCASE("not trusted") {
    now.synced = false;
    reboot(0, false);
    add(s);
    CHECK(wake_until_then().size() <= 100);
  }
  CHECK(now.wall_ms == until);
}
