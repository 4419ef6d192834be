// The simulated device: what its schedules do while its clock and its power do what they should not.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "apps/simulate_tally.h"
#include "apps/virtual_device.h"
#include "core/units.h"
#include "platform/zones.h"

using namespace hf;

template <>
struct doctest::StringMaker<std::vector<std::string>> {
  static doctest::String convert(const std::vector<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) text += "\n    " + line;
    return text.c_str();
  }
};

namespace {

using Lines = std::vector<std::string>;
using Kind = Incident::Kind;

int64_t t(const std::string& text) { return *parse_time(text); }
int64_t d(const std::string& text) { return *parse_duration(text); }

// One device; what it does is told as it looks on a right clock in Berlin.
struct World {
  const SystemZones zones;
  DeviceSpec spec;
  std::vector<Incident> incidents;
  std::function<bool(const Happening&)> wanted = [](const Happening& h) { return h.change != nullptr && h.change->change == Change::fired; };
  std::vector<ScheduleInfo> at_end;

  World() {
    spec.name = "gw";
    spec.zones = &zones;
    RunnerSpec runner;
    runner.name = "x";
    spec.runners = {runner};
  }
  ScheduleSpec& schedule(const std::string& cron, const std::string& name = "s") {
    ScheduleSpec& s = spec.schedules.emplace_back();
    s.name = name;
    s.cron = cron;
    s.zone = "Europe/Berlin";
    s.job.type = "x";
    return s;
  }
  void befall(Kind kind, const std::string& at, const std::string& length) { incidents.push_back({kind, t(at), t(at) + d(length), 0, 0}); }
  void set_clock(const std::string& at, int64_t by_ms) { incidents.push_back({Kind::clock_set, t(at), 0, by_ms, 0}); }

  std::string local(int64_t ms) const { return format_time_at_offset(ms, (*zones.find("Europe/Berlin"))->local(floor_div(ms, 1000)).offset_s); }
  std::string text(const Happening& h) const {
    std::string text = local(h.at_ms) + " ";
    if (h.change == nullptr) return text + "kind " + std::to_string(static_cast<int>(h.kind));
    if (h.change->change != Change::fired) return text + change_name(h.change->change);
    if (h.schedule != nullptr && h.schedule->name != "s") text += h.schedule->name + " ";
    if (h.change->id == 0) return text + "skipped";
    text += h.made_up ? "made up" : "fired";
    return h.planned_ms == h.clock_ms ? text : text + " of " + local(h.planned_ms);
  }
  Lines run(const std::string& from, const std::string& to, Tally* tally = nullptr) {
    Lines lines;
    VirtualDevice device(spec, incidents, [&](const Happening& h) {
      if (tally != nullptr) tally->add(h);
      if (wanted(h)) lines.push_back(text(h));
    });
    const Status ran = device.run(t(from), t(to));
    if (!ran) FAIL(ran.error().message);
    if (tally != nullptr) tally->finish();
    auto infos = device.schedules();
    REQUIRE(infos.ok());
    at_end = std::move(*infos);
    return lines;
  }
};

}  // namespace

TEST_CASE("simulate: a time that the zone skips or has twice, by dst") {
  const auto fires = [](DstPolicy dst, const std::string& from, const std::string& to) {
    World world;
    world.schedule("30 2 * * *").dst = dst;
    return world.run(from, to);
  };
  const std::string spring = "2026-03-28T12:00:00+01:00", spring_end = "2026-03-30T12:00:00+02:00";
  const std::string day_after = "2026-03-30T02:30:00+02:00 fired";
  CHECK(fires(DstPolicy::vixie, spring, spring_end) == Lines{"2026-03-29T03:00:00+02:00 fired", day_after});
  CHECK(fires(DstPolicy::both, spring, spring_end) == Lines{"2026-03-29T03:00:00+02:00 fired", day_after});
  CHECK(fires(DstPolicy::skip, spring, spring_end) == Lines{day_after});

  const std::string autumn = "2026-10-24T12:00:00+02:00", autumn_end = "2026-10-26T12:00:00+01:00";
  const std::string first = "2026-10-25T02:30:00+02:00 fired", second = "2026-10-25T02:30:00+01:00 fired", monday = "2026-10-26T02:30:00+01:00 fired";
  CHECK(fires(DstPolicy::vixie, autumn, autumn_end) == Lines{first, monday});
  CHECK(fires(DstPolicy::both, autumn, autumn_end) == Lines{first, second, monday});
  CHECK(fires(DstPolicy::skip, autumn, autumn_end) == Lines{first, monday});
}

TEST_CASE("simulate: firings of an outage, by catch_up") {
  const auto fires = [](CatchUp catch_up) {
    World world;
    world.schedule("0 * * * *").catch_up = catch_up;
    world.befall(Kind::off, "2026-11-25T10:30:00+01:00", "3h");
    return world.run("2026-11-25T09:30:00+01:00", "2026-11-25T14:30:00+01:00");
  };
  const std::string before = "2026-11-25T10:00:00+01:00 fired", after = "2026-11-25T14:00:00+01:00 fired", on = "2026-11-25T13:30:00+01:00 ";
  CHECK(fires(CatchUp::once) == Lines{before, on + "made up of 2026-11-25T13:00:00+01:00", after});
  CHECK(fires(CatchUp::skip) == Lines{before, on + "skipped", after});
  CHECK(fires(CatchUp::all) == Lines{before, on + "made up of 2026-11-25T11:00:00+01:00", on + "made up of 2026-11-25T12:00:00+01:00",
                                     on + "made up of 2026-11-25T13:00:00+01:00", after});
}

TEST_CASE("simulate: what is made up for is told of each job, also of those that wait for a free place") {
  World world;
  for (int i = 0; i < 5; ++i) world.schedule("0 11 * * *", "s" + std::to_string(i));
  world.spec.limits.concurrency = 2;
  world.spec.run_ms = d("10m");
  world.befall(Kind::off, "2026-11-25T10:30:00+01:00", "3h");
  Tally tally(world.spec.schedules);
  const Lines lines = world.run("2026-11-25T09:30:00+01:00", "2026-11-25T14:30:00+01:00", &tally);
  REQUIRE(lines.size() == 5);
  for (size_t i = 0; i < 5; ++i) CHECK(lines[i] == "2026-11-25T13:30:00+01:00 s" + std::to_string(i) + " made up of 2026-11-25T11:00:00+01:00");
  CHECK(tally.total.made_up == 5);
}

TEST_CASE("simulate: a clock that is set forward and back moves the calendar, and no interval") {
  World world;
  world.schedule("0 * * * *");
  world.schedule("@every 1h", "every");
  SUBCASE("forward") {
    world.set_clock("2026-11-25T10:30:00+01:00", d("2h"));
    CHECK(world.run("2026-11-25T09:50:00+01:00", "2026-11-25T12:30:00+01:00") ==
          Lines{"2026-11-25T10:00:00+01:00 fired", "2026-11-25T10:30:00+01:00 made up of 2026-11-25T12:00:00+01:00",
                "2026-11-25T10:50:00+01:00 every fired",
                "2026-11-25T11:00:00+01:00 fired",  // its clock shows 13:00
                "2026-11-25T11:50:00+01:00 every fired", "2026-11-25T12:00:00+01:00 fired"});
  }
  SUBCASE("back: what has fired does not fire again") {
    world.set_clock("2026-11-25T10:30:00+01:00", -d("1h"));
    CHECK(world.run("2026-11-25T09:50:00+01:00", "2026-11-25T12:30:00+01:00") ==
          Lines{"2026-11-25T10:00:00+01:00 fired", "2026-11-25T10:50:00+01:00 every fired", "2026-11-25T11:50:00+01:00 every fired",
                "2026-11-25T12:00:00+01:00 fired"});  // its clock shows 11:00
  }
  SUBCASE("to a time: as much as is missing") {
    world.incidents.push_back({Kind::clock_set, t("2026-11-25T10:10:00+01:00"), 0, 0, t("2026-11-25T10:59:00+01:00")});
    world.incidents.push_back({Kind::clock_set, t("2026-11-25T10:20:00+01:00"), 0, 0, t("2026-11-25T10:20:00+01:00")});
    CHECK(world.run("2026-11-25T10:05:00+01:00", "2026-11-25T12:30:00+01:00") ==
          Lines{"2026-11-25T10:11:00+01:00 fired", "2026-11-25T11:05:00+01:00 every fired", "2026-11-25T12:00:00+01:00 fired",
                "2026-11-25T12:05:00+01:00 every fired"});
  }
}

TEST_CASE("simulate: a suspended device does nothing, and its runs stand still") {
  World world;
  world.schedule("0 * * * *").overlap = Overlap::queue;
  world.spec.run_ms = d("45m");
  world.spec.runners[0].policy.timeout_ms = -1;
  world.befall(Kind::suspended, "2026-11-25T10:30:00+01:00", "3h");
  world.wanted = [](const Happening& h) { return h.change == nullptr || h.change->change == Change::fired || h.change->change == Change::completed; };
  world.incidents.push_back({Kind::clock_set, t("2026-11-25T11:00:00+01:00"), 0, 1, 0});  // does not wake it
  const auto word = [](Happening::Kind kind) { return "kind " + std::to_string(static_cast<int>(kind)); };
  const std::string wake = word(Happening::Kind::woken);
  CHECK(world.run("2026-11-25T09:50:00+01:00", "2026-11-25T14:10:00+01:00") ==
        Lines{"2026-11-25T10:00:00+01:00 " + wake, "2026-11-25T10:00:00+01:00 fired",
              "2026-11-25T10:30:00+01:00 " + word(Happening::Kind::suspended),
              "2026-11-25T11:00:00+01:00 " + word(Happening::Kind::clock_set),
              "2026-11-25T13:30:00+01:00 " + word(Happening::Kind::resumed),
              "2026-11-25T13:30:00+01:00 made up of 2026-11-25T13:00:00+01:00",
              "2026-11-25T13:45:00+01:00 completed",
              "2026-11-25T13:59:59.999+01:00 " + wake, "2026-11-25T13:59:59.999+01:00 fired"});
}

TEST_CASE("simulate: a clock that is lost: the calendar waits, intervals go on") {
  World world;
  world.schedule("0 * * * *");
  world.schedule("@every 25m", "every");
  SUBCASE("from the start") {
    world.befall(Kind::clock_lost, "2026-11-25T09:50:00+01:00", "20m");
    CHECK(world.run("2026-11-25T09:50:00+01:00", "2026-11-25T11:01:00+01:00") ==
          Lines{"2026-11-25T10:15:00+01:00 every fired", "2026-11-25T10:40:00+01:00 every fired", "2026-11-25T11:00:00+01:00 fired"});
  }
  SUBCASE("after an outage: a boot in 1970, made up for once the clock is right") {
    world.befall(Kind::off, "2026-11-25T10:30:00+01:00", "1h");
    world.befall(Kind::clock_lost, "2026-11-25T10:30:00+01:00", "80m");
    std::vector<int64_t> clocks;
    world.wanted = [&](const Happening& h) {
      if (h.kind == Happening::Kind::power_on) clocks.push_back(h.clock_ms);
      return h.schedule != nullptr && h.schedule->name == "s" && h.change->change == Change::fired;
    };
    CHECK(world.run("2026-11-25T09:50:00+01:00", "2026-11-25T12:01:00+01:00") ==
          Lines{"2026-11-25T10:00:00+01:00 fired", "2026-11-25T11:50:00+01:00 made up of 2026-11-25T11:00:00+01:00",
                "2026-11-25T12:00:00+01:00 fired"});
    CHECK(clocks == std::vector<int64_t>{0});
  }
  SUBCASE("that is right at the moment of the start: it was never lost") {
    world.befall(Kind::off, "2026-11-25T10:30:00+01:00", "1h");
    world.befall(Kind::clock_lost, "2026-11-25T10:30:00+01:00", "1h");
    std::vector<int64_t> clocks;
    world.wanted = [&](const Happening& h) {
      if (h.kind == Happening::Kind::power_on) clocks.push_back(h.clock_ms);
      return false;
    };
    world.run("2026-11-25T09:50:00+01:00", "2026-11-25T12:01:00+01:00");
    CHECK(clocks == std::vector<int64_t>{t("2026-11-25T11:30:00+01:00")});
  }
}

TEST_CASE("simulate: power off kills what runs; @reboot fires when it is on again") {
  World world;
  world.schedule("@reboot", "boot");
  world.schedule("0 10 * * *");
  world.spec.run_ms = d("1m");
  world.befall(Kind::off, "2026-11-25T10:00:30+01:00", "10m");
  int64_t uptime_ms = -1;
  world.wanted = [&](const Happening& h) {
    if (h.change == nullptr || h.change->change == Change::enqueued || h.change->change == Change::started) return false;
    uptime_ms = h.uptime_ms;
    return true;
  };
  CHECK(world.run("2026-11-25T09:50:00+01:00", "2026-11-25T11:00:00+01:00") ==
        Lines{"2026-11-25T10:00:00+01:00 fired", "2026-11-25T10:10:30+01:00 recovered", "2026-11-25T10:10:30+01:00 boot fired",
              "2026-11-25T10:11:30+01:00 completed", "2026-11-25T10:11:30+01:00 completed"});
  CHECK(uptime_ms == d("1m"));
}

TEST_CASE("simulate: the first moment counts, the last one does not") {
  World world;
  world.schedule("0 * * * *");
  CHECK(world.run("2026-11-25T10:00:00+01:00", "2026-11-25T11:00:00+01:00") == Lines{"2026-11-25T10:00:00+01:00 fired"});
  CHECK(world.at_end.at(0).next_wall_ms == t("2026-11-25T11:00:00+01:00"));
}

TEST_CASE("simulate: runs take their time: overlap and timeouts are seen") {
  World world;
  world.schedule("*/10 * * * *");
  world.spec.run_ms_of["x"] = d("15m");
  world.spec.runners[0].policy.timeout_ms = -1;
  SUBCASE("overlap") {
    CHECK(world.run("2026-11-25T10:00:00+01:00", "2026-11-25T10:30:00+01:00") ==
          Lines{"2026-11-25T10:00:00+01:00 fired", "2026-11-25T10:10:00+01:00 skipped", "2026-11-25T10:20:00+01:00 fired"});
  }
  SUBCASE("a soft timeout ends nothing here") {
    world.spec.runners[0].soft_timeout_ms = d("5m");
    world.wanted = [](const Happening& h) { return h.change != nullptr && h.change->change == Change::completed; };
    CHECK(world.run("2026-11-25T10:00:00+01:00", "2026-11-25T10:16:00+01:00") == Lines{"2026-11-25T10:15:00+01:00 completed"});
  }
  SUBCASE("a timeout that is shorter") {
    world.spec.runners[0].policy.timeout_ms = d("5m");
    world.spec.runners[0].policy.max_attempts = 1;
    world.wanted = [](const Happening& h) { return h.change != nullptr && h.change->change == Change::died; };
    CHECK(world.run("2026-11-25T10:00:00+01:00", "2026-11-25T10:16:00+01:00") ==
          Lines{"2026-11-25T10:05:00+01:00 died", "2026-11-25T10:15:00+01:00 died"});
  }
}

TEST_CASE("simulate: the seed makes the jitter, and nothing else does") {
  const auto lines = [](uint64_t seed) {
    World world;
    world.schedule("0 * * * *").jitter_ms = d("10m");
    world.spec.seed = seed;
    return world.run("2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z");
  };
  CHECK(lines(1) == lines(1));
  CHECK(lines(1) != lines(2));
  // Later than planned, but not because it was missed.
  for (const std::string& line : lines(1)) CHECK(line.find("made up") == std::string::npos);
}

TEST_CASE("simulate: an error of a schedule names it") {
  World world;
  world.schedule("0 * * * *").jitter_ms = d("2d");
  VirtualDevice device(world.spec, {}, [](const Happening&) {});
  const Status ran = device.run(0, d("1d"));
  REQUIRE_FALSE(ran.ok());
  CHECK(ran.error().message.find("schedules.s: jitter") != std::string::npos);
}

TEST_CASE("simulate: who wakes the device") {
  World world;
  world.schedule("0 * * * *", "hourly");
  world.schedule("*/30 * * * *", "half");
  world.schedule("0 10 * * *", "ten");
  Tally tally(world.spec.schedules);
  world.run("2026-11-25T00:00:00+01:00", "2026-11-26T00:00:00+01:00", &tally);
  CHECK(tally.total.fired == 24 + 48 + 1);
  // The first moment of all is the start, which is no wake-up.
  CHECK(tally.total.woken == 47);
  CHECK(tally.woken_for_none == 0);
  CHECK(tally.by_schedule().at("half").woken == 47);
  CHECK(tally.by_schedule().at("half").alone == 24);
  CHECK(tally.by_schedule().at("hourly").woken == 23);
  CHECK(tally.by_schedule().at("hourly").alone == 0);
  CHECK(tally.busiest == 3);
  CHECK(tally.busiest_minute_ms == t("2026-11-25T10:00:00+01:00"));
}

TEST_CASE("simulate: all that the engine does at one moment is one wake-up") {
  World world;
  for (int i = 0; i < 250; ++i) world.schedule("0 10 * * *", "s" + std::to_string(i));  // some each turn
  world.spec.limits.concurrency = 1000;  // all start at once: nobody is asked for
  Tally tally(world.spec.schedules);
  world.run("2026-11-25T09:00:00+01:00", "2026-11-25T11:00:00+01:00", &tally);
  CHECK(tally.total.fired == 250);
  CHECK(tally.total.woken == 1);
  CHECK(tally.by_schedule().at("s249").woken == 1);
  CHECK(tally.by_schedule().at("s249").alone == 0);
}

TEST_CASE("simulate: what was done long ago is deleted, and that is a wake-up without a firing") {
  World world;
  world.schedule("0 10 25 * *");
  world.spec.limits.keep_completed_ms = d("1h");
  Tally tally(world.spec.schedules);
  world.run("2026-11-25T00:00:00+01:00", "2026-11-26T00:00:00+01:00", &tally);
  CHECK(tally.total.fired == 1);
  CHECK(tally.total.woken == 2);
  CHECK(tally.woken_for_none == 1);
}
