// Cron lines against the oracle in zones that no one lives in: what holds there holds anywhere. The
// zones of the real world: tests/platform/cron_zones_test.cpp.
#include <doctest/doctest.h>

#include "core/cron.h"
#include "tests/core/cron_oracle.h"
#include "tests/core/table_zone.h"

using namespace hf;
using namespace hf::test;

namespace {

// Changes at any minute, minutes to days apart, of quarters of an hour up to whole days.
TableZone random_zone(Random& random, int64_t from_s, int64_t to_s) {
  constexpr int32_t kQuarter = 900;
  std::vector<TableZone::Change> changes;
  int32_t offset_s = 0;
  for (int64_t at_s = from_s; at_s < to_s;) {
    at_s += 60 * (random.below(3) == 0 ? random.between(5, 180) : random.between(180, 4000));
    const bool leap = random.below(20) == 0;
    const int32_t by = static_cast<int32_t>(leap ? random.between(-90, 90) : random.between(-8, 8));
    const int32_t changed = offset_s + by * kQuarter;
    if (by == 0 || changed < -11 * 3600 || changed > 11 * 3600) continue;
    offset_s = changed;
    changes.push_back({at_s, offset_s});
  }
  return {"random zone", 0, changes};
}

}  // namespace

TEST_CASE("cron oracle: random lines in UTC over a year's end and a leap day") {
  Random random(100);
  CHECK(compare_with_oracle(utc_zone(), s("2027-12-30T00:00:00Z"), s("2028-01-02T00:00:00Z"), 60,
                            60, random) == "");
  CHECK(compare_with_oracle(utc_zone(), s("2028-02-27T00:00:00Z"), s("2028-03-02T00:00:00Z"), 60,
                            60, random) == "");
}

TEST_CASE("cron oracle: random lines over two months of days") {
  Random random(101);
  CHECK(compare_with_oracle(berlin(), s("2026-02-20T00:00:00Z"), s("2026-04-20T00:00:00Z"), 60, 30,
                            random) == "");
}

TEST_CASE("cron oracle: the days of random lines over 28 years") {
  // All weekdays at all dates but those around 2100.
  Random random(103);
  for (int i = 0; i < 100; ++i) {
    std::string text = random_line(random, false, i % 2 == 0);
    text = "0 0" + text.substr(text.find(' ', text.find(' ') + 1));
    CAPTURE(text);
    const CronExpr line = CronExpr::parse(text).value();
    const OracleLine oracle(text);
    const int64_t first = days_from_civil({2024, 1, 1}), last = days_from_civil({2052, 1, 1});
    std::vector<int64_t> expected;
    for (int64_t day = first; day < last; ++day) {
      if (oracle.matches_day(civil_from_days(day))) expected.push_back(day * kSecondsPerDay);
    }
    const int64_t from_s = first * kSecondsPerDay, to_s = last * kSecondsPerDay;
    REQUIRE(by_next(line, utc_zone(), from_s, to_s, DstPolicy::vixie) == expected);
    REQUIRE(by_previous(line, utc_zone(), from_s, to_s, DstPolicy::vixie) == expected);
  }
}

TEST_CASE("cron oracle: random lines in random zones") {
  const int64_t from_s = s("2026-02-26T00:00:00Z"), to_s = s("2026-03-04T00:00:00Z");
  for (uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const TableZone zone = random_zone(random, from_s - 2 * kSecondsPerDay, to_s);
    REQUIRE(compare_with_oracle(zone, from_s, to_s, 60, 20, random) == "");
  }
}

TEST_CASE("cron oracle: random lines with seconds around a gap and an overlap") {
  Random random(102);
  CHECK(compare_with_oracle(berlin(), s("2026-03-29T00:00:00Z"), s("2026-03-29T02:30:00Z"), 1, 20,
                            random) == "");
  CHECK(compare_with_oracle(berlin(), s("2026-10-25T00:00:00Z"), s("2026-10-25T02:30:00Z"), 1, 20,
                            random) == "");
}
