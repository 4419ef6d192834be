// Power: the engine wants to be woken once for each instant at which something is due, and at no other.
#include <set>

#include "core/cron.h"
#include "scheduler_fixture.h"

using namespace hf;
using namespace hf::test;

namespace {

constexpr int64_t kDay = 24 * kHour;

class Wakeups : public SchedulerFixture {
 public:
  void schedule(const std::string& name, const std::string& cron) {
    ScheduleSpec s;
    s.name = name;
    s.cron = cron;
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

TEST_CASE_FIXTURE(Wakeups, "power: a firing next month is one wake-up, then") {
  schedule("monthly", "0 0 1 * *");
  CHECK(last.next_wake_boot_ms == kNever);
  CHECK(last.next_wake_wall_ms == *CronExpr::parse("0 0 1 * *", 0).value().next(now.wall_ms, *utc));
  CHECK(wake_until_then().empty());
}

TEST_CASE_FIXTURE(Wakeups, "power: for a delay of a day the progress is saved now and then, a hundred times at most") {
  JobSpec s = spec("x");
  s.delay_ms = kDay;
  add(s);
  CHECK(wake_until_then().size() <= 100);
  CHECK(now.wall_ms == until);
}
