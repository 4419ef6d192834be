// Cron lines against the oracle in the zones of the IANA database, around their changes.
#include <doctest/doctest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "core/cron.h"
#include "platform/zones.h"
#include "tests/core/cron_lines.h"
#include "tests/core/cron_oracle.h"
#include "tests/core/table_zone.h"

using namespace hf;
using namespace hf::test;

namespace {

constexpr int64_t kAround_s = 36 * 3600;

// Of each kind: Europe, America, half an hour, midnight, Ramadan, :45 offsets, negative DST, two
// hours, a minute after midnight, none.
constexpr const char* kZones[] = {
    "Europe/Berlin",    "America/New_York",  "Australia/Lord_Howe", "America/Sao_Paulo",
    "Pacific/Apia",     "Africa/Casablanca", "Pacific/Chatham",     "Europe/Dublin",
    "Antarctica/Troll", "America/St_Johns",  "Asia/Beirut",         "America/Havana",
    "Africa/Cairo",     "Asia/Kathmandu",
};

std::vector<int64_t> changes(const Zone& zone, int64_t from_s, int64_t to_s) {
  std::vector<int64_t> found;
  for (auto at = zone.next_transition(from_s); at && *at < to_s; at = zone.next_transition(*at)) {
    found.push_back(*at);
  }
  return found;
}

// Counts how often it is looked into: what next and previous spend their time on, but for the calendar.
class CountingZone final : public Zone {
 public:
  explicit CountingZone(const Zone& zone) : zone_(zone) {}
  const std::string& name() const override { return zone_.name(); }
  ZonePeriod period_at(int64_t unix_s) const override {
    ++looks_;
    return zone_.period_at(unix_s);
  }
  int looks() { return std::exchange(looks_, 0); }

 private:
  const Zone& zone_;
  mutable int looks_ = 0;
};

}  // namespace

TEST_CASE("cron in the world's zones: no difference to the oracle around changes") {
  const SystemZones zones;
  Random random(300);
  for (const char* name : kZones) {
    const auto zone = zones.find(name);
    REQUIRE_MESSAGE(zone.ok(), zone.error().message);
    std::vector<int64_t> all =
        changes(**zone, s("2010-01-01T00:00:00Z"), s("2037-01-01T00:00:00Z"));
    if (all.empty()) all.push_back(s("2026-03-29T00:00:00Z"));
    for (int i = 0; i < 8; ++i) {
      const int64_t at_s = all[random.below(all.size())] / 60 * 60;
      REQUIRE(compare_with_oracle(**zone, at_s - kAround_s, at_s + kAround_s, 60, 25, random) ==
              "");
    }
  }
}

TEST_CASE("cron in the world's zones: no difference to the oracle at the strangest changes") {
  const SystemZones zones;
  Random random(301);
  constexpr struct {
    const char* zone;
    const char* at;
  } kStrange[] = {{"Pacific/Apia", "2011-12-30T10:00:00Z"},       // a day skipped
                  {"America/St_Johns", "2011-03-13T03:31:00Z"},   // a minute after midnight
                  {"America/Sao_Paulo", "2018-11-04T03:00:00Z"},  // midnight
                  {"Australia/Lord_Howe", "2026-10-03T15:30:00Z"},
                  {"Asia/Pyongyang", "2015-08-14T15:00:00Z"},  // half an hour, for good
                  {"America/Caracas", "2016-05-01T07:00:00Z"},
                  {"Africa/Juba", "2021-01-31T21:00:00Z"},
                  {"Asia/Gaza", "2023-10-28T00:00:00Z"}};
  for (const auto& strange : kStrange) {
    const auto zone = zones.find(strange.zone);
    REQUIRE_MESSAGE(zone.ok(), zone.error().message);
    const int64_t at_s = s(strange.at);
    REQUIRE(compare_with_oracle(**zone, at_s - kAround_s, at_s + kAround_s, 60, 60, random) == "");
  }
}

TEST_CASE("cron in the world's zones: no difference to the oracle over a year") {
  const SystemZones zones;
  Random random(302);
  for (const char* name : {"Europe/Berlin", "America/Havana"}) {
    const auto zone = zones.find(name);
    REQUIRE(compare_with_oracle(**zone, s("2026-01-01T00:00:00Z"), s("2027-01-02T00:00:00Z"), 60, 4,
                                random) == "");
  }
}

TEST_CASE("cron in the world's zones: a firing centuries ahead is found") {
  const SystemZones zones;
  const CronExpr line = CronExpr::parse("30 2 29 2 */7").value();
  const auto zone = *zones.find("Europe/Berlin");
  CHECK(line.next(ms("2500-01-01T00:00:00Z"), *zone) == ms("2528-02-29T01:30:00Z"));
  CHECK(line.previous(kMaxUnixMs, *zone) ==
        line.next(*line.previous(kMaxUnixMs, *zone) - 1, *zone));
}

TEST_CASE("cron in the world's zones: a time that the zone skips every year is not looked for until the year 9999") {
  constexpr struct {
    const char* line;
    DstPolicy policy;
  } kNever[] = {{"30 2 * 3 SUNL", DstPolicy::skip},
                {"0 30 2 29 3 */7", DstPolicy::skip},
                {"* 2 * 3 SUNL", DstPolicy::vixie},  // by real time
                {"*/10 2 29 3 */7", DstPolicy::both}};
  const SystemZones zones;
  const auto found = *zones.find("Europe/Berlin");
  CountingZone zone(*found);
  for (const auto& never : kNever) {
    CAPTURE(never.line);
    const CronExpr line = CronExpr::parse(never.line).value();
    for (const char* at : {"1996-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "9000-01-01T00:00:00Z"}) {
      CAPTURE(at);
      CHECK(line.next(ms(at), zone, never.policy) == std::nullopt);
      CHECK(zone.looks() < 600);
    }
    // It did while summer time began on another day, or not at all.
    CHECK(line.previous(ms("9000-01-01T00:00:00Z"), zone, never.policy) == std::nullopt);
    CHECK(zone.looks() < 200);
    const auto last = line.previous(ms("2026-01-01T00:00:00Z"), zone, never.policy);
    REQUIRE(last.has_value());
    CHECK(line.next(*last - 1, zone, never.policy) == last);
  }
}

TEST_CASE("cron in the world's zones: the next firing takes a few looks at the zone") {
  const SystemZones zones;
  Random random(303);
  int most = 0;
  for (const char* name : kZones) {
    const auto found = *zones.find(name);
    CountingZone zone(*found);
    for (const auto& lines : {cron_lines(), cron_lines_with_seconds(), rare_cron_lines()}) {
      for (const std::string& text : lines) {
        CAPTURE(text);
        const CronExpr line = CronExpr::parse(text).value();
        const int64_t at_ms = random.between(ms("2020-01-01T00:00:00Z"), ms("2038-01-01T00:00:00Z"));
        for (const DstPolicy policy : {DstPolicy::vixie, DstPolicy::both}) {
          REQUIRE(line.next(at_ms, zone, policy).has_value());
          most = std::max(most, zone.looks());
          line.previous(at_ms, zone, policy);
          most = std::max(most, zone.looks());
        }
      }
    }
  }
  CHECK(most <= 6);
}
