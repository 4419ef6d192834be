// An engine with a schedule "s", at 10:30 UTC.
#pragma once

#include "engine_fixture.h"

namespace hf::test {

inline constexpr int64_t kMinute = 60000;
inline constexpr int64_t kHour = 60 * kMinute;

class SchedulerFixture : public EngineFixture {
 public:
  SchedulerFixture() {
    now.wall_ms = 1790000000000 - 1790000000000 % (24 * kHour) + 10 * kHour + 30 * kMinute;  // 10:30 UTC
    tick();
  }
  ScheduleSpec hourly() {
    ScheduleSpec s;
    s.name = "s";
    s.cron = "0 * * * *";
    s.overlap = Overlap::queue;
    s.job = spec("x");
    return s;
  }
  ScheduleSpec every(const std::string& period) {
    ScheduleSpec s = hourly();
    s.cron = "@every " + period;
    return s;
  }
  void put(const ScheduleSpec& s) { ask<Done>(SchedulePut{s}); }
  ScheduleInfo info() { return ask<std::vector<ScheduleInfo>>(ScheduleList{"s"}).at(0); }
  int64_t today(int hour, int minute = 0) { return now.wall_ms - now.wall_ms % (24 * kHour) + hour * kHour + minute * kMinute; }
  // The occurrences of the jobs that were made, oldest first.
  std::vector<int64_t> made() {
    std::vector<int64_t> times;
    ListQuery all;
    all.limit = 1000;
    for (const JobInfo& j : ask<JobPage>(List{all}).jobs) times.insert(times.begin(), j.occurrence_wall_ms);
    return times;
  }
  void go_to(int64_t wall_ms) { run_for(wall_ms - now.wall_ms); }
};

}  // namespace hf::test
