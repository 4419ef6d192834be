// What few schedules need: DST, splay, bounds, catching up within limits, pausing itself, @reboot, backfill.
#include <algorithm>
#include <set>

#include "core/scheduler.h"
#include "scheduler_fixture.h"
#include "table_zone.h"

using namespace hf;
using namespace hf::test;

namespace {

class Options : public SchedulerFixture {
 public:
  template <class Change>
  void put_with(Change change) {
    ScheduleSpec s = hourly();
    change(s);
    put(s);
  }
  template <class Change>
  std::string refused_with(Change change) {
    ScheduleSpec s = hourly();
    change(s);
    Error e = refused(SchedulePut{s});
    CHECK(e.code == HF_E_INVALID);
    return e.message;
  }
  std::vector<JobId> backfill(int64_t from, int64_t to) { return ask<std::vector<JobId>>(ScheduleBackfill{"s", from, to}); }
  bool says_waiting(const std::string& part) { return info().waiting.find(part) != std::string::npos; }
  // Fails the job of the next firing for good.
  void fire_and_fail() {
    go_to(info().next_wall_ms);
    end(take_started(), Outcome::dead, "no");
  }
};

}  // namespace

TEST_CASE_FIXTURE(Options, "splay: all firings of a device by the same part of it, other devices by another") {
  put_with([](ScheduleSpec& s) { s.splay_ms = 30 * kMinute; });
  const int64_t moved = info().next_wall_ms - today(11);
  CHECK(moved >= 0);
  CHECK(moved <= 30 * kMinute);
  for (int hour = 11; hour < 15; ++hour) {
    CHECK(info().next_wall_ms == today(hour) + moved);
    go_to(info().next_wall_ms);
    CHECK(made().back() == today(hour));  // the occurrence is where it was
  }
  crash();
  CHECK(info().next_wall_ms == today(15) + moved);
  put_with([](ScheduleSpec& s) { s.splay_ms = 30 * kMinute, s.job.priority = 5; });
  CHECK(info().next_wall_ms == today(15) + moved);
  std::set<int64_t> others;
  for (const char* name : {"a", "b", "c", "d"}) {
    ScheduleSpec other = hourly();
    other.name = name;
    other.splay_ms = 30 * kMinute;
    put(other);
    others.insert(ask<std::vector<ScheduleInfo>>(ScheduleList{name}).at(0).next_wall_ms);
  }
  CHECK(others.size() == 4);
}

TEST_CASE_FIXTURE(Options, "dst: a schedule's own policy for a time that comes twice") {
  // Two hours from now the clock goes back by one.
  const int64_t back = today(12);
  class Zones final : public ZoneSource {
   public:
    explicit Zones(int64_t at_s) : zone_(std::make_shared<TableZone>("Test/Zone", 7200, std::vector<TableZone::Change>{{at_s, 3600}})) {}
    Result<std::shared_ptr<const Zone>> find(std::string_view name) const override {
      if (name == "Test/Zone") return zone_;
      return utc_only().find(name);
    }

   private:
    std::shared_ptr<const Zone> zone_;
  } const source(back / 1000);
  zones = &source;
  crash();
  auto times = [&](DstPolicy dst, const char* name) {
    ScheduleSpec s = hourly();
    s.name = name;
    s.zone = "Test/Zone";
    s.cron = "30 13 * * *";  // 11:30 and 12:30 UTC
    s.dst = dst;
    put(s);
    return name;
  };
  times(DstPolicy::vixie, "once");
  times(DstPolicy::both, "twice");
  pass(kMinute);
  go_to(today(14));
  CHECK(ask<std::vector<ScheduleInfo>>(ScheduleList{"once"}).at(0).fired == 1);
  CHECK(ask<std::vector<ScheduleInfo>>(ScheduleList{"twice"}).at(0).fired == 2);
}

TEST_CASE_FIXTURE(Options, "catch_up_window: what was missed longer ago is left out") {
  put_with([](ScheduleSpec& s) { s.catch_up_window_ms = 10 * kMinute; });
  pass(5 * kHour);  // 15:30; the latest one is 30 minutes old
  CHECK(made().empty());
  CHECK(info().skipped == 1);
  CHECK(info().next_wall_ms == today(16));
  pass(kHour - 25 * kMinute);  // 16:05
  CHECK(made() == std::vector<int64_t>{today(16)});
}

TEST_CASE_FIXTURE(Options, "catch_up_window and catch_up_max with all: the latest within the window") {
  put_with([](ScheduleSpec& s) { s.catch_up = CatchUp::all, s.catch_up_window_ms = 3 * kHour; });
  crash();
  pass(8 * kHour);  // 18:30
  CHECK(made() == std::vector<int64_t>{today(16), today(17), today(18)});
  put_with([](ScheduleSpec& s) { s.catch_up = CatchUp::all, s.catch_up_max = 2; });
  pass(5 * kHour);
  CHECK(made().size() == 5);
  CHECK(made().back() == today(23));
  CHECK(made()[3] == today(22));
}

TEST_CASE_FIXTURE(Options, "those that are made up for at once do not overlap each other, but do the job before them") {
  put_with([](ScheduleSpec& s) { s.catch_up = CatchUp::all, s.overlap = Overlap::skip; });
  pass(3 * kHour);
  CHECK(made().size() == 3);
  pass(3 * kHour);
  CHECK(made().size() == 3);
  CHECK(info().skipped == 3);
}

TEST_CASE_FIXTURE(Options, "start and end: no firing outside") {
  const int64_t start = today(12), end = today(15);
  put_with([&](ScheduleSpec& s) { s.start_wall_ms = start, s.end_wall_ms = end, s.catch_up = CatchUp::all; });
  CHECK(info().next_wall_ms == start);
  go_to(today(12, 30));
  crash();
  pass(10 * kHour);
  CHECK(made() == std::vector<int64_t>{start, start + kHour, start + 2 * kHour});
  CHECK(says_waiting("it has ended"));
  CHECK(info().next_wall_ms == 0);
  CHECK(last.next_wake_wall_ms == kNever);
  put_with([&](ScheduleSpec& s) { s.start_wall_ms = start; });
  CHECK(info().next_wall_ms == today(23));
}

TEST_CASE_FIXTURE(Options, "start and end that leave nothing, or are not for the line, are refused with the reason") {
  const int64_t at = today(12);
  CHECK(refused_with([&](ScheduleSpec& s) { s.start_wall_ms = at, s.end_wall_ms = at; }).find("not after start") != std::string::npos);
  CHECK(refused_with([&](ScheduleSpec& s) { s.start_wall_ms = at + 1, s.end_wall_ms = at + kHour; }).find("can never fire") != std::string::npos);
  CHECK(refused_with([&](ScheduleSpec& s) { s.cron = "@every 5m", s.end_wall_ms = at; }).find("elapsed") != std::string::npos);
  CHECK(refused_with([&](ScheduleSpec& s) { s.cron = "@reboot", s.start_wall_ms = at; }).find("elapsed") != std::string::npos);
  refused_with([&](ScheduleSpec& s) { s.start_wall_ms = -1; });
  refused_with([&](ScheduleSpec& s) { s.end_wall_ms = kMaxUnixMs + 1; });
}

TEST_CASE_FIXTURE(Options, "limit: so many firings, over crashes too; a larger one goes on") {
  put_with([](ScheduleSpec& s) { s.limit = 2, s.catch_up = CatchUp::all; });
  go_to(today(11));
  crash();
  pass(9 * kHour);
  CHECK(made().size() == 2);
  CHECK(says_waiting("2 of 2"));
  put_with([](ScheduleSpec& s) { s.limit = 3; });
  CHECK(info().waiting.empty());
  CHECK(info().next_wall_ms == today(21));
  go_to(today(22));
  CHECK(made().size() == 3);
  put_with([](ScheduleSpec& s) { s.cron = "@every 1h", s.limit = 4; });
  run_for(3 * kHour);
  CHECK(made().size() == 4);
}

TEST_CASE_FIXTURE(Options, "a schedule whose jobs fail one after another pauses itself, and says so") {
  handler("x");
  put_with([](ScheduleSpec& s) { s.pause_after_failures = 3; });
  fire_and_fail();
  fire_and_fail();
  go_to(info().next_wall_ms);
  end(take_started(), Outcome::done);  // one that ends well begins anew
  CHECK(info().failures == 0);
  fire_and_fail();
  fire_and_fail();
  crash();
  handler("x");
  CHECK(info().failures == 2);
  fire_and_fail();
  CHECK(std::any_of(last.feed.begin(), last.feed.end(), [](const Transition& t) { return t.change == Change::schedule_paused; }));
  CHECK(info().paused);
  CHECK(says_waiting("paused itself: the last 3 jobs failed"));
  pass(5 * kHour);
  CHECK(started.empty());
  ask<Done>(SchedulePause{"s", false});
  CHECK(!info().paused);
  CHECK(info().failures == 0);
  fire_and_fail();
  CHECK(!info().paused);
}

TEST_CASE_FIXTURE(Options, "jobs that die without a run count, too") {
  put_with([](ScheduleSpec& s) { s.pause_after_failures = 2, s.job.ttl_ms = 10 * kMinute, s.overlap = Overlap::queue; });  // nobody runs them
  for (int i = 0; i < 2; ++i) go_to(info().next_wall_ms);
  run_for(11 * kMinute);
  CHECK(info().failures == 2);
  CHECK(info().paused);
}

TEST_CASE_FIXTURE(Options, "failures are not counted where nobody asked") {
  handler("x");
  put(hourly());
  for (int i = 0; i < 5; ++i) fire_and_fail();
  CHECK(info().failures == 0);
  CHECK(!info().paused);
}

TEST_CASE_FIXTURE(Options, "@reboot: once at each start of the device, with or without a trusted clock") {
  put_with([](ScheduleSpec& s) { s.cron = "@reboot"; });
  CHECK(info().waiting.empty());
  pass(kHour);
  crash();
  pass(kHour);
  CHECK(made().empty());
  reboot(kHour, false);
  tick();
  CHECK(made().size() == 1);
  crash();
  pass(kHour);
  CHECK(made().size() == 1);
  reboot(0, true);
  tick();
  CHECK(made().size() == 2);
  CHECK(info().fired == 2);
  ask<Done>(SchedulePause{"s", true});
  reboot(0, true);
  tick();
  ask<Done>(SchedulePause{"s", false});
  pass(kHour);
  CHECK(made().size() == 2);
}

TEST_CASE_FIXTURE(Options, "@reboot that is splayed fires though the process dies before") {
  put_with([](ScheduleSpec& s) { s.cron = "@reboot", s.splay_ms = kHour; });
  reboot(kHour, true);
  tick();
  CHECK(made().empty());
  crash();
  run_for(kHour);
  CHECK(made().size() == 1);
  run_for(kHour);
  CHECK(made().size() == 1);
}

TEST_CASE_FIXTURE(Options, "backfill: a job for each time of the past, with its occurrence") {
  put(hourly());
  pass(kMinute);
  const int64_t from = today(0) - 24 * kHour;
  CHECK(backfill(from, from + 5 * kHour).size() == 5);
  CHECK(made() == std::vector<int64_t>{from, from + kHour, from + 2 * kHour, from + 3 * kHour, from + 4 * kHour});
  CHECK(backfill(from + 1, from + kHour).empty());
  CHECK(info().fired == 0);  // beside its times
  CHECK(info().next_wall_ms == today(11));
  CHECK(backfill(now.wall_ms - 1000 * kHour, now.wall_ms).size() == kBackfillMax);
}

TEST_CASE_FIXTURE(Options, "backfill: what cannot be is refused, and nothing is made") {
  put(hourly());
  auto no = [&](const std::string& name, int64_t from, int64_t to, int code, const std::string& says) {
    Error e = refused(ScheduleBackfill{name, from, to});
    CHECK(e.code == code);
    CHECK_MESSAGE(e.message.find(says) != std::string::npos, e.message);
  };
  no("t", 0, 1, HF_E_NOT_FOUND, "t");
  no("s", 5, 5, HF_E_INVALID, "not before");
  no("s", -1, 5, HF_E_INVALID, "not before");
  no("s", now.wall_ms - kHour, now.wall_ms + 1, HF_E_INVALID, "not past");
  no("s", now.wall_ms - 1001 * kHour, now.wall_ms, HF_E_INVALID, "more than 1000");
  now.synced = false;
  no("s", 0, kHour, HF_E_CONFLICT, "not trusted");
  now.synced = true;
  limits.max_jobs = 10;
  ask<Done>(SetLimits{limits});
  no("s", now.wall_ms - 11 * kHour, now.wall_ms, HF_E_FULL, "");
  CHECK(made().empty());
  put_with([](ScheduleSpec& s) { s.cron = "@every 5m"; });
  no("s", 0, kHour, HF_E_INVALID, "elapsed");
}

TEST_CASE_FIXTURE(Options, "options out of range are refused with the allowed values") {
  CHECK(refused_with([](ScheduleSpec& s) { s.splay_ms = kScheduleMoveMaxMs + 1; }).find("allowed is 0s to 1d") != std::string::npos);
  CHECK(refused_with([](ScheduleSpec& s) { s.catch_up_window_ms = kCatchUpWindowMaxMs + 1; }).find("catch_up_window") != std::string::npos);
  CHECK(refused_with([](ScheduleSpec& s) { s.catch_up_max = 0; }).find("1 to 1000") != std::string::npos);
  CHECK(refused_with([](ScheduleSpec& s) { s.limit = -1; }).find("limit") != std::string::npos);
  CHECK(refused_with([](ScheduleSpec& s) { s.pause_after_failures = 1001; }).find("pause_after_failures") != std::string::npos);
  put_with([](ScheduleSpec& s) {
    s.jitter_ms = s.splay_ms = kScheduleMoveMaxMs;
    s.catch_up_window_ms = kCatchUpWindowMaxMs;
    s.catch_up_max = kCatchUpMax;
    s.limit = kScheduleLimitMax;
    s.pause_after_failures = kPauseAfterMax;
  });
  const ScheduleSpec before = info().spec;
  crash();
  CHECK(info().spec == before);
}
