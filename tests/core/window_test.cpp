// core/window.h, against a matcher that knows local days and minutes alone; and the gate that it is for a queue.
#include "core/window.h"

#include <set>

#include "scheduler_fixture.h"
#include "table_zone.h"

using namespace hf;
using namespace hf::test;

namespace {

constexpr int64_t kDay = 24 * kHour;

Windows windows(const std::string& text) {
  Result<Windows> parsed = Windows::parse(text);
  if (!parsed) FAIL(parsed.error().message);
  return *parsed;
}
std::string refused(const std::string& text) {
  Result<Windows> parsed = Windows::parse(text);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().code == HF_E_INVALID);
  return parsed.error().message;
}
bool open_at(const std::string& text, const std::string& time, const Zone& zone) { return windows(text).at(ms(time), zone).open; }

struct Daily {
  std::set<int> days;  // 0: Sunday
  int from, to;        // minutes; to <= from: of the next day
};
// Of a minute of the local clock: does one of the local days on which it may have opened have it open?
bool matches(const std::vector<Daily>& all, int64_t local_minute) {
  for (const Daily& d : all) {
    for (int64_t day = local_minute / 1440 - 1; day <= local_minute / 1440; ++day) {
      if (!d.days.contains(static_cast<int>((day + 4) % 7))) continue;  // 1970-01-01 was a Thursday
      const int64_t from = day * 1440 + d.from;
      const int64_t to = day * 1440 + d.to + (d.to <= d.from ? 1440 : 0);
      if (from <= local_minute && local_minute < to) return true;
    }
  }
  return false;
}

const std::set<int> kEach = {0, 1, 2, 3, 4, 5, 6};

}  // namespace

TEST_CASE("windows of days and times are as a matcher of local minutes says, across both changes of the clock") {
  const TableZone zone = berlin();
  const std::pair<const char*, std::vector<Daily>> cases[] = {
      {"22:00-06:00", {{kEach, 1320, 360}}},
      {"mon-fri 08:00-18:00", {{{1, 2, 3, 4, 5}, 480, 1080}}},
      {"sat,sun 00:00-24:00", {{{6, 0}, 0, 1440}}},
      {"fri 20:00-08:00; 8:00-12:00; 11:00-13:00", {{{5}, 1200, 480}, {kEach, 480, 720}, {kEach, 660, 780}}},
      {"  1,3 23:59-00:01 ;mon 00:00-00:01", {{{1, 3}, 1439, 1}, {{1}, 0, 1}}},
      {"* 00:00-24:00", {{kEach, 0, 1440}}},
      {"12:00-11:59", {{kEach, 720, 719}}},
  };
  for (const auto& [text, days] : cases) {
    CAPTURE(text);
    const Windows w = windows(text);
    for (const char* start : {"2026-03-21T00:00:00Z", "2026-10-17T00:00:00Z"}) {
      int64_t until = 0;
      bool open = false;
      for (int64_t at = ms(start); at < ms(start) + 16 * kDay; at += kMinute) {
        const bool expected = matches(days, (at / 1000 + zone.period_at(at / 1000).offset_s) / 60);
        const Windows::Span span = w.at(at, zone);
        if (span.open != expected) FAIL(std::string(text) << " at " << format_time(at) << ": " << span.open);
        // What was said at the last change holds until it ends, and not a minute longer.
        if (at < until) {
          CHECK(span.open == open);
        } else {
          CHECK((until == 0 || span.open != open || until - at >= 40 * kDay));
          open = span.open, until = span.until_ms;
        }
        CHECK((span.until_ms == until || until - at >= 40 * kDay));
      }
    }
  }
}

TEST_CASE("windows that open by a cron line") {
  const TableZone zone = berlin();
  CHECK(open_at("*/30 * * * * for 5m", "2026-07-01T10:30:00Z", zone));
  CHECK(open_at("*/30 * * * * for 5m", "2026-07-01T10:34:59Z", zone));
  CHECK_FALSE(open_at("*/30 * * * * for 5m", "2026-07-01T10:35:00Z", zone));
  CHECK(windows("*/30 * * * * for 5m").at(ms("2026-07-01T10:40:00Z"), zone).until_ms == ms("2026-07-01T11:00:00Z"));
  // By real time: an hour is an hour in the night in which the clock is set back.
  CHECK(open_at("0 2 * * * for 90m", "2026-10-25T01:29:59Z", zone));
  CHECK_FALSE(open_at("0 2 * * * for 90m", "2026-10-25T01:30:00Z", zone));
  CHECK(open_at("0 0 1 * * for 2d", "2026-07-02T21:59:59Z", zone));
  CHECK_FALSE(open_at("0 0 1 * * for 2d", "2026-07-02T22:00:00Z", zone));
  CHECK(open_at("0 0 29 2 * for 1d", "2028-02-29T12:00:00Z", utc_zone()));
  CHECK(windows("0 0 29 2 * for 1d").at(ms("2096-03-01T00:00:00Z"), utc_zone()).until_ms == ms("2104-02-29T00:00:00Z"));
  // Longer than its period: never closed, and it says so by and by.
  const Windows always = windows("* * * * * for 5m");
  const Windows::Span span = always.at(ms("2026-07-01T10:30:30Z"), zone);
  CHECK(span.open);
  CHECK(span.until_ms > ms("2026-07-01T10:34:00Z"));
}

TEST_CASE("a window at times that the zone skips, and at times that come twice") {
  const TableZone zone = berlin();  // 2026-03-29 02:00 is 03:00; 2026-10-25 03:00 is 02:00
  CHECK_FALSE(open_at("02:15-02:45", "2026-03-29T01:00:00Z", zone));
  CHECK_FALSE(open_at("02:15-02:45", "2026-03-29T12:00:00Z", zone));
  CHECK(open_at("02:15-02:45", "2026-03-30T00:15:00Z", zone));
  CHECK(open_at("02:15-04:00", "2026-03-29T01:00:00Z", zone));        // from 03:00 on
  CHECK_FALSE(open_at("01:00-02:30", "2026-03-29T01:00:00Z", zone));  // until 03:00
  CHECK(open_at("01:00-02:30", "2026-03-29T00:59:59Z", zone));
  CHECK(open_at("02:15-02:45", "2026-10-25T00:15:00Z", zone));
  CHECK_FALSE(open_at("02:15-02:45", "2026-10-25T01:15:00Z", zone));  // the second time
}

TEST_CASE("windows that are refused, with the place and what is allowed") {
  for (const char* text : {"", "  "}) CHECK(windows(text).none());
  const std::pair<const char*, const char*> cases[] = {
      {"8-18", "column 1: found \"8-18\", expected HH:MM-HH:MM; allowed are such as"},
      {"08:00", "column 1: found \"08:00\""},
      {"08:00-25:00", "found \"08:00-25:00\""},
      {"08:60-10:00", "found"},
      {"008:00-10:00", "found"},
      {"08:00-10:00-12:00", "found"},
      {"24:00-06:00", "24:00 is only an end"},
      {"24:01-06:00", "found"},
      {"06:00-06:00", "the whole day is 00:00-24:00"},
      {"mon-fri 06:00-07:00; moon 08:00-09:00", "column 22: \"moon\" is not a day of week"},
      {"mon,moon 06:00-07:00", "column 5: \"moon\" is not a day of week"},
      {"5-3 06:00-07:00", "column 1: "},
      {"mon fri 08:00-09:00", "column 5: found \"fri\", expected only days"},
      {"22:00-06:00;", "column 13: found nothing"},
      {";", "column 1: found nothing"},
      {"0 2 * * for 1h", "column 1: cron line"},
      {"@every 90s for 1m", "a window opens by the calendar"},
      {"@reboot for 1m", "a window opens by the calendar"},
      {"CRON_TZ=Europe/Berlin 0 2 * * * for 1h", "the time zone of windows is in \"tz\""},
      {"0 2 * * * for 1", "column 15: "},
      {"0 2 * * * for 999ms", "allowed is 1s to"},
      {"0 2 * * * for 367d", "allowed is 1s to"},
      {"0 0 31 2 * for 1h", "column 1: cron line"},
  };
  for (const auto& [text, message] : cases) {
    CAPTURE(text);
    const std::string said = refused(text);
    CAPTURE(said);
    CHECK(said.find(message) != std::string::npos);
  }
  std::string many = "00:00-01:00";
  for (size_t i = 1; i < kWindowsMax; ++i) many += ";00:00-01:00";
  CHECK_FALSE(windows(many).none());
  CHECK(refused(many + ";00:00-01:00").find("more than 16") != std::string::npos);
  CHECK_FALSE(windows("00:00-01:00" + std::string(kWindowsTextMax - 11, ' ')).none());
  CHECK(refused("00:00-01:00" + std::string(kWindowsTextMax - 10, ' ')).find("at most 512") != std::string::npos);
}

// ---- the gate -----------------------------------------------------------------------------------------------------------

namespace {

class Gate : public SchedulerFixture {  // 10:30 UTC
 public:
  Gate() {
    RunnerSpec r;
    r.policy.timeout_ms = -1;
    handler("x", r);
  }
  void open_at_times(const std::string& text, const std::string& queue = "default") { ask<Done>(QueueSet{queue, {.windows = text}}); }
  QueueInfo queue(const std::string& name = "default") { return ask<std::vector<QueueInfo>>(QueueList{name}).at(0); }
  std::string told() const {
    std::string names;
    for (const Transition& t : last.feed) {
      if (t.change == Change::window_opened || t.change == Change::window_closed) names += std::string(change_name(t.change)) + " " + t.queue + " ";
    }
    return names;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Gate, "a queue with windows runs its jobs while it is open, and wakes up for them alone") {
  open_at_times("12:00-13:00");
  CHECK(last.next_wake_wall_ms == kNever);  // nothing waits
  const JobId id = add(spec("x"));
  CHECK(started.empty());
  CHECK(gates(id) == "window");
  CHECK(ask<WhyInfo>(Why{id}).gates[0].opens_wall_ms == today(12));
  CHECK_FALSE(queue().open);
  CHECK(queue().changes_wall_ms == today(12));
  CHECK(last.next_wake_wall_ms == today(12));
  run_for(90 * kMinute - 1);
  CHECK(started.empty());
  pass(1);
  CHECK(told() == "window_opened default ");
  const RunJob run = take_started();
  CHECK(queue().open);
  CHECK(queue().changes_wall_ms == today(13));
  CHECK(last.next_wake_wall_ms == kNever);  // for its end nobody wakes up
  // What runs goes on.
  pass(kHour);
  CHECK(told() == "window_closed default ");
  CHECK(stopped.empty());
  const JobId late = add(spec("x"));
  end(run, Outcome::done, "r");
  CHECK(state(id) == State::completed);
  CHECK(gates(late) == "window");
  go_to(today(36));
  CHECK(take_started().id == late);
}

TEST_CASE_FIXTURE(Gate, "deliveries wait for the windows of their sink, other sinks and runs do not") {
  RunnerSpec to_cloud, to_lan;
  to_cloud.sink = "cloud";
  to_lan.sink = "lan";
  handler("far", to_cloud);
  handler("near", to_lan);
  handler("sink:cloud");
  handler("sink:lan");
  ask<Done>(SetQueueDefaults{"sink:cloud", {.windows = "22:00-06:00"}});
  const JobId far = add(spec("far"));
  const JobId near = add(spec("near"));
  for (int i = 0; i < 2; ++i) end(take_started(), Outcome::done, "r");
  CHECK(started_ids() == std::vector<JobId>{near});
  CHECK(gates(far) == "window");
  go_to(today(22));
  CHECK(started_ids() == std::vector<JobId>{far});
}

TEST_CASE_FIXTURE(Gate, "windows wait for a trusted clock") {
  open_at_times("00:00-24:00");
  now.synced = false;
  now.wall_ms = 20000;  // 1970
  tick();
  const JobId id = add(spec("x"));
  CHECK(started.empty());
  const WhyInfo why = ask<WhyInfo>(Why{id});
  REQUIRE(why.gates.size() == 1);
  CHECK(why.gates[0].why.find("the clock is not trusted") != std::string::npos);
  CHECK(why.gates[0].opens_wall_ms == 0);
  CHECK(last.next_wake_wall_ms == kNever);
  CHECK(last.next_wake_boot_ms <= now.boot_ms + 5 * kMinute);  // it looks whether somebody has set the clock
  now.synced = true;
  now.wall_ms = 1790000000000;
  tick();
  CHECK(take_started().id == id);
}

TEST_CASE_FIXTURE(Gate, "a clock that is set back or forth opens and closes at once") {
  open_at_times("12:00-13:00; 15:00-16:00");
  const JobId id = add(spec("x"));
  now.wall_ms = today(15, 30);
  tick();
  CHECK(take_started().id == id);
  now.wall_ms = today(14);
  tick();
  CHECK(told() == "window_closed default ");
  add(spec("x"));
  CHECK(started.empty());
  now.wall_ms = today(12, 59);
  tick();
  CHECK(started.size() == 1);
}

TEST_CASE_FIXTURE(Gate, "what an operator set goes before the configuration, field by field, and is kept") {
  ask<Done>(SetQueueDefaults{"default", {.slack_ms = 5000, .windows = "22:00-06:00", .zone = "UTC"}});
  CHECK_FALSE(queue().open);
  open_at_times("10:00-11:00");
  CHECK(queue().open);
  CHECK(queue().settings == QueueSettings{.slack_ms = 5000, .windows = "10:00-11:00", .zone = "UTC"});
  CHECK(queue().set == QueueSettings{.windows = "10:00-11:00"});
  crash();
  CHECK(queue().set == QueueSettings{.windows = "10:00-11:00"});
  CHECK(queue().open);
  pass(kHour);
  CHECK_FALSE(queue().open);
  open_at_times("");  // always
  ask<Done>(SetQueueDefaults{"default", {.windows = "22:00-06:00"}});
  CHECK(queue().open);
  ask<Done>(QueueSet{"default", {}});
  CHECK_FALSE(queue().open);
  ask<Done>(SetQueueDefaults{"default", {}});
  CHECK(queue().open);
}

TEST_CASE_FIXTURE(Gate, "a queue that opens because its windows are gone is told of as any other") {
  open_at_times("12:00-13:00");
  const JobId id = add(spec("x"));
  CHECK(started.empty());
  open_at_times("");
  CHECK(told() == "window_opened default ");
  CHECK(take_started().id == id);
  pass(kHour);
  CHECK(told().empty());
  ask<Done>(SetQueueDefaults{"default", {.windows = "22:00-06:00"}});
  CHECK(told().empty());  // the operator's word is that it is open
  ask<Done>(QueueSet{"default", {}});
  CHECK(told() == "window_closed default ");
  ask<Done>(SetQueueDefaults{"default", {}});
  CHECK(told() == "window_opened default ");
}

TEST_CASE_FIXTURE(Gate, "settings that are refused change nothing") {
  open_at_times("10:00-11:00");
  CHECK(refused(QueueSet{"default", {.windows = "10-11"}}).message.find("windows, column 1") == 0);
  CHECK(refused(QueueSet{"default", {.zone = "Europe/Berlin"}}).message.find("time zone \"Europe/Berlin\"") == 0);
  CHECK(refused(QueueSet{"default", {.slack_ms = kSlackMaxMs + 1}}).message.find("slack is") == 0);
  CHECK(refused(QueueSet{"default", {.slack_ms = -1}}).code == HF_E_INVALID);
  CHECK(refused(QueueSet{"sink:a b", {}}).message.find("the sink name") == 0);
  CHECK(queue().set == QueueSettings{.windows = "10:00-11:00"});
  CHECK(queue().open);
  ask<Done>(QueueSet{"sink:" + std::string(HF_NAME_MAX, 'a'), {.slack_ms = kSlackMaxMs}});
}

TEST_CASE_FIXTURE(Gate, "windows whose zone is gone from the system stay closed until it is back") {
  class Berlin final : public ZoneSource {
   public:
    Result<std::shared_ptr<const Zone>> find(std::string_view name) const override {
      if (name == "Europe/Berlin") return std::shared_ptr<const Zone>(std::make_shared<TableZone>(berlin()));
      return utc_only().find(name);
    }
  } all;
  engine.reset();
  zones = &all;
  open();
  handler("x");
  ask<Done>(QueueSet{"default", {.windows = "12:30-13:00", .zone = "Europe/Berlin"}});  // 10:30 UTC
  CHECK(queue().open);
  engine.reset();
  zones = nullptr;
  open();
  handler("x");
  const JobId id = add(spec("x"));
  CHECK(started.empty());
  CHECK(ask<WhyInfo>(Why{id}).gates.at(0).why.find("Europe/Berlin") != std::string::npos);
  pass(kDay);
  CHECK(started.empty());
  engine.reset();
  zones = &all;
  open();
  handler("x");
  CHECK(take_started().id == id);
}
