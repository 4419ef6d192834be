#include "core/cron.h"

#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "tests/core/table_zone.h"

using namespace hf;
using namespace hf::test;

namespace {

// The next `count` firings after `after`, in local time with the offset, each on a line.
std::string firings(std::string_view text, const Zone& zone, std::string_view after, int count,
                    DstPolicy policy = DstPolicy::vixie) {
  const CronExpr line = CronExpr::parse(text).value();
  std::string out;
  int64_t at_ms = ms(after);
  for (int i = 0; i < count; ++i) {
    const auto next = line.next(at_ms, zone, policy);
    if (!next) return out + "none ";
    // previous is the inverse of next: from just behind a firing it finds that firing.
    CHECK(line.previous(*next + 1, zone, policy) == next);
    at_ms = *next;
    out += format_time_at_offset(at_ms, zone.local(at_ms / 1000).offset_s) + " ";
  }
  return out;
}

}  // namespace

TEST_CASE("cron next: the time given is excluded, the millisecond before it is not") {
  const CronExpr line = CronExpr::parse("30 2 * * *").value();
  const int64_t at = ms("2026-11-25T02:30:00Z");
  CHECK(line.next(at - 1, utc_zone()) == at);
  CHECK(line.next(at, utc_zone()) == at + 86400000);
  CHECK(line.next(at + 1, utc_zone()) == at + 86400000);
  CHECK(line.previous(at + 1, utc_zone()) == at);
  CHECK(line.previous(at, utc_zone()) == at - 86400000);
}

TEST_CASE("cron next: over the end of the year") {
  CHECK(firings("0 0 1 1 *", utc_zone(), "2026-12-31T23:59:59.999Z", 2) ==
        "2027-01-01T00:00:00Z 2028-01-01T00:00:00Z ");
  CHECK(firings("59 23 31 12 *", utc_zone(), "2026-12-31T23:59:00Z", 1) == "2027-12-31T23:59:00Z ");
}

TEST_CASE("cron next: February 29") {
  CHECK(firings("0 0 29 2 *", utc_zone(), "2026-01-01T00:00:00Z", 2) ==
        "2028-02-29T00:00:00Z 2032-02-29T00:00:00Z ");
  CHECK(firings("0 0 29 2 *", utc_zone(), "2096-03-01T00:00:00Z", 1) == "2104-02-29T00:00:00Z ");
}

TEST_CASE("cron next: the longest wait there is, 40 years for a February 29 on one weekday") {
  CHECK(firings("0 0 29 2 */7", utc_zone(), "2088-03-01T00:00:00Z", 1) == "2128-02-29T00:00:00Z ");
}

TEST_CASE("cron next: a day of the month or a day of the week") {
  CHECK(firings("0 0 13 * FRI", utc_zone(), "2026-11-01T00:00:00Z", 4) ==
        "2026-11-06T00:00:00Z 2026-11-13T00:00:00Z 2026-11-20T00:00:00Z 2026-11-27T00:00:00Z ");
  CHECK(firings("0 0 13 * FRI", utc_zone(), "2026-12-05T00:00:00Z", 3) ==
        "2026-12-11T00:00:00Z 2026-12-13T00:00:00Z 2026-12-18T00:00:00Z ");
}

TEST_CASE("cron next: with a star in one day field both must fit") {
  CHECK(firings("0 0 13 * */5", utc_zone(), "2026-01-01T00:00:00Z", 3) ==
        "2026-02-13T00:00:00Z 2026-03-13T00:00:00Z 2026-09-13T00:00:00Z ");
}

TEST_CASE("cron next: last days, nearest weekdays and n-th weekdays") {
  CHECK(firings("0 0 L * *", utc_zone(), "2028-01-31T00:00:00Z", 2) ==
        "2028-02-29T00:00:00Z 2028-03-31T00:00:00Z ");
  CHECK(firings("0 2 * * FRIL", utc_zone(), "2026-11-25T00:00:00Z", 2) ==
        "2026-11-27T02:00:00Z 2026-12-25T02:00:00Z ");
  // 2026-08-15 and -08-01 are Saturdays, 2026-11-15 and 2027-02-28 Sundays.
  CHECK(firings("0 0 15W 8,11 *", utc_zone(), "2026-08-01T00:00:00Z", 2) ==
        "2026-08-14T00:00:00Z 2026-11-16T00:00:00Z ");
  CHECK(firings("0 0 1W 8 *", utc_zone(), "2026-07-31T00:00:00Z", 1) == "2026-08-03T00:00:00Z ");
  CHECK(firings("0 0 28W 2 *", utc_zone(), "2027-01-01T00:00:00Z", 1) == "2027-02-26T00:00:00Z ");
  CHECK(firings("0 0 LW 2 *", utc_zone(), "2027-01-01T00:00:00Z", 1) == "2027-02-26T00:00:00Z ");
  CHECK(firings("0 0 * * 5#5", utc_zone(), "2026-11-01T00:00:00Z", 1) == "2027-01-29T00:00:00Z ");
}

TEST_CASE("cron next: seconds") {
  CHECK(firings("*/20 59 23 * * *", utc_zone(), "2026-11-25T23:59:30Z", 2) ==
        "2026-11-25T23:59:40Z 2026-11-26T23:59:00Z ");
}

TEST_CASE("cron next: a local time in a zone with one offset") {
  const TableZone kolkata("Asia/Kolkata", 19800, {});
  CHECK(firings("0 9 * * *", kolkata, "2026-11-25T00:00:00Z", 1) == "2026-11-25T09:00:00+05:30 ");
}

TEST_CASE("cron DST, gap: a fixed time runs once just after it") {
  CHECK(firings("30 2 * * *", berlin(), "2026-03-28T00:00:00Z", 3) ==
        "2026-03-28T02:30:00+01:00 2026-03-29T03:00:00+02:00 2026-03-30T02:30:00+02:00 ");
}

TEST_CASE("cron DST, gap: several skipped times, and one just after it, are one firing") {
  CHECK(firings("0,30 2,3 * * *", berlin(), "2026-03-29T00:00:00Z", 2) ==
        "2026-03-29T03:00:00+02:00 2026-03-29T03:30:00+02:00 ");
}

TEST_CASE("cron DST, gap: a fixed time on another day does not run") {
  CHECK(firings("30 2 * * 1-5", berlin(), "2026-03-28T02:00:00Z", 1) ==
        "2026-03-30T02:30:00+02:00 ");
}

TEST_CASE("cron DST, gap: wildcard lines go by real time") {
  CHECK(firings("*/30 * * * *", berlin(), "2026-03-29T00:29:00Z", 3) ==
        "2026-03-29T01:30:00+01:00 2026-03-29T03:00:00+02:00 2026-03-29T03:30:00+02:00 ");
  CHECK(firings("*/30 2 * * *", berlin(), "2026-03-28T02:00:00Z", 1) ==
        "2026-03-30T02:00:00+02:00 ");
}

TEST_CASE("cron DST, overlap: a fixed time runs once, the first time") {
  CHECK(firings("30 2 * * *", berlin(), "2026-10-24T12:00:00Z", 2) ==
        "2026-10-25T02:30:00+02:00 2026-10-26T02:30:00+01:00 ");
}

TEST_CASE("cron DST, overlap: the time at which the clock goes back is not repeated") {
  CHECK(firings("0 2,3 * * *", berlin(), "2026-10-24T12:00:00Z", 3) ==
        "2026-10-25T02:00:00+02:00 2026-10-25T03:00:00+01:00 2026-10-26T02:00:00+01:00 ");
}

TEST_CASE("cron DST, overlap: wildcard lines go by real time") {
  CHECK(firings("30 * * * *", berlin(), "2026-10-25T00:00:00Z", 3) ==
        "2026-10-25T02:30:00+02:00 2026-10-25T02:30:00+01:00 2026-10-25T03:30:00+01:00 ");
}

TEST_CASE("cron DST, policy skip: nothing for the gap, once in the overlap") {
  CHECK(firings("30 2 * * *", berlin(), "2026-03-28T12:00:00Z", 1, DstPolicy::skip) ==
        "2026-03-30T02:30:00+02:00 ");
  CHECK(firings("30 2 * * *", berlin(), "2026-10-24T12:00:00Z", 2, DstPolicy::skip) ==
        "2026-10-25T02:30:00+02:00 2026-10-26T02:30:00+01:00 ");
}

TEST_CASE("cron DST, policy both: once for the gap, twice in the overlap") {
  CHECK(firings("30 2 * * *", berlin(), "2026-03-28T12:00:00Z", 1, DstPolicy::both) ==
        "2026-03-29T03:00:00+02:00 ");
  CHECK(firings("30 2 * * *", berlin(), "2026-10-24T12:00:00Z", 3, DstPolicy::both) ==
        "2026-10-25T02:30:00+02:00 2026-10-25T02:30:00+01:00 2026-10-26T02:30:00+01:00 ");
}

TEST_CASE("cron DST: half an hour, Lord Howe") {
  CHECK(firings("15 2 * * *", lord_howe(), "2026-10-03T12:00:00Z", 2) ==
        "2026-10-04T02:30:00+11:00 2026-10-05T02:15:00+11:00 ");
  CHECK(firings("45 1 * * *", lord_howe(), "2026-04-04T12:00:00Z", 2) ==
        "2026-04-05T01:45:00+11:00 2026-04-06T01:45:00+10:30 ");
  CHECK(firings("0 * * * *", lord_howe(), "2026-10-03T14:30:00Z", 2) ==
        "2026-10-04T03:00:00+11:00 2026-10-04T04:00:00+11:00 ");
}

TEST_CASE("cron DST: at midnight, Sao Paulo") {
  CHECK(firings("0 0 * * *", sao_paulo(), "2018-11-03T12:00:00Z", 2) ==
        "2018-11-04T01:00:00-02:00 2018-11-05T00:00:00-02:00 ");
  CHECK(firings("@monthly", sao_paulo(), "2018-10-15T00:00:00Z", 2) ==
        "2018-11-01T00:00:00-03:00 2018-12-01T00:00:00-02:00 ");
  // Saturday has 23:00 to 24:00 twice.
  CHECK(firings("30 23 * * *", sao_paulo(), "2018-02-17T12:00:00Z", 2) ==
        "2018-02-17T23:30:00-02:00 2018-02-18T23:30:00-03:00 ");
  CHECK(firings("30 23 * * *", sao_paulo(), "2018-02-17T12:00:00Z", 2, DstPolicy::both) ==
        "2018-02-17T23:30:00-02:00 2018-02-17T23:30:00-03:00 ");
}

TEST_CASE("cron DST: a day that never was, Apia 2011-12-30") {
  CHECK(firings("30 2 * * *", apia(), "2011-12-29T00:00:00-10:00", 3) ==
        "2011-12-29T02:30:00-10:00 2011-12-31T00:00:00+14:00 2011-12-31T02:30:00+14:00 ");
  CHECK(firings("0 12 30 12 *", apia(), "2011-12-01T00:00:00Z", 2) ==
        "2011-12-31T00:00:00+14:00 2012-12-30T12:00:00+13:00 ");
  CHECK(firings("0 * * * *", apia(), "2011-12-30T08:30:00Z", 2) ==
        "2011-12-29T23:00:00-10:00 2011-12-31T00:00:00+14:00 ");
}

TEST_CASE("cron previous: over gaps and overlaps") {
  const CronExpr line = CronExpr::parse("30 2 * * *").value();
  CHECK(line.previous(ms("2026-03-29T12:00:00Z"), berlin()) == ms("2026-03-29T01:00:00Z"));
  CHECK(line.previous(ms("2026-03-29T01:00:00Z"), berlin()) == ms("2026-03-28T01:30:00Z"));
  CHECK(line.previous(ms("2026-10-25T12:00:00Z"), berlin()) == ms("2026-10-25T00:30:00Z"));
}

TEST_CASE("cron: @every is counted from the time given, in any zone") {
  const CronExpr line = CronExpr::parse("@every 90s").value();
  CHECK(line.kind() == CronLine::Kind::every);
  CHECK(line.every_ms() == 90000);
  CHECK(line.next(1000, berlin()) == 91000);
  CHECK(line.previous(100000, berlin()) == 10000);
  CHECK_FALSE(line.previous(89999, berlin()));
}

TEST_CASE("cron: the ends of time") {
  const CronExpr line = CronExpr::parse("0 0 * * *").value();
  using Limits = std::numeric_limits<int64_t>;
  CHECK(line.next(Limits::min(), utc_zone()) == 0);
  CHECK(line.next(-1, utc_zone()) == 0);
  CHECK_FALSE(line.next(Limits::max(), utc_zone()));
  CHECK_FALSE(line.next(kMaxUnixMs - 5, utc_zone()));
  CHECK(line.previous(Limits::max(), utc_zone()) == ms("9999-12-31T00:00:00Z"));
  CHECK(line.previous(1, utc_zone()) == 0);
  CHECK_FALSE(line.previous(0, utc_zone()));
  CHECK_FALSE(line.previous(Limits::min(), utc_zone()));
  const CronExpr every = CronExpr::parse("@every 366d").value();
  CHECK_FALSE(every.next(kMaxUnixMs - 5, utc_zone()));
  CHECK_FALSE(every.next(Limits::max(), utc_zone()));
  CHECK_FALSE(every.previous(5, utc_zone()));
}

TEST_CASE("cron: previous before 1970 in a zone ahead of UTC is none") {
  const TableZone ahead("ahead", 50400, {});
  const CronExpr line = CronExpr::parse("0 0 1 1 *").value();
  CHECK_FALSE(line.previous(ms("1970-06-01T00:00:00Z"), ahead));
}
