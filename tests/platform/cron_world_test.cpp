// Cron lines around every change of the clock from 2020 to 2037 in the world's zones: CronExpr on Holdfast's zones
// (cctz) against the oracle, whose clock is the C library's.
//
// Each push compares a share: every change of every zone, each with some of the lines.
// HOLDFAST_CRON_FULL=1 compares them all (`make cron`).
#include <doctest/doctest.h>
#include <time.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "core/cron.h"
#include "platform/zones.h"
#include "tests/core/cron_lines.h"
#include "tests/core/cron_oracle.h"
#include "tests/core/table_zone.h"

using namespace hf;
using namespace hf::test;

namespace {

constexpr int64_t kHour_s = 3600;

// What is compared around each change.
struct Pass {
  int step_s;
  int64_t around_s;  // so long before it and after it; the oracle has seen the clock for as long before that
  size_t share;      // of a push: one line of so many with each change, each line in its turn
};
constexpr Pass kByMinutes{60, 26 * kHour_s, 25};  // the days that a change belongs to
constexpr Pass kBySeconds{1, 2 * kHour_s, 250};   // the hours

const char* const kZones[] = {
    // Europe: one instant for all, so each hour of the night; Lisbon and the Azores at midnight and before it
    "Europe/Berlin", "Europe/London", "Europe/Lisbon", "Atlantic/Azores", "Europe/Athens", "Europe/Kyiv",
    "Atlantic/Canary", "Asia/Nicosia",
    "Europe/Dublin",     // DST is the winter's, and negative
    "Europe/Chisinau",   // an hour before the others
    "Europe/Volgograd",  // for good
    // North America: at 2:00 of each zone's own
    "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Anchorage", "America/Adak",
    "America/Halifax", "America/Toronto", "Atlantic/Bermuda", "America/Miquelon", "America/Thule", "America/Detroit",
    "America/Indiana/Knox", "America/Port-au-Prince", "America/Grand_Turk",
    "America/St_Johns",  // half an hour off
    "America/Tijuana", "America/Ciudad_Juarez", "America/Ojinaga", "America/Matamoros",  // with the neighbour
    "America/Mexico_City", "America/Chihuahua", "America/Mazatlan",  // until 2022
    "America/Whitehorse", "America/Dawson",                          // for good
    "America/Nuuk",          // on Saturday at 22:00, later at 23:00 and on Sunday
    "America/Scoresbysund",  // moved by an hour in 2024
    "America/Havana",        // at midnight, back at 1:00
    // South America: at midnight, on Saturday at 24:00; the southern summer
    "America/Santiago", "Pacific/Easter", "America/Asuncion",
    // Africa and Asia: at midnight, on Fridays and Thursdays; Ramadan
    "Africa/Cairo", "Africa/Casablanca", "Africa/El_Aaiun", "Asia/Gaza", "Asia/Hebron", "Asia/Jerusalem", "Asia/Beirut",
    "Asia/Amman", "Asia/Damascus", "Asia/Famagusta",
    "Asia/Tehran",  // at 24:00 by another calendar, half an hour off
    "Africa/Juba", "Asia/Almaty", "Asia/Qostanay",
    // Australia and the Pacific
    "Australia/Sydney", "Australia/Hobart", "Australia/Adelaide", "Australia/Broken_Hill", "Antarctica/Macquarie",
    "Pacific/Auckland", "Pacific/Norfolk", "Pacific/Fiji", "Pacific/Apia",
    "Australia/Lord_Howe",  // by half an hour
    "Pacific/Chatham",      // at 2:45
    // by two hours, by three
    "Antarctica/Troll", "Antarctica/Vostok", "Antarctica/Casey",
};

// The clock of the C library, which reads the same files as Holdfast by code of its own.
class SystemClock {
 public:
  explicit SystemClock(const std::string& zone) {
    if (const char* const set = std::getenv("TZ")) before_ = set;
    use(zone);
  }
  ~SystemClock() { before_ ? use(*before_) : (unsetenv("TZ"), tzset()); }
  SystemClock(const SystemClock&) = delete;
  SystemClock& operator=(const SystemClock&) = delete;

  static tm at(int64_t unix_s) {
    const time_t time = static_cast<time_t>(unix_s);
    tm shown{};
    if (localtime_r(&time, &shown) == nullptr) FAIL("localtime_r");
    return shown;
  }
  static long offset_s(int64_t unix_s) { return at(unix_s).tm_gmtoff; }

  // The instants at which the offset becomes another.
  static std::vector<int64_t> changes(int64_t from_s, int64_t to_s) {
    constexpr int64_t kStride_s = 6 * kHour_s;
    std::vector<int64_t> found;
    for (int64_t t = from_s; t < to_s; t += kStride_s) {
      int64_t before = t, after = t + kStride_s;
      if (offset_s(before) == offset_s(after)) continue;
      while (after - before > 1) {
        const int64_t middle = (before + after) / 2;
        (offset_s(middle) == offset_s(t) ? before : after) = middle;
      }
      found.push_back(after);
    }
    return found;
  }
  static OracleClock clock(int64_t at_s, const Pass& pass) {
    std::vector<OracleTick> ticks;
    for (int64_t t = at_s - 2 * pass.around_s; t < at_s + pass.around_s; t += pass.step_s) {
      const tm shown = at(t);
      const CivilDate date{shown.tm_year + 1900, shown.tm_mon + 1, shown.tm_mday};
      ticks.push_back({t, {date, shown.tm_hour, shown.tm_min, shown.tm_sec}});
      if (weekday_from_days(days_from_civil(date)) != shown.tm_wday) FAIL("the calendar");
    }
    return {ticks, at_s - pass.around_s, pass.step_s};
  }

 private:
  static void use(const std::string& zone) {
    setenv("TZ", zone.c_str(), 1);
    tzset();
  }
  std::optional<std::string> before_;
};

struct Line {
  std::string text;
  CronExpr line;
  OracleLine oracle;
};

std::vector<Line> parsed(const std::vector<std::string>& texts) {
  std::vector<Line> lines;
  for (const std::string& text : texts) {
    auto line = CronExpr::parse(text);
    REQUIRE_MESSAGE(line.ok(), text << ": " << line.error().message);
    lines.push_back({text, std::move(line).value(), OracleLine(text)});
  }
  return lines;
}

struct Counts {
  size_t zones = 0, changes = 0, compared = 0, firings = 0, differences = 0;
  std::string first;  // difference

  // Under all policies; a line that goes by real time, which they do not concern, under one of them in turn.
  void compare(const Line& line, const Zone& zone, const OracleClock& clock, int64_t from_s, int64_t to_s) {
    constexpr DstPolicy kPolicies[] = {DstPolicy::vixie, DstPolicy::skip, DstPolicy::both};
    for (const DstPolicy policy : kPolicies) {
      if (!line.oracle.fixed() && policy != kPolicies[changes % 3]) continue;
      const std::vector<int64_t> expected = clock.firings(line.oracle, policy);
      const std::string by = " under policy " + std::to_string(static_cast<int>(policy));
      const auto next = by_next(line.line, zone, from_s, to_s, policy);
      const auto previous = by_previous(line.line, zone, from_s, to_s, policy);
      ++compared;
      firings += expected.size();
      if (next == expected && previous == expected) continue;
      first = differences++ != 0 ? first
              : next != expected ? difference(zone.name(), line.text, "next" + by, expected, next)
                                 : difference(zone.name(), line.text, "previous" + by, expected, previous);
    }
  }
};

Counts compare_all(const std::vector<Line>& lines, const Pass& pass) {
  const char* const full = std::getenv("HOLDFAST_CRON_FULL");
  const size_t share = full != nullptr && *full == '1' ? 1 : pass.share;
  // An emulated processor is for the arithmetic: a tenth of the changes.
  const char* const emulator = std::getenv("HOLDFAST_EMULATOR");
  const size_t stride = emulator != nullptr && *emulator != '\0' ? 10 : 1;
  const SystemZones zones;
  Counts counts;
  for (const char* const name : kZones) {
    const auto zone = zones.find(name);
    REQUIRE_MESSAGE(zone.ok(), zone.error().message);
    const SystemClock system(name);
    const auto changes = SystemClock::changes(s("2020-01-01T00:00:00Z"), s("2038-01-01T00:00:00Z"));
    if (changes.empty()) continue;  // as the database of this machine has it
    ++counts.zones;
    for (const int64_t at_s : changes) {
      REQUIRE(at_s % 60 == 0);
      const size_t n = counts.changes++;
      size_t i = n / stride % share;
      if (n % stride != 0 || i >= lines.size()) continue;
      const OracleClock clock = SystemClock::clock(at_s, pass);
      for (; i < lines.size(); i += share) {
        counts.compare(lines[i], **zone, clock, at_s - pass.around_s, at_s + pass.around_s);
      }
    }
  }
  std::printf("%zu lines, %zu zones, %zu changes: %zu times a line under a policy over a change, %zu firings; differences: %zu\n",
              lines.size(), counts.zones, counts.changes, counts.compared, counts.firings, counts.differences);
  return counts;
}

}  // namespace

TEST_CASE("cron in the world: no difference to the oracle around any change from 2020 to 2037") {
  const std::vector<Line> lines = parsed(cron_lines());
  CHECK(lines.size() >= 500);
  const Counts counts = compare_all(lines, kByMinutes);
  CHECK(counts.zones >= 60);
  CHECK(counts.differences == 0);
  CHECK(counts.first == "");
}

TEST_CASE("cron in the world: nor second by second") {
  const Counts counts = compare_all(parsed(cron_lines_with_seconds()), kBySeconds);
  CHECK(counts.differences == 0);
  CHECK(counts.first == "");
}
